//! The map where the probes were not always there: slots from before them, agents that die and come back.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::agent::same_sums;
use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::bpf;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::page_size;
use crate::guest::manager::Manager;
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// Freed slots that the kernel keeps as used: 64 on each of two processors (6.12).
const KEPT_FREE: u64 = 128;

/// Three cgroups are in swap when the agent starts, one of them with shared memory that no page table names: each gets its
/// own pages, those in zswap page for page and byte for byte, with an age that grows from the start. Of these a round is
/// made like of any others. Touched and stored again all are known.
pub(super) fn slots_from_before_have_their_owner() -> Result<()> {
    let _stage = Stage::set(40)?;
    let cgroups = ["first", "second", "shared"].map(|name| Cgroup::create(&format!("test.slice/{name}")));
    let [first, second, shared] = cgroups;
    let (first, second, shared) = (first?, second?, shared?);
    let mut works = vec![
        (&first, Workload::spawn(&first, "--hot 1M --warm 0 --cold 40M --zero 10 --commands")?),
        (&second, Workload::spawn(&second, "--hot 1M --warm 0 --cold 10M --commands")?),
        (&shared, Workload::spawn(&shared, "--hot 0 --warm 0 --cold 8M --shmem --commands --seed 3")?),
    ];
    for (_, work) in &mut works {
        work.command("pageout cold")?;
    }
    let begun = Instant::now();
    let agent = Agent::start(&[])?;
    for (cgroup, _) in &works {
        all_from_before(cgroup, begun)?;
    }
    let drift = Status::read()?.map.drift_pages;
    ensure!(drift.abs() <= 64, "drift {drift} beside known owners");
    let written = first.stat("zswpwb")?;
    std::thread::sleep(Duration::from_secs(3));
    swaptier_json(&["writeback", first.path(), "--older-than", "2s", "--max", "500", "--json"])?;
    let written = first.stat("zswpwb")? - written;
    println!("    {written} of them written back");
    ensure!(written > 400, "only {written} of 500 pages from before were written back");
    for (cgroup, work) in &mut works {
        for command in ["touch cold", "write cold", "pageout cold"] {
            work.command(command)?;
        }
        let mut left = 0;
        wait_for("no page to be unknown", Duration::from_secs(10), || {
            left = Status::read()?.cgroup(cgroup.path()).unknown_pages;
            Ok(left <= KEPT_FREE)
        })
        .with_context(|| format!("{left} pages are unknown"))?;
        same_sums(cgroup, "stored again")?;
    }
    for (_, work) in works {
        work.finish()?;
    }
    agent.stop()
}

