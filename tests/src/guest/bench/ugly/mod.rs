//! Write-back where it is not easy: each scenario makes trouble of one kind for a round, and has claims of its own.
//! The kernel's counters and the workloads' own verification are the referees.
//!
//! `ground` what all stand on, and how a round is measured · `memory` what else the cgroup holds, and how short memory
//! is · `tree` cgroups in and beside cgroups · `beside` the agent's loop meanwhile · `crowd` everybody swaps · `disk` slow
//! and failing disks · `strangers` the world changes in the middle of a round · `private_dev` an agent that sees no device.

mod beside;
mod crowd;
mod disk;
mod ground;
mod memory;
mod private_dev;
mod strangers;
mod tree;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Options;
use crate::guest::kernel;

use ground::{Ground, Round};

/// The cgroup above all others of a run.
const SLICE: &str = "ugly.slice";
/// Pages written beyond what was asked, or short of it, that are still exact enough. `bench writeback` holds rounds to half
/// of it; here it must only be told from a round that does not stop, also on a busy machine.
const MISS: u64 = 128;
/// Of the stores of others, and of the pages written, one in so many may be refused, or reclaimed from RAM.
const SHARE: u64 = 100;
/// Refused stores that may be in any second: where few are made, one in a hundred would be next to none.
const A_SECOND: f64 = 10.0;

/// One kind of trouble.
#[derive(Clone, Copy)]
struct Scenario {
    /// Unique.
    name: &'static str,
    run: fn(&mut Ground) -> Result<Outcome>,
}

/// Every scenario. A new one is a function in the file of its subject, and a row here.
const SCENARIOS: [Scenario; 19] = [
    Scenario { name: "hot-file-cache", run: memory::hot_file_cache },
    Scenario { name: "hot-anon", run: memory::hot_anon },
    Scenario { name: "non-leaf", run: tree::non_leaf },
    Scenario { name: "too-few", run: tree::too_few },
    Scenario { name: "many-due", run: tree::many_due },
    Scenario { name: "loop", run: beside::rounds_beside_the_loop },
    Scenario { name: "young-again", run: tree::young_again },
    Scenario { name: "near-limit", run: memory::near_limit },
    Scenario { name: "all-swap", run: crowd::all_swap },
    Scenario { name: "slow-disk", run: disk::slow },
    Scenario { name: "failing-disk", run: disk::failing },
    Scenario { name: "thousands", run: tree::thousands },
    Scenario { name: "removed", run: strangers::removed },
    Scenario { name: "bytes-name", run: strangers::bytes_name },
    Scenario { name: "stopped-pump", run: strangers::stopped_pump },
    Scenario { name: "stopped-agent", run: strangers::stopped_agent },
    Scenario { name: "foreign-writes", run: strangers::foreign_writes },
    Scenario { name: "private-dev", run: private_dev::private_dev },
    // Last: it pushes pages of the root cgroup into zswap, and these cannot be kept from being written back.
    Scenario { name: "kswapd", run: crowd::kswapd },
];

/// What came of a scenario.
struct Outcome {
    round: Round,
    /// What only this scenario measures.
    figures: BTreeMap<&'static str, u64>,
    /// Claims that do not hold.
    faults: Vec<String>,
}

impl Outcome {
    /// A round that was disturbed: what is claimed of it is the scenario's.
    fn bare(round: Round) -> Outcome {
        Outcome { round, figures: BTreeMap::new(), faults: Vec::new() }
    }

    /// A round whose report is the kernel's truth and that cost others no more than it may.
    fn of(round: Round) -> Outcome {
        let mut outcome = Outcome::bare(round);
        let Round { written, elsewhere, refused, stored, seconds, said: [said, said_elsewhere, _], .. } =
            outcome.round;
        outcome.claim(said == written, format!("{said} pages said to be written, {written} by the kernel"));
        // The kernel's sums are looked at later than the round ended.
        outcome.claim(
            said_elsewhere <= elsewhere,
            format!("{said_elsewhere} pages of others said to be written, {elsewhere} by the kernel"),
        );
        outcome.claim(
            refused * SHARE <= refused + stored || refused as f64 <= seconds * A_SECOND,
            format!("{refused} stores of others refused while {stored} went through"),
        );
        outcome
    }

    /// The same, of a round that must reach its target.
    fn hit(round: Round) -> Outcome {
        let (asked, written) = (round.asked, round.written);
        let mut outcome = Outcome::of(round).ended("target");
        outcome.claim(
            written.abs_diff(asked) <= MISS,
            format!("{written} pages written of {asked} asked ({MISS} more or less are allowed)"),
        );
        outcome
    }

    /// The same, where pages of the root cgroup go as well, which no valve protects: the round ends once they are too many.
    fn hit_or_strayed(round: Round) -> Outcome {
        if round.ended != "strayed" {
            return Outcome::hit(round);
        }
        let elsewhere = round.elsewhere;
        let mut outcome = Outcome::of(round);
        outcome.claim(
            elsewhere <= 2 * MISS,
            format!("{elsewhere} pages of others written back, {} ends a round", MISS),
        );
        outcome
    }

    fn ended(mut self, how: &str) -> Outcome {
        let ended = self.round.ended.clone();
        self.claim(ended == how, format!("ended as `{ended}`, not as `{how}`"));
        self
    }

    /// No page of anybody else went.
    fn alone(mut self) -> Outcome {
        let elsewhere = self.round.elsewhere;
        self.claim(elsewhere == 0, format!("{elsewhere} pages of others written back"));
        self
    }

