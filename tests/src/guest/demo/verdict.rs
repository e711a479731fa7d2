//! What the demo claims, judged from samples, knobs and reports: pure. A claim that does not hold fails the demo.

use super::sample::Sample;
use super::text::{count, mib, pages};
use crate::guest::knobs::Knobs;
use crate::guest::status::Round;
use crate::workload::Report;

/// Pages a round may write beyond what was asked.
const OVERSHOOT: u64 = 128;

/// Everything the judgement rests on.
pub(super) struct Evidence {
    /// Before anything was written back.
    pub before: Sample,
    /// The last look before the agent was stopped.
    pub after: Sample,
    /// Knobs before the agent was started.
    pub knobs_before: Knobs,
    /// Knobs after it was stopped.
    pub knobs_after: Knobs,
    /// Of the cold and the hot generator; what they failed with.
    pub reports: [Result<Report, String>; 2],
}

/// One line of the closing table.
pub(super) struct Claim {
    pub heading: &'static str,
    pub what: String,
    pub figures: String,
    /// `None`: a figure only.
    pub holds: Option<bool>,
}

/// All claims, in the order of the table.
pub(super) fn judge(evidence: &Evidence) -> Vec<Claim> {
    [in_zswap(evidence), written_back(evidence), freed(evidence), elsewhere(evidence), given_back(evidence)]
        .into_iter()
        .flatten()
        .collect()
}

fn claim(heading: &'static str, what: &str, figures: String, holds: bool) -> Claim {
    Claim { heading, what: what.to_owned(), figures, holds: Some(holds) }
}

fn figure(heading: &'static str, what: &str, figures: String) -> Claim {
    Claim { heading, what: what.to_owned(), figures, holds: None }
}

fn in_zswap(Evidence { before, after, .. }: &Evidence) -> Vec<Claim> {
    const HEADING: &str = "In zswap before the first write-back";
    // The policy may not have been in force yet when this was looked at.
    let threshold = after.cold.view.older_than_seconds.unwrap_or(0);
    let oldest = before.cold.view.oldest_seconds.unwrap_or(0);
    [&before.cold, &before.hot]
        .map(|cgroup| {
            let figures = format!(
                "{} compressed, {} original ({})",
                mib(cgroup.compressed),
                mib(cgroup.original),
                pages(cgroup.original / 4096)
            );
            claim(HEADING, &format!("{} has memory there", cgroup.path), figures, cgroup.original > 0)
        })
        .into_iter()
        .chain([claim(
            HEADING,
            "its age is known",
            format!("oldest page of {}: {oldest} s; the policy asks for {threshold} s", before.cold.path),
            threshold > 0 && oldest > 0,
        )])
        .collect()
}

fn written_back(evidence: &Evidence) -> Vec<Claim> {
    const HEADING: &str = "Written back from the cold cgroup";
    let (before, after) = (&evidence.before.cold, &evidence.after.cold);
    let rounds: Vec<&Round> = evidence.after.status.rounds_of(&after.path).collect();
    let sum = |value: fn(&Round) -> u64| rounds.iter().map(|r| value(r)).sum::<u64>();
    let (asked, written) = (sum(|r| r.asked_pages), sum(|r| r.written_pages));
    let kernel = after.written_back.saturating_sub(before.written_back);
    let worst = rounds.iter().map(|r| r.written_pages.saturating_sub(r.asked_pages)).max().unwrap_or(0);
    let overshoot = sum(|r| r.written_pages.saturating_sub(r.asked_pages));
    let cold = sum(|r| r.cold_pages);
    let oldest = rounds.iter().map(|r| r.oldest_seconds).max().unwrap_or(0);
    let threshold = after.view.older_than_seconds.unwrap_or(0);
    let lru = sum(|r| r.lru_pages_reclaimed);
    vec![
        figure(HEADING, "asked", format!("{} in {} rounds", pages(asked), rounds.len())),
        claim(HEADING, "written, by the kernel's own count", pages(kernel), kernel > 0),
        claim(
            HEADING,
            "the rounds report the same",
            format!("{} by the meter", pages(written)),
            written == kernel,
        ),
        claim(
            HEADING,
            "overshoot of the worst round",
            format!("{} (at most {OVERSHOOT})", pages(worst)),
            worst <= OVERSHOOT,
        ),
        claim(
            HEADING,
            "only pages older than the policy says",
            format!(
                "{} were {threshold} s old or older, {} of the overshoot younger, none above {oldest} s",
                pages(cold),
                pages(written.saturating_sub(cold))
            ),
            // Beyond what was asked for there may be no old ones left.
            threshold > 0 && cold + overshoot >= written,
        ),
        claim(
            HEADING,
            "little of its LRU lists reclaimed for it",
            format!("{} (at most 5 % of the written)", pages(lru)),
            lru * 20 <= written,
        ),
    ]
}

