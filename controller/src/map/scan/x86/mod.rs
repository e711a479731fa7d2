//! The walk for x86-64 with AVX2. Here: what lies between its steps; `avx2` has the three steps, on eight words at a time.
//!
//! 1. `pick` leaves the slots in use of a frame side by side on the desk, without a branch per slot.
//! 2. `classify` turns sixteen of them into records: which column of the table, and what to add there.
//! 3. The additions, one per slot, are the only part that is done one by one.
//!
//! The additions leave most of the processor idle, and the memory too. So while those of one frame are made, the next
//! frame is picked and the one after the next is asked for, a few words at a time.
//!
//! A frame whose slots have one owner is told from the others: its neighbours are often of the same age too, and would
//! wait for each other in the same place, so they go to eight rows in turn.
//!
//! Words are read while the kernel writes them. Each lane of a vector is an aligned word, and the processor reads
//! and writes those whole; lanes may be of different moments, which is true of any walk.

mod avx2;

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
use std::sync::atomic::AtomicU64;

use swaptier_common::{
    FRAME_SLOTS,
    slot::{State, Word},
};

use super::{
    plain,
    table::{FLOORS, KNOWN, NEVER, PAGE_SHIFT, ROW, ROW_SHIFT, Table, swizzle},
};

/// Slots that are classified together.
const BLOCK: usize = 16;
/// Slots that are added together.
const PAIR: usize = 2 * BLOCK;
/// Parts that are picked between the additions of two pairs of blocks: as many as have twice the slots of a pair, so
/// that a frame half in use is done with when the next one is picked.
const PARTS_BETWEEN: usize = 4;
/// With at most so many slots in use in a frame it does not pay to ask whether all are of one owner.
const FEW: usize = 96;
/// Words in a line of the cache.
const LINE: usize = 8;
/// How far ahead memory is asked for, in words: two frames.
const AHEAD: usize = 2 * FRAME_SLOTS;
/// Rows among which a frame of one owner is spread.
const SPREAD: usize = 8;

/// In a record, the place in the table; above it, what to add there: a page and its length.
const KEY_BITS: u32 = 16 + ROW_SHIFT;
const KEY: u64 = (1 << KEY_BITS) - 1;
/// The bit of the page in the upper half of a record.
const PAGE_IN_UPPER: u32 = KEY_BITS + PAGE_SHIFT - 32;
/// Sixteen records, in any order.
type Block = [u64; BLOCK];
/// A frame as it lies in the map.
type Frame = [AtomicU64; FRAME_SLOTS];
/// What is picked at once.
type Part = [AtomicU64; BLOCK];

/// Where two frames are worked on: one is added while the other is picked.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    picked: [Picked; 2],
    rest: Rest,
    work: Work,
}

/// What the frame at hand is added with.
#[derive(Clone, Debug)]
struct Work {
    ruler: Ruler,
    /// The pair that is added, and the one after it.
    two: [Pair; 2],
    spread: Spread,
}

/// The slots in use of one frame, as halves of their words, with room for a pair that was left or closes the last one.
#[repr(align(64))]
#[derive(Clone, Debug)]
struct Picked {
    low: [u32; FRAME_SLOTS + 2 * PAIR],
    high: [u32; FRAME_SLOTS + 2 * PAIR],
    count: usize,
}

/// Slots in use that made no whole pair of blocks, until the next frame's are added.
#[repr(align(64))]
#[derive(Clone, Debug)]
struct Rest {
    low: [u32; PAIR],
    high: [u32; PAIR],
    count: usize,
}

/// The sums of frames with one owner until another owner comes.
#[repr(align(64))]
#[derive(Clone, Debug)]
struct Spread {
    rows: [[u64; ROW]; SPREAD],
    owner: Option<u32>,
}

/// Two blocks on their way from `classify` to the table. Neighbours often go to the same place, where an addition waits
/// for the one before; so one is of the first half of a frame, and one of the second.
#[repr(align(64))]
#[derive(Clone, Debug, Default)]
struct Pair([Block; 2]);

/// What `classify` knows of the table, of which nothing changes during a walk.
#[derive(Clone, Debug)]
struct Ruler {
    now: u32,
    owners: u32,
    asked: u32,
    /// Ages that are asked for beside that.
    more_asked: Vec<u32>,
}

