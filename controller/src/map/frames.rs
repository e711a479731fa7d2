//! Frames that are in no use: given back when all their slots are free, found again when nobody holds them.
//!
//! A probe that was running when a frame left the directory may still write to it. So between taking it out and looking
//! at it again lies a grace period of the kernel (`membarrier`, which waits for every program under way), and a frame
//! that came to life meanwhile is put back.

use std::sync::atomic::Ordering;

use rustix::thread::{MembarrierCommand, membarrier};
use swaptier_common::{
    CHUNK_FRAMES, FRAME_SLOTS, FREE_RING,
    control::Control,
    slot::{State, Word},
};

use super::{ShadowMap, now};

/// Frames looked at for being empty in one go: 4,096 frames are 16 MiB of words.
const LOOK: usize = 4096;

/// Seconds all slots of a frame must have been free: a cluster the kernel is using now gets its next page sooner.
const REST: u64 = 10;

/// A frame in use: its cell of the directory, and what stands there (its number + 1).
#[derive(Clone, Copy)]
struct Used {
    cell: usize,
    number: u32,
}

impl ShadowMap {
    /// Takes frames whose slots have all been free for a while out of the directory; a later cluster gets them. Goes
    /// through the map piece by piece, a piece each call. Returns how many were taken.
    pub fn give_back(&mut self) -> u64 {
        let cells = self.directory.bytes() / 4;
        let end = (self.swept + LOOK * 16).min(cells);
        let piece = self.used(self.swept..end);
        let next = if end == cells { 0 } else { end };
        self.swept = next;
        let now = now();
        let idle: Vec<Used> = piece.into_iter().filter(|used| self.is_idle(*used, now)).take(LOOK).collect();
        let taken: Vec<Used> = idle
            .into_iter()
            .filter(|used| {
                let cell = self.directory.half(used.cell);
                cell.compare_exchange(used.number, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            })
            .collect();
        if taken.is_empty() {
            return 0;
        }
        let is_past = grace();
        let mut given = 0;
        for used in taken {
            if is_past && self.is_free(used) {
                self.spare.push(used.number - 1);
                given += 1;
            } else {
                self.put_back(used);
            }
        }
        given
    }

    /// Finds the frames that are neither in the directory nor on the ring nor spare: lost in a race between two probes,
    /// or by an agent that was killed while it handed them over. Returns how many there were.
    pub fn mend(&mut self) -> u64 {
        let first = self.held();
        if first.iter().all(|is_held| *is_held) || !grace() {
            return 0;
        }
        // One that a probe was just putting into the directory is there by now.
        let second = self.held();
        let is_lost = |frame: &usize| !first[*frame] && !second[*frame];
        let lost: Vec<u32> = (0..first.len()).filter(is_lost).map(|frame| frame as u32).collect();
        for frame in &lost {
            self.clear(*frame);
        }
        self.spare.extend(&lost);
        lost.len() as u64
    }

    /// Frames that clusters of the areas have now.
    pub(super) fn frames_in_use(&self) -> u64 {
        let areas = self.areas();
        let cells = areas.values().flat_map(|area| self.clusters(area));
        cells.filter(|number| *number != 0).count() as u64
    }

    fn used(&self, cells: std::ops::Range<usize>) -> Vec<Used> {
        let number = |cell| self.directory.half(cell).load(Ordering::Acquire);
        cells.map(|cell| Used { cell, number: number(cell) }).filter(|used| used.number != 0).collect()
    }

    /// For each frame whether it is on the ring, in the directory or spare. A frame leaves the ring before it enters
    /// the directory: looked for in this order it is found in one of them, or it is on its way.
    fn held(&self) -> Vec<bool> {
        let mut held = vec![false; self.chunks.len() * CHUNK_FRAMES];
        let mut hold = |frame: u32| held.get_mut(frame as usize).into_iter().for_each(|place| *place = true);
        let head = field!(self.control, Control, ring_head).load(Ordering::Acquire);
        let tail = field!(self.control, Control, ring_tail).load(Ordering::Acquire);
        for place in head..tail {
            hold(self.ring.half(place as usize % FREE_RING).load(Ordering::Relaxed));
        }
        self.used(0..self.directory.bytes() / 4).iter().for_each(|used| hold(used.number - 1));
        self.spare.iter().for_each(|frame| hold(*frame));
        held
    }

    fn words_of(&self, frame: u32) -> &[std::sync::atomic::AtomicU64] {
        let (chunk, place) = (frame as usize / CHUNK_FRAMES, frame as usize % CHUNK_FRAMES);
        self.chunks.get(chunk).map_or(&[], |chunk| chunk.words(place * FRAME_SLOTS, FRAME_SLOTS))
    }

    fn is_free(&self, used: Used) -> bool {
        let words = self.words_of(used.number - 1);
        !words.is_empty()
            && words.iter().all(|word| Word(word.load(Ordering::Acquire)).state() == State::Free)
    }

    fn is_idle(&self, used: Used, now: u64) -> bool {
        let words = self.words_of(used.number - 1);
        !words.is_empty()
            && words
                .iter()
                .map(|word| Word(word.load(Ordering::Relaxed)))
                .all(|word| word.state() == State::Free && (word.0 == 0 || word.age(now) >= REST))
    }

    /// Undoes the taking of a frame: into its cell, or, where the cluster has a new one by now, word by word.
    fn put_back(&mut self, used: Used) {
        let cell = self.directory.half(used.cell);
        let Err(other) = cell.compare_exchange(0, used.number, Ordering::AcqRel, Ordering::Acquire) else {
            return;
        };
        for (old, new) in self.words_of(used.number - 1).iter().zip(self.words_of(other - 1)) {
            let (word, there) = (old.load(Ordering::Acquire), new.load(Ordering::Acquire));
            if Word(word).state() != State::Free && Word(there).state() == State::Free {
                // The probes know more when this fails.
                let _newer = new.compare_exchange(there, word, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
        self.clear(used.number - 1);
        self.spare.push(used.number - 1);
    }

    fn clear(&self, frame: u32) {
        self.words_of(frame).iter().for_each(|word| word.store(0, Ordering::Release));
    }
}

/// Waits until every program that is running now has ended. `false` where the kernel does not offer it.
fn grace() -> bool {
    membarrier(MembarrierCommand::Global).is_ok()
}
