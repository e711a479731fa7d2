//! The undo log: every change of the host is on disk here, with the value it replaces, before it is made.
//!
//! Lives here: the log and its memory of what is pending. The form of the lines is `record.rs`'s, the folder and its
//! lock are `state_dir.rs`'s, giving the values back is `restore.rs`'s. Callers: `act/` notes, the agent and
//! `swaptier restore` restore.
//!
//! Properties
//! - A change is made only after `note` returned: then its record has survived any crash.
//! - A last line without its newline announces a change that never happened, and is dropped.
//! - Records of an earlier boot are void: the kernel forgot those values itself.
//! - A lost `done` or `settled` line is harmless: restoring compares before it writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::record::{Change, Line, VERSION, is_same_value};
use super::state_dir;
use crate::fault;
use crate::root::Root;

const LOG: &str = "undo.jsonl";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// The log is rewritten with what is pending once it has grown this much since the last time: some ten thousand
/// records, a second's work to read.
const COMPACT_AFTER: u64 = 1 << 20;

/// The longest log that is read. What is pending of 65,535 cgroups, three files each, is a quarter of it; a longer one
/// is not ours.
const LONGEST: u64 = 256 << 20;

/// Why the undo log cannot be used. While it cannot, nothing may be changed.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// A file operation in the state folder failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The state folder can be reached by others.
    #[error("the state folder {} is refused: {why}", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// Owner or mode, with the numbers.
        why: String,
    },
    /// Another agent holds the state folder.
    #[error("{} is locked by {}", path.display(), pid.map_or("another process".to_owned(), |p| format!("process {p}")))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder, if it wrote its pid.
        pid: Option<u32>,
    },
    /// A line inside the log is damaged.
    #[error("{}:{line}: {why}; nothing was changed (`restore --force` skips such lines)", path.display())]
    Corrupt {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// An earlier write failed and could not be taken back: the end of the log is not known.
    #[error("{} cannot be appended to after a failed write", path.display())]
    Broken {
        /// The log.
        path: PathBuf,
    },
}

impl UndoError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> UndoError {
        UndoError::Io { action, path: path.to_path_buf(), source }
    }
}

/// The open undo log, and the lock on its folder.
#[derive(Debug)]
pub struct Undo {
    dir: PathBuf,
    path: PathBuf,
    log: File,
    /// Bytes of the log that are known to be whole lines.
    len: u64,
    /// `len` when the log was last rewritten.
    compact_len: u64,
    /// Set once a failed append could not be taken back.
    broken: bool,
    boot: Option<String>,
    pending: BTreeMap<u64, Change>,
    next_seq: u64,
    voided: usize,
    /// Held for the life of this value.
    _lock: File,
}

impl Undo {
    /// Opens the log in `dir` (made with mode 700 if missing), locks the folder and reads what is pending.
    pub fn open(root: &Root, dir: &Path) -> Result<Undo, UndoError> {
        Undo::open_with(root, dir, Damage::Refuse)
    }

    /// The same, leaving out damaged lines: for `restore --force`.
    pub fn open_skipping_damage(root: &Root, dir: &Path) -> Result<Undo, UndoError> {
        Undo::open_with(root, dir, Damage::Skip)
    }

    /// What is pending in `dir`, oldest first, without taking the lock or changing anything: for commands that only
    /// look. A folder without a log has nothing pending.
    pub fn peek(root: &Root, dir: &Path) -> Result<Vec<Change>, UndoError> {
        let path = dir.join(LOG);
        let text = read_log(&path)?;
        let read = Replayed::of(&text, &path, boot_id(root).as_deref(), Damage::Skip)?;
        Ok(read.pending.into_values().collect())
    }

    fn open_with(root: &Root, dir: &Path, damage: Damage) -> Result<Undo, UndoError> {
        state_dir::prepare(dir)?;
        let lock = state_dir::lock(dir)?;
        let path = dir.join(LOG);
        let boot = boot_id(root);
        let read = Replayed::of(&read_log(&path)?, &path, boot.as_deref(), damage)?;
        let content = compacted(boot.as_deref(), &read.pending);
        state_dir::replace(dir, LOG, &content)?;
        let (log, len) = (append_to(&path)?, content.len() as u64);
        let Replayed { pending, next_seq, voided, is_void: _ } = read;
        let (dir, broken) = (dir.to_path_buf(), false);
        fault::point("undo.opened");
        Ok(Undo {
            dir,
            path,
            log,
            len,
            compact_len: len,
            broken,
            boot,
            pending,
            next_seq,
            voided,
            _lock: lock,
        })
    }