/// What a page must be older than to be looked at.
struct Bar {
    floors: [u32; FLOORS],
    /// Blocks of slots with a page above it: but for very few, looked at in vain.
    vain_looks: usize,
}

impl Bar {
    #[inline(always)]
    fn of(table: &Table) -> Self {
        Self { floors: table.floors, vain_looks: 0 }
    }
}

/// Whether this processor can walk so.
pub(super) fn can_walk() -> bool {
    is_x86_feature_detected!("popcnt") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("avx2")
}

/// Adds all words to the table. The processor [`can_walk`].
pub(super) fn walk(table: &mut Table, desk: &mut Desk, words: &[AtomicU64]) {
    // The map begins on a page. Anything else is no case to be quick about.
    let is_aligned = words.as_ptr().addr().is_multiple_of(64);
    let (frames, rest) = if is_aligned { words.as_chunks::<FRAME_SLOTS>() } else { (&[][..], words) };
    // SAFETY: `Scan::by` lets no way through that this processor does not have; the frames are aligned.
    unsafe { avx2::frames(table, desk, frames) };
    plain::walk(table, rest);
}

impl Desk {
    pub(super) fn new(table: &Table) -> Self {
        let (asked, more_asked) = table.asked.split_first().unwrap_or((&NEVER, &[]));
        let ruler =
            Ruler { now: table.now, owners: table.owners, asked: *asked, more_asked: more_asked.to_vec() };
        let work = Work { ruler, two: Default::default(), spread: Spread::default() };
        let rest = Rest { low: [0; PAIR], high: [0; PAIR], count: 0 };
        Self { picked: Default::default(), rest, work }
    }
}

impl Default for Picked {
    fn default() -> Self {
        const ROOM: usize = FRAME_SLOTS + 2 * PAIR;
        Self { low: [0; ROOM], high: [0; ROOM], count: 0 }
    }
}

impl Picked {
    /// Closes what was picked up to a whole pair of blocks, with free slots of the last one's owner. Returns the number
    /// of pairs.
    #[inline(always)]
    fn close(&mut self) -> usize {
        if let Some(last) = self.count.checked_sub(1) {
            let free = self.low[last] & !7;
            self.low[self.count..][..PAIR].fill(free);
        }
        self.count.div_ceil(PAIR)
    }

    /// Leaves what makes no whole pair of blocks for the next frame. Returns the number of pairs.
    #[inline(always)]
    fn leave(&self, rest: &mut Rest) -> usize {
        let whole = self.count - self.count % PAIR;
        rest.low.copy_from_slice(&self.low[whole..][..PAIR]);
        rest.high.copy_from_slice(&self.high[whole..][..PAIR]);
        rest.count = self.count % PAIR;
        self.count / PAIR
    }

    /// Takes what was left.
    #[inline(always)]
    fn append(&mut self, rest: &mut Rest) {
        self.low[self.count..][..PAIR].copy_from_slice(&rest.low);
        self.high[self.count..][..PAIR].copy_from_slice(&rest.high);
        self.count += std::mem::take(&mut rest.count);
    }

    /// Whether these are many slots, all of one owner. Where they are not, the first and the last tell mostly.
    #[inline(always)]
    fn has_one_owner(&self) -> bool {
        if self.count <= FEW {
            return false;
        }
        let owner = self.low[0] >> 16;
        if self.low[self.count - 1] >> 16 != owner {
            return false;
        }
        let mut differ = 0;
        for low in &self.low[..self.count] {
            differ |= low >> 16 ^ owner;
        }
        differ == 0
    }

    /// Shows the table these slots of a pair.
    #[cold]
    #[inline(never)]
    fn show(&self, nth: usize, pairs: usize, lanes: u32, table: &mut Table) {
        for lane in (0..PAIR).filter(|lane| lanes >> lane & 1 == 1) {
            let slot = (nth + lane / BLOCK * pairs) * BLOCK + lane % BLOCK;
            table.see_word(Word(u64::from(self.high[slot]) << 32 | u64::from(self.low[slot])));
        }
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self { rows: [[0; ROW]; SPREAD], owner: None }
    }
}