fn freed(Evidence { before, after, .. }: &Evidence) -> Vec<Claim> {
    const HEADING: &str = "What that freed";
    let smaller = |what: &str, from: u64, to: u64| {
        claim(
            HEADING,
            what,
            format!("{} → {} ({} less)", mib(from), mib(to), mib(from.saturating_sub(to))),
            to < from,
        )
    };
    let rounds = || after.status.rounds_of(&after.cold.path);
    let gained: i64 = rounds().map(|round| round.available_pages_gained).sum();
    let (given_up, written) =
        (rounds().map(|r| r.cache_pages_freed).sum::<u64>(), rounds().map(|r| r.written_pages).sum::<u64>());
    // Rounds stop asking once what was taken of anything else is a small share of what was written.
    let others = rounds().map(|round| round.lru_pages_reclaimed).sum::<u64>();
    let is_given_up = given_up * 2 > written;
    let is_behind = !is_given_up && others * 40 > written;
    vec![
        smaller("compressed bytes of the cold cgroup", before.cold.compressed, after.cold.compressed),
        smaller("frames of the zswap pool, whole host", before.host.pool, after.host.pool),
        claim(
            HEADING,
            "written pages that do not stay in RAM",
            format!(
                "{} of {}{}",
                pages(given_up),
                pages(written),
                if is_behind { "; the others stand behind older pages of the cgroup" } else { "" }
            ),
            // What the last bites leave, and pages still on their way to the disk.
            is_given_up || is_behind,
        ),
        figure(
            HEADING,
            "memory the host has available (MemAvailable)",
            format!(
                "{}{} in these rounds",
                if gained < 0 { "−" } else { "+" },
                mib(gained.unsigned_abs() * 4096)
            ),
        ),
    ]
}

fn elsewhere(Evidence { before, after, .. }: &Evidence) -> Vec<Claim> {
    const HEADING: &str = "Everybody else";
    let hot = after.hot.written_back - before.hot.written_back;
    let host = after.host.written_back - before.host.written_back;
    let cold = after.cold.written_back - before.cold.written_back;
    let direct = (after.host.swapped_out - before.host.swapped_out).saturating_sub(host);
    let drift = after.cold.view.zswap_pages.abs_diff(after.cold.original / 4096);
    vec![
        claim(HEADING, "written back from the hot cgroup", pages(hot), hot == 0),
        claim(HEADING, "written back on the host but not there", pages(host.abs_diff(cold)), host == cold),
        figure(HEADING, "written from RAM straight to disk", pages(direct)),
        claim(
            HEADING,
            "map and memory.stat agree on the cold cgroup",
            format!(
                "{} and {}, difference {drift}",
                count(after.cold.view.zswap_pages),
                pages(after.cold.original / 4096)
            ),
            drift == 0,
        ),
    ]
}

