//! Memory as that of the shadow map: words of slots, in frames, on pages of the usual size. Made up at random.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use swaptier_common::{
    CHUNK_FRAMES, FRAME_SLOTS,
    slot::{State, WRITTEN_BACK, Word},
};

use super::Dice;

/// Second of `CLOCK_MONOTONIC` at which the map is looked at: after two months.
pub(super) const NOW: u64 = 5_000_000;

/// Who is neighbour to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    /// Each slot has an owner and an age of its own: the worst there is.
    Slots,
    /// 32 slots in a row have one owner and one age: what one batch of reclaim takes from one cgroup.
    Batches,
    /// A frame has one owner, and ages within four seconds: the kernel gives each CPU a cluster of its own.
    Frames,
}

impl Layout {
    fn run(self) -> usize {
        match self {
            Layout::Slots => 1,
            Layout::Batches => 32,
            Layout::Frames => FRAME_SLOTS,
        }
    }
}

/// One frame, on a page of its own as in the map.
#[repr(align(4096))]
struct Frame(#[expect(dead_code, reason = "only reached as words")] [AtomicU64; FRAME_SLOTS]);

/// Some frames that lie together.
pub(super) struct Shadow {
    frames: Vec<Frame>,
}

impl Shadow {
    /// Makes room for this many slots, all free.
    pub(super) fn new(slots: usize) -> Shadow {
        let count = slots.div_ceil(FRAME_SLOTS);
        let mut frames: Vec<Frame> = Vec::with_capacity(count);
        // The map is mapped page by page, so no huge page may make this one faster.
        // SAFETY: the room just allocated, nothing of which is in use.
        let advised = unsafe {
            libc::madvise(frames.as_mut_ptr().cast(), count * size_of::<Frame>(), libc::MADV_NOHUGEPAGE)
        };
        if advised != 0 && count > 0 {
            eprintln!("note: the memory may have huge pages, which the shadow map never has");
        }
        frames.extend((0..count).map(|_| Frame([const { AtomicU64::new(0) }; FRAME_SLOTS])));
        Shadow { frames }
    }

    /// Fills it anew. Of the slots in use ten in sixteen are in zswap, four on the device, one half of them by write-
    /// back; the rest are zero or unknown. Ages are even on a scale of powers of two, but below a minute for the first
    /// `young` owners.
    pub(super) fn fill(&self, percent: u64, owners: u64, young: u64, layout: Layout) {
        let mut dice = Dice(0x5eed);
        let (mut owner, mut age) = (0, 0);
        for (place, to) in self.words().iter().enumerate() {
            if place % layout.run() == 0 {
                owner = dice.below(owners);
                age = dice.below(1 << 24) >> dice.below(20);
                if owner < young {
                    age %= 60;
                }
            }
            let young = if layout == Layout::Frames { dice.below(4) } else { 0 };
            let word = if dice.below(100) < percent { used(&mut dice, owner as u16, age + young) } else { 0 };
            to.store(word, Ordering::Relaxed);
        }
    }

    /// The words of each chunk, the unit in which the map is mapped.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[AtomicU64]> {
        self.words().chunks(CHUNK_FRAMES * FRAME_SLOTS)
    }

    /// The words of all slots.
    pub(super) fn words(&self) -> &[AtomicU64] {
        let first = self.frames.as_ptr().cast::<AtomicU64>();
        // SAFETY: a frame is its words and nothing else, and frames follow each other.
        unsafe { std::slice::from_raw_parts(first, self.frames.len() * FRAME_SLOTS) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.frames.len() * size_of::<Frame>()
    }
}

fn used(dice: &mut Dice, owner: u16, age: u64) -> u64 {
    let stamp = NOW.wrapping_sub(age);
    let length = 300 + dice.below(3000);
    match dice.below(16) {
        0..10 => Word::new(State::Zswap, length, owner, stamp).0,
        10..12 => Word::new(State::Phys, 0, owner, stamp).0,
        12..14 => Word::new(State::Phys, length, owner, stamp).with(WRITTEN_BACK).0,
        14 => Word::new(State::Zero, 0, owner, stamp).0,
        _ => Word::new(State::Unknown, 0, owner, stamp).0,
    }
}
