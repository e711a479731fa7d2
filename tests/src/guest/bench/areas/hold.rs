//! Pages in areas without storage, and in areas far above their disk.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Outcome;
use super::ground::{Area, blank, log_lines, store, stored, write_back_all, writes_of};
use crate::guest::agent::Agent;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::vmstat;
use crate::guest::preamble::SECOND_SWAP_DISK;
use crate::guest::settings::Settings;
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::zswap::Zswap;

/// Cold memory of a run, MiB.
const COLD: u64 = 200;
/// Bytes of a block of a pool.
const BLOCK: u64 = 64 << 10;
/// What the kernel says for each write to a ghost.
const WRITE_ERROR: &str = "Write-error on swap-device";

/// 200 MB go through a ghost twice: every page is verified, not one is written.
pub(super) fn ghost(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    let _area = Area::create("ghost", "hold", &["--size", "1G", "--priority", "10"])?;
    let cgroup = Cgroup::with("areas.slice/ghost", &[("memory.zswap.writeback", "0")])?;
    let (errors, written, stores, loads) =
        (log_lines(WRITE_ERROR)?, vmstat("pswpout")?, vmstat("zswpout")?, vmstat("zswpin")?);
    let mut work = stored(&cgroup, COLD, 1)?;
    outcome.count("zswapped_bytes", cgroup.stat("zswapped")?);
    work.command("verify")?;
    store(&mut work, &cgroup, COLD)?;
    work.finish()?;
    let device_writes = writes_of("swaptier-hold-0")?;
    let errors = log_lines(WRITE_ERROR)? - errors;
    let written = vmstat("pswpout")? - written;
    outcome.count("stores", vmstat("zswpout")? - stores);
    outcome.count("loads", vmstat("zswpin")? - loads);
    outcome.count("pages_written", written);
    outcome.count("device_writes", device_writes);
    outcome.count("write_error_lines", errors as u64);
    outcome.claim(written == 0, format!("{written} pages were written to an area without storage"));
    outcome.claim(device_writes == 0, format!("its device saw {device_writes} writes"));
    outcome.claim(errors == 0, format!("the kernel reports {errors} failed writes"));
    Ok(())
}

/// 64 GiB of slots over 1 GiB of disk: what pages take there in zswap, written back, and freed; beside the same pages in a
/// plain area.
pub(super) fn virtual_area(outcome: &mut Outcome) -> Result<()> {
    plain(outcome)?;
    let _zswap = Zswap::set_up(60)?;
    let _settings = Settings::without_policy()?;
    blank(SECOND_SWAP_DISK)?;
    // It has slots given back that processors keep, and does nothing else here.
    let agent = Agent::start(&[])?;
    let area = Area::create("vswap", "hold", &["--device", SECOND_SWAP_DISK, "--size", "64G"])?;
    let cgroup = Cgroup::create("areas.slice/virtual")?;
    let mut work = stored(&cgroup, COLD, 2)?;
    let (in_zswap, zswapped) = (area.blocks()?, cgroup.stat("zswapped")?);
    let original = write_back_all(&cgroup)?;
    let on_disk = area.blocks()?;
    work.command("verify")?;
    work.finish()?;
    drop(cgroup);
    let start = Instant::now();
    let _judged_below =
        wait_for("all blocks to be given back", Duration::from_secs(10), || Ok(area.blocks()? <= 2));
    let seconds = start.elapsed().as_secs_f64();
    let amplification = (on_disk * BLOCK) as f64 / original as f64;
    outcome.count("zswapped_bytes", zswapped);
    outcome.count("blocks_in_zswap", in_zswap);
    outcome.count("written_back_bytes", original);
    outcome.count("blocks_written_back", on_disk);
    outcome.figure("on_disk_for_original", amplification);
    let after = area.blocks()?;
    outcome.count("blocks_after_exit", after);
    outcome.figure("seconds_to_give_back", seconds);
    outcome.claim(zswapped >= 190 << 20, format!("only {zswapped} bytes were in zswap"));
    outcome.claim(in_zswap <= 2, format!("{in_zswap} blocks are taken by pages in zswap"));
    outcome.claim(original >= 180 << 20, format!("only {original} bytes were written back"));
    outcome.claim(amplification <= 1.10, format!("{amplification:.3} bytes on disk for one of a page"));
    outcome.claim(after <= 2, format!("{after} blocks were not given back in {seconds:.1} s"));
    drop(area);
    agent.stop()?;
    Ok(())
}

/// The same pages in a plain area: a slot of the disk for each, wherever the page is.
fn plain(outcome: &mut Outcome) -> Result<()> {
    let stage = Stage::set(60)?;
    let cgroup = Cgroup::create("areas.slice/plain")?;
    let work = stored(&cgroup, COLD, 3)?;
    outcome.count("plain_zswapped_bytes", cgroup.stat("zswapped")?);
    outcome.count("plain_bytes_of_disk_slots", stage.swap.used()?);
    work.finish()?;
    Ok(())
}
