//! What the lines of a log amount to, and the fewest lines that say the same. Pure.
//!
//! Where the lines are is `log.rs`'s, their form `record.rs`'s. Caller: `undo.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::UndoError;
use super::record::{Bad, Change, Line, VERSION, is_same_value};

/// What is done with a damaged line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
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
pub(super) struct Replayed {
    pub(super) pending: BTreeMap<u64, Change>,
    pub(super) next_seq: u64,
    pub(super) voided: usize,
    /// The lines now read are those of another boot.
    pub(super) is_void: bool,
    /// Bytes of whole lines: what follows announces a change that never happened.
    pub(super) whole: u64,
}

impl Replayed {
    /// Damage is refused or left out. A line of another version is always refused: it says something, to whoever knows
    /// that version, and a log without it would be one in which it never happened.
    pub(super) fn of(
        text: &[u8],
        path: &Path,
        boot: Option<&str>,
        damage: Damage,
    ) -> Result<Replayed, UndoError> {
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        let pending = BTreeMap::new();
        let mut read = Replayed { pending, next_seq: 1, voided: 0, is_void: false, whole: whole as u64 };
        for (index, line) in text[..whole].split_inclusive(|&b| b == b'\n').enumerate() {
            let text = std::str::from_utf8(line).map_err(|_| Bad::Damaged("not UTF-8".to_owned()));
            let taken = text.and_then(Line::parse).and_then(|line| read.take(line, boot));
            let (path, line) = (|| path.to_path_buf(), index + 1);
            match taken {
                Ok(()) => {}
                Err(Bad::Version(version)) => {
                    return Err(UndoError::Version { path: path(), line, version });
                }
                Err(Bad::Damaged(_)) if damage == Damage::Skip => {}
                Err(Bad::Damaged(why)) => return Err(UndoError::Corrupt { path: path(), line, why }),
            }
        }
        Ok(read)
    }

    fn take(&mut self, line: Line, now: Option<&str>) -> Result<(), Bad> {
        match line {
            Line::Change { .. } if self.is_void => self.voided += 1,
            // The first would be forgotten, and with it the value to give back.
            Line::Change { seq, .. } if self.pending.contains_key(&seq) => {
                return Err(Bad::Damaged(format!("there is a record {seq} already")));
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
pub(super) fn fold(pending: &mut BTreeMap<u64, Change>, seq: u64) -> bool {
    let Some(change) = pending.get(&seq).cloned() else { return false };
    let Some((at, earlier)) = pending.range_mut(..seq).rev().find(|(_, c)| c.is_same_place(&change)) else {
        return false;
    };
    let earlier_seq = *at;
    earlier.new = change.new;
    (earlier.by, earlier.why) = (change.by, change.why);
    if is_same_value(&earlier.path, &earlier.old, &earlier.new) {
        pending.remove(&earlier_seq);
    }
    pending.remove(&seq);
    true
}

pub(super) fn compacted(boot: Option<&str>, pending: &BTreeMap<u64, Change>) -> Vec<u8> {
    let mut content = Vec::new();
    if let Some(boot) = boot {
        Line::Boot { v: VERSION, boot: boot.to_owned() }.append_to(&mut content);
    }
    for (&seq, change) in pending {
        Line::Change { seq, v: VERSION, change: change.clone() }.append_to(&mut content);
    }
    content
}
