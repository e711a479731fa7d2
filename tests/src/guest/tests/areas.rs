//! Swap areas of swaptier, by the scenarios of `bench areas` that tell most in little time.

use anyhow::Result;

use crate::guest::bench::areas;

pub(super) fn a_ghost_holds_pages_and_nothing_is_written() -> Result<()> {
    areas::demand("ghost")
}

pub(super) fn a_virtual_area_takes_blocks_for_written_pages_only() -> Result<()> {
    areas::demand("virtual")
}

pub(super) fn a_killed_command_is_finished_by_the_next() -> Result<()> {
    areas::demand("kill-worst")
}

pub(super) fn a_pools_marks_are_acted_on_in_order() -> Result<()> {
    areas::demand("steps")
}

pub(super) fn a_pool_without_room_for_its_notes_loses_nothing() -> Result<()> {
    areas::demand("metadata")
}
