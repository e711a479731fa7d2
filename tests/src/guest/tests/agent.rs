//! The agent and its commands against the kernel: the map's sums, restore, refusals.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::bench::writeback::{self, MISS_ON_A_BUSY_HOST};
use crate::guest::cgroup::Cgroup;
use crate::guest::demo;
use crate::guest::kernel::page_size;
use crate::guest::knobs::Knobs;
use crate::guest::policies::Policies;
use crate::guest::process::{Process, sibling};
use crate::guest::scene::Scene;
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// The agent's own.
const PUMP_CGROUP: &str = "swaptier-pump";

/// What a newcomer runs first.
pub(super) fn the_demo_holds_in_all_its_claims() -> Result<()> {
    let broken = demo::run(demo::Options { limit: Duration::from_secs(120), redraw: false })?;
    ensure!(broken.is_empty(), "does not hold: {}", broken.join("; "));
    Ok(())
}

/// In quiet phases the map's sums are the kernel's: after storing, loading, rewriting, freeing and writing back.
pub(super) fn map_equals_memory_stat() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let cgroup = Cgroup::create("test.slice/map")?;
    let mut workload =
        Workload::spawn(&cgroup, "--hot 1M --warm 20M --cold 40M --zero 10 --raw 5 --commands")?;
    let script = [
        "pageout cold",
        "pageout warm",
        "touch warm 0..1000",
        "write warm 500..1500",
        "pageout warm",
        "touch cold 0..3000",
        "verify",
        "pageout cold 0..8000",
    ];
    for step in script {
        workload.command(step)?;
        same_sums(&cgroup, step)?;
    }
    std::thread::sleep(Duration::from_secs(3));
    swaptier_json(&["writeback", cgroup.path(), "--older-than", "1s", "--max", "2000", "--json"])?;
    same_sums(&cgroup, "writeback")?;
    for event in ["zswpout", "zswpin", "zswpwb"] {
        ensure!(cgroup.stat(event)? > 0, "no {event}: that was not put to the test");
    }
    workload.command("free cold")?;
    same_sums(&cgroup, "free cold")?;
    workload.finish()?;
    agent.stop()
}

/// Compares the three sums as soon as the map's figures are of after the step; prints them.
pub(super) fn same_sums(cgroup: &Cgroup, step: &str) -> Result<()> {
    let mut seen = String::new();
    let same = wait_for("the map to equal memory.stat", Duration::from_secs(10), || {
        let map = Status::read()?.cgroup(cgroup.path());
        let kernel = [cgroup.stat("zswapped")? / page_size(), cgroup.stat("zswap")?, cgroup.stat("zswpwb")?];
        let map = [map.zswap_pages, map.zswap_compressed_bytes, map.written_back_pages];
        let drift: Vec<i64> = map.iter().zip(kernel).map(|(&m, k)| m as i64 - k as i64).collect();
        seen =
            format!("pages, compressed bytes, written back: kernel {kernel:?}, map minus kernel {drift:?}");
        Ok(map == kernel)
    });
    println!("    {step}: {seen}");
    same.with_context(|| format!("after `{step}`: {seen}"))
}

pub(super) fn writeback_hits_its_number() -> Result<()> {
    let mut scene = Scene::set()?;
    let line = writeback::round(&mut scene, "worker", 4_000, true)?;
    let mut faults = line.faults(MISS_ON_A_BUSY_HOST);
    faults.extend(writeback::reclaimed_too_much(&[line]));
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    scene.finish()
}

/// kill -9 of the agent and of the command while pages are being written; then `restore`.
pub(super) fn restore_after_kill_gives_everything_back() -> Result<()> {
    let mut scene = Scene::set()?;
    // The pump's own cgroup comes with the agent, and goes.
    let before = Knobs::read()?.without(PUMP_CGROUP);
    scene.refill(Duration::from_secs(4))?;
    let start = scene.counters()?.victim;
    let path = scene.victim.path().to_owned();
    let mut command = Command::new(sibling("swaptier")?);
    command.args(["writeback", &path, "--older-than", "2s", "--max", "20000"]);
    let mut writeback = Process::spawn("swaptier-writeback", &mut command)?;
    // Each entry is passed over once before the first is written, sixteen for each store of the neighbour's that may be
    // refused: with few stores a second that takes a minute.
    wait_for("the write-back to be under way", Duration::from_secs(120), || {
        ensure!(writeback.is_running()?, "the write-back ended before it was seen{}", writeback.complaints());
        Ok(scene.counters()?.victim > start)
    })?;
    let within = Knobs::read()?.without(PUMP_CGROUP);
    writeback.signal(rustix::process::Signal::KILL)?;
    writeback.end(Duration::from_secs(10))?;
    scene.agent.take().context("the scene's agent")?.kill()?;
    ensure!(
        !before.differences(&within).is_empty(),
        "nothing was changed during the write-back: this shows nothing"
    );
    let outcome = swaptier(&["restore"])?;
    ensure!(outcome.code == 0, "restore ended with {}:\n{}{}", outcome.code, outcome.stdout, outcome.stderr);
    let differences = before.differences(&Knobs::read()?);
    ensure!(differences.is_empty(), "not given back: {}", differences.join("; "));
    scene.finish()
}

pub(super) fn a_stopped_agent_leaves_every_setting_as_it_was() -> Result<()> {
    let _stage = Stage::set(40)?;
    let cgroup = Cgroup::create("demo.slice/hot")?;
    let before = Knobs::read()?;
    let _policies = Policies::install()?;
    let agent = Agent::start(&[])?;
    // The shipped policy of this cgroup keeps it off the disk.
    wait_for("the agent to close the valve", Duration::from_secs(30), || {
        Ok(cgroup.get("memory.zswap.writeback")? == "0")
    })?;
    agent.stop()?;
    let differences = before.differences(&Knobs::read()?);
    ensure!(differences.is_empty(), "not given back: {}", differences.join("; "));
    Ok(())
}

pub(super) fn a_second_agent_is_refused() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let second = swaptier(&["agent"])?;
    ensure!(second.code == 7, "the second agent ended with {}, not 7:\n{}", second.code, second.stderr);
    ensure!(Status::read()?.agent.running, "the first agent does not answer any more");
    agent.stop()
}

pub(super) fn doctor_finds_this_kernel_fit() -> Result<()> {
    let _stage = Stage::set(40)?;
    let doctor = swaptier_json(&["doctor", "--json"])?;
    let text = doctor.to_string();
    ensure!(text.contains("worker"), "doctor does not speak of the worker dialect: {text}");
    Ok(())
}
