//! The undo log: every change of the host is on disk here, with the value it replaces, before it is made.
//!
//! Lives here: what is pending, and when it is written down. The form of the lines is `record.rs`'s, what they amount to
//! is `replayed.rs`'s, the file is `log.rs`'s, the folder and its lock are `state_dir.rs`'s, giving the values back is
//! `restore.rs`'s. Callers: `act/` notes, the agent and `swaptier restore` restore.
//!
//! Properties
//! - A change is made only after `note` returned: then its record has survived any crash.
//! - A last line without its newline announces a change that never happened, and is dropped.
//! - Records of an earlier boot are void: the kernel forgot those values itself.
//! - A lost `done` or `settled` line is harmless: restoring compares before it writes.
//! - Opening for a restore needs no room: a log that can be read is enough. Then nothing can be noted until there is.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::UndoError;
use super::log::{self, Log};
use super::record::{Change, Line, VERSION};
use super::replayed::{Damage, Replayed, compacted, fold};
use super::state_dir;
use crate::fault;
use crate::root::{FilePath, Root};

const LOG: &str = "undo.jsonl";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// The log is rewritten with what is pending once it has grown this much since the last time: some ten thousand
/// records, a second's work to read.
const COMPACT_AFTER: u64 = 1 << 20;

/// The open undo log, and the lock on its folder.
#[derive(Debug)]
pub struct Undo {
    dir: PathBuf,
    path: PathBuf,
    /// `None`: it cannot be written now.
    log: Option<Log>,
    /// Why it could not be rewritten when it was opened.
    trouble: Option<UndoError>,
    /// What the next line must stand behind: the name of this boot, where the log ends with another's.
    head: Vec<u8>,
    /// Its length when it was last rewritten.
    compact_len: u64,
    boot: Option<String>,
    pending: BTreeMap<u64, Change>,
    next_seq: u64,
    voided: usize,
    /// Held for the life of this value.
    _lock: File,
}

impl Undo {
    /// Opens the log in `dir` (made with mode 700 if missing), locks the folder and reads what is pending. That the log
    /// cannot be written for want of room is no error here: what is pending can be given back, see [`Undo::renew`].
    ///
    /// # Errors
    /// The folder is not ours alone or held, or the log cannot be read.
    pub fn open(root: &Root, dir: &Path) -> Result<Undo, UndoError> {
        Undo::open_with(root, dir, Damage::Refuse)
    }

    /// The same, leaving out damaged lines: for `restore --force`.
    ///
    /// # Errors
    /// As [`Undo::open`].
    pub fn open_skipping_damage(root: &Root, dir: &Path) -> Result<Undo, UndoError> {
        Undo::open_with(root, dir, Damage::Skip)
    }

    /// What is pending in `dir`, oldest first, without taking the lock or changing anything: for commands that only
    /// look. A folder without a log has nothing pending.
    pub fn peek(root: &Root, dir: &Path) -> Result<Vec<Change>, UndoError> {
        let path = dir.join(LOG);
        let text = log::read(&path)?;
        let read = Replayed::of(&text, &path, boot_id(root).as_deref(), Damage::Skip)?;
        Ok(read.pending.into_values().collect())
    }

    fn open_with(root: &Root, dir: &Path, damage: Damage) -> Result<Undo, UndoError> {
        state_dir::prepare(dir)?;
        let lock = state_dir::lock(dir)?;
        let path = dir.join(LOG);
        let boot = boot_id(root);
        let read = Replayed::of(&log::read(&path)?, &path, boot.as_deref(), damage)?;
        let content = compacted(boot.as_deref(), &read.pending);
        let mut head = Vec::new();
        let (log, trouble) = match rewrite(dir, &path, &content) {
            Ok(log) => (Some(log), None),
            // The old one is there, whole. Its marks may find room in it.
            Err(trouble) => {
                if read.is_void {
                    head = compacted(boot.as_deref(), &BTreeMap::new());
                }
                (Log::open(&path, read.whole).ok(), Some(trouble))
            }
        };
        let compact_len = log.as_ref().map_or(0, Log::len);
        let Replayed { pending, next_seq, voided, .. } = read;
        let dir = dir.to_path_buf();
        fault::point("undo.opened");
        Ok(Undo { dir, path, log, trouble, head, compact_len, boot, pending, next_seq, voided, _lock: lock })
    }

