//! swaptier's own tasks, as `cargo xtask TASK` or `./x TASK`. This file only reads the command line and hands over.
//! Nothing of it is needed to build or run swaptier.

mod apt;
mod bench;
mod binaries;
mod busybox;
mod check;
mod debian;
mod demo;
mod deny;
mod ebpf;
mod failures;
mod fuzz;
mod guest;
mod installed;
mod kernel;
mod lines;
mod package;
mod paths;
mod promtool;
mod say;
mod setup;
mod size;
#[cfg(test)]
mod tidy;
mod tmux;
mod tools;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// swaptier's own tasks: set-up, guests, tests, demo, benchmarks.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Finds what this machine lacks for the lab and installs it.
    Setup,
    /// Builds the probes from source into the object that is part of the repository.
    Ebpf(ebpf::Ebpf),
    /// Boots a Debian kernel in QEMU and runs a command in it.
    Vm(vm::Vm),
    /// Runs all tests, on this machine and in guests.
    Test(check::Test),
    /// Shows swaptier at work in a guest.
    Demo(demo::Demo),
    /// Measures something in guests.
    Bench(bench::Bench),
    /// Makes a Debian package in `target/package`.
    Package,
    /// Counts lines of Rust by room, and packages that are linked.
    Size,
    /// Feeds hostile input to all that reads text from outside, and keeps what reaches new code.
    Fuzz(fuzz::Fuzz),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<u8> {
    match task {
        Task::Setup => setup::run().map(|()| {
            say::step("set-up: everything is there");
            0
        }),
        Task::Ebpf(args) => ebpf::run(&args).map(|()| 0),
        Task::Vm(args) => vm::run(args),
        Task::Test(args) => check::run(&args),
        Task::Demo(args) => demo::run(args),
        Task::Bench(args) => bench::run(&args),
        Task::Package => package::run().map(|()| 0),
        Task::Size => size::run().map(|()| 0),
        Task::Fuzz(args) => fuzz::run(&args),
    }
}
