//! `swaptier doctor`.

use super::exit::{Exit, Result};
use crate::root::Root;

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_root: &Root, _args: &Args) -> Result {
    Ok(Exit::Done)
}
