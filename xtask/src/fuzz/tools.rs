//! What fuzzing needs: a nightly compiler, a C++ compiler for libFuzzer, and cargo-fuzz, built into `target/lab/tools`.
//! Called by `fuzz/mod.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::workspace;
use crate::{paths, say, setup};

/// The version of cargo-fuzz that this was written for.
const CARGO_FUZZ: &str = "0.13.2";

/// Builds these targets, each with the address sanitizer, overflow checks and debug assertions, and says where they are.
///
/// # Errors
/// A tool is missing and may not be installed from here, or the build fails.
pub(super) fn build(targets: &[String]) -> Result<Vec<PathBuf>> {
    let nightly = nightly()?;
    if setup::program("c++").is_err() {
        setup::install(&["g++"])?;
    }
    let tool = cargo_fuzz()?;
    let folder = paths::root().join("target/fuzz");
    let triple = triple(&nightly)?;
    say::step(&format!("building {} fuzz targets with {nightly}", targets.len()));
    for target in targets {
        let mut cargo = Command::new(&tool);
        cargo.args(["build", target, "--sanitizer", "address", "--target", &triple, "--fuzz-dir", "."]);
        cargo.arg("--target-dir").arg(&folder).current_dir(workspace());
        // We run under another cargo, whose choices are not this one's.
        for name in ["CARGO", "RUSTC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        say::run(&format!("building {target}"), cargo.env("RUSTUP_TOOLCHAIN", &nightly))?;
    }
    let built = folder.join(triple).join("release");
    Ok(targets.iter().map(|target| built.join(target)).collect())
}

/// The name of an installed nightly toolchain.
fn nightly() -> Result<String> {
    let how = "libFuzzer's instrumentation is for nightly compilers only. Please install one, then try again:\n\n    \
               rustup toolchain install nightly --profile minimal\n";
    let listed = say::capture("asking rustup", Command::new("rustup").args(["toolchain", "list"]));
    let listed = listed.with_context(|| how.to_owned())?;
    match listed.split_whitespace().find(|word| word.starts_with("nightly")) {
        Some(name) => Ok(name.to_owned()),
        None => bail!("{how}"),
    }
}

/// What the toolchain builds for by itself.
fn triple(toolchain: &str) -> Result<String> {
    let shown =
        say::capture("asking rustc", Command::new("rustup").args(["run", toolchain, "rustc", "-vV"]))?;
    let host = shown.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// cargo-fuzz, installed if need be.
fn cargo_fuzz() -> Result<PathBuf> {
    let home = paths::lab().join("tools");
    let tool = home.join("bin/cargo-fuzz");
    if !is_current(&tool) {
        say::step(&format!("building cargo-fuzz {CARGO_FUZZ} (about a minute)"));
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "cargo-fuzz", "--locked", "--force", "--version", CARGO_FUZZ, "--root"]);
        cargo.arg(&home).arg("--target-dir").arg(home.join("build")).env_remove("RUSTFLAGS");
        say::run("building cargo-fuzz", &mut cargo)?;
    }
    Ok(tool)
}

fn is_current(tool: &Path) -> bool {
    let said = Command::new(tool).arg("--version").output();
    said.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(CARGO_FUZZ))
}
