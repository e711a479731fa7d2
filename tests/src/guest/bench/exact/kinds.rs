//! Kinds of page: zeroes, shared memory, large folios, what does not compress, what zswap may not have.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Watch;
use super::reading::{WRITTEN_BACK, ZERO, phys};
use crate::guest::agent::swaptier_json;
use crate::guest::kernel::vmstat;
use crate::guest::workload::Workload;

/// 4,096 pages of zeroes need slots and nothing else.
pub(super) fn zero_filled(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("zero")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 16M --zero 100 --commands")?;
    workload.command("pageout cold")?;
    watch.quiet("out", &cgroup, &[ZERO])?;
    workload.command("touch cold 0..1000")?;
    watch.quiet("touched", &cgroup, &[])?;
    workload.command("write cold 500..1500")?;
    workload.command("pageout cold")?;
    watch.quiet("rewritten", &cgroup, &[])?;
    workload.finish()?;
    watch.quiet("gone", &cgroup, &[])
}

pub(super) fn shared_memory(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("shmem")?;
    let arguments = "--hot 0 --warm 0 --cold 24M --shmem --zero 10 --raw 10 --commands";
    let mut workload = Workload::spawn(&cgroup, arguments)?;
    let base = vmstat("pswpout")?;
    workload.command("pageout cold")?;
    watch.quiet("out", &cgroup, &[ZERO, phys(base)])?;
    workload.command("touch cold 0..2000")?;
    watch.quiet("touched", &cgroup, &[])?;
    workload.command("write cold 1000..3000")?;
    workload.command("pageout cold")?;
    watch.quiet("rewritten", &cgroup, &[WRITTEN_BACK])?;
    workload.command("free cold")?;
    watch.quiet("freed", &cgroup, &[])?;
    workload.finish().map(drop)
}

/// Stored page by page, or written to the device whole, as the kernel has it.
pub(super) fn large_folios(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("thp")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 32M --thp --raw 2 --commands")?;
    ensure!(cgroup.stat("anon_thp")? > 0, "the kernel gave no large folio");
    let base = vmstat("pswpout")?;
    workload.command("pageout cold")?;
    watch.quiet("out", &cgroup, &[phys(base)])?;
    workload.command("touch cold 0..3000")?;
    watch.quiet("touched", &cgroup, &[])?;
    workload.command("write cold 1000..5000")?;
    workload.command("pageout cold")?;
    watch.quiet("rewritten", &cgroup, &[WRITTEN_BACK])?;
    workload.command("free cold")?;
    watch.quiet("freed", &cgroup, &[])?;
    workload.finish().map(drop)
}

/// Stored raw, or refused and written to the device, as the kernel has it.
pub(super) fn incompressible(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("raw")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 16M --raw 100 --commands")?;
    let base = vmstat("pswpout")?;
    workload.command("pageout cold")?;
    watch.quiet("out", &cgroup, &[phys(base)])?;
    workload.command("touch cold 0..1000")?;
    workload.command("write cold 500..2500")?;
    workload.command("pageout cold")?;
    watch.quiet("rewritten", &cgroup, &[WRITTEN_BACK])?;
    workload.finish().map(drop)
}

/// zswap is closed to this cgroup, then opened, then closed again with its pages in it.
pub(super) fn direct_writes(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("direct")?;
    cgroup.set("memory.zswap.max", "0")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 24M --zero 10 --commands")?;
    let base = vmstat("pswpout")?;
    workload.command("pageout cold 0..3000")?;
    watch.quiet("closed", &cgroup, &[phys(base), ZERO])?;
    cgroup.set("memory.zswap.max", "max")?;
    workload.command("pageout cold 3000..5000")?;
    watch.quiet("open", &cgroup, &[phys(base), ZERO])?;
    cgroup.set("memory.zswap.max", "0")?;
    workload.command("write cold 2000..4000")?;
    workload.command("pageout cold")?;
    watch.quiet("closed again", &cgroup, &[WRITTEN_BACK])?;
    workload.finish().map(drop)
}

/// Pages that zswap writes back, that come back from the device, and that are stored once more.
pub(super) fn written_back(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("back")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 24M --raw 5 --commands")?;
    let base = vmstat("pswpout")?;
    workload.command("pageout cold")?;
    std::thread::sleep(Duration::from_secs(3));
    swaptier_json(&["writeback", cgroup.path(), "--older-than", "1s", "--max", "2000", "--json"])?;
    watch.quiet("written back", &cgroup, &[WRITTEN_BACK, phys(base)])?;
    workload.command("touch cold")?;
    watch.quiet("read", &cgroup, &[WRITTEN_BACK])?;
    workload.command("write cold 0..3000")?;
    workload.command("pageout cold")?;
    watch.quiet("stored anew", &cgroup, &[WRITTEN_BACK])?;
    workload.finish().map(drop)
}
