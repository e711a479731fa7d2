//! Eight words at a time. Called by `x86::walk` alone.

use std::arch::x86_64::*;

use swaptier_common::slot::STAMP_MASK;

use super::{
    BLOCK, Bar, Block, Desk, Frame, KEY_BITS, PAGE_IN_UPPER, PARTS_BETWEEN, Pair, Part, Picked, Ruler, Table,
    Work, ask_ahead,
};
use crate::map::scan::table::{ROW_SHIFT, STATES, SWIZZLE};

/// Words in a vector's halves.
const LANES: usize = 8;

/// For each set of lanes their numbers, side by side.
static ORDER: [[u8; LANES]; 256] = {
    let mut order = [[0; LANES]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut count) = (0, 0);
        while lane < LANES {
            if set >> lane & 1 == 1 {
                order[set][count] = lane as u8;
                count += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    order
};

/// Adds these frames to the table.
///
/// # Safety
/// The processor has these features, and the frames are aligned to 64 bytes.
#[target_feature(enable = "avx2,popcnt,bmi2")]
pub(super) unsafe fn frames(table: &mut Table, desk: &mut Desk, frames: &[Frame]) {
    let Desk { picked: [at_hand, coming], rest, work } = desk;
    let (mut at_hand, mut coming) = (at_hand, coming);
    at_hand.count = 0;
    // Two more turns than frames: before the first none is at hand, and in the last one only the rest.
    for nth in 0..frames.len() + 2 {
        let parts = frames.get(nth).map_or(&[][..], |frame| frame.as_chunks().0);
        let is_last = nth > frames.len();
        // SAFETY: the caller's.
        unsafe {
            if at_hand.has_one_owner() {
                work.spread.take(at_hand.low[0] >> 16, table);
                let pairs = at_hand.close();
                add::<true>(work, table, at_hand, pairs, parts, coming);
            } else {
                at_hand.append(rest);
                let pairs = if is_last { at_hand.close() } else { at_hand.leave(rest) };
                add::<false>(work, table, at_hand, pairs, parts, coming);
            }
        }
        std::mem::swap(&mut at_hand, &mut coming);
    }
    work.spread.finish(table);
}

/// Adds the frame at hand, with so many pairs of blocks, and picks the parts of the next one meanwhile. A frame
/// of one owner (`ONE`) is added to the spread rows.
///
/// # Safety
/// The parts are aligned to 64 bytes, and no more than a frame has.
#[inline]
#[target_feature(enable = "avx2,popcnt,bmi2")]
unsafe fn add<const ONE: bool>(
    work: &mut Work,
    table: &mut Table,
    at_hand: &Picked,
    pairs: usize,
    mut parts: &[Part],
    coming: &mut Picked,
) {
    let Work { ruler, two, spread } = work;
    let mut bar = if ONE { spread.bar(table) } else { Bar::of(table) };
    let (mut count, mut has_new, mut older) = (0, false, 0);
    if pairs > 0 {
        let blocks = [0, pairs];
        older = classify_pair::<ONE>(ruler, &mut bar, &table.oldest, at_hand, blocks, &mut two[0]);
    }
    for nth in 0..pairs {
        if let Some((now, later)) = parts.split_first_chunk::<PARTS_BETWEEN>() {
            parts = later;
            for part in now {
                // SAFETY: the caller's.
                count = unsafe { pick(part, coming, count) };
            }
        }
        let (was_new, was_older) = (has_new, older);
        // One pair ahead, so that no addition waits for its record.
        if nth + 1 < pairs {
            let (blocks, to) = ([nth + 1, nth + 1 + pairs], &mut two[(nth + 1) % 2]);
            older = classify_pair::<ONE>(ruler, &mut bar, &table.oldest, at_hand, blocks, to);
        }
        let pair = &two[nth % 2];
        if ONE {
            spread.add(pair);
            if was_older != 0 {
                at_hand.show(nth, pairs, was_older, table);
                bar = spread.bar(table);
            }
        } else {
            has_new = table.add_pair(pair);
            // An owner that is new may have more pages in the pair that was classified before this was known.
            let lanes = if was_new | has_new { u32::MAX } else { was_older };
            if lanes != 0 {
                at_hand.show(nth, pairs, lanes, table);
                bar.floors = table.floors;
            }
        }
    }
    if bar.vain_looks > 0 && !ONE {
        table.looked_in_vain(bar.vain_looks);
    }
    for part in parts {
        // SAFETY: the caller's.
        count = unsafe { pick(part, coming, count) };
    }
    coming.count = count;
}

/// Makes the records of two blocks. Returns the slots with a page older than the oldest of its owner; those of
/// the second block are the upper bits.
#[inline]
#[target_feature(enable = "avx2,popcnt,bmi2")]
fn classify_pair<const ONE: bool>(
    ruler: &Ruler,
    bar: &mut Bar,
    oldest: &[u32],
    at_hand: &Picked,
    blocks: [usize; 2],
    to: &mut Pair,
) -> u32 {
    let first = classify::<ONE>(ruler, bar, oldest, at_hand, blocks[0], &mut to.0[0]);
    let second = classify::<ONE>(ruler, bar, oldest, at_hand, blocks[1], &mut to.0[1]);
    first | second << BLOCK
}

/// Leaves those of sixteen words that are in use side by side on the desk, behind `count` others. Returns the new
/// count. Their order changes within eight; nobody looks at it.
///
/// # Safety
/// The part is aligned to a vector, and at most the other parts of a frame were picked before.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn pick(part: &Part, to: &mut Picked, mut count: usize) -> usize {
    ask_ahead(part);
    let state = _mm256_set1_epi32(7);
    let vectors = part.as_ptr().cast::<__m256i>();
    for nth in 0..2 {
        // SAFETY: two vectors, aligned as the caller promised. Volatile: the kernel may write there at any
        // time, so each is read exactly once.
        let (a, b) =
            unsafe { (vectors.add(2 * nth).read_volatile(), vectors.add(2 * nth + 1).read_volatile()) };
        let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
        let low = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
        let high = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
        let used = set(_mm256_cmpgt_epi32(_mm256_and_si256(low, state), _mm256_setzero_si256()));
        // SAFETY: eight bytes of the table; as few words came before as the caller promised, so eight fit on the desk.
        unsafe {
            let order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(ORDER[used as usize].as_ptr().cast()));
            store(to.low.as_mut_ptr().add(count), _mm256_permutevar8x32_epi32(low, order));
            store(to.high.as_mut_ptr().add(count), _mm256_permutevar8x32_epi32(high, order));
        }
        count += used.count_ones() as usize;
    }
    count
}

