//! The walk for x86-64 with AVX2 or AVX-512. Here: what both have in common; `avx2` and `avx512` are the same two
//! steps on eight and on sixteen words at a time.
//!
//! 1. `pick` reads a frame and leaves its slots in use side by side on the desk, without a branch per slot.
//! 2. `classify` turns sixteen of them into places in the table and records of what to add there.
//!
//! What follows is one addition per slot, the only part that is done one by one. A frame whose slots have one owner is
//! told from the others: its neighbours are often of the same age too, and would wait for each other in the same place,
//! so they go to eight rows in turn.
//!
//! Words are read while the kernel writes them. Each lane of a vector is an aligned word, and the processor reads
//! and writes those whole; lanes may be of different moments, which is true of any walk.

mod avx2;
mod avx512;

use std::arch::x86_64::{_MM_HINT_NTA, _mm_prefetch};
use std::sync::atomic::AtomicU64;

use swaptier_common::FRAME_SLOTS;

use super::{
    Way, plain,
    table::{AGE_SHIFT, ROW, ROW_SHIFT, SUM, Table, swizzle},
};

/// Slots that are classified together.
const BLOCK: usize = 16;
/// A frame with at most so many slots in use is read faster than its slots are added. It also does not matter then
/// whose they are.
const FEW: usize = 96;
/// Words in a line of the cache.
const LINE: usize = 8;
/// How far ahead memory is asked for, in words: two frames.
const AHEAD: usize = 2 * FRAME_SLOTS;
/// Parts in which a frame is asked for: as many as there are blocks in half a frame.
const PARTS: usize = FRAME_SLOTS / BLOCK / 2;
/// Rows among which a frame of one owner is spread.
const SPREAD: usize = 8;

/// Where a frame is worked on, and the sums of frames with one owner until another owner comes.
#[repr(align(64))]
#[derive(Clone, Debug)]
pub(super) struct Desk {
    /// Low and high halves of the words in use, with room for a last block.
    low: [u32; FRAME_SLOTS + BLOCK],
    high: [u32; FRAME_SLOTS + BLOCK],
    blocks: [Block; FRAME_SLOTS / BLOCK],
    spread: [[u64; ROW]; SPREAD],
    /// Whose the spread rows are.
    owner: Option<u32>,
    /// The last frame had few slots in use, so this one is expected to have.
    is_sparse: bool,
}

/// Sixteen slots: places in the table, and what to add there.
#[repr(align(64))]
#[derive(Clone, Copy, Debug)]
struct Block {
    keys: [u32; BLOCK],
    records: [u64; BLOCK],
}

/// What both ways know of the table while they classify.
struct Ruler<'a> {
    now: u32,
    owners: u32,
    asked: &'a [u32],
}

/// The ways of this processor, the fastest first.
pub(super) fn ways() -> Vec<Way> {
    let has_bits = is_x86_feature_detected!("popcnt") && is_x86_feature_detected!("bmi2");
    let has_avx2 = has_bits && is_x86_feature_detected!("avx2");
    let has_avx512 = has_avx2 && is_x86_feature_detected!("avx512f");
    let ways = [(Way::Avx512, has_avx512), (Way::Avx2, has_avx2)];
    ways.into_iter().filter(|(_, has)| *has).map(|(way, _)| way).collect()
}

/// Adds all words to the table.
pub(super) fn walk(way: Way, table: &mut Table, desk: &mut Desk, words: &[AtomicU64]) {
    // The map begins on a page. Anything else is no case to be quick about.
    let is_aligned = words.as_ptr().addr().is_multiple_of(64);
    let (frames, rest) = if is_aligned { words.as_chunks::<FRAME_SLOTS>() } else { (&[][..], words) };
    match way {
        // SAFETY: `Scan::by` lets no way through that `ways` did not find; the frames are aligned.
        Way::Avx512 => unsafe { avx512::frames(table, desk, frames) },
        // SAFETY: as above.
        Way::Avx2 => unsafe { avx2::frames(table, desk, frames) },
        Way::Plain => frames.iter().for_each(|frame| plain::walk(table, frame)),
    }
    plain::walk(table, rest);
}

/// The walk over frames, compiled for the vectors of the module that calls this.
macro_rules! frames {
    ($features:literal) => {
        /// Adds these frames to the table.
        ///
        /// # Safety
        /// The processor has these features, and the frames are aligned to 64 bytes.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn frames(table: &mut Table, desk: &mut Desk, frames: &[[AtomicU64; FRAME_SLOTS]]) {
            for frame in frames {
                // SAFETY: the caller's.
                let count = unsafe {
                    if desk.is_sparse { pick::<true>(frame, desk) } else { pick::<false>(frame, desk) }
                };
                desk.is_sparse = count <= FEW;
                if count == 0 {
                    continue;
                }
                desk.pad(count);
                let blocks = count.div_ceil(BLOCK);
                if !desk.is_sparse && desk.has_one_owner(blocks) {
                    desk.take((desk.low[0] >> 16).min(table.owners), table);
                    // No closures here: they would not be compiled for the same vectors.
                    let mut oldest = 0;
                    for nth in 0..blocks {
                        oldest = oldest.max(classify::<true>(&table.ruler(), desk, nth));
                    }
                    for nth in 0..blocks {
                        desk.spread(frame, nth);
                    }
                    desk.see_oldest(oldest, table);
                } else {
                    for nth in 0..blocks {
                        classify::<false>(&table.ruler(), desk, nth);
                    }
                    desk.add(frame, blocks, table);
                }
            }
            desk.finish(table);
        }
    };
}
use frames;

