//! What came of a round. Pure.

use serde::Serialize;
use serde_json::{Map, Value};
use swaptier_common::cgroup::age_bucket;
use swaptier_policies::{Ended, RoundReport};

use super::pump::wire::Done;

/// A finished round. Pages are the host's pages; bytes of them are *original* bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The cgroup's path.
    pub cgroup: String,
    /// How it was done.
    pub dialect: &'static str,
    /// What it was measured by: `map`, or `vmstat` without the map, which counts pages of the whole host.
    pub meter: &'static str,
    /// The policy or command that asked.
    pub why: String,
    /// Pages asked for.
    pub asked_pages: u64,
    /// Pages written back, of the cgroup and all below it.
    pub written_pages: u64,
    /// Pages written beyond what was asked.
    pub overshoot_pages: u64,
    /// The age asked for, in seconds.
    pub older_than_seconds: u64,
    /// Of the pages written back meanwhile, how many were at least that old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_pages: Option<u64>,
    /// No page written was younger than this: the lower bound of the youngest bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub youngest_seconds: Option<u64>,
    /// No page written was older than this: the upper bound of the oldest bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<u64>,
    /// Pages of other cgroups written back meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sibling_pages: Option<u64>,
    /// Pages that the round reclaimed from the cgroup's LRU lists, but for those of the swap cache that it had put there.
    /// A dialect that asks `memory.reclaim` to write back is measured by `pgsteal_proactive` of memory.stat; where the
    /// kernel has none, by `pgsteal`, and then what the cgroup itself reclaimed meanwhile is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lru_pages_reclaimed: Option<u64>,
    /// Entries that got a second chance, or could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<u64>,
    /// Page frames by which zswap's pool is smaller than before, over all cgroups; negative when it grew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_pages_freed: Option<i64>,
    /// Pages of the swap cache, clean copies of what was written, that were given up at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_pages_freed: Option<u64>,
    /// By how much more memory the host has available than before (`MemAvailable`), in pages; negative when it has less. What
    /// others took or gave meanwhile is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_pages_gained: Option<i64>,
    /// Stores of the whole host, but the pump's own, that were refused meanwhile because the pool limit was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_stores: Option<u64>,
    /// Pages that zswap took meanwhile, of the whole host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_pages: Option<u64>,
    /// Times the dialect was made to act.
    pub strokes: u64,
    /// Valves of other cgroups that were closed for the round.
    pub valves_closed: usize,
    /// From the first stroke to the last page.
    pub seconds: f64,
    /// Files that somebody else wrote during the round: their values stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<String>,
    /// Why it ended.
    #[serde(skip)]
    pub ended: Ended,
    /// The kernel's answer where it refused.
    #[serde(skip)]
    pub error: Option<String>,
}

impl Report {
    /// As it leaves the engine: how the round ended, and all else for people.
    #[must_use]
    pub fn told(&self) -> RoundReport {
        let figures = match serde_json::to_value(self) {
            Ok(Value::Object(figures)) => figures,
            _ => Map::new(),
        };
        RoundReport { ended: Some(self.ended), error: self.error.clone(), figures }
    }
}

/// Counters of the host and the cgroup, taken before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) pgsteal: Option<u64>,
    pub(super) pgsteal_proactive: Option<u64>,
    pub(super) pool_bytes: Option<u64>,
    pub(super) available_bytes: Option<u64>,
}

impl Around {
    /// Pages that were reclaimed by what the round did. `asked`: its dialect asks `memory.reclaim`, and at the end so many
    /// pages of the swap cache were given up and `others` beside them.
    pub(super) fn lru_pages(before: Self, after: Self, asked: bool, done: &Done) -> Option<u64> {
        if !asked {
            return Some(done.reclaimed);
        }
        let counted = match (before.pgsteal_proactive, after.pgsteal_proactive) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => after.pgsteal?.saturating_sub(before.pgsteal?),
        };
        Some(counted.saturating_sub(done.given_up.unwrap_or_default()))
    }

    pub(super) fn pool_pages(before: Self, after: Self, page: u64) -> Option<i64> {
        pages(before.pool_bytes?, after.pool_bytes?, page)
    }

    pub(super) fn available_pages(before: Self, after: Self, page: u64) -> Option<i64> {
        pages(after.available_bytes?, before.available_bytes?, page)
    }
}

