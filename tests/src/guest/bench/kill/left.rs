//! What a dead agent could leave behind, looked at before and after: values, cgroups, pins, programs, processes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::guest::bpf::{self, PINS};
use crate::guest::cgroup;
use crate::guest::knobs::Knobs;

const UNDO: &str = "/var/lib/swaptier/undo.jsonl";
/// The agent's socket.
pub(super) const SOCKET: &str = "/run/swaptier/swaptier.sock";
/// Programs and maps of a dead process are freed by the kernel when it finds the time: what does not get less for so long
/// is left.
const KERNEL_TIME: Duration = Duration::from_secs(10);
/// And nothing is waited for longer than this.
const AT_MOST: Duration = Duration::from_secs(60);

/// The host at one moment.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) knobs: Knobs,
    /// Programs and maps in the kernel.
    bpf: (usize, usize),
}

impl Host {
    pub(super) fn read() -> Result<Host> {
        Ok(Host { knobs: Knobs::read()?, bpf: bpf::objects() })
    }

    /// Values that are not as they were, and objects that were not there, as soon as the kernel has freed what nobody
    /// holds.
    pub(super) fn settled_differences(&self) -> Result<(Vec<String>, Vec<String>)> {
        let (latest, mut until) = (Instant::now() + AT_MOST, Instant::now() + KERNEL_TIME);
        let mut left = self.objects()?;
        while !left.is_empty() && Instant::now() < until.min(latest) {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.objects()?;
            if now != left {
                // It is still at it.
                until = Instant::now() + KERNEL_TIME;
            }
            left = now;
        }
        Ok((self.knobs.differences(&Knobs::read()?), left))
    }

    fn objects(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> =
            processes().into_iter().map(|pid| format!("process {pid} of swaptier")).collect();
        ours(Path::new(cgroup::ROOT), &mut found)?;
        for path in [PINS, SOCKET] {
            if Path::new(path).exists() {
                found.push(path.to_owned());
            }
        }
        // Fewer than before is no leak: an earlier agent's, still on their way out then, are gone now.
        let now = bpf::objects();
        if now.0 > self.bpf.0 || now.1 > self.bpf.1 {
            found.push(format!("BPF programs and maps: {now:?}, were {:?}", self.bpf));
        }
        found.extend(pending()?.into_iter().map(|record| format!("undo log: {record}")));
        Ok(found)
    }
}

/// Records of the undo log that nothing has marked. Read as it is on disk: no program of ours has a word in it.
fn pending() -> Result<Vec<String>> {
    let text = match std::fs::read_to_string(UNDO) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    // Half a line is a change that was never made.
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let marked = |seq: &Value| lines.iter().any(|line| line["done"] == *seq || line["settled"] == *seq);
    let records = lines.iter().filter(|line| line["kind"].is_string() && !marked(&line["seq"]));
    Ok(records.map(ToString::to_string).collect())
}

/// Cgroups with our name.
fn ours(directory: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        if entry.file_name().to_string_lossy().starts_with("swaptier") {
            found.push(entry.path().display().to_string());
        }
        ours(&entry.path(), found)?;
    }
    Ok(())
}

/// Running processes of the program `swaptier`, the pump among them.
pub(super) fn processes() -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let program: Option<PathBuf> = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        program.is_some_and(|program| program.ends_with("swaptier"))
    })
    .collect()
}
