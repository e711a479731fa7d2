//! The sums of a walk: one row per owner, and in it one column for each thing a slot can be. A column holds the number
//! of pages and their *compressed* bytes in one word, so a slot costs one addition.
//!
//! Columns, from the left: pages in zswap by age, then the other states. The age columns begin at every power of two
//! and at every age that some owner's policy asks for, so that both the histogram and what is cold are sums of whole
//! columns. Filling it is the work of `plain` and `x86`; only reading it out is done here.
//!
//! The age of an owner's oldest page is no sum. To compare it for each slot costs as much as a third of the
//! additions, and but for a few of millions in vain. Two marks that cost next to nothing tell which slots to look at:
//! [`KNOWN`] in the sums shows an owner's first page, and a [floor](Table::floors) those that may be older than what
//! came before.

use swaptier_common::{
    cgroup::age_bucket,
    slot::{STAMP_MASK, State, WRITTEN_BACK, Word},
};

use super::OwnerScan;

/// Columns in a row, as a shift: 64, eight lines of cache.
pub(super) const ROW_SHIFT: u32 = 6;
/// Columns in a row.
pub(super) const ROW: usize = 1 << ROW_SHIFT;
/// The column of slots in state 0. The states follow each other.
pub(super) const STATES: u32 = ROW as u32 - 8;
/// The column of slots whose data came to the device by write-back: that of the state zswap, which has its own.
pub(super) const WRITTEN_BACK_COLUMN: u32 = STATES + State::Zswap as u32;
/// Where the count of pages begins in a column's word; bytes are below.
pub(super) const PAGE_SHIFT: u32 = 38;
/// One page in a column's word.
pub(super) const PAGE: u64 = 1 << PAGE_SHIFT;
/// The bytes in a column's word.
const BYTES: u64 = PAGE - 1;
/// In a column's word: what is added here need not be looked at one by one. It is missing until something was added,
/// so the first page in zswap of an owner is noticed; with that it is set in the whole row.
pub(super) const KNOWN: u64 = 1 << 63;
/// Words that surely fit into a column: 2^24 × 8,191 bytes is below 2^38, and 2^24 pages below 2^25.
pub(super) const SPILL_AFTER: usize = 1 << 24;
const _: () = assert!(SPILL_AFTER as u64 * 8191 <= BYTES && (SPILL_AFTER as u64) << PAGE_SHIFT < KNOWN);
/// Floors, each for every sixteenth row.
pub(super) const FLOORS: usize = 16;
/// No page is that old: above all ages, also for comparisons that know a sign.
pub(super) const NEVER: u32 = i32::MAX as u32;
/// Ages that can be asked for beside the 24 powers of two.
const MAX_ASKED: usize = STATES as usize - 25;

/// The sums.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Second of the walk, in the width of the stamps.
    pub(super) now: u32,
    /// Rows of owners. One more row follows, for all whose owner has none.
    pub(super) owners: u32,
    /// Ages that are asked for, rising; empty when they are too many for the columns.
    pub(super) asked: Vec<u32>,
    /// The least age of each age column.
    starts: Vec<u32>,
    /// By owner, the age from which its pages are cold.
    cold_after: Vec<u32>,
    /// By owner, as a column's word: what is cold. Only used when `asked` has no room for all.
    cold: Option<Vec<u64>>,
    /// The rows. In each, the columns are moved by [`swizzle`].
    pub(super) sums: Vec<u64>,
    /// By row: the age of its oldest page in zswap, or [`NEVER`] if it has none.
    pub(super) oldest: Vec<u32>,
    /// For all rows with the same last four bits: no page up to this age is older than the oldest of its owner,
    /// unless the owner has none. Too low is slower, but never wrong.
    pub(super) floors: [u32; FLOORS],
    /// Looks at pages above a floor since the floors were last raised.
    #[cfg(target_arch = "x86_64")]
    pub(super) vain_looks: usize,
    /// Sums that were moved out of `sums` before they could overflow, in (pages, bytes); as long or empty.
    spilled: Vec<(u64, u64)>,
    /// As `spilled`, of `cold`.
    spilled_cold: Vec<(u64, u64)>,
    /// Words added since.
    since_spill: usize,
}

