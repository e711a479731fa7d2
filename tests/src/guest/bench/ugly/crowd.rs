//! Rounds while everybody swaps: the cgroup itself, its sibling and the root cgroup at once, or the whole host because
//! memory is short.

use anyhow::{Context, Result};

use super::ground::{Ground, Victim, round, while_swapping};
use super::{Outcome, SLICE};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{meminfo, vmstat};
use crate::guest::workload::Workload;

/// The cgroup, its sibling and the root cgroup push pages out and take them back all the time. The root's have no valve
/// that could be closed, and may be written back; they are counted.
pub(super) fn all_swap(_ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("crowded", "24M")?;
    let mut within = Workload::spawn(&victim.cgroup, "--hot 8M --warm 0 --cold 0 --commands --seed 5")?;
    let beside = Cgroup::create(&format!("{SLICE}/busy"))?;
    let mut sibling = Workload::spawn(&beside, "--hot 24M --warm 0 --cold 0 --commands --seed 6")?;
    let mut root = Workload::spawn_in_root("--hot 8M --warm 0 --cold 0 --commands --seed 7")?;
    victim.age()?;
    let before = beside.stat("zswpwb")?;
    let round =
        while_swapping(&mut [&mut within, &mut sibling, &mut root], || round(&victim.cgroup, 3_000, &[]))?;
    let lost = beside.stat("zswpwb")? - before;
    // What is neither the cgroup's nor a sibling's is the root's.
    let root_pages = round.elsewhere.saturating_sub(lost);
    let mut outcome = Outcome::hit_or_strayed(round);
    outcome.figure("busy_sibling_pages", lost);
    outcome.figure("root_pages", root_pages);
    outcome.claim(lost == 0, format!("{lost} pages of the busy sibling written back"));
    within.finish().context("what the cgroup swapped")?;
    sibling.finish().context("what the sibling swapped")?;
    root.finish().context("what the root swapped")?;
    victim.finish()?;
    Ok(outcome)
}

/// What the ballast leaves of the memory that can be had, and the hog, which wants more.
const LEFT: u64 = 128 << 20;
const HOG: &str = "--hot 32M --warm 160M --cold 0 --seed 8";
/// Pages that kswapd must at least have looked at: fewer mean that it hardly ran.
const SCANNED: u64 = 500;

/// Memory is so short that kswapd runs all the time.
pub(super) fn kswapd(_ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("short", "24M")?;
    victim.store()?;
    let (hold, home) =
        (Cgroup::create(&format!("{SLICE}/ballast"))?, Cgroup::create(&format!("{SLICE}/hog"))?);
    hold.set("memory.swap.max", "0")?;
    let bytes = meminfo("MemAvailable")?.saturating_sub(LEFT);
    // Zeroes are quick to write and to verify.
    let ballast = Workload::spawn(&hold, &format!("--hot 1M --warm 0 --cold {bytes} --zero 100 --commands"))?;
    let hog = Workload::spawn(&home, HOG)?;
    victim.age()?;
    let (scanned, lost) = (vmstat("pgscan_kswapd")?, home.stat("zswpwb")?);
    let round = round(&victim.cgroup, 3_000, &[])?;
    let (scanned, lost) = (vmstat("pgscan_kswapd")? - scanned, home.stat("zswpwb")? - lost);
    let mut outcome = Outcome::hit_or_strayed(round);
    outcome.figure("pages_scanned_by_kswapd", scanned);
    outcome.figure("hog_pages", lost);
    outcome.claim(scanned >= SCANNED, format!("kswapd hardly ran: {scanned} pages scanned"));
    outcome.claim(lost == 0, format!("{lost} pages of the hog written back"));
    ballast.finish().context("the ballast")?;
    hog.finish().context("the hog")?;
    victim.finish()?;
    Ok(outcome)
}
