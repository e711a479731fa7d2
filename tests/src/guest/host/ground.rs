//! What an operator types and reads: shell lines, units, the journal, swap areas by their names.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::guest::kernel;
use crate::guest::wait::wait_for;

/// The service.
pub(super) const UNIT: &str = "swaptier.service";
/// Its settings.
pub(super) const SETTINGS: &str = "/etc/swaptier/swaptier.toml";
/// How long a start may take under emulation.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a shell's line ended with, and all it said.
pub(super) fn attempt(line: &str) -> Result<(i32, String)> {
    let output = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running `{line}`"))?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok((output.status.code().unwrap_or(-1), said.concat().trim().to_owned()))
}

/// The same, which must end well.
pub(super) fn run(line: &str) -> Result<String> {
    let (code, said) = attempt(line)?;
    if code != 0 {
        bail!("`{line}` ended with {code}: {said}");
    }
    Ok(said)
}

/// A property of the service.
pub(super) fn property(name: &str) -> Result<String> {
    run(&format!("systemctl show --value --property {name} {UNIT}"))
}

/// Waits until the service is up; with its log when it does not come.
pub(super) fn await_active() -> Result<()> {
    wait_for("the service to be active", PATIENCE, || Ok(property("ActiveState")? == "active"))
        .with_context(|| tail(&Mark::default()))
}

/// A verb of `systemctl` on the service, after which it must be up.
pub(super) fn systemctl(verb: &str) -> Result<()> {
    let mark = Mark::now()?;
    run(&format!("systemctl {verb} {UNIT}")).with_context(|| format!("its log:\n{}", tail(&mark)))?;
    await_active()
}

/// A place in the journal.
#[derive(Debug, Default)]
pub(super) struct Mark(String);

impl Mark {
    /// Its end.
    pub(super) fn now() -> Result<Mark> {
        let last = run("journalctl --sync; journalctl -n 0 --show-cursor --quiet")?;
        let cursor = last.rsplit_once("cursor: ").map(|(_, cursor)| cursor.trim().to_owned());
        Ok(Mark(cursor.with_context(|| format!("no cursor in `{last}`"))?))
    }
}

/// The end of that, for a message.
fn tail(since: &Mark) -> String {
    let all = log(since).unwrap_or_default();
    let lines: Vec<&str> = all.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// What the service said since: messages alone, as `journalctl -u` shows them.
pub(super) fn log(since: &Mark) -> Result<String> {
    let after = if since.0.is_empty() { String::new() } else { format!("--after-cursor '{}'", since.0) };
    run(&format!("journalctl --sync; journalctl --quiet --output cat --unit {UNIT} {after}"))
}

/// Bytes of slots in use of each swap area, by its name in /proc/swaps. Each must be a name that anybody can use.
pub(super) fn swaps() -> Result<BTreeMap<String, u64>> {
    let lines = kernel::swaps()?;
    for line in &lines {
        ensure!(Path::new(&line.path).exists(), "/proc/swaps names {}, which is nowhere", line.path);
    }
    Ok(lines.into_iter().map(|line| (line.path, line.used)).collect())
}

/// The header of each swap area: whoever formats one anew writes another identity into it.
pub(super) fn headers() -> Result<BTreeMap<String, Vec<u8>>> {
    use std::io::Read as _;
    let header = |path: String| {
        let mut bytes = vec![0; 4096];
        std::fs::File::open(&path)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .with_context(|| format!("reading {path}"))?;
        Ok((path, bytes))
    };
    swaps()?.into_keys().map(header).collect()
}
