//! `swaptier-guest`: runs inside a lab guest and compares swaptier with the kernel's own counters.
//! Only the command line lives here; booting the guest is `cargo xtask vm`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use swaptier_tests::guest::{bench, demo, host, preamble, runner};

/// The guest's side of swaptier's tests: it overwrites disks and settings, so it refuses to run anywhere else.
#[derive(Debug, Parser)]
#[command(name = "swaptier-guest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the guest tests whose name contains NAME, or all.
    Test {
        /// Part of a test's name.
        name: Option<String>,
        /// Only those for a kernel in this place among the tested ones.
        #[arg(long)]
        place: Option<runner::Place>,
        /// Only print the names.
        #[arg(long)]
        list: bool,
    },
    /// Run the tests of an installed system with systemd, before and after it boots again.
    Host {
        /// Part of a test's name; what installs runs in any case.
        name: Option<String>,
    },
    /// Measure something.
    Bench {
        /// What: `areas`, `cost`, `exact`, `faces`, `kill`, `selftests`, `ugly`, `value`, `writeback`.
        name: String,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        /// Only this dialect of write-back, or contender of `value`; may be repeated.
        #[arg(long)]
        dialect: Vec<String>,
        /// How long `areas` overcommits memory (300 without), and a turn of `value` is measured (30).
        #[arg(long)]
        seconds: Option<u64>,
        /// Only this scenario of `areas`, `exact`, `ugly` or `value`, variant of `cost`, or fault point of `kill`; may be repeated.
        #[arg(long)]
        only: Vec<String>,
    },
    /// Show a policy writing back exactly one cgroup's cold pages.
    Demo {
        /// The live part lasts at most so long.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(10..=3600))]
        seconds: u64,
        /// Draw the live block over itself: for terminals.
        #[arg(long)]
        redraw: bool,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("swaptier-guest: {error:#}");
            // 4: this machine or guest cannot do it, which is no verdict about the tests.
            let is_nowhere = preamble::require_guest().is_err() && preamble::require_host().is_err();
            ExitCode::from(if is_nowhere { 4 } else { 1 })
        }
    }
}

fn run(command: &Command) -> Result<bool> {
    match command {
        Command::Test { list: true, .. } => {
            runner::names().for_each(|name| println!("{name}"));
            Ok(true)
        }
        Command::Bench { name, json, dialect, seconds, only } => {
            let (dialects, only) = (dialect.clone(), only.clone());
            bench::run(name, &bench::Options { json: *json, dialects, seconds: *seconds, only })
        }
        Command::Demo { seconds, redraw } => {
            let options = demo::Options { limit: Duration::from_secs(*seconds), redraw: *redraw };
            demo::run(options).map(|broken| broken.is_empty())
        }
        Command::Host { name } => host::run(name.as_deref()),
        Command::Test { name, place, .. } => runner::run(name.as_deref(), *place),
    }
}