fn given_back(evidence: &Evidence) -> Vec<Claim> {
    const HEADING: &str = "After the agent was stopped";
    let differences = evidence.knobs_before.differences(&evidence.knobs_after);
    let knobs = match differences.is_empty() {
        true => format!("{} values compared, 0 differ", evidence.knobs_before.count()),
        false => differences.join("; "),
    };
    let mut claims = vec![claim(HEADING, "every kernel setting is as before", knobs, differences.is_empty())];
    for (report, path) in evidence.reports.iter().zip([&evidence.after.cold.path, &evidence.after.hot.path]) {
        let figures = match report {
            Ok(report) => format!(
                "{}, {} mismatches, {} loops",
                pages(report.pages),
                report.mismatches,
                count(report.loops)
            ),
            Err(error) => error.clone(),
        };
        let holds = report.as_ref().is_ok_and(|r| r.mismatches == 0 && r.pages > 0);
        claims.push(claim(HEADING, &format!("{path} verified all its memory"), figures, holds));
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A demo as it should go: 2,000 pages asked, 2,004 written, 8 to 12 s old.
    fn good() -> Evidence {
        let mut before = Sample::default();
        (before.cold.path, before.hot.path) = ("demo.slice/cold".into(), "demo.slice/hot".into());
        (before.cold.original, before.cold.compressed, before.hot.original) = (40 << 20, 14 << 20, 20 << 20);
        before.cold.view.older_than_seconds = Some(5);
        before.cold.view.oldest_seconds = Some(6);
        before.host.pool = 24 << 20;
        let mut after = before.clone();
        after.cold.written_back = 2004;
        after.cold.original -= 2004 * 4096;
        after.cold.compressed = 10 << 20;
        after.cold.view.zswap_pages = (40 << 20) / 4096 - 2004;
        (after.host.written_back, after.host.pool, after.host.swapped_out) = (2004, 20 << 20, 2010);
        after.status.rounds.push(Round {
            cgroup: "demo.slice/cold".into(),
            asked_pages: 2000,
            written_pages: 2004,
            cold_pages: 2004,
            oldest_seconds: 12,
            cache_pages_freed: 1900,
            ..Round::default()
        });
        let report = || Ok(Report { pages: 100, ..Report::default() });
        Evidence {
            before,
            after,
            knobs_before: Knobs::default(),
            knobs_after: Knobs::default(),
            reports: [report(), report()],
        }
    }

    fn failing(evidence: &Evidence) -> Vec<String> {
        judge(evidence).into_iter().filter(|c| c.holds == Some(false)).map(|c| c.what).collect()
    }

    fn failing_after(harm: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut evidence = good();
        harm(&mut evidence);
        failing(&evidence)
    }

    #[test]
    fn a_good_demo_holds_in_all_claims() {
        assert_eq!(failing(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_harm_breaks_its_claim() {
        let hot = failing_after(|e| e.after.hot.written_back = 1);
        assert_eq!(hot, ["written back from the hot cgroup"]);
        let overshoot = failing_after(|e| e.after.status.rounds[0].asked_pages = 2004 - 129);
        assert_eq!(overshoot, ["overshoot of the worst round"]);
        // Four of 2,004 were not asked for.
        assert_eq!(failing_after(|e| e.after.status.rounds[0].cold_pages -= 4), Vec::<String>::new());
        let young = failing_after(|e| e.after.status.rounds[0].cold_pages -= 5);
        assert_eq!(young, ["only pages older than the policy says"]);
        let kept = failing_after(|e| e.after.status.rounds[0].cache_pages_freed = 1002);
        assert_eq!(kept, ["written pages that do not stay in RAM"]);
        // Rounds that stopped asking because they met older pages, of which one in twenty may go.
        let behind = |others| {
            failing_after(|e| {
                let round = &mut e.after.status.rounds[0];
                (round.cache_pages_freed, round.lru_pages_reclaimed) = (1002, others);
            })
        };
        assert_eq!(behind(50), ["written pages that do not stay in RAM"]);
        assert_eq!(behind(51), Vec::<String>::new());
        assert_eq!(behind(101), ["little of its LRU lists reclaimed for it"]);
        let map = failing_after(|e| e.after.cold.view.zswap_pages += 1);
        assert_eq!(map, ["map and memory.stat agree on the cold cgroup"]);
        let data = failing_after(|e| e.reports[1] = Err("1 page wrong".into()));
        assert_eq!(data, ["demo.slice/hot verified all its memory"]);
        let meter = failing_after(|e| {
            let round = &mut e.after.status.rounds[0];
            (round.written_pages, round.cold_pages) = (2003, 2003);
        });
        assert_eq!(meter, ["the rounds report the same"]);
    }

    #[test]
    fn a_demo_in_which_nothing_happened_does_not_hold() {
        let mut evidence = good();
        evidence.after = evidence.before.clone();
        assert!(failing(&evidence).len() >= 3);
    }
}
