//! The map against the kernel under fire: the scenarios of `bench exact` that find most for their time.

use anyhow::Result;

use crate::guest::bench::exact::demand;

pub(super) fn areas_that_come_and_go() -> Result<()> {
    demand(&["incompressible", "areas-come-and-go"])
}

pub(super) fn removed_cgroups() -> Result<()> {
    demand(&["cgroup-removed"])
}
