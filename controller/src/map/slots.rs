//! One slot's word, found and changed by this process: by compare-and-swap, as the probes do it at the same time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use swaptier_common::{
    CHUNK_FRAMES, FRAME_SLOTS, FREE_RING,
    control::Control,
    slot::{State, Word},
};

use super::{ShadowError, ShadowMap};

/// A slot: the type of its area, and the page offset there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) kind: u32,
    pub(super) offset: u64,
}

impl ShadowMap {
    /// Enters a slot in use that no probe has seen; `false` when it is known already, or in no area.
    ///
    /// # Errors
    /// No memory for its frame.
    pub(super) fn enter(&mut self, slot: Slot, word: Word) -> Result<bool, ShadowError> {
        let Some(cell) = self.cell_of(slot) else { return Ok(false) };
        let mut number = self.directory.half(cell).load(Ordering::Acquire);
        if number == 0 {
            number = self.claim(cell)?;
        }
        let Some(place) = self.word_in(number, slot) else { return Ok(false) };
        let old = place.load(Ordering::Acquire);
        Ok(Word(old).state() == State::Free
            && place.compare_exchange(old, word.0, Ordering::AcqRel, Ordering::Relaxed).is_ok())
    }

    /// Frees a slot again if its word is still this one.
    pub(super) fn take_back(&self, slot: Slot, word: Word) -> bool {
        let free = Word::new(State::Free, 0, word.owner(), word.stamp());
        self.replace(slot, word, free)
    }

    /// Replaces a slot's word if it is still this one.
    pub(super) fn replace(&self, slot: Slot, old: Word, new: Word) -> bool {
        self.word(slot).is_some_and(|place| {
            place.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// The word of a slot; `None` when no probe has seen its cluster.
    pub(super) fn word(&self, slot: Slot) -> Option<&AtomicU64> {
        self.word_in(self.directory.half(self.cell_of(slot)?).load(Ordering::Acquire), slot)
    }

    fn word_in(&self, number: u32, slot: Slot) -> Option<&AtomicU64> {
        let frame = number.checked_sub(1)? as usize;
        let chunk = self.chunks.get(frame / CHUNK_FRAMES)?;
        Some(chunk.word(frame % CHUNK_FRAMES * FRAME_SLOTS + slot.offset as usize % FRAME_SLOTS))
    }

    /// The directory's cell of a slot's cluster. The first page of an area is its header, never a slot.
    fn cell_of(&self, slot: Slot) -> Option<usize> {
        let area = self.area(slot.kind)?;
        (1..u64::from(area.slots))
            .contains(&slot.offset)
            .then(|| area.base as usize + slot.offset as usize / FRAME_SLOTS)
    }

    /// Gives a cluster a frame off the ring, as the probes do. The frame that lost a race goes back: only this process
    /// puts frames on the ring.
    fn claim(&mut self, cell: usize) -> Result<u32, ShadowError> {
        let frame = loop {
            let head = field!(self.control, Control, ring_head).load(Ordering::Acquire);
            if head == field!(self.control, Control, ring_tail).load(Ordering::Acquire) {
                self.add_chunk()?;
                continue;
            }
            let frame = self.ring.half(head as usize % FREE_RING).load(Ordering::Relaxed);
            let ring_head = field!(self.control, Control, ring_head);
            if ring_head.compare_exchange(head, head + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                break frame;
            }
        };
        let cell: &AtomicU32 = self.directory.half(cell);
        match cell.compare_exchange(0, frame + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(frame + 1),
            Err(other) => {
                self.hand_over(frame);
                Ok(other)
            }
        }
    }
}