/// The place of a column in an owner's row. Without it the columns most used would lie at the same distance in all
/// rows, and fight for the same few sets of the cache. Eight rows fill all 64 sets, so the next three bits matter.
#[inline(always)]
pub(super) const fn swizzle(owner: u32, column: u32) -> u32 {
    column ^ owner & SWIZZLE
}
/// The bits of an owner that move its columns.
pub(super) const SWIZZLE: u32 = 7 << 3;

impl Table {
    pub(super) fn new(owners: usize, now: u64, cold_after: impl Fn(u16) -> Option<u64>) -> Self {
        let owners = owners.min(1 << 16);
        let age = |owner| cold_after(owner as u16).and_then(|age| u32::try_from(age).ok()).unwrap_or(NEVER);
        let cold_after: Vec<u32> = (0..owners).map(age).collect();
        let mut asked: Vec<u32> =
            cold_after.iter().copied().filter(|age| u64::from(*age) <= STAMP_MASK).collect();
        asked.sort_unstable();
        asked.dedup();
        // The first column begins at 0 anyway.
        asked.retain(|age| *age > 0);
        let is_full = asked.len() > MAX_ASKED;
        let cold = is_full.then(|| vec![0; owners]);
        if is_full {
            asked.clear();
        }
        let powers = (0..24).map(|power| 1 << power);
        let mut starts: Vec<u32> = std::iter::once(0).chain(powers).chain(asked.iter().copied()).collect();
        starts.sort_unstable();
        Self {
            now: now as u32,
            owners: owners as u32,
            asked,
            starts,
            cold_after,
            cold,
            sums: vec![0; (owners + 1) << ROW_SHIFT],
            oldest: vec![NEVER; owners + 1],
            floors: [NEVER; FLOORS],
            #[cfg(target_arch = "x86_64")]
            vain_looks: 0,
            spilled: Vec::new(),
            spilled_cold: Vec::new(),
            since_spill: 0,
        }
    }

    /// Whether what is cold can be told by columns.
    pub(super) fn has_columns(&self) -> bool {
        self.cold.is_none()
    }

    /// Makes sure that this many words can be added without overflow.
    pub(super) fn make_room(&mut self, words: usize) {
        if self.since_spill + words > SPILL_AFTER {
            spill(&mut self.sums, &mut self.spilled);
            if let Some(cold) = &mut self.cold {
                spill(cold, &mut self.spilled_cold);
            }
            self.since_spill = 0;
        }
        self.since_spill += words;
    }

    #[cfg(test)]
    pub(super) fn is_spilled(&self) -> bool {
        !self.spilled.is_empty()
    }

    /// Adds one slot. Its state and age are calculated with and not asked for: they are random, and a processor that
    /// guesses them is wrong half of the time.
    #[inline]
    pub(super) fn add(&mut self, word: Word) {
        let owner = self.row(word);
        let state = (word.0 & 7) as u32;
        let is_zswap = u32::from(state == State::Zswap as u32);
        let came_back = u32::from(state == State::Phys as u32) & u32::from(word.has(WRITTEN_BACK));
        let age = self.age(word) * is_zswap;
        // As `age_bucket`, for a number that is never zero.
        let bucket = 31 - (age << 1 | 1).leading_zeros();
        let asked: u32 = self.asked.iter().map(|asked| u32::from(*asked <= age)).sum();
        // Patterns that no state has are in columns of their own, as they are for `x86`.
        let other = STATES + state - came_back * (STATES + State::Phys as u32 - WRITTEN_BACK_COLUMN);
        let column = other - is_zswap * (other - bucket - asked);
        let sum = PAGE | word.length();
        self.sums[(owner << ROW_SHIFT | swizzle(owner, column)) as usize] += sum;
        // One more on both sides: so any page is older than none.
        if age + is_zswap > (self.oldest[owner as usize] + 1) & NEVER {
            self.see(owner, age);
        }
        if let Some(cold) = &mut self.cold
            && let Some(after) = self.cold_after.get(owner as usize)
            && is_zswap == 1
            && age >= *after
        {
            cold[owner as usize] += sum;
        }
    }

