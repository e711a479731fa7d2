//! The map against the kernel under fire: the scenarios of `bench exact` that find most for their time.

use anyhow::Result;

use crate::guest::bench::exact::demand;

pub(super) fn every_kind_of_page() -> Result<()> {
    demand(&["zero-filled", "large-folios", "incompressible", "direct-writes"])
}

pub(super) fn removed_cgroups() -> Result<()> {
    demand(&["cgroup-removed"])
}

pub(super) fn areas_that_come_and_go() -> Result<()> {
    demand(&["areas-come-and-go"])
}

pub(super) fn four_tasks_at_once() -> Result<()> {
    demand(&["four-tasks"])
}
