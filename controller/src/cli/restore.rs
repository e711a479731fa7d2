//! `swaptier restore`: gives back every value that an agent changed and could not give back itself.
//!
//! What may be written is decided by `journal::restore`; here is only who may, from which folder, and the printing.
//! systemd runs it after the agent, however that ended.

#![expect(clippy::disallowed_methods, reason = "a folder that is named on the command line")]

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;

use super::{
    output::{Paint, Tone, plain, say, say_json},
    settings,
};
use crate::{
    config::Config,
    exit::{Exit, Failure, Result},
    journal::{self, Item, Report, Undo, Undone},
    leftovers,
    root::Root,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only says what would be written
    #[arg(long)]
    dry_run: bool,
    /// Leaves out damaged lines of the undo log
    #[arg(long)]
    force: bool,
    /// Leaves the probes of a killed agent and their map to the next one
    #[arg(long)]
    keep_map: bool,
    /// The state folder, if it is another than the configured one
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What is said of a gate that stays closed.
const KEPT: &str = "the root's memory.zswap.writeback stays 0: a swap area without storage is on, or an area of which that \
                    cannot be told; it is given back once that is off\n";

/// What was done. The JSON of `--json` is a versioned interface.
#[derive(Debug, Serialize)]
struct Said {
    schema: u32,
    dry_run: bool,
    /// Records of an earlier boot: the kernel forgot those values itself.
    voided: usize,
    /// The way to disk stays closed for all: an area without storage is on, or that cannot be told.
    keeps_gate: bool,
    /// Why the log could not be marked: its records stay, and the next restore looks at them again.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_stays: Option<String>,
    #[serde(flatten)]
    report: Report,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let said = give_back(root, args)?;
    if args.json {
        say_json(&said)?
    } else {
        say(&said.render(Paint::of_stdout()))?
    }
    Ok(if said.report.is_complete() { Exit::Done } else { Exit::Failed })
}

fn give_back(root: &Root, args: &Args) -> std::result::Result<Said, Failure> {
    let dir = match &args.state_dir {
        Some(dir) => dir.clone(),
        None => configured(root)?,
    };
    let said = |voided, keeps_gate, report| {
        let (dry_run, log_stays) = (args.dry_run, None);
        Said { schema: 1, dry_run, voided, keeps_gate, log_stays, report }
    };
    if args.dry_run || !dir.exists() {
        // Without the lock: beside a running agent too. A folder that is not there is not made for this.
        let pending = Undo::peek(root, &dir).map_err(settings::of_undo)?;
        let keeps_gate = leftovers::keeps_gate(root, &dir);
        let (kept, pending): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|change| keeps_gate && leftovers::is_gate(change));
        return Ok(said(0, !kept.is_empty(), journal::preview(root, &pending)));
    }
    let open = if args.force { Undo::open_skipping_damage } else { Undo::open };
    let mut undo = open(root, &dir).map_err(settings::of_undo)?;
    // The lock is ours, so nobody runs: what an agent left beside values goes too.
    leftovers::await_guardian(root);
    let keeps_gate = leftovers::keeps_gate(root, &dir);
    let is_kept = |change: &journal::Change| keeps_gate && leftovers::is_gate(change);
    let keeps_gate = undo.pending().any(is_kept);
    let is_chosen = |change: &journal::Change| !is_kept(change);
    let report = journal::restore_where(root, &mut undo, false, is_chosen);
    let log_stays = undo.renew().err().map(|error| error.to_string());
    leftovers::sweep(root);
    if !args.keep_map {
        leftovers::unpin(root);
    }
    Ok(Said { log_stays, ..said(undo.voided(), keeps_gate, report) })
}

/// The configured state folder. A configuration that is broken by now must not keep the host changed: then the usual
/// folder is taken, if something waits there.
fn configured(root: &Root) -> std::result::Result<PathBuf, Failure> {
    let failure = match settings::config(root) {
        Ok(config) => return Ok(settings::state_dir(root, &config)),
        Err(failure) => failure,
    };
    let usual = settings::state_dir(root, &Config::default());
    if Undo::peek(root, &usual).is_ok_and(|pending| !pending.is_empty()) {
        return Ok(usual);
    }
    let message = format!("{}\nthe state folder is not known; name it with --state-dir", failure.text());
    Err(Failure::say(failure.exit, message))
}

impl Said {
    fn render(&self, paint: Paint) -> String {
        let items = &self.report.items;
        let mut text = String::new();
        if self.keeps_gate {
            text.push_str(KEPT);
        } else if items.is_empty() {
            text.push_str("nothing to restore\n");
        }
        // Writing into a `String` cannot fail.
        for item in items {
            let _ = writeln!(text, "{}", paint.tone(tone(item), &self.line(item)));
        }
        if self.voided > 0 {
            let _ = writeln!(
                text,
                "{} of an earlier boot dropped: the kernel forgot those values itself",
                records(self.voided)
            );
        }
        if let Some(why) = &self.log_stays {
            let _ = writeln!(
                text,
                "{}",
                paint.tone(
                    Tone::Care,
                    &plain(&format!("the undo log stays as it was: {why}; run it again once there is room"))
                )
            );
        }
        let failed = self.report.count(|fate| matches!(fate, Undone::Failed { .. }));
        if failed > 0 {
            let _ = writeln!(text, "{} failed and kept in the log: run it again", records(failed));
        }
        text
    }

    fn line(&self, item: &Item) -> String {
        let line = plain(&item.to_string());
        match (&item.fate, self.dry_run) {
            (Undone::Restored, true) => format!("would be {line}"),
            _ => line,
        }
    }
}

fn records(number: usize) -> String {
    format!("{number} {}", if number == 1 { "record" } else { "records" })
}

