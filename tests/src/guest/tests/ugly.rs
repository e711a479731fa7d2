//! Write-back where it is not easy, by the scenarios that tell most in little time: all of them are `bench ugly`'s.

use anyhow::Result;

use crate::guest::bench::ugly;

/// Memory in RAM stays, children with a valve or a policy of their own keep their pages, and fewer candidates than
/// asked are an end.
pub(super) fn a_round_takes_only_what_it_may() -> Result<()> {
    ugly::demand(&["hot-anon", "non-leaf", "too-few"])
}

pub(super) fn a_failing_disk_loses_nothing() -> Result<()> {
    ugly::demand(&["failing-disk"])
}
