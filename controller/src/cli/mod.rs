//! The command line: what each command is called and takes. One file for each command does the rest.
//!
//! Commands that read take `--json`, commands that act take `--dry-run`. Nothing is decided here.

mod agent;
mod areas;
mod cgroup;
mod check;
mod compressor;
mod doctor;

mod explain;
mod manual;
mod metrics;
mod model;
mod output;
mod pump;
mod record;
mod replay;
mod restore;
mod settings;
mod status;
mod top;
mod way;
mod writeback;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{exit, root::Root};

/// Swap tiers per cgroup for stock Linux kernels
#[derive(Debug, Parser)]
#[command(name = "swaptier", version, arg_required_else_help = true)]
pub struct Cli {
    /// Folder that stands for `/`: every access to /proc, /sys, /etc, /run and /var/lib goes below it
    #[arg(long, global = true, value_name = "DIR", default_value = "/", env = "SWAPTIER_ROOT")]
    pub root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the agent: senses, decides by policy, acts, until it is told to stop
    Agent(agent::Args),
    /// Shows what is in swap, whose it is, how old, and what the agent did last
    Status(status::Args),
    /// The same on a screen that keeps up, with what moves and why; and asks the agent to act
    Top(top::Args),
    /// Prints the agent's metrics as OpenMetrics
    Metrics(metrics::Args),
    /// Shows which policy a cgroup has and why, what it wants, and what is held back
    Explain(explain::Args),
    /// Checks policy files without using them
    Check(check::Args),
    /// Shows what this host can do, and what to change where it cannot
    Doctor(doctor::Args),
    /// Writes back pages of a cgroup from zswap to the disk, now
    Writeback(writeback::Args),
    /// Has the agent read its policies anew
    Reload(way::Reload),
    /// Closes the way to disk of a cgroup until it is opened again: no round, and nothing that zswap refuses
    Close(way::Way),
    /// Opens the way to disk of a cgroup that was closed by `close`
    Open(way::Way),
    /// Records what the agent sees, decides and does, to be looked at and decided again
    Record(record::Args),
    /// Decides a recording again, by the same policies or by others
    Replay(replay::Args),
    /// Makes and removes swap areas without storage
    #[command(subcommand)]
    Ghost(areas::Ghost),
    /// Makes, grows, moves and removes swap areas far larger than their disk
    #[command(subcommand)]
    Vswap(areas::Vswap),
    /// Prices the designs of swap that kernel developers discuss, for the slots this host has in use
    Model(model::Args),
    /// Gives back every value the agent changed
    Restore(restore::Args),
    /// Prints completions for a shell
    Completions(manual::CompletionArgs),
    /// Prints the manual page
    Man,
    #[command(hide = true)]
    Pump(pump::Args),
}

/// Reads the command line, runs the command, prints its error, returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("swaptier: {}", failure.text());
            failure.exit.into()
        }
    }
}

/// Runs a command line: what it prints, and how it ends.
#[cfg(test)]
pub(crate) fn said(line: &[String]) -> (String, exit::Result) {
    output::heard::during(|| {
        run(Cli::try_parse_from(line).map_err(|error| exit::Failure::new(exit::Exit::Usage, error))?)
    })
}

fn run(cli: Cli) -> exit::Result {
    let root = Root::at(&cli.root)?;
    match cli.command {
        Command::Agent(args) => agent::run(&root, &args),
        Command::Status(args) => status::run(&root, &args),
        Command::Metrics(args) => metrics::run(&root, &args),
        Command::Top(args) => top::run(root, &args),
        Command::Explain(args) => explain::run(&root, &args),
        Command::Check(args) => check::run(&root, &args),
        Command::Doctor(args) => doctor::run(&root, &args),
        Command::Writeback(args) => writeback::run(&root, &args),
        Command::Reload(args) => way::reload(&root, &args),
        Command::Close(args) => way::close(&root, &args),
        Command::Open(args) => way::open(&root, &args),
        Command::Record(args) => record::run(&root, &args),
        Command::Replay(args) => replay::run(&args),
        Command::Ghost(command) => areas::ghost(&root, &command),
        Command::Vswap(command) => areas::vswap(&root, &command),
        Command::Model(args) => model::run(&root, &args),
        Command::Restore(args) => restore::run(&root, &args),
        Command::Completions(args) => manual::completions(&mut Cli::command(), &args),
        Command::Man => manual::man(Cli::command()),
        Command::Pump(args) => pump::run(&root, &args),
    }
}
