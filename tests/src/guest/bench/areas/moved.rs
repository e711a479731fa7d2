//! The blocks of an area moved to another disk while its pages are used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::Outcome;
use super::ground::{Area, blank, command, stored, write_back_all};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{self, vmstat};
use crate::guest::preamble::{SCRATCH_DISK, SECOND_SWAP_DISK};
use crate::guest::workload::Workload;
use crate::guest::zswap::{self, Zswap};

/// Memory whose pages are on the disk when the move begins, MiB.
const COLD: u64 = 120;
/// How long the load is watched before the move.
const BEFORE: Duration = Duration::from_secs(8);

/// 120 MB on disk move while another cgroup swaps to the same area without zswap, and verifies.
pub(super) fn under_load(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    for disk in [SECOND_SWAP_DISK, SCRATCH_DISK] {
        blank(disk)?;
    }
    let area = Area::create("vswap", "moved", &["--device", SECOND_SWAP_DISK, "--size", "8G"])?;
    let cold = Cgroup::create("areas.slice/cold")?;
    let mut on_disk = stored(&cold, COLD, 4)?;
    let written = write_back_all(&cold)?;
    zswap::set("enabled", "N")?;
    let busy = Cgroup::create("areas.slice/busy")?;
    let mut load = Workload::spawn(&busy, "--hot 24M --warm 0 --cold 1M --commands --seed 5")?;
    let (loops, offs) = (&std::sync::atomic::AtomicU64::new(0), kernel::swaps()?);
    let is_over = &AtomicBool::new(false);
    let (calm, moving, seconds) = thread::scope(|scope| {
        let swap = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for order in ["pageout hot", "write hot", "verify"] {
                    load.command(order)?;
                }
                loops.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
        let rate = |work: &dyn Fn() -> Result<()>| {
            let (start, before) = (Instant::now(), loops.load(Ordering::Relaxed));
            work()?;
            let seconds = start.elapsed().as_secs_f64();
            anyhow::Ok(((loops.load(Ordering::Relaxed) - before) as f64 / seconds, seconds))
        };
        let calm = rate(&|| {
            thread::sleep(BEFORE);
            Ok(())
        });
        let moving = rate(&|| command(&["vswap", "move", "moved", "--to", SCRATCH_DISK]));
        is_over.store(true, Ordering::Relaxed);
        let swapped = swap.join().map_err(|_| anyhow!("the load panicked"))?;
        swapped.context("the load beside the move")?;
        let ((calm, _), (moving, seconds)) = (calm?, moving?);
        anyhow::Ok((calm, moving, seconds))
    })?;
    outcome.count("bytes_on_disk_before", written);
    outcome.figure("seconds", seconds);
    outcome.figure("mib_per_second", 1024.0 / seconds);
    outcome.figure("load_loops_per_second_before", calm);
    outcome.figure("load_loops_per_second_during", moving);
    outcome.count("pages_swapped_out", vmstat("pswpout")?);
    let listed = area.listed()?;
    let disk = listed["record"]["disks"][0]["path"].as_str().unwrap_or_default().to_owned();
    outcome.claim(disk == SCRATCH_DISK, format!("it lies on {disk}"));
    outcome.claim(written >= 100 << 20, format!("only {written} bytes were on the disk"));
    let still: Vec<String> = kernel::swaps()?.into_iter().map(|area| area.path).collect();
    outcome.claim(offs.iter().all(|area| still.contains(&area.path)), "the area was switched off meanwhile");
    // The old disk is out of it: whatever is read now comes from the new one.
    blank(SECOND_SWAP_DISK)?;
    on_disk.command("touch cold")?;
    on_disk.command("verify")?;
    on_disk.finish()?;
    load.finish()?;
    Ok(())
}