impl Spread {
    /// Makes sure that the rows are this owner's.
    #[inline(always)]
    fn take(&mut self, owner: u32, table: &mut Table) {
        let owner = owner.min(table.owners);
        if self.owner != Some(owner) {
            self.finish(table);
            self.owner = Some(owner);
        }
    }

    /// Adds records whose keys are rows of these and columns.
    #[inline(always)]
    fn add(&mut self, pair: &Pair) {
        for record in pair.0.as_flattened() {
            let place = (record & KEY) as usize;
            self.rows.as_flattened_mut()[place % (SPREAD * ROW)] += record >> KEY_BITS;
        }
    }

    /// The bar for pages of the rows' owner: its oldest, or 0 if it has none. One that was just stored need not be seen
    /// then: it is found when it is older.
    #[inline(always)]
    fn bar(&self, table: &Table) -> Bar {
        Bar { floors: [self.owner.map_or(0, |owner| table.oldest(owner)); FLOORS], vain_looks: 0 }
    }

    /// Adds the rows to their owner's.
    #[inline(always)]
    fn finish(&mut self, table: &mut Table) {
        let Some(owner) = self.owner.take() else { return };
        let row = &mut table.sums[(owner as usize) << ROW_SHIFT..][..ROW];
        for line in (0..ROW).step_by(LINE) {
            let mut sums = [0; LINE];
            for from in &mut self.rows {
                let from = &mut from[line..][..LINE];
                sums.iter_mut().zip(&*from).for_each(|(sum, from)| *sum += from);
                from.fill(0);
            }
            // A line of columns stays together wherever it is moved.
            let to = &mut row[swizzle(owner, line as u32) as usize..][..LINE];
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
    }
}

/// Asks for what lies two frames behind this part. It is asked for into the second cache: the first is the table's.
#[inline(always)]
fn ask_ahead(part: &Part) {
    for line in (0..BLOCK).step_by(LINE) {
        let word = part.as_ptr().wrapping_add(AHEAD + line);
        // SAFETY: asking for memory reads nothing and cannot fault, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(word.cast()) }
    }
}

impl Table {
    /// As [`Table::see`], of a slot with anything in it.
    fn see_word(&mut self, word: Word) {
        if word.state() == State::Zswap {
            self.see(self.row(word), self.age(word));
        }
    }

    /// That many times it was looked, for a block of slots, whether a page above its floor is the oldest of its owner.
    /// When this has cost as much as to find higher floors will, that is done.
    #[cold]
    #[inline(never)]
    fn looked_in_vain(&mut self, looks: usize) {
        self.vain_looks += looks;
        if self.vain_looks * FLOORS >= self.oldest.len() {
            self.vain_looks = 0;
            self.floors = [NEVER; FLOORS];
            for rows in self.oldest.chunks(FLOORS) {
                self.floors.iter_mut().zip(rows).for_each(|(floor, oldest)| *floor = (*floor).min(*oldest));
            }
        }
    }

    /// Marks the places of these records.
    #[cold]
    #[inline(never)]
    fn know(&mut self, pair: &Pair) {
        pair.0.as_flattened().iter().for_each(|record| self.sums[(record & KEY) as usize] |= KNOWN);
    }

    /// Adds the slots of two blocks to the rows of their owners. Returns whether a place was not [`KNOWN`].
    #[inline(always)]
    fn add_pair(&mut self, pair: &Pair) -> bool {
        let mut has_new = false;
        let [first, second] = &pair.0;
        let sums = self.sums.as_mut_ptr();
        // In eights, because those are unrolled.
        for (first, second) in first.as_chunks::<8>().0.iter().zip(second.as_chunks::<8>().0) {
            for slot in 0..8 {
                for record in [first[slot], second[slot]] {
                    // SAFETY: `classify` makes no owner greater than `owners` and no column greater than a row is long,
                    // and `sums` has a row for each owner up to and with `owners`.
                    let sum = unsafe { &mut *sums.add((record & KEY) as usize) };
                    *sum += record >> KEY_BITS;
                    if *sum < KNOWN {
                        std::hint::cold_path();
                        has_new = true;
                    }
                }
            }
        }
        if has_new {
            self.know(pair);
        }
        has_new
    }
}
