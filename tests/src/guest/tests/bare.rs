//! Without probes: what write-back does by the kernel's own files alone, and what becomes of a round without its agent.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::within;
use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::bench::writeback::MISS_ON_A_BUSY_HOST;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::page_size;
use crate::guest::knobs::Knobs;
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// Pages asked for.
const ASKED: u64 = 2_000;

/// memory.stat sums up small changes only every two seconds.
const STATS_DELAY: Duration = Duration::from_millis(2500);

/// What is asked for is written, of that cgroup alone, and every setting is as before; what was lost is said, and what
/// cannot be known is refused.
pub(super) fn writeback_hits_its_number_without_probes() -> Result<()> {
    let _stage = Stage::set(40)?;
    let (victim, sibling) = (Cgroup::create("bare.slice/victim")?, Cgroup::create("bare.slice/sibling")?);
    // The pump has a cgroup of its own from the agent's start on.
    let before = Knobs::read()?;
    let agent = Agent::start(&["--no-bpf"])?;
    let works = [stored(&victim, 1)?, stored(&sibling, 2)?];
    let status = swaptier_json(&["status", "--json"])?;
    ensure!(status["map"]["state"] == "absent", "the map is {}", status["map"]);
    ensure!(status["agent"]["lost"].to_string().contains("--no-bpf"), "nothing lost: {}", status["agent"]);

    let aged = swaptier(&["writeback", victim.path(), "--older-than", "1s", "--max", "2000"])?;
    ensure!(aged.code == 4 && aged.stderr.contains("--older-than"), "{aged:?}");

    let start = [victim.stat("zswpwb")?, sibling.stat("zswpwb")?];
    let max = ASKED.to_string();
    let report = swaptier_json(&["writeback", victim.path(), "--max", &max, "--json"])?;
    std::thread::sleep(STATS_DELAY);
    let written = victim.stat("zswpwb")? - start[0];
    println!("    asked {ASKED}, by memory.stat {written}; the round says {report}");
    ensure!(report["meter"] == "vmstat" && report["cold_pages"].is_null(), "not by files: {report}");
    within("pages written back", written, ASKED - MISS_ON_A_BUSY_HOST..=ASKED + MISS_ON_A_BUSY_HOST)?;
    within("pages of the sibling", sibling.stat("zswpwb")? - start[1], 0..=0)?;
    for mut work in works {
        work.command("verify")?;
        work.finish()?;
    }
    agent.stop()?;
    let differences = before.differences(&Knobs::read()?);
    ensure!(differences.is_empty(), "not given back: {}", differences.join("; "));
    Ok(())
}

/// An agent that dies with the valves of others closed, before its pump has anything to do: the pump opens them again.
pub(super) fn a_dead_agents_valves_are_opened_by_its_pump() -> Result<()> {
    let _stage = Stage::set(40)?;
    let (victim, sibling) = (Cgroup::create("bare.slice/victim")?, Cgroup::create("bare.slice/sibling")?);
    let mut work = stored(&victim, 1)?;
    let before = Knobs::read()?;
    let agent = Agent::start_with(&["--no-bpf"], &[("SWAPTIER_FAULT", "round.aimed")])?;
    let outcome = swaptier(&["writeback", victim.path(), "--max", "100"])?;
    ensure!(outcome.code != 0, "the agent lived: {outcome:?}");
    ensure!(agent.log().contains("round.aimed reached"), "it was not killed there:{}", agent.log());
    let valve = "memory.zswap.writeback";
    wait_for("the sibling's valve to be open", Duration::from_secs(5), || Ok(sibling.get(valve)? == "1"))?;
    ensure!(swaptier(&["restore"])?.code == 0, "nothing can be restored");
    let differences = before.differences(&Knobs::read()?);
    ensure!(differences.is_empty(), "not given back: {}", differences.join("; "));
    work.command("verify")?;
    work.finish().map(drop)
}

/// 24 MiB of this cgroup, 6,144 pages, in zswap.
fn stored(cgroup: &Cgroup, seed: u32) -> Result<Workload> {
    let arguments = format!("--hot 1M --warm 0 --cold 24M --commands --seed {seed}");
    let mut work = Workload::spawn(cgroup, &arguments)?;
    wait_for("the cold pages to be in zswap", Duration::from_secs(30), || {
        work.command("pageout cold")?;
        Ok(cgroup.stat("zswapped")? / page_size() > 5_500)
    })?;
    Ok(work)
}
