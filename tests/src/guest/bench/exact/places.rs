//! Where pages go changes under them: zswap switched off and on, swap areas that come, fill up and go.

use std::path::Path;

use anyhow::{Result, ensure};

use super::Watch;
use super::reading::{WRITTEN_BACK, ZERO, phys};
use crate::guest::kernel::vmstat;
use crate::guest::preamble::SECOND_SWAP_DISK;
use crate::guest::swap::SwapArea;
use crate::guest::workload::Workload;
use crate::guest::zswap;

const MIXED: &str = "--hot 0 --warm 0 --cold 24M --zero 10 --raw 5 --commands";

/// Above and below that of the area that is always there (10).
const ABOVE: u16 = 20;
const BELOW: u16 = 5;

pub(super) fn zswap_off_and_on(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("switch")?;
    let mut workload = Workload::spawn(&cgroup, MIXED)?;
    let base = vmstat("pswpout")?;
    workload.command("pageout cold 0..3000")?;
    watch.quiet("on", &cgroup, &[phys(base), ZERO])?;
    zswap::set("enabled", "N")?;
    let off = (|| {
        workload.command("pageout cold 3000..5000")?;
        watch.quiet("off", &cgroup, &[phys(base), ZERO])?;
        // Loaded from a zswap that takes no more, and written past it.
        workload.command("touch cold 0..1000")?;
        workload.command("write cold 500..1500")?;
        workload.command("pageout cold 0..3000")?;
        watch.quiet("off, rewritten", &cgroup, &[WRITTEN_BACK])
    })();
    zswap::set("enabled", "Y")?;
    off?;
    workload.command("write cold 0..4000")?;
    workload.command("pageout cold")?;
    watch.quiet("on again", &cgroup, &[WRITTEN_BACK])?;
    workload.finish().map(drop)
}

/// An area that is preferred comes, is used, goes while it is used, and comes back smaller, with the same number.
pub(super) fn areas_come_and_go(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("areas")?;
    let mut workload = Workload::spawn(&cgroup, MIXED)?;
    workload.command("pageout cold 0..1000")?;
    watch.is_spare_in_use = true;
    let area = SwapArea::set_up(Path::new(SECOND_SWAP_DISK), None, ABOVE)?;
    workload.command("pageout cold 1000..6000")?;
    ensure!(area.used()? > 0, "the second area was not used");
    watch.quiet("came", &cgroup, &[ZERO])?;
    drop(area);
    watch.is_spare_in_use = false;
    watch.quiet("went", &cgroup, &[WRITTEN_BACK])?;
    watch.is_spare_in_use = true;
    let area = SwapArea::set_up(Path::new(SECOND_SWAP_DISK), Some(5_000), ABOVE)?;
    workload.command("write cold 1000..6000")?;
    workload.command("pageout cold")?;
    watch.quiet("came back smaller", &cgroup, &[WRITTEN_BACK])?;
    workload.command("touch cold 0..3000")?;
    drop(area);
    watch.is_spare_in_use = false;
    watch.quiet("went again", &cgroup, &[WRITTEN_BACK])?;
    workload.finish().map(drop)
}

/// A small area in front fills up and the pages go on to the next; then one behind.
pub(super) fn area_priorities(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("priorities")?;
    let mut workload = Workload::spawn(&cgroup, MIXED)?;
    watch.is_spare_in_use = true;
    // One page is the header: 1,023 slots.
    let area = SwapArea::set_up(Path::new(SECOND_SWAP_DISK), Some(1_024), ABOVE)?;
    let base = vmstat("pswpout")?;
    workload.command("pageout cold")?;
    ensure!(area.used()? > 900 << 12, "the area in front was not filled: {} bytes", area.used()?);
    watch.quiet("full", &cgroup, &[phys(base), ZERO])?;
    workload.command("touch cold 0..3000")?;
    workload.command("write cold 1000..4000")?;
    workload.command("pageout cold")?;
    watch.quiet("full again", &cgroup, &[WRITTEN_BACK])?;
    drop(area);
    let area = SwapArea::set_up(Path::new(SECOND_SWAP_DISK), None, BELOW)?;
    workload.command("write cold")?;
    workload.command("pageout cold")?;
    watch.quiet("behind", &cgroup, &[WRITTEN_BACK])?;
    workload.finish()?;
    drop(area);
    watch.is_spare_in_use = false;
    watch.quiet("gone", &cgroup, &[])
}