    /// Writes the changes that are about to be made, with one fsync, and returns the number of each. When this fails
    /// none of them may be made.
    pub fn note(&mut self, changes: &[Change]) -> Result<Vec<u64>, UndoError> {
        let seqs: Vec<u64> = (self.next_seq..).take(changes.len()).collect();
        let mut lines = Vec::new();
        for (&seq, change) in seqs.iter().zip(changes) {
            Line::Change { seq, v: VERSION, change: change.clone() }.append_to(&mut lines);
        }
        fault::point("undo.note.before");
        self.append(&lines)?;
        fault::point("undo.note.unsynced");
        if let Err(error) = self.log.sync_data() {
            self.take_back();
            return Err(UndoError::io("sync", &self.path, error));
        }
        fault::point("undo.note.synced");
        self.len += lines.len() as u64;
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
    pub fn latest(&self, path: &str, cgroup: Option<u64>) -> Option<&Change> {
        self.pending.values().rev().find(|change| change.path == path && change.cgroup == cgroup)
    }

    /// The oldest pending change of that file: its `old` is the value the host had before us.
    pub fn original(&self, path: &str, cgroup: Option<u64>) -> Option<&Change> {
        self.pending.values().find(|change| change.path == path && change.cgroup == cgroup)
    }

    /// How many records of an earlier boot were found and dropped when the log was opened.
    pub fn voided(&self) -> usize {
        self.voided
    }

    /// Appends marks. They may be lost, so a failure is only remembered if it left half a line behind.
    fn mark(&mut self, lines: &[u8]) {
        if lines.is_empty() || self.append(lines).is_err() {
            return;
        }
        self.len += lines.len() as u64;
        if self.len > self.compact_len + COMPACT_AFTER {
            self.compact();
        }
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), UndoError> {
        if self.broken {
            return Err(UndoError::Broken { path: self.path.clone() });
        }
        self.log.write_all(lines).map_err(|error| {
            self.take_back();
            UndoError::io("append to", &self.path, error)
        })
    }

    /// Cuts off what a failed append may have left.
    fn take_back(&mut self) {
        self.broken = self.log.set_len(self.len).is_err();
    }

    #[cfg(test)]
    pub(crate) fn replace_log(&mut self, log: File) {
        self.log = log;
    }

    #[cfg(test)]
    pub(super) fn fail_append(&mut self) {
        self.take_back();
    }

    /// Rewrites the log with what is pending. On failure the long one stays in use.
    fn compact(&mut self) {
        let content = compacted(self.boot.as_deref(), &self.pending);
        self.compact_len = self.len;
        if state_dir::replace(&self.dir, LOG, &content).is_err() {
            return;
        }
        match append_to(&self.path) {
            Ok(log) => {
                (self.log, self.len, self.compact_len) = (log, content.len() as u64, content.len() as u64)
            }
            // The open file is no longer the log.
            Err(_) => self.broken = true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Refuse,
    Skip,
}

/// The text that [`Undo::open`] leaves of a log: what is pending in the boot named `boot`, in as few lines as it takes.
/// Pure; `path` is for the error alone.
///
/// # Errors
/// A damaged line, unless damage is to be skipped.
pub fn compact_log(
    text: &[u8],
    boot: Option<&str>,
    path: &Path,
    skip_damage: bool,
) -> Result<Vec<u8>, UndoError> {
    let damage = if skip_damage { Damage::Skip } else { Damage::Refuse };
    Replayed::of(text, path, boot, damage).map(|read| compacted(boot, &read.pending))
}

/// What the lines of a log amount to.
struct Replayed {
    pending: BTreeMap<u64, Change>,
    next_seq: u64,
    voided: usize,
    /// The lines now read are those of another boot.
    is_void: bool,
}

impl Replayed {
    fn of(text: &[u8], path: &Path, boot: Option<&str>, damage: Damage) -> Result<Replayed, UndoError> {
        let mut read = Replayed { pending: BTreeMap::new(), next_seq: 1, voided: 0, is_void: false };
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        for (index, line) in text[..whole].split_inclusive(|&b| b == b'\n').enumerate() {
            let parsed = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned()).and_then(Line::parse);
            match parsed.and_then(|line| read.take(line, boot)) {
                Ok(()) => {}
                Err(_) if damage == Damage::Skip => {}
                Err(why) => {
                    return Err(UndoError::Corrupt { path: path.to_path_buf(), line: index + 1, why });
                }
            }
        }
        Ok(read)
    }

    fn take(&mut self, line: Line, now: Option<&str>) -> Result<(), String> {
        match line {
            Line::Change { .. } if self.is_void => self.voided += 1,
            // The first would be forgotten, and with it the value to give back.
            Line::Change { seq, .. } if self.pending.contains_key(&seq) => {
                return Err(format!("there is a record {seq} already"));
            }
            Line::Change { seq, change, .. } => {
                self.pending.insert(seq, change);
                self.next_seq = self.next_seq.max(seq + 1);
            }
            Line::Done { done, .. } => {
                self.pending.remove(&done);
            }
            Line::Settled { settled, .. } => {
                fold(&mut self.pending, settled);
            }
            // The boot stands first. What follows another boot's name is gone with that boot.
            Line::Boot { boot, .. } => self.is_void = now.is_some_and(|now| now != boot),
        }
        Ok(())
    }
}

/// Folds the change `seq` into the one before it of the same file; both go when together they change nothing. False
/// when there is none before it.
fn fold(pending: &mut BTreeMap<u64, Change>, seq: u64) -> bool {
    let Some(change) = pending.get(&seq).cloned() else { return false };
    let Some((at, earlier)) = pending.range_mut(..seq).rev().find(|(_, c)| c.is_same_place(&change)) else {
        return false;
    };
    let earlier_seq = *at;
    earlier.new = change.new;
    earlier.why = change.why;
    if is_same_value(&earlier.path, &earlier.old, &earlier.new) {
        pending.remove(&earlier_seq);
    }
    pending.remove(&seq);
    true
}

fn compacted(boot: Option<&str>, pending: &BTreeMap<u64, Change>) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some(boot) = boot {
        Line::Boot { v: VERSION, boot: boot.to_owned() }.append_to(&mut content);
    }
    for (&seq, change) in pending {
        Line::Change { seq, v: VERSION, change: change.clone() }.append_to(&mut content);
    }
    content
}

fn boot_id(root: &Root) -> Option<String> {
    root.read_value(BOOT_ID).ok().filter(|id| !id.is_empty())
}

fn read_log(path: &Path) -> Result<Vec<u8>, UndoError> {
    let read = |mut file: File| {
        if file.metadata()?.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map(|_| text)
    };
    match state_dir::options().read(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        opened => opened.and_then(read).map_err(|e| UndoError::io("read", path, e)),
    }
}

fn append_to(path: &Path) -> Result<File, UndoError> {
    state_dir::options().append(true).open(path).map_err(|e| UndoError::io("open", path, e))
}
