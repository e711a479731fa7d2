//! Does it pay? The same work in the same memory under each contender: what the kernel offers by itself, a daemon after
//! oomd's law, and swaptier. All in one boot, one after the other, again and again, so that what the machine does beside it
//! falls on all of them; medians are compared.
//!
//! `contender` who manages the memory · `ground` a disk that costs what a disk costs, zswap and swap · `figures` what is read
//! before and after · `mix`, `neighbours` the scenarios · `senpai` the daemon · `summary` medians, goals and the table.
//!
//! A contender that fails is a row with its error: failures are outcomes.

mod contender;
mod figures;
mod ground;
mod mix;
mod neighbours;
mod senpai;
mod summary;

use anyhow::{Context, Result};

use super::{Options, chosen};
use contender::{CONTENDERS, Contender};
use figures::Figures;
use ground::{Disk, Ground, SLOW};
use summary::{Goal, Summary};

/// How often each contender has its turn.
const TURNS: usize = 3;
/// How long a turn's work is measured, where nothing else is asked for.
const SECONDS: u64 = 25;

/// The same work for all contenders, on one disk.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    disk: Disk,
    /// Percent of RAM that zswap's pool may take.
    pool_percent: u32,
    /// The policies that swaptier is given: file names and contents.
    policies: &'static [(&'static str, &'static str)],
    run: fn(&Ground) -> Result<Figures>,
    goals: fn(&Summary) -> Vec<Goal>,
}

const SCENARIOS: [Scenario; 4] = [
    mix::SCENARIO,
    Scenario { name: "mix-slow", disk: SLOW, ..mix::SCENARIO },
    neighbours::SCENARIO,
    Scenario { name: "neighbours-slow", disk: SLOW, ..neighbours::SCENARIO },
];

pub(super) fn run(options: &Options) -> Result<bool> {
    let seconds = options.seconds.unwrap_or(SECONDS);
    let mut are_met = true;
    for scenario in chosen(&SCENARIOS, |scenario| scenario.name, options)? {
        let mut summary = Summary::new(scenario.name, scenario.disk);
        for turn in 0..TURNS {
            for contender in contenders(options) {
                let row = turn_of(scenario, contender, seconds);
                if options.json {
                    println!("{}", summary.json(contender, turn, &row)?);
                } else if let Err(error) = &row {
                    println!("{}, {}: {error:#}", scenario.name, contender.name());
                }
                summary.add(contender, row);
            }
        }
        let goals = (scenario.goals)(&summary);
        are_met &= goals.iter().all(|goal| goal.is_met);
        summary.print(&goals, options.json)?;
    }
    Ok(are_met)
}

/// Those that are asked for by name: all, where none is.
fn contenders(options: &Options) -> impl Iterator<Item = Contender> {
    let is_wanted =
        |it: &Contender| options.dialects.is_empty() || options.dialects.iter().any(|name| it.name() == name);
    CONTENDERS.into_iter().filter(is_wanted)
}

/// One contender's turn, on ground of its own.
fn turn_of(scenario: &Scenario, contender: Contender, seconds: u64) -> Result<Figures> {
    let ground = Ground::set(scenario.disk, scenario.pool_percent, seconds)?;
    let manager =
        contender.begin(scenario.policies).with_context(|| format!("{} begins", contender.name()))?;
    let figures = (scenario.run)(&ground)?;
    manager.end()?;
    Ok(figures)
}
