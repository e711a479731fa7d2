//! How exactly `swaptier writeback` hits: asked and written pages, what it cost everybody else. The kernel's counters
//! are the measure; what swaptier says of its round is only compared with them.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Options;
use crate::guest::agent::{swaptier_json, swaptier_json_ending};
use crate::guest::kernel;
use crate::guest::scene::Scene;

/// Pages asked for, one round each.
const ASKED: [u64; 3] = [2_000, 4_000, 8_000];
/// All that the kernel has are measured: the fallback's figures belong beside those of the first choice.
const DIALECTS: [&str; 4] = ["key", "shrinker", "worker", FALLBACK];
/// It is measured, and nothing is promised of it.
const FALLBACK: &str = "gate";
/// Pages written beyond what was asked, or short of it, that are still exact enough: on a calm host, and where an emulated
/// processor may be away for some milliseconds at the wrong moment.
const MISS: u64 = 64;
pub(in crate::guest) const MISS_ON_A_BUSY_HOST: u64 = 128;
/// Of the stores of others, one in so many may be refused.
const REFUSED_SHARE: u64 = 100;
/// For so many pages that rounds of a cgroup wrote, one of LRU lists may be reclaimed: what stands before them when they are
/// given up. A later round asks for what an earlier one left, so the share is one of all.
const LRU_SHARE: u64 = 20;
/// The same where the cgroup swaps meanwhile: pages that come into its swap cache hide others that were given up.
const SWAPPING_LRU_SHARE: u64 = 10;
/// Of the pages written, at least these percent must be as old as asked.
const COLD_PERCENT: u64 = 95;
/// Exit codes of a round: done, or nothing written, which is a figure too.
const ENDINGS: [i32; 2] = [0, 6];
/// Age the pages must have, and have when a round begins.
const OLDER_THAN: &str = "2s";
const AGED: Duration = Duration::from_secs(4);

/// memory.stat may lag behind for so long: small changes are only summed up every two seconds (mm/memcontrol.c).
const STATS_DELAY: Duration = Duration::from_millis(2500);

/// One line of the output.
#[derive(Debug, Serialize)]
pub(in crate::guest) struct Line {
    kernel: String,
    dialect: String,
    /// Whether the victim itself swapped meanwhile; its sibling always does.
    is_swapping: bool,
    asked_pages: u64,
    pub(in crate::guest) written_pages: u64,
    /// Of the pages written, by the map's stamps, those as old as asked.
    cold_pages: u64,
    sibling_pages: u64,
    /// Written back anywhere but in the victim and the sibling.
    elsewhere_pages: u64,
    lru_pages_reclaimed: u64,
    pool_bytes_freed: i64,
    /// Stores of others refused because of the round, on the whole host, and stores that went through meanwhile.
    refused_stores: u64,
    stored_pages: u64,
    strokes: u64,
    seconds: f64,
}

impl Line {
    /// What the victim did meanwhile.
    fn victim(&self) -> &'static str {
        if self.is_swapping { "swapping" } else { "still" }
    }

    /// What is wrong with it as a round of the first choice.
    pub(in crate::guest) fn faults(&self, miss: u64) -> Vec<String> {
        let (asked, written) = (self.asked_pages, self.written_pages);
        let mut faults = Vec::new();
        if written.abs_diff(asked) > miss {
            faults
                .push(format!("{written} pages written of {asked} asked ({miss} more or less are allowed)"));
        }
        if self.cold_pages * 100 < written * COLD_PERCENT {
            faults.push(format!("only {} of {written} pages were as old as asked", self.cold_pages));
        }
        if self.refused_stores * REFUSED_SHARE > self.refused_stores + self.stored_pages {
            let (refused, stored) = (self.refused_stores, self.stored_pages);
            faults.push(format!("{refused} stores of others refused while {stored} went through"));
        }
        if self.sibling_pages + self.elsewhere_pages > 0 {
            let (sibling, elsewhere) = (self.sibling_pages, self.elsewhere_pages);
            faults.push(format!("{sibling} pages of the sibling and {elsewhere} of others written back"));
        }
        faults
    }
}

/// What is wrong with what rounds of one cgroup reclaimed of LRU lists.
pub(in crate::guest) fn reclaimed_too_much(rounds: &[Line]) -> Option<String> {
    let share = |line: &Line| if line.is_swapping { SWAPPING_LRU_SHARE } else { LRU_SHARE };
    let allowed: u64 = rounds.iter().map(|line| line.written_pages * LRU_SHARE / share(line)).sum();
    let sum = |of: fn(&Line) -> u64| rounds.iter().map(of).sum::<u64>();
    let (reclaimed, written) = (sum(|line| line.lru_pages_reclaimed), sum(|line| line.written_pages));
    (reclaimed * LRU_SHARE > allowed)
        .then(|| format!("{reclaimed} pages reclaimed from LRU lists for {written} written"))
}

