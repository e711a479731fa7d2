//! promtool, the judge of metrics and alert rules: the machine's own, or Debian's unpacked under `target/lab`. Its
//! package brings a server that nobody here wants, so it is not installed. Called by `check.rs`.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::{self, Archive, Suite};
use crate::{paths, say, setup};

/// Which suite's promtool is fetched.
const SUITE: Suite = Suite { name: "bookworm", archive: Archive::Debian };
/// The metrics of an agent that knows everything, as `controller/tests/metrics.rs` holds them.
const METRICS: &str = "tests/metrics/full.prom";
/// The shipped alert rules.
const RULES: &str = "packaging/prometheus/alerts.yml";

/// Checks the metrics and the rules.
///
/// # Errors
/// What promtool complains about, or that it cannot be had.
pub(crate) fn check() -> Result<()> {
    let promtool = get()?;
    let root = paths::root();
    let metrics = File::open(root.join(METRICS)).with_context(|| format!("opening {METRICS}"))?;
    let output = Command::new(&promtool).args(["check", "metrics"]).stdin(metrics).output();
    let output = output.with_context(|| format!("starting {}", promtool.display()))?;
    let complaint = [output.stdout, output.stderr].concat();
    let complaint = String::from_utf8_lossy(&complaint).into_owned();
    // It ends with 0 over some kinds of lint, which it prints all the same.
    ensure!(output.status.success() && complaint.trim().is_empty(), "promtool check metrics:\n{complaint}");
    say::note("promtool check metrics: nothing to complain of");
    let rules = say::capture(
        "promtool check rules",
        Command::new(&promtool).args(["check", "rules"]).arg(root.join(RULES)),
    )?;
    say::note(rules.trim().lines().last().unwrap_or_default().trim());
    Ok(())
}

fn get() -> Result<PathBuf> {
    if let Ok(own) = setup::program("promtool") {
        return Ok(own);
    }
    let dir = apt::tree("promtool", SUITE, |apt| Ok(vec![apt.newest("prometheus")?]))?;
    let program = dir.join("usr/bin/promtool");
    ensure!(program.is_file(), "{} holds no promtool; please delete that folder", dir.display());
    Ok(program)
}
