//! What each swap area holds: a walk of its own through the frames of one area after the other. The tick's walk (`scan`)
//! goes through the frames as they lie in memory, where those of all areas are mixed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use swaptier_common::{
    CHUNK_FRAMES, FRAME_SLOTS,
    slot::{State, WRITTEN_BACK, Word},
};

use super::ShadowMap;

/// What one area has in its slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AreaScan {
    /// Slots by [`State`], as numbered there.
    pub slots: [u64; 6],
    /// *Compressed* bytes in zswap.
    pub zswap_bytes: u64,
    /// Slots on the device whose data came by write-back.
    pub written_back: u64,
}

impl AreaScan {
    /// Slots in this state.
    pub fn slots(&self, state: State) -> u64 {
        self.slots[state as usize]
    }

    fn add(&mut self, word: Word) {
        let state = word.state();
        self.slots[state as usize] += 1;
        match state {
            State::Zswap => self.zswap_bytes += word.length(),
            State::Phys => self.written_back += u64::from(word.has(WRITTEN_BACK)),
            State::Free | State::Folio | State::Zero | State::Unknown => {}
        }
    }
}

impl ShadowMap {
    /// What every area holds, by its number.
    pub fn by_area(&self) -> BTreeMap<u32, AreaScan> {
        let scan = |area| {
            let mut scan = AreaScan::default();
            for number in self.clusters(&area) {
                let Some(frame) = (number as usize).checked_sub(1) else { continue };
                let Some(chunk) = self.chunks.get(frame / CHUNK_FRAMES) else { continue };
                let words = chunk.words(frame % CHUNK_FRAMES * FRAME_SLOTS, FRAME_SLOTS);
                words.iter().for_each(|word| scan.add(Word(word.load(Ordering::Relaxed))));
            }
            scan
        };
        self.areas().into_iter().map(|(number, area)| (number, scan(area))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_counts_where_it_is_and_only_there() {
        let mut scan = AreaScan::default();
        scan.add(Word::new(State::Zswap, 1_000, 1, 0));
        scan.add(Word::new(State::Zswap, 24, 2, 0));
        // The length of a page that has left zswap is what it last had there.
        scan.add(Word::new(State::Phys, 500, 1, 0).with(WRITTEN_BACK));
        scan.add(Word::new(State::Phys, 0, 1, 0));
        scan.add(Word::new(State::Zero, 0, 1, 0));
        let expected = AreaScan { slots: [0, 0, 2, 1, 2, 0], zswap_bytes: 1_024, written_back: 1 };
        assert_eq!(scan, expected);
    }
}
