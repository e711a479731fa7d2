//! Swap areas on disks that are slow, or fail for a time.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::ground::{Ground, Victim, ask, round};
use crate::guest::agent::swaptier_json;
use crate::guest::dm::Device;
use crate::guest::kernel::vmstat;
use crate::guest::preamble::SECOND_SWAP_DISK;
use crate::guest::swap::SwapArea;
use crate::guest::wait::wait_for;

/// Above that of the area that is always there.
const PREFERRED: u16 = 20;

/// An area on a device over the second swap disk; the area drops first.
struct Area {
    _area: SwapArea,
    device: Device,
}

impl Area {
    fn set(name: &str) -> Result<Area> {
        let device = Device::over(SECOND_SWAP_DISK, name)?;
        let area = SwapArea::set_up(Path::new(&device.path()), None, PREFERRED)?;
        Ok(Area { _area: area, device })
    }

    /// Waits until the agent sees that it has this storage.
    fn is_seen_as(&self, storage: &str) -> Result<()> {
        let path = self.device.path().display().to_string();
        wait_for(&format!("{path} to be seen as {storage}"), SEEN, || {
            let status = swaptier_json(&["status", "--json"])?;
            let rows = status["areas"].as_array().context("areas in status")?;
            Ok(rows.iter().any(|row| row["path"] == path.as_str() && row["storage"] == storage))
        })
    }
}

/// Each write takes half a second. The round waits for none of them.
pub(super) fn slow(_ground: &mut Ground) -> Result<Outcome> {
    let area = Area::set("ugly-slow")?;
    let mut victim = Victim::set("slow", "24M")?;
    victim.age()?;
    area.device.slow(Duration::from_millis(2), Duration::from_millis(500))?;
    let start = Instant::now();
    let round = round(&victim.cgroup, 3_000, &[])?;
    let under_way = vmstat("nr_writeback")?;
    wait_for("the writes to be done", Duration::from_secs(60), || Ok(vmstat("nr_writeback")? == 0))?;
    let drained = start.elapsed();
    let mut outcome = Outcome::hit(round).alone().gently();
    outcome.figure("pages_under_way_after", under_way);
    outcome.figure("drained_ms", drained.as_millis() as u64);
    area.device.linear()?;
    victim.finish()?;
    drop(area);
    Ok(outcome)
}

/// Pages asked of a disk that takes none.
const FATAL: u64 = 1_000;
/// How long after a failed write no round is made: the kernel may be silent about the next one.
const SILENCE: Duration = Duration::from_secs(6);

/// How long until an agent has seen what became of an area: a tick, and what delays it.
const SEEN: Duration = Duration::from_secs(20);

/// Writes fail, then reads as well, then the device has no storage, then the disk is well again: a round in each state. The
/// first two end early and say why, and so does one that comes too soon after; where there is no storage none is begun.
/// What could not be written stays in RAM, so every page can be read while the disk is dead, and all of them afterwards.
pub(super) fn failing(_ground: &mut Ground) -> Result<Outcome> {
    let area = Area::set("ugly-failing")?;
    let mut victim = Victim::set("failing", "24M")?;
    victim.age()?;
    let mut in_ram = Vec::new();
    let mut attempt = |victim: &Victim, pages| {
        let before = victim.cgroup.stat("swapcached")?;
        let round = round(&victim.cgroup, pages, &[])?;
        in_ram.push((victim.cgroup.stat("swapcached")?.saturating_sub(before)) >> 12);
        anyhow::Ok(round)
    };
    area.device.fail_writes()?;
    let writes_fail = attempt(&victim, FATAL)?;
    let too_soon = attempt(&victim, FATAL)?;
    std::thread::sleep(SILENCE);
    area.device.fail_all()?;
    let all_fails = attempt(&victim, FATAL)?;
    area.device.fail()?;
    let without_storage = without_storage(&area, &victim);
    let while_dead = victim.work.command("touch cold").context("reading while the disk is dead");
    area.device.linear()?;
    without_storage?;
    while_dead?;
    victim.work.command("verify").context("after the disk was dead")?;
    area.is_seen_as("plain")?;
    std::thread::sleep(SILENCE);
    victim.age()?;
    let well = attempt(&victim, 2_000)?;
    let mut outcome = Outcome::hit(well).alone().gently();
    for (name, round) in
        [("writes_failed", &writes_fail), ("too_soon", &too_soon), ("all_failed", &all_fails)]
    {
        let (ended, written) = (&round.ended, round.written);
        outcome.figure(name, written);
        outcome.claim(ended == "disk_failed", format!("{name}: ended as `{ended}`"));
        outcome.claim(written < FATAL / 2, format!("{name}: {written} pages went before it was seen"));
    }
    outcome.claim(too_soon.written == 0, format!("{} pages went too soon", too_soon.written));
    outcome.figure("writes_failed_in_ram_after", in_ram[0]);
    outcome.figure("all_failed_in_ram_after", in_ram[2]);
    outcome.figure("well_in_ram_after", in_ram[3]);
    victim.finish()?;
    drop(area);
    Ok(outcome)
}

/// Once the agent has seen that the device is only an error, a round is refused for that.
fn without_storage(area: &Area, victim: &Victim) -> Result<()> {
    area.is_seen_as("ghost_dm")?;
    let (round, outcome) = ask(victim.cgroup.path(), FATAL, &[])?;
    let said = &outcome.stderr;
    ensure!(
        round.is_none() && outcome.code == 1,
        "a round on no storage ended with {}: {said}",
        outcome.code
    );
    let reason = format!("the ghost {} is filled no later than", area.device.path().display());
    ensure!(said.contains(&reason), "it was refused with: {said}");
    Ok(())
}
