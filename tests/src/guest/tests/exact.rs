//! The map against the kernel under fire: the scenarios of `bench exact` that find most for their time.

use anyhow::{Result, ensure};

use crate::guest::bench::exact::demand;

pub(super) fn areas_that_come_and_go() -> Result<()> {
    demand(&["incompressible", "areas-come-and-go"]).map(drop)
}

pub(super) fn removed_cgroups() -> Result<()> {
    demand(&["cgroup-removed"]).map(drop)
}

/// Stored page by page on newer kernels, straight to the device on older ones.
pub(super) fn large_folios() -> Result<()> {
    demand(&["large-folios"]).map(drop)
}

/// With the preemption the kernel was booted with, then with full preemption.
pub(super) fn preempted_tasks() -> Result<()> {
    let skipped = demand(&["four-tasks", "four-tasks-preempted"])?;
    ensure!(skipped.runs > 0, "no run of a probe was skipped: nothing was put to the test");
    ensure!(skipped.found > 0, "no store was found after its run was skipped: that was not put to the test");
    Ok(())
}
