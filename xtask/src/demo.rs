//! `cargo xtask demo`: one guest that shows swaptier at work. What is shown, and whether it is as claimed,
//! is `swaptier-guest demo`'s business (`tests/`); here its screen is passed on and its verdict becomes ours.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::guest::Guest;
use crate::{binaries, kernel::NEWEST, setup, vm};

/// The demo is made to take three minutes; more than this is a hang.
const LIMIT: Duration = Duration::from_secs(600);

/// Shows swaptier at work on a real kernel, live, and proves it with the kernel's own counters.
#[derive(Args)]
pub(crate) struct Demo {
    /// Kernel series.
    #[arg(long, default_value = NEWEST)]
    kernel: String,
    /// Arguments for `swaptier-guest demo`.
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs the task and returns the process's exit code: 0 only when the guest says that all was as claimed.
pub(crate) fn run(args: Demo) -> Result<u8> {
    setup::run()?;
    let mut command = vec!["swaptier-guest".to_owned(), "demo".to_owned()];
    command.extend(args.args);
    let guest =
        Guest { command, programs: binaries::build()?, limit: LIMIT, ..Guest::with_disks(&args.kernel) };
    Ok(vm::exit_code(&guest.run(vm::to_stdout)?))
}