    /// The row of a slot.
    #[inline]
    pub(super) fn row(&self, word: Word) -> u32 {
        u32::from(word.owner()).min(self.owners)
    }

    /// How long what is in a slot has been there, in seconds.
    #[inline]
    pub(super) fn age(&self, word: Word) -> u32 {
        word.age(u64::from(self.now)) as u32
    }

    /// A page in zswap of this age, of the owner in this row, may be its oldest. Out of the way, as it seldom is.
    #[cold]
    #[inline(never)]
    pub(super) fn see(&mut self, row: u32, age: u32) {
        let oldest = &mut self.oldest[row as usize];
        if *oldest == NEVER {
            *oldest = age;
            let floor = &mut self.floors[row as usize % FLOORS];
            *floor = age.min(*floor);
            self.sums[(row as usize) << ROW_SHIFT..][..ROW].iter_mut().for_each(|sum| *sum |= KNOWN);
        } else {
            *oldest = age.max(*oldest);
        }
    }

    /// The age of the oldest page in zswap of the owner in this row; 0 if it has none.
    #[inline]
    pub(super) fn oldest(&self, row: u32) -> u32 {
        let oldest = self.oldest[row as usize];
        if oldest == NEVER { 0 } else { oldest }
    }

    pub(super) fn owner(&self, index: u16) -> OwnerScan {
        let row = u32::from(index);
        if row < self.owners { self.read(row) } else { OwnerScan::default() }
    }

    /// All slots, whoever owns them.
    pub(super) fn total(&self) -> OwnerScan {
        (0..=self.owners).fold(OwnerScan::default(), |sum, row| sum.plus(&self.read(row)))
    }

    fn read(&self, row: u32) -> OwnerScan {
        let mut scan = OwnerScan::default();
        // Nobody asks for an age of those whose owner has no row.
        let cold_after = self.cold_after.get(row as usize).copied().unwrap_or(NEVER);
        for (column, start) in (0..).zip(&self.starts) {
            let (pages, bytes) = self.column(row, column);
            scan.slots[State::Zswap as usize] += pages;
            scan.zswap_bytes += bytes;
            scan.zswap_age[age_bucket(u64::from(*start))] += pages;
            if *start >= cold_after && self.has_columns() {
                scan.cold_pages += pages;
                scan.cold_bytes += bytes;
            }
        }
        if let Some(cold) = self.cold.as_ref().filter(|_| row < self.owners) {
            (scan.cold_pages, scan.cold_bytes) = total(row as usize, cold, &self.spilled_cold);
        }
        for state in [1, 3, 4, 5, 6, 7] {
            scan.slots[State::from_bits(state) as usize] += self.column(row, STATES + state as u32).0;
        }
        scan.written_back = self.column(row, WRITTEN_BACK_COLUMN).0;
        scan.slots[State::Phys as usize] += scan.written_back;
        scan.oldest = self.oldest(row).into();
        scan
    }

    pub(super) fn strays(&self) -> u64 {
        (0..ROW as u32)
            .filter(|column| *column != STATES)
            .map(|column| self.column(self.owners, column).0)
            .sum()
    }

    /// Pages and bytes of a column.
    fn column(&self, row: u32, column: u32) -> (u64, u64) {
        total((row << ROW_SHIFT | swizzle(row, column)) as usize, &self.sums, &self.spilled)
    }
}

fn total(place: usize, sums: &[u64], spilled: &[(u64, u64)]) -> (u64, u64) {
    let (pages, bytes) = spilled.get(place).copied().unwrap_or_default();
    let (more_pages, more_bytes) = split(sums[place]);
    (pages + more_pages, bytes + more_bytes)
}

fn spill(sums: &mut [u64], to: &mut Vec<(u64, u64)>) {
    to.resize(sums.len(), (0, 0));
    for (to, sum) in to.iter_mut().zip(sums).filter(|(_, sum)| **sum != 0) {
        let (pages, bytes) = split(*sum);
        to.0 += pages;
        to.1 += bytes;
        *sum &= KNOWN;
    }
}

/// Pages and bytes in a column's word.
fn split(sum: u64) -> (u64, u64) {
    ((sum & !KNOWN) >> PAGE_SHIFT, sum & BYTES)
}
