//! Builds the programs that run inside the guests: static, release, in their own target folder.
//! Only those that the workspace has now. Called by `guest/` users: vm, test, demo, bench.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{paths, say};

/// The target whose C library can be linked statically; also makes cargo leave build scripts alone.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The programs of a guest.
const NAMES: [&str; 3] = ["swaptier", "swaptier-workload", "swaptier-guest"];

/// Builds what exists and returns the files.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    let names = existing()?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    say::step(&format!("building for the guest: {}", names.join(", ")));
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(["build", "--release", "--quiet", "--target", TARGET]);
    cargo.arg("--target-dir").arg(paths::guest_target());
    for name in &names {
        cargo.args(["--bin", name]);
    }
    // Names for a backtrace are enough in there: a guest's memory holds its programs. Link-time optimisation would
    // double the wait for each try.
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo").env("CARGO_PROFILE_RELEASE_LTO", "off");
    say::patiently("compiling", || say::show("building the guest's programs", &mut cargo))?;
    Ok(built())
}

/// The files of earlier builds, whatever their age.
pub(crate) fn built() -> Vec<PathBuf> {
    let dir = paths::guest_target().join(TARGET).join("release");
    NAMES.iter().map(|name| dir.join(name)).filter(|path| path.is_file()).collect()
}

/// Which of the programs the workspace defines.
fn existing() -> Result<Vec<&'static str>> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(["metadata", "--no-deps", "--format-version", "1", "--quiet"]);
    let metadata: Value = serde_json::from_str(&say::capture("cargo metadata", &mut cargo)?)
        .context("parsing cargo metadata")?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let binaries: Vec<&str> = targets
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str())
        .collect();
    Ok(NAMES.into_iter().filter(|name| binaries.contains(name)).collect())
}
