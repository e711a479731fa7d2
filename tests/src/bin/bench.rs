//! `swaptier-bench`: measures swaptier's own code on this machine, without a kernel of its own, without root, and
//! without changing anything. Only the command line lives here; `cargo xtask bench` builds and runs it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use swaptier_tests::bench::{footprint, record, scan, screen, top};

/// What swaptier costs a machine.
#[derive(Debug, Parser)]
#[command(name = "swaptier-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How fast the shadow map is walked, beside how fast the memory it lies in can be read.
    Scan(scan::Options),
    /// What a tick costs, beside reading the same files and doing nothing with them.
    Footprint(footprint::Options),
    /// What a recording costs on disk and in time.
    Record(record::Options),
    /// What the screen costs: from a key to its frame, and a second without keys.
    Top(top::Options),
    /// The screen that `top` measures, in a process of its own.
    #[command(hide = true)]
    TopScreen(screen::Place),
    /// One row of `footprint`, in a process of its own.
    #[command(hide = true)]
    FootprintRow(footprint::Size),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("swaptier-bench: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(command: &Command) -> Result<bool> {
    match command {
        Command::Scan(options) => scan::run(options),
        Command::Footprint(options) => footprint::run(options),
        Command::Record(options) => record::run(options),
        Command::Top(options) => top::run(options),
        Command::TopScreen(place) => screen::child(place),
        Command::FootprintRow(size) => footprint::row(*size),
    }
}
