//! The generator and the toolbox against the kernel alone: what the other tests rest on. No agent runs here.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::within;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{page_size, vmstat};
use crate::guest::preamble::SCRATCH_DISK;
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap;

/// 10 + 20 + 100 MiB in 64 MiB: stored at 35 percent, about (130 - 64) / (1 - 0.35) = 100 MiB must be in zswap,
/// 26,000 pages, of which the zero ones (10 percent) need no storage.
const OVERFULL: &str = "--hot 10M --warm 20M --cold 100M --compress 35 --zero 10";

pub(super) fn survives_swapping() -> Result<()> {
    swap_and_verify("")
}

pub(super) fn shared_memory_survives_swapping() -> Result<()> {
    swap_and_verify("--shmem")
}

fn swap_and_verify(extra: &str) -> Result<()> {
    let _stage = Stage::set(40)?;
    let cgroup = Cgroup::with("test.slice/workload", &[("memory.high", "64M")])?;
    let before = vmstat("zswpout")?;
    let mut workload = Workload::spawn(&cgroup, &format!("{OVERFULL} --commands {extra}"))?;
    let (stored, original) = (vmstat("zswpout")? - before, cgroup.stat("zswapped")?);
    // A page may be stored twice while filling, hardly three times; half of what must be out is surely out.
    within("pages stored in zswap while filling", stored, 13_000..=100_000)?;
    within("original bytes in zswap, MiB", original >> 20, 50..=117)?;
    let ratio = cgroup.stat("zswap")? * 100 / original;
    // 35 percent random, plus what lz4 spends on it and on the repetition.
    within("compressed size in percent of the original", ratio, 33..=42)?;
    workload.command("loops 2")?;
    let cold = workload.command("touch cold")?;
    within(
        "major and minor faults of touching the swapped cold part",
        cold.major_faults + cold.minor_faults,
        5_000..=60_000,
    )?;
    workload.command("verify")?;
    let report = workload.finish()?;
    // 130 MiB of 4 KiB pages.
    ensure!(report.pages == (130 << 20) / page_size(), "{} pages verified", report.pages);
    Ok(())
}

pub(super) fn a_forked_child_keeps_its_swapped_pages() -> Result<()> {
    let _stage = Stage::set(40)?;
    let cgroup = Cgroup::create("test.slice/fork")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 20M --commands")?;
    workload.command("fork")?;
    // MADV_PAGEOUT leaves pages alone that two processes map; reclaim of the cgroup does not.
    cgroup.reclaim("16M")?;
    // 20 MiB are 5,120 pages, 16 MiB 4,096.
    wait_for("most of the part to be swapped out", Duration::from_secs(10), || {
        Ok(cgroup.stat("zswapped")? / page_size() > 3_000)
    })?;
    workload.command("write cold 0..2560")?;
    cgroup.reclaim("16M")?;
    workload.command("join")?;
    workload.command("verify")?;
    workload.finish().map(drop)
}

pub(super) fn freed_memory_leaves_zswap() -> Result<()> {
    let _stage = Stage::set(40)?;
    let cgroup = Cgroup::create("test.slice/free")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 1M --warm 1M --cold 20M --commands")?;
    workload.command("pageout cold")?;
    let stored = zswap::debug("stored_pages")?;
    within("pages in zswap after page out of 5,120", stored, 4_000..=5_120)?;
    workload.command("free cold")?;
    wait_for("zswap to be empty", Duration::from_secs(10), || Ok(zswap::debug("stored_pages")? == 0))?;
    workload.finish().map(drop)
}

pub(super) fn large_file_cache() -> Result<()> {
    let place = Path::new(SCRATCH_DISK);
    ensure!(place.exists(), "{SCRATCH_DISK} is missing: the guest needs a second disk for files");
    let _stage = Stage::set(40)?;
    let cgroup = Cgroup::create("test.slice/file")?;
    let arguments =
        format!("--hot 5M --warm 5M --cold 20M --file-cache 60M --file-dir {SCRATCH_DISK} --loops 4");
    let workload = Workload::spawn(&cgroup, &arguments)?;
    let file = cgroup.stat("file")?;
    // 60 MiB were written and read; the programs' own pages come on top.
    within("file bytes charged to the cgroup, MiB", file >> 20, 59..=70)?;
    let report = workload.report()?;
    let file = report.file.context("a file was asked for")?;
    // 60 MiB of 4 KiB pages, each read in each of the four loops.
    ensure!((file.pages, file.touches) == (15_360, 61_440), "file: {file:?}");
    ensure!(cgroup.stat("zswapped")? == 0, "nothing had to be swapped here");
    Ok(())
}
