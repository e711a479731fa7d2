//! `swaptier-guest demo`: one policy writes back exactly one cgroup's cold pages, with the kernel's counters as proof.
//!
//! This file is the order of events; `sample` looks, `text` shows, `verdict` judges.

mod sample;
mod text;
mod verdict;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::sample::Sample;
use self::verdict::Evidence;
use super::agent::Agent;
use super::cgroup::Cgroup;
use super::knobs::Knobs;
use super::policies::Policies;
use super::stage::Stage;
use super::wait::wait_for;
use super::workload::Workload;
use super::{kernel, preamble};

/// 104 MiB of which 8 are used; with 56 MiB allowed, (104 - 56) / (1 - 0.35) = 74 MiB are in zswap.
const COLD: (&str, &str) =
    ("--hot 8M --warm 0 --cold 96M --compress 35 --zero 5 --hot-rate 4000 --seed 1", "56M");
/// 84 MiB all of which is used, in turns: a part is always on its way in or out of zswap.
const HOT: (&str, &str) =
    ("--hot 24M --warm 60M --cold 0 --compress 35 --zero 5 --hot-rate 3000 --seed 2", "64M");

/// Looks in a row that find (next to) nothing old before the demo is over.
const IDLE: u32 = 3;
/// Fewer old pages than this are left alone: no round is begun for less.
const LEAST: u64 = 32;
/// Looks that may pass until the figures stand still.
const SETTLING: u32 = 10;

/// How the demo runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The live part takes at most so long.
    pub limit: Duration,
    /// The live block is drawn over itself: for terminals.
    pub redraw: bool,
}

/// Runs the demo and returns the claims that do not hold, with their figures.
///
/// # Errors
/// When it cannot be carried out: the guest, a cgroup, a workload or the agent refused.
pub fn run(options: Options) -> Result<Vec<String>> {
    preamble::check()?;
    let stage = Stage::set(40)?;
    let ram = kernel::meminfo("MemTotal")?;
    println!(
        "swaptier on {}: {} RAM, swap on {}, zswap with {}, pool limit 40 %",
        kernel::release(),
        text::mib(ram),
        preamble::SWAP_DISK,
        stage.zswap.compressor
    );
    let cold = Cgroup::create("demo.slice/cold")?;
    let hot = Cgroup::create("demo.slice/hot")?;
    let evidence = perform(&cold, &hot, options)?;
    let claims = verdict::judge(&evidence);
    println!("{}", text::table(&claims));
    let broken: Vec<_> = claims.iter().filter(|claim| claim.holds == Some(false)).map(text::line).collect();
    match broken.len() {
        0 => println!("All claims hold."),
        count => println!("{count} claims do not hold."),
    }
    Ok(broken)
}

fn perform(cold: &Cgroup, hot: &Cgroup, options: Options) -> Result<Evidence> {
    // The limits are part of the stage, not of what the agent does; they bite once the workloads are there.
    let mut workloads = [Workload::start(cold, COLD.0)?, Workload::start(hot, HOT.0)?];
    for workload in &mut workloads {
        workload.wait_ready()?;
    }
    println!("two workloads have filled their memory; starting the agent");
    let knobs_before = Knobs::read()?;
    let agent = Agent::start(&[])?;
    let watched = squeeze(cold, hot).and_then(|()| {
        println!("their cold memory is in zswap; giving the agent two policies");
        let policies = Policies::install()?;
        agent.reload()?;
        watch(cold, hot, options).map(|looks| (looks, policies))
    });
    let ((before, after), _policies) =
        watched.with_context(|| format!("while the agent ran{}", agent.log()))?;
    agent.stop()?;
    println!("the agent was stopped; verifying all memory");
    let knobs_after = Knobs::read()?;
    // Reading everything back needs room.
    cold.set("memory.high", "max")?;
    hot.set("memory.high", "max")?;
    let reports = workloads.map(|w| w.finish().map_err(|e| format!("{e:#}")));
    Ok(Evidence { before, after, knobs_before, knobs_after, reports })
}

/// The limits come after the agent: it knows the age of exactly those pages which it saw going in. Returns when the
/// cold cgroup has shrunk to its limit, so that nothing but write-back moves its pages from then on.
fn squeeze(cold: &Cgroup, hot: &Cgroup) -> Result<()> {
    hot.set("memory.high", HOT.1)?;
    cold.set("memory.high", COLD.1)?;
    let mut seen = 0;
    wait_for("the cold cgroup to be in zswap", Duration::from_secs(60), || {
        // memory.stat adds up small changes every two seconds.
        std::thread::sleep(Duration::from_millis(2500));
        let last = std::mem::replace(&mut seen, cold.stat("zswapped")?);
        Ok(seen == last && seen > 0)
    })
}

/// Looks every second until nothing old is left or the time is over: the last look before the first write-back, and
/// the last of all.
fn watch(cold: &Cgroup, hot: &Cgroup, options: Options) -> Result<(Sample, Sample)> {
    let start = Instant::now();
    let look = || Sample::take(start.elapsed().as_secs(), cold, hot);
    let mut before = look()?;
    let (mut drawn, mut idle) = (false, 0);
    while start.elapsed() < options.limit && idle < IDLE {
        let now = look()?;
        draw(&now, options.redraw && drawn)?;
        drawn = true;
        idle = if now.cold.written_back > 0 && now.cold.view.cold_pages < LEAST { idle + 1 } else { 0 };
        if now.cold.written_back == 0 {
            before = now;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    // swaptier's figures are of its last tick, memory.stat sums small changes every two seconds: two equal looks
    // further apart than both are of one state.
    let mut after = look()?;
    for _ in 0..SETTLING {
        std::thread::sleep(Duration::from_millis(2500));
        let previous = std::mem::replace(&mut after, look()?);
        let same = |of: fn(&Sample) -> u64| of(&previous) == of(&after);
        if same(|s| s.cold.written_back) && same(|s| s.cold.original) && same(|s| s.cold.view.zswap_pages) {
            break;
        }
    }
    Ok((before, after))
}

fn draw(sample: &Sample, over: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if over {
        // Up to the block's first line; erase from there on.
        write!(out, "\x1b[{}A\x1b[J", text::LIVE_LINES)?;
    }
    write!(out, "{}", text::live(sample)).and_then(|()| out.flush()).context("writing to stdout")
}
