//! `swaptier restore`.

use super::exit::{Exit, Result};
use crate::root::Root;

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only says what would be done
    #[arg(long)]
    dry_run: bool,
    /// Skips damaged lines of the undo log
    #[arg(long)]
    force: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_root: &Root, _args: &Args) -> Result {
    Ok(Exit::Done)
}
