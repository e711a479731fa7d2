//! A pool without a free block, and a load that wants more: what happens, and what happens when a disk is added.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Outcome;
use super::ground::{Area, blank, command};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel;
use crate::guest::preamble::SCRATCH_DISK;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap;

/// How long the pool is left full before the disk is added.
const FULL: Duration = Duration::from_secs(15);

/// 140 MB of disk, a cgroup of 64 MB that holds 200: the pool fills, then a disk of 1 GiB is added.
pub(super) fn driven_full(outcome: &mut Outcome) -> Result<()> {
    zswap::set("enabled", "N")?;
    let disk = small_disk()?;
    let done = drive(outcome, &disk);
    // What holds it is gone by now.
    let _module = Command::new("modprobe").args(["-r", "scsi_debug"]).output();
    done
}

fn drive(outcome: &mut Outcome, disk: &str) -> Result<()> {
    blank(SCRATCH_DISK)?;
    let area = Area::create("vswap", "full", &["--device", disk, "--size", "4G"])?;
    let cgroup = Cgroup::with("areas.slice/full", &[("memory.max", "67108864")])?;
    let start = Instant::now();
    let mut work = Workload::start(&cgroup, "--hot 1M --warm 0 --cold 200M --commands --seed 6")?;
    let full = wait_for("the pool to be full", Duration::from_secs(60), || {
        Ok(area.listed()?["pool"]["mode"] == "out-of-data-space" || !work.is_running()?)
    });
    outcome.figure("seconds_until_full", start.elapsed().as_secs_f64());
    std::thread::sleep(FULL);
    let killed = kernel::stat(cgroup.file("memory.events"), "oom_kill")?;
    outcome.count("oom_kills_while_full", killed);
    full?;
    if killed == 0 {
        let start = Instant::now();
        command(&["vswap", "grow", "full", "--device", SCRATCH_DISK]).context("growing a full pool")?;
        outcome.figure("seconds_to_grow", start.elapsed().as_secs_f64());
        let start = Instant::now();
        work.wait_ready().context("going on after the pool grew")?;
        outcome.figure("seconds_to_go_on", start.elapsed().as_secs_f64());
        work.command("verify")?;
        work.finish()?;
    } else {
        // It was ended by the kernel, as it should where nothing else helps; the area must still work.
        drop(work);
        command(&["vswap", "grow", "full", "--device", SCRATCH_DISK]).context("growing a full pool")?;
        let again = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 200M --commands --seed 7")?;
        again.finish().context("a load after the pool grew")?;
    }
    let mode = area.listed()?["pool"]["mode"].as_str().unwrap_or_default().to_owned();
    outcome.claim(mode == "read-write", format!("the pool is {mode} after it grew"));
    Ok(())
}

/// A disk of 140 MiB.
fn small_disk() -> Result<String> {
    let disks = || {
        let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                entry.file_name().to_str().filter(|name| name.starts_with("sd")).map(str::to_owned)
            })
            .next()
    };
    let _told_below = Command::new("modprobe").args(["scsi_debug", "dev_size_mb=140", "delay=0"]).output();
    wait_for("a small disk", Duration::from_secs(20), || Ok(disks().is_some()))?;
    let disk = disks().context("no small disk")?;
    wait_for("its node", Duration::from_secs(10), || Ok(std::path::Path::new("/dev").join(&disk).exists()))?;
    Ok(format!("/dev/{disk}"))
}
