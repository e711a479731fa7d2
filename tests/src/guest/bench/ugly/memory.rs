//! What else the cgroup holds: page cache and memory in RAM that a round must leave alone; and a pool that is near its
//! own limit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::Outcome;
use super::ground::{Ground, Victim, resident, round};
use crate::guest::agent::swaptier;
use crate::guest::kernel::{meminfo, vmstat};
use crate::guest::preamble::SCRATCH_DISK;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap;

/// Page cache that is read all the time stays, to the page.
pub(super) fn hot_file_cache(_ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("cached", "24M")?;
    let arguments =
        format!("--hot 1M --warm 0 --cold 0 --file-cache 200M --file-dir {SCRATCH_DISK} --seed 2");
    let file = Workload::spawn(&victim.cgroup, &arguments)?;
    victim.age()?;
    let look = || Ok::<_, anyhow::Error>((victim.cgroup.stat("file")?, refaults(&victim)?));
    let before = look()?;
    let mut outcome = Outcome::hit(round(&victim.cgroup, 3_000, &[])?).alone().gently();
    let after = look()?;
    outcome.figure("file_mib", before.0 >> 20);
    outcome.figure("file_refaults", after.1 - before.1);
    let lost = before.0.saturating_sub(after.0) >> 12;
    outcome.figure("file_pages_lost", lost);
    outcome.claim(before.0 >= 200 << 20, format!("only {} bytes of file cache", before.0));
    outcome.claim(after.1 == before.1, format!("{} pages of file read again", after.1 - before.1));
    outcome.claim(lost == 0, format!("{lost} pages of file cache lost"));
    file.finish().context("the file cache")?;
    victim.finish()?;
    Ok(outcome)
}

fn refaults(victim: &Victim) -> Result<u64> {
    victim.cgroup.stat("workingset_refault_file")
}

/// Anonymous memory in RAM stays there, also when nobody touches it: to the page, by the process's own count.
pub(super) fn hot_anon(_ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("resident", "24M")?;
    let held = Workload::spawn(&victim.cgroup, "--hot 96M --warm 0 --cold 0 --commands --seed 4")?;
    victim.age()?;
    let (before, resident_before) = (resident(&held)?, victim.cgroup.stat("anon")?);
    let mut outcome = Outcome::hit(round(&victim.cgroup, 3_000, &[])?).alone().gently();
    let (after, resident_after) = (resident(&held)?, victim.cgroup.stat("anon")?);
    outcome.figure("rss_kib_before", before);
    outcome.figure("rss_kib_after", after);
    outcome.figure("anon_mib_before", resident_before >> 20);
    outcome.figure("anon_mib_after", resident_after >> 20);
    outcome.claim(before >= 96 << 10, format!("only {before} KiB were in RAM"));
    outcome.claim(after >= before, format!("RSS fell from {before} to {after} KiB"));
    held.finish().context("the memory in RAM")?;
    victim.finish()?;
    Ok(outcome)
}

/// Milliseconds in which the kernel must take a store after a round; one of ours takes some of them, on a busy host.
const AGAIN: u64 = 2_000;

/// How a kernel is refused whose gate does harm.
const HARMFUL_GATE: &str = "gate: memory.reclaim takes no swappiness=max";

/// Stored while the round runs: compressed, more than it takes away.
const GROWTH: &str = "32M";

/// The pool is above the threshold under which the kernel accepts stores again: the worker is not used, and says why.
/// Then it is just below, and grows above in the middle of the round. Each time the kernel takes stores afterwards, and
/// nobody beside pays for it.
pub(super) fn near_limit(_ground: &mut Ground) -> Result<Outcome> {
    let before = ["max_pool_percent", "accept_threshold_percent"].map(|name| (name, zswap::parameter(name)));
    let mut victim = Victim::set("limited", "24M")?;
    let mut other = Victim::set("storing", GROWTH)?;
    let above = above(&mut victim, &mut other);
    let below = below(&mut victim, &mut other);
    for (name, value) in before {
        zswap::set(name, &value?)?;
    }
    let (mut outcome, (name, value)) = (below?, above?);
    outcome.figure(name, value);
    victim.finish()?;
    other.finish()?;
    Ok(outcome)
}

/// Sets the pool's limit to at least so many bytes, and the threshold so many percent above what the pool has of it, or
/// below.
fn set_limit(bytes: u64, percent: i64) -> Result<()> {
    let (pool, ram) = (zswap::debug("pool_total_size")?, meminfo("MemTotal")?);
    let of_ram = bytes * 100 / ram + 1;
    let accept = (pool * 100 / (ram * of_ram / 100)).saturating_add_signed(percent);
    zswap::set("max_pool_percent", &of_ram.to_string())?;
    zswap::set("accept_threshold_percent", &accept.to_string())
}

fn above(victim: &mut Victim, other: &mut Victim) -> Result<(&'static str, u64)> {
    victim.age()?;
    set_limit(zswap::debug("pool_total_size")?, -20)?;
    let path = victim.cgroup.path();
    let said = swaptier(&["writeback", path, "--older-than", "2s", "--max", "500", "--dialect", "worker"])?;
    let is_named = said.code != 0 && said.stderr.contains("near its own limit");
    ensure!(is_named, "the worker was not refused by name: {} {}", said.code, said.stderr);
    let written = match round(&victim.cgroup, 1_000, &[]) {
        Ok(round) => {
            ensure!(round.dialect != "worker", "the worker was used near the limit");
            round.written
        }
        // 6.12: what is left is the gate, which drops page cache there and is not chosen by itself.
        Err(refused) if refused.to_string().contains(HARMFUL_GATE) => 0,
        Err(error) => return Err(error),
    };
    accepts(other)?;
    Ok(("pages_without_the_worker", written))
}

fn below(victim: &mut Victim, other: &mut Victim) -> Result<Outcome> {
    victim.age()?;
    let pool = zswap::debug("pool_total_size")?;
    set_limit(2 * pool, 4)?;
    let written = zswap::debug("written_back_pages")?;
    let round = std::thread::scope(|scope| {
        let grow = scope.spawn(|| {
            let is_writing = || Ok(zswap::debug("written_back_pages")? > written);
            wait_for("the round to write", Duration::from_secs(60), is_writing)?;
            other.work.command("pageout cold")
        });
        let round = round(&victim.cgroup, 5_000, &["--dialect", "worker"]);
        grow.join().map_err(|_| anyhow!("the growing pool panicked"))??;
        round
    })?;
    let (grown, millis) = (zswap::debug("pool_total_size")?, accepts(other)?);
    let mut outcome = Outcome::of(round);
    outcome.figure("pool_mib_before", pool >> 20);
    outcome.figure("pool_mib_after", grown >> 20);
    outcome.figure("accepted_again_ms", millis);
    outcome.claim(millis <= AGAIN, format!("the kernel refused stores for {millis} ms after the round"));
    Ok(outcome)
}

/// After how many milliseconds the kernel's zswap takes a page.
fn accepts(other: &mut Victim) -> Result<u64> {
    let (start, before) = (Instant::now(), vmstat("zswpout")?);
    wait_for("zswap to take a store", Duration::from_secs(20), || {
        other.work.command("write cold 0..64")?;
        other.work.command("pageout cold 0..64")?;
        Ok(vmstat("zswpout")? > before)
    })?;
    Ok(start.elapsed().as_millis() as u64)
}