impl Default for Desk {
    fn default() -> Self {
        let block = Block { keys: [0; BLOCK], records: [0; BLOCK] };
        Self {
            low: [0; FRAME_SLOTS + BLOCK],
            high: [0; FRAME_SLOTS + BLOCK],
            blocks: [block; FRAME_SLOTS / BLOCK],
            spread: [[0; ROW]; SPREAD],
            owner: None,
            is_sparse: true,
        }
    }
}

impl Desk {
    /// Closes what was picked up to a whole block, with free slots of the same owner.
    #[inline(always)]
    fn pad(&mut self, count: usize) {
        let free = self.low[count - 1] & !7;
        self.low[count..count + BLOCK].fill(free);
    }

    /// Whether all slots in so many blocks have one owner. Where they do not, the first and the last tell mostly.
    #[inline(always)]
    fn has_one_owner(&self, blocks: usize) -> bool {
        let owner = self.low[0] >> 16;
        if self.low[blocks * BLOCK - 1] >> 16 != owner {
            return false;
        }
        let mut differ = 0;
        for low in &self.low[..blocks * BLOCK] {
            differ |= low >> 16 ^ owner;
        }
        differ == 0
    }

    /// Adds the blocks to the rows of their owners: one of the first half and one of the second in turn, because
    /// neighbours often go to the same place, where an addition waits for the one before.
    #[inline(always)]
    fn add(&self, frame: &[AtomicU64; FRAME_SLOTS], blocks: usize, table: &mut Table) {
        let half = blocks / 2;
        for nth in 0..half {
            self.ask_ahead(frame, 2 * nth);
            self.ask_ahead(frame, 2 * nth + 1);
            let (a, b) = (&self.blocks[nth], &self.blocks[nth + half]);
            for slot in 0..BLOCK {
                add(table, a.keys[slot], a.records[slot]);
                add(table, b.keys[slot], b.records[slot]);
            }
        }
        if blocks % 2 == 1 {
            self.ask_ahead(frame, blocks - 1);
            let last = &self.blocks[blocks - 1];
            last.keys.iter().zip(&last.records).for_each(|(key, record)| add(table, *key, *record));
        }
    }

    /// Makes sure that the spread rows are this owner's.
    #[inline(always)]
    fn take(&mut self, owner: u32, table: &mut Table) {
        if self.owner != Some(owner) {
            self.finish(table);
            self.owner = Some(owner);
        }
    }

    /// Adds a block whose keys are columns to the spread rows.
    #[inline(always)]
    fn spread(&mut self, frame: &[AtomicU64; FRAME_SLOTS], nth: usize) {
        self.ask_ahead(frame, nth);
        let block = &self.blocks[nth];
        for (slot, (key, record)) in block.keys.iter().zip(&block.records).enumerate() {
            self.spread[slot % SPREAD][*key as usize % ROW] += *record;
        }
    }

    /// The owner of the spread rows has a page of this age, and none older in this frame.
    #[inline(always)]
    fn see_oldest(&self, age: u32, table: &mut Table) {
        if let Some(oldest) = self.owner.and_then(|owner| table.oldest.get_mut(owner as usize)) {
            *oldest = (*oldest).max(u64::from(age) << AGE_SHIFT | SUM);
        }
    }

    /// Adds the spread rows to their owner's.
    #[inline(always)]
    fn finish(&mut self, table: &mut Table) {
        let Some(owner) = self.owner.take() else { return };
        let row = &mut table.sums[(owner as usize) << ROW_SHIFT..][..ROW];
        for line in (0..ROW).step_by(LINE) {
            let mut sums = [0; LINE];
            for from in &mut self.spread {
                let from = &mut from[line..][..LINE];
                sums.iter_mut().zip(&*from).for_each(|(sum, from)| *sum += from);
                from.fill(0);
            }
            // A line of columns stays together wherever it is moved.
            let to = &mut row[swizzle(owner, line as u32) as usize..][..LINE];
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
    }

    /// Asks for a part of what comes, unless `pick` does. Asking between additions is best, because those leave the
    /// memory alone; only where there are few of them `pick` has to ask.
    #[inline(always)]
    fn ask_ahead(&self, frame: &[AtomicU64; FRAME_SLOTS], part: usize) {
        if !self.is_sparse && part < PARTS {
            ask_ahead(frame, part);
        }
    }
}

/// Asks for a part of the frame after the next. Its lines are to leave the caches as soon as they were used: what is
/// to stay there is the table.
#[inline(always)]
fn ask_ahead(frame: &[AtomicU64; FRAME_SLOTS], part: usize) {
    const WORDS: usize = FRAME_SLOTS / PARTS;
    for word in (part * WORDS..(part + 1) * WORDS).step_by(LINE) {
        let word = frame.as_ptr().wrapping_add(AHEAD + word);
        // SAFETY: asking for memory reads nothing and cannot fault, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_NTA>(word.cast()) }
    }
}

/// Adds one slot to the row of its owner.
#[inline(always)]
fn add(table: &mut Table, key: u32, record: u64) {
    // SAFETY: `classify` makes no owner greater than `owners` and no column greater than a row is long. `oldest` has a
    // place and `sums` has a row for each owner up to and with `owners`.
    let (oldest, sum) = unsafe {
        (
            table.oldest.get_unchecked_mut((key >> ROW_SHIFT) as usize),
            table.sums.get_unchecked_mut(key as usize),
        )
    };
    if record > *oldest {
        raise(oldest, record);
    }
    *sum += record & SUM;
}

/// Out of the way: a conditional move would write `oldest` for each slot, and make the next of its owner wait for it.
#[cold]
#[inline(never)]
fn raise(oldest: &mut u64, record: u64) {
    *oldest = record | SUM;
}

impl Table {
    #[inline(always)]
    fn ruler(&self) -> Ruler<'_> {
        Ruler { now: self.now, owners: self.owners, asked: &self.asked }
    }
}
