//! What the probes missed, put right. The agent asks for it when the map and `memory.stat` differ by the same number for
//! several ticks in which nothing else happened.
//!
//! - The map has too few. A page that went to swap unseen is in a page table and not in the map: the walk enters it as
//!   unknown. One of which only the storing was missed looks like a page of zeroes, or is still in the swap cache by
//!   the map: what is so since the difference came becomes unknown, if no more than that are.
//! - The map has too many. A page that left unseen is in zswap by the map and in no page table. So is every swapped page
//!   of shmem, and nothing tells the two apart; but the kernel's own count says how many pages there are too many. If
//!   that many or fewer fit, they are those. Of those the map has too many slots too: they were freed. The others were
//!   read, and their slots are still in use.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::offset_of,
    sync::atomic::Ordering,
};

use swaptier_common::{
    BLOCK_CGROUPS, FRAME_SLOTS,
    cgroup::Counters,
    slot::{LOADED, State, Word},
};

use super::{
    ShadowError, ShadowMap, now,
    slots::Slot,
    walk::{Owners, SHORT_LIMIT, visit, walk_for},
};
use crate::root::Root;

/// Seconds since a word's last change before it may be taken for wrong.
const REST: u64 = 2;

/// What was put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Slots entered as unknown.
    pub entered: u64,
    /// Slots that were known wrong, and are unknown now.
    pub forgotten: u64,
    /// Slots freed that were in zswap by the map.
    pub freed: u64,
    /// Slots in use that were in zswap by the map, and whose pages are in memory alone.
    pub loaded: u64,
    /// Slots that may be wrong and were left: there are more of them than the difference.
    pub in_doubt: u64,
}

impl Repaired {
    /// Slots that were changed.
    pub fn pages(&self) -> u64 {
        self.entered + self.forgotten + self.freed + self.loaded
    }
}

/// A difference between the map and the kernel in one cgroup.
#[derive(Clone, Debug)]
pub struct Error {
    /// Indexes of the cgroup's counters.
    pub owners: BTreeSet<u16>,
    /// Pages in zswap that the map has more than the kernel; negative: fewer.
    pub surplus: i64,
    /// Slots of any kind that the map has more than the kernel.
    pub slots: u64,
    /// Second of `CLOCK_MONOTONIC` at which the difference was not there yet.
    pub since: u64,
}

/// Puts one difference right.
///
/// # Errors
/// No memory for the map.
pub fn repair(
    root: &Root,
    map: &mut ShadowMap,
    paths: &Owners<'_>,
    error: &Error,
) -> Result<Repaired, ShadowError> {
    match u64::try_from(error.surplus) {
        Ok(surplus) => free(root, map, error, surplus),
        Err(_negative) => forget(root, map, paths, error),
    }
}

fn forget(
    root: &Root,
    map: &mut ShadowMap,
    paths: &Owners<'_>,
    error: &Error,
) -> Result<Repaired, ShadowError> {
    let entered = walk_for(SHORT_LIMIT, root, map, paths)?.entered;
    let mut repaired = Repaired { entered, ..Repaired::default() };
    let missing = error.surplus.unsigned_abs().saturating_sub(entered);
    let age = now().saturating_sub(error.since);
    let is_suspect =
        |word: Word| matches!(word.state(), State::Zero | State::Folio) && word.age(now()) <= age;
    let suspects = slots_of(map, &error.owners, is_suspect);
    if suspects.len() as u64 > missing {
        repaired.in_doubt = suspects.len() as u64;
        return Ok(repaired);
    }
    for (slot, word) in suspects {
        let unknown = Word::new(State::Unknown, 0, word.owner(), word.stamp());
        repaired.forgotten += u64::from(map.replace(slot, word, unknown));
    }
    Ok(repaired)
}

fn free(root: &Root, map: &ShadowMap, error: &Error, surplus: u64) -> Result<Repaired, ShadowError> {
    let is_suspect = |word: Word| word.state() == State::Zswap && word.age(now()) >= REST;
    let mut suspects: BTreeMap<Slot, Word> = slots_of(map, &error.owners, is_suspect).into_iter().collect();
    let walked = visit(SHORT_LIMIT, root, |_, _, found| {
        for (_, slot) in found {
            suspects.remove(slot);
        }
        Ok(())
    })?;
    let in_doubt = suspects.len() as u64;
    if in_doubt > surplus || walked.is_cut_short || walked.refused > 0 {
        return Ok(Repaired { in_doubt, ..Repaired::default() });
    }
    let mut repaired = Repaired::default();
    for (slot, word) in suspects {
        let (count, right) = if repaired.freed < error.slots {
            (&mut repaired.freed, Word::new(State::Free, 0, word.owner(), word.stamp()))
        } else {
            (&mut repaired.loaded, word.in_state(State::Folio).with(LOADED))
        };
        if map.replace(slot, word, right) {
            map.book_drop(word);
            *count += 1;
        }
    }
    Ok(repaired)
}

/// Every slot of these owners whose word is such.
fn slots_of(map: &ShadowMap, owners: &BTreeSet<u16>, is_such: impl Fn(Word) -> bool) -> Vec<(Slot, Word)> {
    let mut found = Vec::new();
    for (kind, area) in map.areas() {
        for (cluster, _) in map.clusters(&area).enumerate().filter(|(_, number)| *number != 0) {
            let first = (cluster * FRAME_SLOTS) as u64;
            for offset in first..first + FRAME_SLOTS as u64 {
                let slot = Slot { kind, offset };
                let Some(word) = map.word(slot) else { continue };
                let word = Word(word.load(Ordering::Relaxed));
                if word.state() != State::Free && owners.contains(&word.owner()) && is_such(word) {
                    found.push((slot, word));
                }
            }
        }
    }
    found
}

impl ShadowMap {
    /// Books the end of a copy in zswap, as the probes do.
    fn book_drop(&self, word: Word) {
        let owner = usize::from(word.owner());
        let Some(block) = self.blocks.get(owner / BLOCK_CGROUPS) else { return };
        let first = owner % BLOCK_CGROUPS * size_of::<Counters>();
        let add = |offset: usize, by| block.word((first + offset) / 8).fetch_add(by, Ordering::Relaxed);
        add(offset_of!(Counters, dropped_pages), 1);
        add(offset_of!(Counters, dropped_bytes), word.length());
    }
}
