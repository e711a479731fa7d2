//! Measurements of swaptier's own code on this machine: no guest, no root, nothing changed. What is measured is
//! `swaptier-bench`'s business (`tests/`); here it is built and started.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Bench;
use crate::{paths, say};

/// What is measured here and not in a guest.
pub(super) const NAMES: [&str; 4] = ["scan", "footprint", "record", "top"];

/// Runs the measurement and returns its exit code.
pub(super) fn run(args: &Bench) -> Result<u8> {
    if !args.kernel.is_empty() {
        bail!("`bench {}` runs on this machine: it takes no --kernel", args.name);
    }
    let program = paths::root().join("target/release/swaptier-bench");
    if !args.no_build {
        say::step("building swaptier-bench");
        let mut cargo = Command::new("cargo");
        cargo.current_dir(paths::root()).args(["build", "--release", "--quiet"]);
        cargo.args(["--package", "swaptier-tests"]);
        cargo.args(["--features", "bench", "--bin", "swaptier-bench"]);
        cargo.arg("--target-dir").arg(paths::root().join("target"));
        say::patiently("compiling", || say::show("building swaptier-bench", &mut cargo))?;
    }
    let mut bench = Command::new(&program);
    bench.arg(&args.name).args(args.json.then_some("--json")).args(&args.args);
    let status = bench.status().with_context(|| format!("starting {}", program.display()))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
