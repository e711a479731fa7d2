//! `swaptier completions` and `swaptier man`: both are made from the command line's own definition.

use std::io;

use clap::Command;

use super::exit::{Exit, Result};

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints what the shell completes the command line by.
pub(super) fn completions(command: &mut Command, args: &CompletionArgs) -> Result {
    clap_complete::generate(args.shell, command, "swaptier", &mut io::stdout());
    Ok(Exit::Done)
}

/// Prints the manual page, in roff.
pub(super) fn man(command: Command) -> Result {
    clap_mangen::Man::new(command).render(&mut io::stdout())?;
    Ok(Exit::Done)
}
