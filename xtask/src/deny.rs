//! What swaptier may be built with and linked to: `deny.toml` says, cargo-deny judges. The machine's own is taken if it is of
//! this version, or one is built under `target/lab`. Called by `check.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, say};

const VERSION: &str = "0.20.2";
/// What is given away, and what is built and tested with it.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "ebpf/Cargo.toml"];

/// Looks at all workspaces.
///
/// # Errors
/// What cargo-deny complains about, or that it cannot be had.
pub(crate) fn check() -> Result<()> {
    let program = get()?;
    for manifest in WORKSPACES {
        let mut deny = Command::new(&program);
        deny.current_dir(paths::root());
        deny.args(["--manifest-path", manifest, "--config", "deny.toml", "--workspace", "--locked"]);
        deny.args(["--log-level", "error", "check", "licenses", "bans", "sources"]);
        say::run(&format!("cargo deny for {manifest}"), &mut deny)
            .context("deny.toml says what is allowed, and what a duplicate needs: a reason")?;
    }
    Ok(())
}

fn get() -> Result<PathBuf> {
    if is_ours(Path::new("cargo-deny")) {
        return Ok("cargo-deny".into());
    }
    let _lock = paths::lock("cargo-deny")?;
    let tools = paths::lab().join(format!("tools/cargo-deny-{VERSION}"));
    let program = tools.join("bin/cargo-deny");
    if !is_ours(&program) {
        say::step(&format!("building cargo-deny {VERSION} (a minute, once)"));
        let mut cargo = Command::new("cargo");
        // It looks for a second: what optimizing takes is not won back.
        cargo.args(["install", "cargo-deny", "--debug", "--locked", "--version", VERSION]);
        cargo.arg("--no-default-features");
        cargo.arg("--root").arg(&tools).arg("--target-dir").arg(paths::lab().join("tools/build"));
        say::run("building cargo-deny", cargo.env_remove("RUSTFLAGS"))?;
    }
    Ok(program)
}

fn is_ours(program: &Path) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == format!("cargo-deny {VERSION}").as_bytes())
}
