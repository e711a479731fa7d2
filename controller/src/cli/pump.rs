//! `swaptier pump`: the write-back pump, started by the agent and by nobody else.

use super::exit::{Exit, Result};
use crate::{
    act::writeback::{pins, pump},
    root::Root,
};

pub(super) fn run(root: &Root) -> Result {
    pump::run(root, &pins(root))?;
    Ok(Exit::Done)
}