fn pages(more: u64, less: u64, page: u64) -> Option<i64> {
    Some((i64::try_from(more).ok()? - i64::try_from(less).ok()?) / i64::try_from(page).ok()?)
}

/// The bounds of the ages of what was written: (youngest at least, oldest at most), in seconds.
pub(super) fn age_bounds(done: &Done) -> (Option<u64>, Option<u64>) {
    let lower = |bucket: usize| if bucket == 0 { 0 } else { 1 << (bucket - 1) };
    let first = done.ages.iter().position(|pages| *pages > 0);
    let last = done.ages.iter().rposition(|pages| *pages > 0);
    (first.map(lower), last.map(|bucket| lower(bucket + 1) - 1))
}

const _: () = assert!(age_bucket(1) == 1 && age_bucket(2) == 2);

#[cfg(test)]
mod tests {
    use super::*;

    fn done(ages: &[u64]) -> Done {
        Done { ages: ages.to_vec(), error: None, ..Done::none(Ended::Target, String::new()) }
    }

    #[test]
    fn ages_are_bounded_by_their_buckets() {
        // Buckets 3 (4..7 s) and 5 (16..31 s).
        assert_eq!(age_bounds(&done(&[0, 0, 0, 1, 0, 9])), (Some(4), Some(31)));
        assert_eq!(age_bounds(&done(&[2, 0])), (Some(0), Some(0)));
        assert_eq!(age_bounds(&done(&[0, 0])), (None, None));
    }

    #[test]
    fn what_is_not_known_before_and_after_is_not_known() {
        let known = Around { pgsteal: Some(10), pool_bytes: Some(8192), ..Around::default() };
        let after = Around { pgsteal: Some(13), pool_bytes: Some(4096), ..Around::default() };
        let done = done(&[]);
        assert_eq!(Around::lru_pages(known, after, true, &done), Some(3));
        assert_eq!(Around::pool_pages(known, after, 4096), Some(1));
        assert_eq!(Around::lru_pages(Around::default(), after, true, &done), None);
    }

    #[test]
    fn what_the_cgroup_reclaims_itself_is_not_the_rounds() {
        let around = |pgsteal, proactive| Around {
            pgsteal: Some(pgsteal),
            pgsteal_proactive: Some(proactive),
            ..Around::default()
        };
        let (before, after) = (around(1000, 10), around(150_000, 510));
        let done = Done { given_up: Some(480), reclaimed: 7, ..done(&[]) };
        // 500 by memory.reclaim, 480 of them of the swap cache.
        assert_eq!(Around::lru_pages(before, after, true, &done), Some(20));
        assert_eq!(
            Around::lru_pages(before, after, false, &done),
            Some(7),
            "its bites were counted one by one"
        );
    }

    #[test]
    fn what_the_host_gained_may_be_a_loss() {
        let around = |available| Around { available_bytes: Some(available), ..Around::default() };
        assert_eq!(Around::available_pages(around(40_960), around(49_152), 4096), Some(2));
        assert_eq!(Around::available_pages(around(40_960), around(20_480), 4096), Some(-5));
    }

    #[test]
    fn what_leaves_the_engine_is_the_whole_report_and_why_it_ended() {
        let report = Report {
            cgroup: "a".to_owned(),
            dialect: "worker",
            meter: "map",
            why: "command writeback".to_owned(),
            asked_pages: 40,
            written_pages: 9,
            overshoot_pages: 0,
            older_than_seconds: 60,
            cold_pages: None,
            youngest_seconds: None,
            oldest_seconds: None,
            sibling_pages: Some(0),
            lru_pages_reclaimed: None,
            passed_over: None,
            pool_pages_freed: Some(-3),
            cache_pages_freed: None,
            available_pages_gained: None,
            refused_stores: None,
            stored_pages: None,
            strokes: 2,
            valves_closed: 1,
            seconds: 0.5,
            foreign: Vec::new(),
            ended: Ended::Refused,
            error: Some("busy".to_owned()),
        };
        let json = serde_json::json!({
            "cgroup": "a", "dialect": "worker", "meter": "map", "why": "command writeback", "asked_pages": 40,
            "written_pages": 9, "overshoot_pages": 0, "older_than_seconds": 60, "sibling_pages": 0,
            "pool_pages_freed": -3, "strokes": 2, "valves_closed": 1, "seconds": 0.5, "ended": "refused",
            "error": "busy",
        });
        assert_eq!(serde_json::to_value(report.told()).unwrap(), json);
    }
}