    /// Rewrites the log if that failed when it was opened. To be called once everything is given back: until then a
    /// folder without room is no reason to leave the host changed, from then on it is one to change nothing.
    ///
    /// # Errors
    /// It still cannot be written.
    pub fn renew(&mut self) -> Result<(), UndoError> {
        if self.trouble.is_some() {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Writes the changes that are about to be made, with one fsync, and returns the number of each. When this fails
    /// none of them may be made.
    pub fn note(&mut self, changes: &[Change]) -> Result<Vec<u64>, UndoError> {
        let seqs: Vec<u64> = (self.next_seq..).take(changes.len()).collect();
        let mut lines = self.head.clone();
        for (&seq, change) in seqs.iter().zip(changes) {
            Line::Change { seq, v: VERSION, change: change.clone() }.append_to(&mut lines);
        }
        fault::point("undo.note.before");
        let marks = self.pending.len() + changes.len();
        self.log_in_place()?.note(&lines, marks, || fault::point("undo.note.unsynced"))?;
        fault::point("undo.note.synced");
        self.head.clear();
        self.next_seq += changes.len() as u64;
        self.pending.extend(seqs.iter().copied().zip(changes.iter().cloned()));
        Ok(seqs)
    }

    /// These changes are undone or were never made: forgets them.
    pub fn done(&mut self, seqs: &[u64]) {
        fault::point("undo.done.before");
        let mut lines = Vec::new();
        for &done in seqs.iter().filter(|seq| self.pending.remove(seq).is_some()) {
            Line::Done { v: VERSION, done }.append_to(&mut lines);
        }
        self.mark(&lines);
        fault::point("undo.done.after");
    }

    /// This change stands for longer: it is folded into the earlier pending change of the same file, if there is one,
    /// so that a value set again every minute keeps one record with the first old value.
    pub fn settle(&mut self, seq: u64) {
        fault::point("undo.settle.before");
        if fold(&mut self.pending, seq) {
            let mut line = Vec::new();
            Line::Settled { v: VERSION, settled: seq }.append_to(&mut line);
            self.mark(&line);
        }
        fault::point("undo.settle.after");
    }

    /// What is changed and not yet given back, oldest first.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.pending.values()
    }

    /// The same with the number of each record.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (u64, &Change)> {
        self.pending.iter().map(|(&seq, change)| (seq, change))
    }

    /// The newest pending change of the file at `path` of that cgroup: its `new` is what we last wrote.
    pub fn latest(&self, path: &FilePath, cgroup: Option<u64>) -> Option<&Change> {
        self.pending.values().rev().find(|change| change.path == *path && change.cgroup == cgroup)
    }

    /// The oldest pending change of that file: its `old` is the value the host had before us.
    pub fn original(&self, path: &FilePath, cgroup: Option<u64>) -> Option<&Change> {
        self.pending.values().find(|change| change.path == *path && change.cgroup == cgroup)
    }

    /// How many records of an earlier boot were found and dropped when the log was opened.
    pub fn voided(&self) -> usize {
        self.voided
    }

    /// The log to append to. One that somebody has removed or replaced is written anew with what is pending.
    fn log_in_place(&mut self) -> Result<&mut Log, UndoError> {
        if !self.log.as_ref().is_some_and(Log::is_in_place) {
            self.rewrite()?;
        }
        self.log.as_mut().ok_or_else(|| UndoError::Broken { path: self.path.clone() })
    }

    /// Appends marks. They may be lost, so a failure is only remembered if it left half a line behind.
    fn mark(&mut self, lines: &[u8]) {
        let Some(log) = self.log.as_mut().filter(|_| !lines.is_empty()) else { return };
        if log.append(lines).is_ok() && log.len() > self.compact_len + COMPACT_AFTER {
            self.compact();
        }
    }

    /// Rewrites the log with what is pending. While the long one is the log it stays in use.
    fn compact(&mut self) {
        self.compact_len = self.log.as_ref().map_or(0, Log::len);
        if let Err(error) = self.rewrite() {
            tracing::warn!("the undo log stays long: {error}");
        }
    }

    /// On failure the file in use is the one that has the log's name, or none.
    fn rewrite(&mut self) -> Result<(), UndoError> {
        match rewrite(&self.dir, &self.path, &compacted(self.boot.as_deref(), &self.pending)) {
            Ok(log) => {
                self.compact_len = log.len();
                (self.log, self.trouble) = (Some(log), None);
                self.head.clear();
                Ok(())
            }
            Err(error) => {
                self.log = self.log.take().filter(Log::is_in_place);
                Err(error)
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn replace_log(&mut self, log: File, path: &str) {
        self.log.as_mut().unwrap().replace(log, path);
    }

    #[cfg(test)]
    pub(super) fn fail_append(&mut self) {
        self.log.as_mut().unwrap().take_back();
    }
}

/// Puts `content` at the log's place and opens it there. A new file that has its name is the log, also when the folder
/// could not be synced: after a crash of the host either file's records are void.
fn rewrite(dir: &Path, path: &Path, content: &[u8]) -> Result<Log, UndoError> {
    let replaced = state_dir::replace(dir, LOG, content);
    let is_there = || log::read(path).is_ok_and(|text| text == content);
    match replaced {
        Err(error) if !is_there() => Err(error),
        _ => Log::open(path, content.len() as u64),
    }
}

fn boot_id(root: &Root) -> Option<String> {
    root.read_value(BOOT_ID).ok().filter(|id| !id.is_empty())
}
