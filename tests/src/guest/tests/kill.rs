//! The agent and its pump killed where most is changed: what the whole table shows is `bench kill`'s.

use anyhow::Result;

use crate::guest::bench::kill;

pub(super) fn at_the_worst_points_nothing_is_left_behind() -> Result<()> {
    kill::worst()
}

pub(super) fn the_guardian_gives_the_pool_limit_back() -> Result<()> {
    kill::guardian()
}
