//! The map where the probes were not always there: slots from before them, agents that die and come back.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::agent::same_sums;
use crate::guest::agent::Agent;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::page_size;
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// Freed slots that the kernel keeps as used: 64 on each of two processors (6.12).
const KEPT_FREE: u64 = 128;

/// Two cgroups are in swap when the agent starts: each gets its own pages as unknown, and no drift is left. Touched and
/// stored again they are known, page for page and byte for byte.
pub(super) fn slots_from_before_have_their_owner() -> Result<()> {
    let _stage = Stage::set(40)?;
    let (first, second) = (Cgroup::create("test.slice/first")?, Cgroup::create("test.slice/second")?);
    let mut large = Workload::spawn(&first, "--hot 1M --warm 0 --cold 40M --zero 10 --commands")?;
    let mut small = Workload::spawn(&second, "--hot 1M --warm 0 --cold 10M --commands")?;
    large.command("pageout cold")?;
    small.command("pageout cold")?;
    let agent = Agent::start(&[])?;
    let status = Status::read()?;
    for cgroup in [&first, &second] {
        let unknown = status.cgroup(cgroup.path()).unknown_pages;
        let used = cgroup.get("memory.swap.current")?.parse::<u64>()? / page_size();
        println!("    {}: {unknown} unknown pages, {used} pages in swap by the kernel", cgroup.path());
        ensure!(
            unknown <= used && unknown + KEPT_FREE >= used,
            "{}: {unknown} of {used} pages",
            cgroup.path()
        );
    }
    ensure!(status.map.drift_pages.abs() <= 64, "drift {} beside known owners", status.map.drift_pages);
    for (workload, cgroup) in [(&mut large, &first), (&mut small, &second)] {
        workload.command("touch cold")?;
        workload.command("write cold")?;
        workload.command("pageout cold")?;
        let mut left = 0;
        wait_for("no page to be unknown", Duration::from_secs(10), || {
            left = Status::read()?.cgroup(cgroup.path()).unknown_pages;
            Ok(left <= KEPT_FREE)
        })
        .with_context(|| format!("{left} pages are unknown"))?;
        same_sums(cgroup, "stored again")?;
    }
    large.finish()?;
    small.finish()?;
    agent.stop()
}

/// Where a running agent's probes and maps are pinned.
const PINS: &str = "/sys/fs/bpf/swaptier";

/// The agent is killed while pages go both ways; the probes go on without it, and its successor has the same map: page
/// for page, byte for byte, with the ages. Each store was counted once. A successor of another build exchanges the
/// programs under load and keeps the map as well. Stopped in order, nothing stays.
pub(super) fn a_killed_agent_leaves_its_map_to_the_next() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let cgroup = Cgroup::create("test.slice/quiet")?;
    let mut quiet = Workload::spawn(&cgroup, "--hot 1M --warm 10M --cold 20M --zero 10 --commands")?;
    quiet.command("pageout cold")?;
    same_sums(&cgroup, "before the kill")?;
    let busy = Cgroup::with("test.slice/busy", &[("memory.high", "32M")])?;
    let mut load = Workload::spawn(&busy, "--hot 8M --warm 16M --cold 40M --commands")?;
    let agent = std::thread::scope(|scope| {
        let loops = scope.spawn(|| load.command("loops 6"));
        let agent = kill_and_follow(agent, &cgroup, &mut quiet);
        loops.join().map_err(|_| anyhow!("the load panicked"))??;
        agent
    })?;
    for cgroup in [&cgroup, &busy] {
        let (kernel, mut seen) = (cgroup.stat("zswpout")?, 0);
        let counted = wait_for("every store to be counted once", Duration::from_secs(5), || {
            let map = Status::read()?.cgroup(cgroup.path());
            seen = map.stored_pages;
            Ok(map.stored_pages == kernel && map.written_back_pages == cgroup.stat("zswpwb")?)
        });
        println!("    {}: {seen} stores by the map, {kernel} by the kernel", cgroup.path());
        counted?;
    }
    quiet.command("pageout warm")?;
    same_sums(&cgroup, "at the end")?;
    quiet.finish()?;
    load.finish()?;
    agent.stop()?;
    ensure!(!Path::new(PINS).exists(), "{PINS} is left behind");
    Ok(())
}

/// Kills the agent and starts the next, twice; the second time the next is of another build.
fn kill_and_follow(agent: Agent, cgroup: &Cgroup, quiet: &mut Workload) -> Result<Agent> {
    std::thread::sleep(Duration::from_secs(4));
    agent.kill()?;
    for step in ["pageout warm", "touch warm 0..1000", "write cold 0..1000", "pageout cold 0..1000"] {
        quiet.command(step)?;
    }
    let agent = Agent::start(&[])?;
    same_sums(cgroup, "adopted")?;
    let seen = Status::read()?.cgroup(cgroup.path());
    ensure!(seen.unknown_pages == 0, "{} pages unknown after adopting", seen.unknown_pages);
    // Stored before the kill, which was four seconds later.
    ensure!(seen.oldest_seconds.unwrap_or(0) >= 4, "the ages are lost: {:?}", seen.oldest_seconds);
    agent.kill()?;
    // Probes that say what they do are other programs: they are attached, and the old ones taken away.
    let agent = Agent::start_with(&[], &[("RUST_LOG", "info,swaptier_ebpf=debug")])?;
    same_sums(cgroup, "taken over")?;
    Ok(agent)
}

/// An idle map is small whatever it can hold; a used slot costs little more than its word; and what was used once is
/// used again.
pub(super) fn memory_follows_used_slots() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let idle = Status::read()?.map;
    println!("    idle, directory for 1 TiB: {} bytes", idle.locked_bytes);
    ensure!(idle.locked_bytes <= 8 << 20, "an idle map holds {} bytes", idle.locked_bytes);
    let cgroup = Cgroup::create("test.slice/region")?;
    let mut chunks = Vec::new();
    for _ in 0..2 {
        let mut workload = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 160M --commands")?;
        workload.command("pageout cold")?;
        let mut full = Status::default();
        wait_for("the map to have the pages", Duration::from_secs(10), || {
            full = Status::read()?;
            // 160 MiB are 40,960 pages.
            Ok(full.cgroup(cgroup.path()).zswap_pages > 40_000)
        })?;
        let slots = full.cgroup(cgroup.path()).zswap_pages;
        let bytes = full.map.used_bytes * 10 / slots;
        println!("    {slots} slots: {}.{} bytes each, {} chunks", bytes / 10, bytes % 10, full.map.chunks);
        ensure!(bytes <= 120, "a used slot costs {}.{} bytes", bytes / 10, bytes % 10);
        chunks.push(full.map.chunks);
        workload.finish()?;
        // A tenth of the frames may still hold a slot of somebody else's, or be filled again.
        wait_for("the frames to be given back", Duration::from_secs(40), || {
            Ok(Status::read()?.map.used_bytes <= full.map.used_bytes / 10)
        })?;
    }
    ensure!(chunks[1] <= chunks[0], "chunks grew from {} to {} for the same pages", chunks[0], chunks[1]);
    agent.stop()
}
