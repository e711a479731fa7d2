//! Swap areas of swaptier: what a ghost and a virtual area take and hold, what a move costs, what a killed command leaves,
//! what an empty slot costs the kernel. The kernel's counters, the pool's own and the raw disks are the referees.
//!
//! `ground` the areas by the program's own commands, and what the kernel says of them · `hold` pages in them · `kinds` of ghosts side by side · `moved`
//! blocks under a load · `full` pools that run full · `lower` what is below a pool, in trouble · `load` far more memory in
//! use than there is · `emptied` areas drained, and areas that get slots as needed · `secret` what is on the raw disk ·
//! `killed` commands killed at each of their fault points · `foreign` zram devices of others · `cost` of an empty area.

mod cost;
mod emptied;
mod foreign;
mod full;
mod ground;
mod hold;
mod killed;
mod kinds;
mod load;
mod lower;
mod moved;
mod secret;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Options;
use crate::guest::kernel;
pub(in crate::guest) use ground::{ENDS, blank};

/// One measurement.
#[derive(Clone, Copy)]
struct Scenario {
    /// Unique.
    name: &'static str,
    run: fn(&mut Outcome) -> Result<()>,
}

/// Every scenario. A new one is a function in the file of its subject, and a row here.
const SCENARIOS: &[Scenario] = &[
    Scenario { name: "ghost", run: hold::ghost },
    Scenario { name: "ghosts", run: kinds::side_by_side },
    Scenario { name: "virtual", run: hold::virtual_area },
    Scenario { name: "move", run: moved::under_load },
    Scenario { name: "marks", run: full::past_its_marks },
    Scenario { name: "steps", run: full::step_by_step },
    Scenario { name: "full", run: full::at_once },
    Scenario { name: "metadata", run: lower::metadata_full },
    Scenario { name: "dead-disk", run: lower::disk_dies },
    Scenario { name: "slow-disk", run: lower::disk_slow },
    Scenario { name: "drain", run: emptied::drained },
    Scenario { name: "growth", run: emptied::grown },
    Scenario { name: "overcommit", run: load::overcommitted },
    Scenario { name: "secret", run: secret::on_the_raw_disk },
    Scenario { name: "kill-worst", run: killed::at_the_worst_points },
    Scenario { name: "kill-create", run: killed::creating },
    Scenario { name: "kill-grow", run: killed::growing },
    Scenario { name: "kill-move", run: killed::moving },
    Scenario { name: "kill-drain", run: killed::draining },
    Scenario { name: "kill-remove", run: killed::removing },
    Scenario { name: "foreign", run: foreign::zram_devices },
    Scenario { name: "cost", run: cost::of_empty_areas },
];

/// What came of a scenario, and its line of the output.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    kernel: String,
    scenario: &'static str,
    figures: BTreeMap<String, f64>,
    /// How long a load is kept up, where somebody says.
    #[serde(skip)]
    seconds: Option<u64>,
    /// Claims that do not hold.
    faults: Vec<String>,
}

impl Outcome {
    fn claim(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.faults.push(fault.into());
        }
    }

    fn figure(&mut self, name: &str, value: impl Into<f64>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// A number of the kernel, of which no digit is lost below 2^53.
    fn count(&mut self, name: &str, value: u64) {
        self.figure(name, value as f64);
    }
}

/// Measures the scenarios asked for.
pub(super) fn run(options: &Options) -> Result<bool> {
    let mut faults = Vec::new();
    for scenario in super::chosen(SCENARIOS, |scenario| scenario.name, options)? {
        let outcome = measure(scenario, options.seconds);
        show(&outcome, options.json)?;
        faults.extend(outcome.faults.into_iter().map(|fault| format!("{}: {fault}", scenario.name)));
    }
    faults.iter().for_each(|fault| eprintln!("out of bounds: {fault}"));
    Ok(faults.is_empty())
}

/// Carries out one scenario for a guest test.
///
/// # Errors
/// When it cannot be carried out, or a claim does not hold.
pub(in crate::guest) fn demand(name: &str) -> Result<()> {
    let scenario =
        SCENARIOS.iter().find(|s| s.name == name).with_context(|| format!("no scenario {name}"))?;
    let outcome = measure(scenario, None);
    println!("    {}", serde_json::to_string(&outcome)?);
    ensure!(outcome.faults.is_empty(), "{name}: {}", outcome.faults.join("; "));
    Ok(())
}

/// What one scenario cannot do must not hide what the others show.
fn measure(scenario: &Scenario, seconds: Option<u64>) -> Outcome {
    let mut outcome =
        Outcome { kernel: kernel::release(), scenario: scenario.name, seconds, ..Outcome::default() };
    if let Err(error) = (scenario.run)(&mut outcome) {
        outcome.faults.push(format!("not carried out: {error:#}"));
    }
    let left = ground::left();
    outcome.claim(left.is_empty(), format!("left behind: {}", left.join(", ")));
    outcome
}

fn show(outcome: &Outcome, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(outcome).context("figures as JSON")?);
        return Ok(());
    }
    println!("{}: {}", outcome.scenario, if outcome.faults.is_empty() { "ok" } else { "FAILED" });
    outcome.figures.iter().for_each(|(name, value)| println!("    {name} {value}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = SCENARIOS.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
