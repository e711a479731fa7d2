//! What the probes cost: the instructions that a workload of nothing but swapping takes with them and without. The
//! guest must have a clock that counts instructions (`cargo xtask bench` boots it so); its figures then depend on no
//! host and no load.
//!
//! The agent loads and attaches as ever, and is killed: its programs and its map stay, and nothing of it runs while is
//! counted. `probes` takes programs off and puts them on again, `turn` is the workload and the count.

mod probes;
mod turn;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Options;
use crate::guest::agent::Agent;
use crate::guest::bpf::{TIMER, loaded};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel;
use crate::guest::preamble::SWAP_DISK;
use crate::guest::settings::Settings;
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::swap::SwapArea;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap::Zswap;
use probes::{Probes, Runs};
use turn::Turn;

/// What all that is attached may take, relative to nothing attached.
const BOUND: f64 = 1.04;
/// Turns of each variant. They are taken in rounds, every second one backwards, so that what drifts drifts for all.
const ROUNDS: usize = 3;
/// Pages of the swap area: 512 MiB are 256 clusters, so that the frames a killed agent leaves (512) hold them all.
const AREA_PAGES: u64 = 512 << 8;
const CGROUP: &str = "cost.slice/turn";

/// Which programs are attached.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Variant {
    None,
    /// As the agent attaches them: those that keep the map twice.
    All,
    /// Each once: without protection against skipped runs.
    Once,
    /// All, and those that time swap-ins while somebody looks.
    Timed,
    Without(String),
}

impl Variant {
    fn name(&self) -> String {
        match self {
            Variant::None => "none".into(),
            Variant::All => "all".into(),
            Variant::Once => "once".into(),
            Variant::Timed => "timed".into(),
            Variant::Without(program) => format!("without {program}"),
        }
    }

    fn attaches(&self, program: &str, copy: usize) -> bool {
        let is_timer = TIMER.contains(&program);
        match self {
            Variant::None => false,
            Variant::All => !is_timer,
            Variant::Once => !is_timer && copy == 0,
            Variant::Timed => true,
            Variant::Without(other) => !is_timer && program != other,
        }
    }
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line {
    kernel: String,
    variant: String,
    /// Median of the turns.
    instructions: u64,
    /// To those of `none`.
    ratio: f64,
    /// Between the least and the most of the turns, as a share of the median.
    spread: f64,
    turns: usize,
    /// Pages read out of zswap in a turn; about as many are stored, and some are freed.
    pages: u64,
    /// What the missing program costs, or those of `timed`, as a share of `none`: its own runs, and what the others do
    /// because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    /// Runs of the missing program in a turn, all copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<u64>,
    /// Instructions of one run of it, without the kernel's way there and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions_per_run: Option<u64>,
}

pub(super) fn run(options: &Options) -> Result<bool> {
    turn::check_clock()?;
    let _settings = Settings::without_policy()?;
    let zswap = Zswap::set_up(40)?;
    let swap = SwapArea::set_up(Path::new(SWAP_DISK), Some(AREA_PAGES), 10)?;
    let _stage = Stage { swap, zswap };
    let mut probes = take_probes()?;
    // What a first turn sets up for good is in nobody's count.
    turn::take(&cgroup()?)?;
    let runs = count_runs(&mut probes)?;
    let variants = variants(&runs, options);
    let turns = turns(&mut probes, &variants)?;
    check_map(&mut probes)?;
    let lines = lines(&variants, &turns, &runs);
    show(&lines, &runs, options.json)?;
    let all = lines.iter().find(|line| line.variant == Variant::All.name());
    let ratio = all.context("`all` is always measured")?.ratio;
    if ratio > BOUND {
        eprintln!("out of bounds: all programs take {ratio:.4} of the instructions, {BOUND} are allowed");
    }
    Ok(ratio <= BOUND)
}

/// What an agent leaves that is killed while it times swap-ins. The programs that do end with it, but for who has them open.
fn take_probes() -> Result<Probes> {
    Settings::areas("[map]\ntime_swap_ins = \"always\"\n")?;
    let agent = Agent::start(&[])?;
    wait_for("swap-ins to be timed", Duration::from_secs(60), || Ok(loaded(TIMER[0]).is_some()))?;
    let timer = TIMER.map(|name| (name, loaded(name)));
    agent.kill()?;
    let mut probes = Probes::take()?;
    for (name, program) in timer {
        probes.add(name, program.with_context(|| format!("{name} is not loaded"))?.0);
    }
    Settings::areas("")?;
    Ok(probes)
}

fn cgroup() -> Result<Cgroup> {
    // Half of what the workload holds.
    Cgroup::with(CGROUP, &[("memory.high", "64M")])
}

/// Runs of each program in a turn with everything attached. The kernel's own counting costs instructions: this turn is
/// no measurement of anything else.
fn count_runs(probes: &mut Probes) -> Result<BTreeMap<String, Runs>> {
    let _counting = Probes::count_runs()?;
    let before = probes.runs()?;
    turn::take(&cgroup()?)?;
    let mut runs = probes.runs()?;
    for (program, runs) in &mut runs {
        *runs = runs.since(&before[program]);
    }
    runs.retain(|_, runs| runs.count > 0);
    Ok(runs)
}

/// `none`, `all`, and what was asked for: `once`, `timed`, and the programs that run in a turn.
fn variants(runs: &BTreeMap<String, Runs>, options: &Options) -> Vec<Variant> {
    let is_wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|part| name.contains(part.as_str()));
    let mut variants = vec![Variant::None, Variant::All, Variant::Once, Variant::Timed];
    variants.extend(runs.keys().cloned().map(Variant::Without));
    variants.retain(|v| matches!(v, Variant::None | Variant::All) || is_wanted(&v.name()));
    variants
}