    /// Next to nothing was reclaimed from the RAM of a cgroup that nobody else presses.
    fn gently(mut self) -> Outcome {
        let (reclaimed, written) = (self.round.reclaimed, self.round.written);
        self.claim(
            reclaimed * SHARE <= written,
            format!("{reclaimed} pages reclaimed from LRU lists for {written} written"),
        );
        self
    }

    fn claim(&mut self, holds: bool, fault: String) {
        if !holds {
            self.faults.push(fault);
        }
    }

    fn figure(&mut self, name: &'static str, value: u64) {
        self.figures.insert(name, value);
    }
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line {
    kernel: String,
    scenario: &'static str,
    asked_pages: u64,
    written_pages: u64,
    /// Written back anywhere but in the cgroup.
    sibling_pages: u64,
    /// From the lists of the cgroup, whoever asked for it.
    lru_pages_reclaimed: u64,
    refused_stores: u64,
    stored_pages: u64,
    seconds: f64,
    /// Entries that were looked at and left, in all cgroups.
    passed_over: u64,
    strokes: u64,
    dialect: String,
    ended: String,
    /// `ok`, or the claims that do not hold.
    verdict: String,
    figures: BTreeMap<&'static str, u64>,
}

/// Measures the scenarios asked for.
pub(super) fn run(options: &Options) -> Result<bool> {
    let scenarios = super::chosen(&SCENARIOS, |scenario| scenario.name, options)?;
    let (mut ground, mut faults) = (Ground::set()?, Vec::new());
    if !options.json {
        println!("scenario         asked  written  others  reclaimed  refused of stores  seconds  ended");
    }
    for scenario in scenarios {
        // What one scenario cannot do must not hide what the others show.
        match measure(&mut ground, scenario) {
            Ok((line, found)) => {
                show(&line, options.json)?;
                faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", scenario.name)));
            }
            Err(error) => faults.push(format!("{}: not carried out: {error:#}", scenario.name)),
        }
    }
    ground.finish()?;
    faults.iter().for_each(|fault| eprintln!("out of bounds: {fault}"));
    Ok(faults.is_empty())
}

/// Carries out these scenarios for a guest test.
///
/// # Errors
/// When one cannot be carried out, or a claim does not hold.
pub(in crate::guest) fn demand(names: &[&str]) -> Result<()> {
    let mut ground = Ground::set()?;
    for name in names {
        let scenario = SCENARIOS.iter().find(|s| s.name == *name);
        let scenario = scenario.with_context(|| format!("no scenario {name}"))?;
        let (line, faults) = measure(&mut ground, scenario).with_context(|| (*name).to_owned())?;
        println!("    {name}: {}", serde_json::to_string(&line)?);
        ensure!(faults.is_empty(), "{name}: {}", faults.join("; "));
    }
    ground.finish()
}

/// One scenario, and whether the cgroup beside kept its pages.
fn measure(ground: &mut Ground, scenario: &Scenario) -> Result<(Line, Vec<String>)> {
    let before = ground.still_written()?;
    let mut outcome = (scenario.run)(ground)?;
    let lost = ground.still_written()? - before;
    outcome.claim(lost == 0, format!("the cgroup beside lost {lost} pages"));
    let Outcome { round, figures, faults } = outcome;
    let verdict = if faults.is_empty() { "ok".to_owned() } else { faults.join("; ") };
    let line = Line {
        kernel: kernel::release(),
        scenario: scenario.name,
        asked_pages: round.asked,
        written_pages: round.written,
        sibling_pages: round.elsewhere,
        lru_pages_reclaimed: round.reclaimed,
        refused_stores: round.refused,
        stored_pages: round.stored,
        seconds: round.seconds,
        passed_over: round.passed_over,
        strokes: round.strokes,
        dialect: round.dialect,
        ended: round.ended,
        verdict,
        figures,
    };
    Ok((line, faults))
}

fn show(line: &Line, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(line).context("figures as JSON")?);
        return Ok(());
    }
    println!(
        "{:<15} {:>6}  {:>7}  {:>6}  {:>9}  {:>7} of {:>6}  {:>7.2}  {}, {}",
        line.scenario,
        line.asked_pages,
        line.written_pages,
        line.sibling_pages,
        line.lru_pages_reclaimed,
        line.refused_stores,
        line.stored_pages,
        line.seconds,
        line.ended,
        line.verdict
    );
    line.figures.iter().for_each(|(name, value)| println!("    {name} {value}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(written: u64) -> Round {
        Round { asked: 2_000, written, ended: "target".into(), said: [written, 0, 0], ..Round::default() }
    }

    #[test]
    fn bounds_are_the_promised_ones() {
        let faults = |round: Round| Outcome::hit(round).alone().gently().faults.len();
        assert_eq!((faults(round(2_128)), faults(round(2_129))), (0, 1));
        assert_eq!((faults(round(1_872)), faults(round(1_871))), (0, 1));
        // 1 % of 2,000 pages are 20; 10 of 1,000 stores are 1 %.
        assert_eq!(faults(Round { reclaimed: 20, ..round(2_000) }), 0);
        assert_eq!(faults(Round { reclaimed: 21, ..round(2_000) }), 1);
        assert_eq!(faults(Round { refused: 10, stored: 990, ..round(2_000) }), 0);
        assert_eq!(faults(Round { refused: 11, stored: 990, ..round(2_000) }), 1);
        assert_eq!(faults(Round { elsewhere: 1, ..round(2_000) }), 1);
        assert_eq!(faults(Round { ended: "deadline".into(), ..round(2_000) }), 1);
        assert_eq!(faults(Round { said: [1_999, 0, 0], ..round(2_000) }), 1);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = SCENARIOS.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
