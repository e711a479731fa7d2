//! Processes and cgroups that end while their pages are in swap, share them, or read more of them than they asked for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::reading::{WRITTEN_BACK, phys, read};
use super::{SLICE, Watch};
use crate::guest::agent::swaptier_json;
use crate::guest::cgroup::{Cgroup, ROOT};
use crate::guest::kernel::{self, vmstat};
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

const MIXED: &str = "--hot 0 --warm 0 --cold 24M --zero 10 --raw 5 --commands";
const SHARED: &str = "--hot 0 --warm 0 --cold 16M --shmem --zero 10 --commands";

/// Killed with pages in zswap, on the device and nowhere.
pub(super) fn process_exit(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("exit")?;
    let mut workload = Workload::spawn(&cgroup, MIXED)?;
    workload.command("pageout cold 0..3000")?;
    cgroup.set("memory.zswap.max", "0")?;
    workload.command("pageout cold")?;
    workload.command("touch cold 2500..3500")?;
    watch.quiet("in swap", &cgroup, &[WRITTEN_BACK])?;
    drop(workload);
    watch.quiet("killed", &cgroup, &[])?;
    ensure!(cgroup.get("memory.swap.current")? == "0", "slots stay after the last process");
    Ok(())
}

/// Slots that two processes refer to; one of them writes.
pub(super) fn fork_shared(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("fork")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 20M --raw 5 --commands")?;
    workload.command("fork")?;
    // MADV_PAGEOUT leaves pages alone that two processes map; reclaim of the cgroup does not.
    cgroup.reclaim("16M")?;
    watch.quiet("shared", &cgroup, &[WRITTEN_BACK])?;
    workload.command("write cold 0..2560")?;
    cgroup.reclaim("16M")?;
    watch.quiet("one wrote", &cgroup, &[WRITTEN_BACK])?;
    workload.command("join")?;
    watch.quiet("one left", &cgroup, &[WRITTEN_BACK])?;
    workload.finish().map(drop)
}

/// Faults that bring in their neighbours, from the device and from zswap.
pub(super) fn readahead(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("ahead")?;
    cgroup.set("memory.zswap.max", "0")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 0 --warm 0 --cold 24M --commands")?;
    let (out, back, ahead) = (vmstat("pswpout")?, vmstat("pswpin")?, vmstat("swap_ra")?);
    workload.command("pageout cold 0..3000")?;
    cgroup.set("memory.zswap.max", "max")?;
    workload.command("pageout cold 3000..6000")?;
    watch.quiet("out", &cgroup, &[phys(out)])?;
    // What was written is still in the swap cache: without this nothing would be read.
    cgroup.reclaim("24M")?;
    workload.command("touch cold 0..1500")?;
    workload.command("touch cold 3000..4500")?;
    watch.quiet("half read", &cgroup, &[read(back)])?;
    ensure!(vmstat("swap_ra")? > ahead, "the kernel read nothing ahead");
    ensure!(vmstat("pswpin")? > back, "the kernel read nothing from the device");
    workload.command("pageout cold")?;
    watch.quiet("out again", &cgroup, &[read(back)])?;
    workload.finish().map(drop)
}

/// The process moves out, the cgroup goes, its pages stay in swap.
pub(super) fn cgroup_removed(watch: &mut Watch) -> Result<()> {
    let heir = watch.cgroup("heir")?;
    let gone = watch.cgroup("gone")?;
    let mut workload = Workload::spawn(&gone, SHARED)?;
    let mut private = Workload::spawn(&gone, MIXED)?;
    workload.command("pageout cold")?;
    private.command("pageout cold")?;
    watch.quiet("before", &gone, &[WRITTEN_BACK])?;
    move_to(&heir, &workload)?;
    move_to(&heir, &private)?;
    drop(gone);
    watch.quiet_slice("removed")?;
    workload.command("touch cold 0..2000")?;
    private.command("touch cold 0..2000")?;
    watch.quiet_slice("touched from elsewhere")?;
    workload.command("write cold 1000..3000")?;
    private.command("write cold 1000..3000")?;
    workload.command("pageout cold")?;
    private.command("pageout cold")?;
    watch.quiet_slice("out from elsewhere")?;
    watch.quiet_in_zswap("heir", &heir, &[WRITTEN_BACK])?;
    // The same path, another cgroup.
    let again = watch.cgroup("gone")?;
    let mut other = Workload::spawn(&again, MIXED)?;
    other.command("pageout cold")?;
    watch.quiet("another of the same path", &again, &[WRITTEN_BACK])?;
    watch.quiet_slice("beside the other")?;
    private.finish()?;
    workload.finish()?;
    watch.quiet_slice("its pages freed")?;
    other.finish().map(drop)
}

/// A cgroup goes with everything it had: the kernel gives its number to the next one.
pub(super) fn cgroup_index_reused(watch: &mut Watch) -> Result<()> {
    for name in ["first", "second", "third"] {
        let cgroup = watch.cgroup(name)?;
        let mut workload = Workload::spawn(&cgroup, MIXED)?;
        workload.command("pageout cold")?;
        std::thread::sleep(Duration::from_secs(2));
        swaptier_json(&["writeback", cgroup.path(), "--older-than", "1s", "--max", "500", "--json"])?;
        watch.quiet(name, &cgroup, &[WRITTEN_BACK])?;
        drop(workload);
        drop(cgroup);
        gone_is_gone()?;
    }
    watch.quiet_slice("all gone")
}

/// Waits until the kernel has let go of removed cgroups below the slice (dying ones are freed in the background).
fn gone_is_gone() -> Result<()> {
    let path = Path::new(ROOT).join(SLICE).join("cgroup.stat");
    wait_for("removed cgroups to be freed", Duration::from_secs(20), || {
        Ok(kernel::stat(&path, "nr_dying_descendants")? == 0)
    })
    // A page of the dead program in the page cache keeps its cgroup: that is another number then, no failure.
    .or(Ok(()))
}

/// Moves the process; what it has charged stays where it is.
fn move_to(cgroup: &Cgroup, workload: &Workload) -> Result<()> {
    cgroup.set("cgroup.procs", &workload.id().to_string())
}
