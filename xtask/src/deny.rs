//! What swaptier may be built with and linked to: `deny.toml` says, cargo-deny judges. Called by `check.rs`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::tools::Tool;
use crate::{paths, say};

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    says: "cargo-deny 0.20.2",
    how: &["--no-default-features"],
};
/// What is given away, and what is built and tested with it.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "ebpf/Cargo.toml"];

/// Looks at all workspaces.
///
/// # Errors
/// What cargo-deny complains about, or that it cannot be had.
pub(crate) fn check() -> Result<()> {
    let program = CARGO_DENY.get()?;
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