/// The turns of each variant.
fn turns(probes: &mut Probes, variants: &[Variant]) -> Result<Vec<Vec<Turn>>> {
    let mut turns = vec![Vec::new(); variants.len()];
    for round in 0..ROUNDS {
        for place in 0..variants.len() {
            let place = if round % 2 == 0 { place } else { variants.len() - 1 - place };
            let variant = &variants[place];
            probes.attach(|program, copy| variant.attaches(program, copy))?;
            let turn = turn::take(&cgroup()?).with_context(|| variant.name())?;
            eprintln!("round {} of {ROUNDS}: {}: {turn:?}", round + 1, variant.name());
            turns[place].push(turn);
        }
    }
    Ok(turns)
}

/// The programs that were measured have kept a map that is right: in one more turn with all of them the next agent
/// finds each page that the kernel counts.
fn check_map(probes: &mut Probes) -> Result<()> {
    let cgroup = cgroup()?;
    probes.attach(|program, copy| Variant::All.attaches(program, copy))?;
    turn::take(&cgroup)?;
    // The agent shows cgroups that have something in swap.
    let mut kept = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 1M --commands")?;
    kept.command("pageout cold")?;
    let agent = Agent::start(&[])?;
    let mut stored = (0, 0);
    wait_for("the map to have each store that the kernel counts", Duration::from_secs(10), || {
        stored = (Status::read()?.cgroup(cgroup.path()).stored_pages, cgroup.stat("zswpout")?);
        Ok(stored.0 == stored.1)
    })
    .with_context(|| format!("stores by the map and by the kernel: {stored:?}"))?;
    kept.finish()?;
    agent.stop()
}