fn tone(item: &Item) -> Tone {
    match item.fate {
        Undone::Restored | Undone::Already | Undone::Gone => Tone::Good,
        Undone::Foreign => Tone::Care,
        Undone::Failed { .. } => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use swaptier_policies::Asker;

    use super::*;
    use crate::{fake::FakeRoot, journal::Change};

    const FILE: &str = "sys/fs/cgroup/a/memory.swap.max";

    /// A host on which an agent died after it set one limit.
    fn host() -> FakeRoot {
        let fake = FakeRoot::host();
        let id = fake.cgroup("a");
        let mut undo = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        undo.note(&[Change::file(FILE, Some(id), "max", "8192", &Asker::Policy("a.toml".to_owned()))])
            .unwrap();
        fake.write(FILE, "8192\n");
        fake
    }

    fn args(dry_run: bool) -> Args {
        Args { dry_run, force: false, state_dir: None, json: false, keep_map: false }
    }

    #[test]
    fn what_is_pending_is_given_back_once() {
        let fake = host();
        let said = give_back(fake.root(), &args(false)).unwrap();
        assert_eq!(said.render(Paint::NONE), format!("restored /{FILE}: 8192 -> max\n"));
        assert_eq!(fake.read(FILE), "max");
        let again = give_back(fake.root(), &args(false)).unwrap();
        assert_eq!(again.render(Paint::NONE), "nothing to restore\n");
    }

    #[test]
    fn an_area_with_a_name_that_is_no_text_hides_nothing_and_a_kept_gate_is_said() {
        let fake = host();
        let gate = crate::root::cgroup_file("", "memory.zswap.writeback");
        {
            let mut undo = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
            undo.note(&[Change::file(&gate, None, "1", "0", &Asker::Areas)]).unwrap();
        }
        fake.write(&gate, "0\n");
        let swaps = b"Filename Type Size Used Priority\n/dev/vda partition 8 0 -2\n/caf\xe9 file 8 0 1\n";
        std::fs::write(fake.path("proc/swaps"), swaps).unwrap();
        // The file is not there to be looked at.
        let said = give_back(fake.root(), &args(false)).unwrap();
        assert_eq!(said.render(Paint::NONE), format!("{KEPT}restored /{FILE}: 8192 -> max\n"));
        assert_eq!((fake.read(FILE).as_str(), fake.read(&gate).as_str()), ("max", "0"));
        let name = std::os::unix::ffi::OsStrExt::from_bytes(&b"caf\xe9"[..]);
        let name: &std::ffi::OsStr = name;
        std::fs::write(fake.path("").join(name), [0; 16 << 10]).unwrap();
        let said = give_back(fake.root(), &args(false)).unwrap();
        assert_eq!(said.render(Paint::NONE), format!("restored /{gate}: 0 -> 1\n"));
    }

    /// The log of the version before says in words who asked for the closed gate.
    #[test]
    fn a_gate_that_the_version_before_closed_for_the_areas_stays_closed_over_a_ghost() {
        let (fake, gate) = (host(), crate::root::cgroup_file("", "memory.zswap.writeback"));
        let line = r#"{"seq":9,"v":1,"kind":"file","path":"sys/fs/cgroup/memory.zswap.writeback","old":"1","new":"0","why":"the swap areas"}"#;
        let log = fake.path("var/lib/swaptier/undo.jsonl");
        let text = std::fs::read_to_string(&log).unwrap() + line + "\n";
        std::fs::write(&log, text).unwrap();
        fake.write(&gate, "0\n");
        std::fs::write(fake.path("proc/swaps"), "Filename Type Size Used Priority\n/gone file 8 0 1\n")
            .unwrap();
        let said = give_back(fake.root(), &args(false)).unwrap();
        assert_eq!(said.render(Paint::NONE), format!("{KEPT}restored /{FILE}: 8192 -> max\n"));
        assert_eq!(fake.read(&gate), "0");
    }

    #[test]
    fn a_dry_run_writes_nothing_and_needs_no_lock() {
        let fake = host();
        let holder = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        let said = give_back(fake.root(), &args(true)).unwrap();
        assert_eq!(said.render(Paint::NONE), format!("would be restored /{FILE}: 8192 -> max\n"));
        assert_eq!(fake.read(FILE), "8192");
        assert_eq!(holder.pending().count(), 1);
    }

    #[test]
    fn a_running_agent_keeps_its_values_and_is_named() {
        let fake = host();
        let _holder = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        let failure = give_back(fake.root(), &args(false)).unwrap_err();
        assert_eq!(failure.exit, Exit::Busy);
        let message = failure.error.to_string();
        assert!(message.contains(&format!("locked by process {}", std::process::id())), "{message}");
        assert_eq!(fake.read(FILE), "8192");
    }

    #[test]
    fn a_broken_configuration_does_not_keep_the_host_changed() {
        let fake = host();
        fake.write("etc/swaptier/swaptier.toml", "nonsense");
        assert_eq!(give_back(fake.root(), &args(false)).unwrap().report.items.len(), 1);
        assert_eq!(fake.read(FILE), "max");
        // Now nothing waits in the usual folder: something may wait in one whose name cannot be read.
        assert_eq!(give_back(fake.root(), &args(false)).unwrap_err().exit, Exit::Invalid);
    }

    #[test]
    fn nothing_is_made_where_there_is_no_state_folder() {
        let fake = FakeRoot::host();
        let said = give_back(fake.root(), &args(false)).unwrap();
        assert_eq!(said.render(Paint::NONE), "nothing to restore\n");
        assert!(!fake.path("var/lib/swaptier").exists());
    }
}
