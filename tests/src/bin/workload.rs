//! `swaptier-workload`: the door to [`swaptier_tests::workload`]; nothing but arguments and the exit code.

use std::process::ExitCode;

use clap::Parser;
use swaptier_tests::workload::{self, Args};

fn main() -> ExitCode {
    let args = Args::parse();
    match workload::run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if error.is::<workload::Nonsense>() => {
            eprintln!("swaptier-workload: {error:#}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("swaptier-workload: {error:#}");
            ExitCode::from(1)
        }
    }
}