fn lines(variants: &[Variant], turns: &[Vec<Turn>], runs: &BTreeMap<String, Runs>) -> Vec<Line> {
    let medians: Vec<u64> = turns.iter().map(|turns| median(turns)).collect();
    let of = |wanted: &Variant| variants.iter().position(|v| v == wanted).map_or(0, |place| medians[place]);
    let (none, all) = (of(&Variant::None).max(1) as f64, of(&Variant::All) as f64);
    let line = |((variant, turns), instructions): ((&Variant, &Vec<Turn>), &u64)| {
        let each = turns.iter().map(|turn| turn.instructions);
        let width = each.clone().max().unwrap_or(0) - each.min().unwrap_or(0);
        let missing = match variant {
            Variant::Without(program) => runs.get(program),
            _ => None,
        };
        Line {
            kernel: kernel::release(),
            variant: variant.name(),
            instructions: *instructions,
            ratio: *instructions as f64 / none,
            spread: width as f64 / (*instructions).max(1) as f64,
            turns: turns.len(),
            pages: turns.first().map_or(0, |turn| turn.loaded),
            cost: match variant {
                Variant::Timed => Some((*instructions as f64 - all) / none),
                _ => missing.map(|_| (all - *instructions as f64) / none),
            },
            runs: missing.map(|runs| runs.count),
            instructions_per_run: missing.map(Runs::instructions_each),
        }
    };
    variants.iter().zip(turns).zip(&medians).map(line).collect()
}

/// The middle one; of an even number the lesser of the two.
fn median(turns: &[Turn]) -> u64 {
    let mut each: Vec<u64> = turns.iter().map(|turn| turn.instructions).collect();
    each.sort_unstable();
    each.get(each.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

fn show(lines: &[Line], runs: &BTreeMap<String, Runs>, json: bool) -> Result<()> {
    if json {
        for line in lines {
            println!("{}", serde_json::to_string(line).context("figures as JSON")?);
        }
        return Ok(());
    }
    println!("variant                          instructions   ratio  spread    cost     runs  each");
    for line in lines {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        println!(
            "{:<30}  {:>13}  {:>6.4}  {:>6}  {:>6}  {:>7}  {:>4}",
            line.variant,
            line.instructions,
            line.ratio,
            percent(line.spread),
            line.cost.map(percent).unwrap_or_default(),
            line.runs.map(|n| n.to_string()).unwrap_or_default(),
            line.instructions_per_run.map(|n| n.to_string()).unwrap_or_default()
        );
    }
    let pages = lines.first().map_or(0, |line| line.pages);
    println!("a turn reads {pages} pages out of zswap; programs that ran: {}", runs.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(each: &[u64]) -> Vec<Turn> {
        each.iter().map(|n| Turn { instructions: *n, ..Turn::default() }).collect()
    }

    #[test]
    fn a_hook_costs_what_is_saved_without_it() {
        let variants = [Variant::None, Variant::All, Variant::Without("free".into())];
        let all = [turns(&[1000, 1010, 990]), turns(&[1050, 1060, 1040]), turns(&[1030, 1030, 1030])];
        let runs = BTreeMap::from([("free".to_owned(), Runs { count: 4, instructions: 40 })]);
        let lines = lines(&variants, &all, &runs);
        // Medians 1000, 1050, 1030: 5 % in all, 2 % of it for the one that is missing. Spread of the first: 20 of 1000.
        assert!((lines[1].ratio - 1.05).abs() < 1e-9 && (lines[0].spread - 0.02).abs() < 1e-9);
        assert!(lines[2].cost.is_some_and(|cost| (cost - 0.02).abs() < 1e-9));
        assert_eq!((lines[2].runs, lines[2].instructions_per_run, lines[1].cost), (Some(4), Some(10), None));
    }

    #[test]
    fn without_protection_is_the_first_copy_alone() {
        assert!(Variant::Once.attaches("free", 0) && !Variant::Once.attaches("free", 1));
        assert!(Variant::Timed.attaches(TIMER[0], 0) && !Variant::All.attaches(TIMER[0], 0));
        let without = Variant::Without("free".into());
        assert!(without.attaches("load", 1) && !without.attaches("free", 0));
    }
}
