//! What came of a round. Pure.

use serde::Serialize;
use swaptier_common::cgroup::age_bucket;

use super::pump::wire::{Done, Ended};

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
    /// Pages reclaimed from the cgroup's LRU lists meanwhile (`pgsteal` of its memory.stat).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lru_pages_reclaimed: Option<u64>,
    /// Entries that got a second chance, or could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<u64>,
    /// Page frames by which zswap's pool is smaller than before, over all cgroups; negative when it grew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_pages_freed: Option<i64>,
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
    /// Why it ended.
    pub ended: Ended,
    /// The kernel's answer where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Counters of the host and the cgroup, taken before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) pgsteal: Option<u64>,
    pub(super) pool_bytes: Option<u64>,
}

impl Around {
    pub(super) fn lru_pages(before: Self, after: Self) -> Option<u64> {
        Some(after.pgsteal?.saturating_sub(before.pgsteal?))
    }

    pub(super) fn pool_pages(before: Self, after: Self, page: u64) -> Option<i64> {
        let (before, after) =
            (i64::try_from(before.pool_bytes?).ok()?, i64::try_from(after.pool_bytes?).ok()?);
        Some((before - after) / i64::try_from(page).ok()?)
    }
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
        Done {
            ended: Ended::Target,
            error: None,
            written: 0,
            beside: None,
            cold: None,
            passed_over: None,
            refused: None,
            stored: None,
            strokes: 0,
            ages: ages.to_vec(),
            micros: 0,
        }
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
        let known = Around { pgsteal: Some(10), pool_bytes: Some(8192) };
        let after = Around { pgsteal: Some(13), pool_bytes: Some(4096) };
        assert_eq!(Around::lru_pages(known, after), Some(3));
        assert_eq!(Around::pool_pages(known, after, 4096), Some(1));
        assert_eq!(Around::lru_pages(Around::default(), after), None);
    }
}