pub(super) fn run(options: &Options) -> Result<bool> {
    let mut scene = Scene::set()?;
    if !options.json {
        println!(
            "dialect  victim     asked  written   cold  sibling  elsewhere  LRU reclaimed  refused of stores  seconds"
        );
    }
    let mut faults = Vec::new();
    let doctor = swaptier_json(&["doctor", "--json"])?.to_string();
    let wanted = |name: &&str| match options.dialects.is_empty() {
        // The fallback is not used by itself where it does harm; what harm belongs beside the others.
        true => *name == FALLBACK || doctor.contains(&format!("the {name} can be used now")),
        false => options.dialects.iter().any(|d| d == name),
    };
    for dialect in DIALECTS.into_iter().filter(|d| wanted(d)) {
        let mut rounds = Vec::new();
        for (is_swapping, asked) in [false, true].into_iter().flat_map(|is| ASKED.map(|asked| (is, asked))) {
            let line = round(&mut scene, dialect, asked, is_swapping)
                .with_context(|| format!("{asked} pages by the {dialect}"))?;
            show(&line, options.json)?;
            if dialect != FALLBACK {
                let case = format!("{dialect}, {asked} pages, victim {}", line.victim());
                faults.extend(line.faults(MISS).into_iter().map(|fault| format!("{case}: {fault}")));
                rounds.push(line);
            }
        }
        faults.extend(reclaimed_too_much(&rounds).map(|fault| format!("{dialect}: {fault}")));
    }
    scene.finish()?;
    for fault in &faults {
        eprintln!("out of bounds: {fault}");
    }
    Ok(faults.is_empty())
}

/// One round on freshly aged pages.
pub(in crate::guest) fn round(
    scene: &mut Scene,
    dialect: &str,
    asked: u64,
    is_swapping: bool,
) -> Result<Line> {
    scene.refill(AGED)?;
    let before = scene.counters()?;
    let max = asked.to_string();
    let path = scene.victim.path().to_owned();
    let arguments =
        ["writeback", &path, "--older-than", OLDER_THAN, "--max", &max, "--dialect", dialect, "--json"];
    let said = match is_swapping {
        true => scene.while_swapping(|| swaptier_json_ending(&arguments, &ENDINGS))?,
        false => swaptier_json_ending(&arguments, &ENDINGS)?,
    };
    let number =
        |field: &str| said[field].as_u64().with_context(|| format!("the round does not say {field}"));
    std::thread::sleep(STATS_DELAY);
    let after = scene.counters()?;
    let written_pages = after.victim - before.victim;
    Ok(Line {
        kernel: kernel::release(),
        dialect: said["dialect"].as_str().unwrap_or(dialect).to_owned(),
        is_swapping,
        asked_pages: asked,
        written_pages,
        cold_pages: number("cold_pages")?,
        sibling_pages: after.sibling - before.sibling,
        elsewhere_pages: (after.host - before.host)
            .saturating_sub(written_pages + after.sibling - before.sibling),
        // What was written is given up in RAM at the end: that is meant.
        lru_pages_reclaimed: (after.reclaimed - before.reclaimed)
            .saturating_sub(said["cache_pages_freed"].as_u64().unwrap_or_default()),
        pool_bytes_freed: before.pool as i64 - after.pool as i64,
        refused_stores: number("refused_stores")?,
        stored_pages: number("stored_pages")?,
        strokes: number("strokes")?,
        seconds: said["seconds"].as_f64().context("the round does not say how long it took")?,
    })
}

fn show(line: &Line, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(line).context("figures as JSON")?);
    } else {
        println!(
            "{:<7}  {:<8} {:>6}  {:>7} {:>6}  {:>7}  {:>9}  {:>13}  {:>7} of {:>6}  {:>7.2}",
            line.dialect,
            line.victim(),
            line.asked_pages,
            line.written_pages,
            line.cold_pages,
            line.sibling_pages,
            line.elsewhere_pages,
            line.lru_pages_reclaimed,
            line.refused_stores,
            line.stored_pages,
            line.seconds
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(written_pages: u64, sibling_pages: u64, lru_pages_reclaimed: u64) -> Line {
        Line {
            kernel: String::new(),
            dialect: "worker".into(),
            is_swapping: false,
            asked_pages: 2_000,
            written_pages,
            cold_pages: written_pages,
            sibling_pages,
            elsewhere_pages: 0,
            lru_pages_reclaimed,
            pool_bytes_freed: 0,
            refused_stores: 0,
            stored_pages: 0,
            strokes: 1,
            seconds: 1.0,
        }
    }

    #[test]
    fn bounds_are_the_promised_ones() {
        assert!(line(2_064, 0, 0).faults(MISS).is_empty());
        assert!(line(1_936, 0, 0).faults(MISS).is_empty());
        assert_eq!(line(2_065, 0, 0).faults(MISS).len(), 1);
        assert_eq!(line(1_935, 0, 0).faults(MISS).len(), 1);
        assert_eq!(line(2_000, 1, 0).faults(MISS).len(), 1);
        // 95 % of 2,000 are 1,900.
        assert!(Line { cold_pages: 1_900, ..line(2_000, 0, 0) }.faults(MISS).is_empty());
        assert_eq!(Line { cold_pages: 1_899, ..line(2_000, 0, 0) }.faults(MISS).len(), 1);
        // 10 of 1,000 stores are 1 %.
        let refused =
            |refused_stores, stored_pages| Line { refused_stores, stored_pages, ..line(2_000, 0, 0) };
        assert!(refused(10, 990).faults(MISS).is_empty());
        assert_eq!(refused(11, 990).faults(MISS).len(), 1);
    }

    #[test]
    fn one_in_twenty_of_all_that_was_written_may_be_others() {
        // 5 % of 2,064 pages is 103.2; where the cgroup swaps, 10 % of 2,000 is 200.
        let is_too_much = |rounds: &[Line]| reclaimed_too_much(rounds).is_some();
        assert_eq!([103, 104].map(|others| is_too_much(&[line(2_064, 0, others)])), [false, true]);
        let swapping = |reclaimed| Line { is_swapping: true, ..line(2_000, 0, reclaimed) };
        assert_eq!([200, 201].map(|others| is_too_much(&[swapping(others)])), [false, true]);
        let both = |others| is_too_much(&[line(2_000, 0, 0), line(2_000, 0, others)]);
        assert_eq!([both(200), both(201)], [false, true], "a later round pays for what an earlier one left");
    }
}
