//! `swaptier pump`: the write-back pump, started by the agent and by nobody else.

use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::exit::{Exit, Result};
use crate::{
    act::writeback::{pins, pump},
    root::Root,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The descriptor of the memory it shares with the agent
    #[arg(long, hide = true)]
    beat: Option<i32>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    // SAFETY: the agent that started this process has left it the descriptor, and nothing else here knows of it.
    let beat = args.beat.filter(|number| *number > 2).map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    pump::run(root, &pins(root), beat)?;
    Ok(Exit::Done)
}