/// Makes records of the block of this number. For frames of one owner (`ONE`) the keys are rows to spread over and
/// columns. Returns the slots with a page older than the oldest of its owner.
#[inline]
#[target_feature(enable = "avx2")]
fn classify<const ONE: bool>(
    ruler: &Ruler,
    bar: &mut Bar,
    oldest: &[u32],
    at_hand: &Picked,
    nth: usize,
    records: &mut Block,
) -> u32 {
    let (to, _) = records.as_chunks_mut::<LANES>();
    let first = classify_half::<ONE>(ruler, bar, oldest, at_hand, 2 * nth, &mut to[0]);
    let second = classify_half::<ONE>(ruler, bar, oldest, at_hand, 2 * nth + 1, &mut to[1]);
    first | second << LANES
}

/// As `classify`, for eight slots.
#[inline]
#[target_feature(enable = "avx2")]
fn classify_half<const ONE: bool>(
    ruler: &Ruler,
    bar: &mut Bar,
    oldest: &[u32],
    at_hand: &Picked,
    nth: usize,
    records: &mut [u64; LANES],
) -> u32 {
    let (low, high) = half(at_hand, nth);
    let state = _mm256_and_si256(low, _mm256_set1_epi32(7));
    let is_zswap = _mm256_cmpeq_epi32(state, _mm256_set1_epi32(2));
    let age = _mm256_sub_epi32(_mm256_set1_epi32(ruler.now as i32), high);
    let age = _mm256_and_si256(is_zswap, _mm256_and_si256(age, _mm256_set1_epi32(STAMP_MASK as i32)));
    // A 24-bit number is exact as a float, and its exponent is the place of its highest bit: 126 below its bucket.
    let exponent = _mm256_srli_epi32::<23>(_mm256_castps_si256(_mm256_cvtepi32_ps(age)));
    let bucket = _mm256_sub_epi32(_mm256_max_epi32(exponent, _mm256_set1_epi32(126)), _mm256_set1_epi32(126));
    // True is −1.
    let is_older = _mm256_cmpgt_epi32(age, _mm256_set1_epi32(ruler.asked as i32 - 1));
    let mut column = _mm256_sub_epi32(bucket, is_older);
    for asked in &ruler.more_asked {
        column = _mm256_sub_epi32(column, _mm256_cmpgt_epi32(age, _mm256_set1_epi32(*asked as i32 - 1)));
    }
    // Written back: bit 3 of the history; from the column of state 4 to that of state 2.
    let is_phys = _mm256_cmpeq_epi32(state, _mm256_set1_epi32(4));
    let came_back = _mm256_and_si256(_mm256_srli_epi32::<26>(high), _mm256_set1_epi32(2));
    let other = _mm256_add_epi32(state, _mm256_set1_epi32(STATES as i32));
    let other = _mm256_sub_epi32(other, _mm256_and_si256(is_phys, came_back));
    let column = _mm256_blendv_epi8(other, column, is_zswap);
    let length = _mm256_and_si256(_mm256_srli_epi32::<3>(low), _mm256_set1_epi32(8191));
    let owner = _mm256_min_epu32(_mm256_srli_epi32::<16>(low), _mm256_set1_epi32(ruler.owners as i32));
    let key = if ONE {
        // One after the other, in the order of the records.
        let row = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
        _mm256_or_si256(_mm256_slli_epi32::<{ ROW_SHIFT as i32 }>(row), column)
    } else {
        let turn = _mm256_and_si256(owner, _mm256_set1_epi32(SWIZZLE as i32));
        let row = _mm256_slli_epi32::<{ ROW_SHIFT as i32 }>(owner);
        _mm256_or_si256(row, _mm256_xor_si256(column, turn))
    };
    let lower = _mm256_or_si256(key, _mm256_slli_epi32::<{ KEY_BITS as i32 }>(length));
    let page = _mm256_set1_epi32(1 << PAGE_IN_UPPER);
    let upper = _mm256_or_si256(_mm256_srli_epi32::<{ 32 - KEY_BITS as i32 }>(length), page);
    // SAFETY: room for eight records.
    unsafe {
        store(records.as_mut_ptr().cast(), _mm256_unpacklo_epi32(lower, upper));
        store(records.as_mut_ptr().add(LANES / 2).cast(), _mm256_unpackhi_epi32(lower, upper));
    }
    // SAFETY: twice eight floors.
    let (floors, more) = unsafe { (load(bar.floors.as_ptr()), load(bar.floors.as_ptr().add(LANES))) };
    // Of an index only the last three bits count, so it is the lower of two floors.
    let floor = _mm256_permutevar8x32_epi32(_mm256_min_epi32(floors, more), owner);
    let above = set(_mm256_cmpgt_epi32(age, floor));
    if ONE || above == 0 {
        return above;
    }
    bar.vain_looks += 1;
    // SAFETY: no owner is greater than `owners`, and the oldest of each up to and with it is there.
    let oldest = unsafe { _mm256_i32gather_epi32::<4>(oldest.as_ptr().cast(), owner) };
    set(_mm256_cmpgt_epi32(age, oldest))
}

/// The halves of the words in the half block of this number.
#[inline]
#[target_feature(enable = "avx2")]
fn half(at_hand: &Picked, nth: usize) -> (__m256i, __m256i) {
    let (low, high) = (&at_hand.low[nth * LANES..][..LANES], &at_hand.high[nth * LANES..][..LANES]);
    // SAFETY: eight of each.
    unsafe { (load(low.as_ptr()), load(high.as_ptr())) }
}

/// The lanes in which all bits are set.
#[inline]
#[target_feature(enable = "avx2")]
fn set(vector: __m256i) -> u32 {
    _mm256_movemask_ps(_mm256_castsi256_ps(vector)) as u32
}

/// # Safety
/// Eight halves from `at` on can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(at: *const u32) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_loadu_si256(at.cast()) }
}

/// # Safety
/// Eight halves from `at` on can be written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(at: *mut u32, vector: __m256i) {
    // SAFETY: the caller's.
    unsafe { _mm256_storeu_si256(at.cast(), vector) }
}