/// All of a cgroup that was in swap when the agent started, at `begun` or later, is in the map.
fn all_from_before(cgroup: &Cgroup, begun: Instant) -> Result<()> {
    same_sums(cgroup, "from before")?;
    let (seen, at_most) = (Status::read()?.cgroup(cgroup.path()), begun.elapsed().as_secs() + 1);
    let used = cgroup.get("memory.swap.current")?.parse::<u64>()? / page_size();
    let (zswap, unknown, oldest) = (seen.zswap_pages, seen.unknown_pages, seen.oldest_seconds);
    println!("    {}: {zswap} in zswap, {unknown} unknown, of {used} in swap; {oldest:?} s", cgroup.path());
    ensure!(zswap > 1_000, "{}: {zswap} pages in zswap: nothing to find", cgroup.path());
    ensure!(
        zswap + unknown <= used && zswap + unknown + KEPT_FREE >= used,
        "{}: {zswap} and {unknown} of {used} pages",
        cgroup.path()
    );
    // They are as old as the agent at least, and nobody knows how much older.
    ensure!(oldest.is_some_and(|age| age <= at_most), "{oldest:?} s after at most {at_most}");
    ensure!(seen.stored_pages == 0, "{} pages from before count as stored", seen.stored_pages);
    Ok(())
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
        ensure!(kernel > 0, "{}: nothing was stored: nothing was put to the test", cgroup.path());
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

/// A configuration under which a stopped agent leaves its map behind.
const KEEPS: &str = "/tmp/keeps.toml";

/// The service is restarted in order: what is pinned goes to its manager and comes back, and the probes go on in between. So
/// the next agent has every page with its age. Stopped for good, no probe is left; where the configuration says that the
/// map is to be kept, it is until `restore`.
pub(super) fn a_restart_keeps_the_map_and_a_stop_does_not() -> Result<()> {
    let _stage = Stage::set(40)?;
    let manager = Manager::start()?;
    let agent = Agent::start_with(&[], &manager.variables())?;
    let cgroup = Cgroup::create("test.slice/restart")?;
    let mut work = Workload::spawn(&cgroup, "--hot 1M --warm 8M --cold 16M --commands")?;
    work.command("pageout cold")?;
    same_sums(&cgroup, "before")?;
    std::thread::sleep(Duration::from_secs(4));
    agent.stop()?;
    println!("    {} descriptors are with the manager", manager.stored());
    ensure!(manager.stored() > 20 && !Path::new(PINS).exists(), "{} with the manager", manager.stored());
    work.command("pageout warm")?;
    work.command("touch cold 0..1000")?;
    let agent = manager.restart()?;
    ensure!(manager.stored() == 0, "{} are still with the manager", manager.stored());
    with_ages(&cgroup, "restarted")?;
    let unknown = Status::read()?.cgroup(cgroup.path()).unknown_pages;
    ensure!(unknown == 0, "{unknown} pages are unknown");
    agent.stop()?;
    manager.drop_all();
    wait_for("the probes to go", Duration::from_secs(10), || Ok(bpf::loaded("zswap_load").is_none()))?;
    std::fs::write(KEEPS, "[map]\nkeep = \"always\"\n").context(KEEPS)?;
    let agent = Agent::start_with(&["--config", KEEPS], &[])?;
    std::thread::sleep(Duration::from_secs(4));
    agent.stop()?;
    work.command("touch warm 0..500")?;
    let agent = Agent::start_with(&["--config", KEEPS], &[])?;
    with_ages(&cgroup, "started again")?;
    agent.stop()?;
    ensure!(Path::new(PINS).exists(), "the map was not kept");
    swaptier(&["restore"])?;
    ensure!(!Path::new(PINS).exists(), "{PINS} is left behind");
    work.finish().map(drop)
}

/// The map of the agent before is here, with ages from before this one.
fn with_ages(cgroup: &Cgroup, step: &str) -> Result<()> {
    let stored = cgroup.stat("zswpout")?;
    same_sums(cgroup, step)?;
    let seen = Status::read()?.cgroup(cgroup.path());
    println!("    {step}: oldest {:?} s, {} stores", seen.oldest_seconds, seen.stored_pages);
    ensure!(seen.oldest_seconds >= Some(4), "the ages are lost: {:?}", seen.oldest_seconds);
    ensure!(seen.stored_pages <= stored && stored > 0, "{} stores of {stored}", seen.stored_pages);
    Ok(())
}

/// A configuration under which no decision is due for long.
const SELDOM: &str = "[agent]\ninterval = \"1h\"\n";
const SELDOM_FILE: &str = "/tmp/seldom.toml";
/// Somebody who has looked is expected back for half a minute.
const FORGOTTEN: Duration = Duration::from_secs(40);

/// While nobody looks and no decision is due the slots are not walked, and counters are read all the same. Whoever looks
/// then is told how old the pages by tier are, and has those of now with the next ticks.
pub(super) fn slots_are_walked_when_somebody_needs_them() -> Result<()> {
    let _stage = Stage::set(40)?;
    std::fs::write(SELDOM_FILE, SELDOM).context(SELDOM_FILE)?;
    let agent = Agent::start_with(&["--config", SELDOM_FILE], &[])?;
    let cgroup = Cgroup::create("test.slice/seldom")?;
    let mut work = Workload::spawn(&cgroup, "--hot 1M --warm 8M --cold 16M --commands")?;
    work.command("pageout cold")?;
    same_sums(&cgroup, "looked at")?;
    std::thread::sleep(FORGOTTEN);
    work.command("pageout warm")?;
    std::thread::sleep(Duration::from_secs(3));
    let (seen, stored) = (Status::read()?, cgroup.stat("zswpout")?);
    let (age, row) = (seen.map.age_seconds, seen.cgroup(cgroup.path()));
    println!(
        "    {age:?} s old: {} pages in zswap, {} stored of {stored}",
        row.zswap_pages, row.stored_pages
    );
    ensure!(age.is_some_and(|age| (3..FORGOTTEN.as_secs()).contains(&age)), "walked {age:?} s ago");
    ensure!(row.stored_pages == stored, "{} stores counted of {stored}", row.stored_pages);
    ensure!(row.zswap_pages < cgroup.stat("zswapped")? / page_size(), "the slots were walked");
    ensure!(seen.map.state == "exact", "a map that was not walked is {}", seen.map.state);
    same_sums(&cgroup, "looked at again")?;
    let age = Status::read()?.map.age_seconds;
    ensure!(age.is_some_and(|age| age <= 1), "walked {age:?} s ago");
    work.finish()?;
    agent.stop()
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
