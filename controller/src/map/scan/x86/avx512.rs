//! Sixteen words at a time. Called by `x86::walk` alone.

use std::arch::x86_64::*;

use swaptier_common::slot::STAMP_MASK;

use super::{
    BLOCK, Bar, Block, Desk, Frame, KEY_BITS, PAGE_IN_UPPER, PARTS_BETWEEN, Pair, Part, Picked, Ruler, Table,
    Work, ask_ahead, frames,
};
use crate::map::scan::table::{ROW_SHIFT, STATES, SWIZZLE};

frames!("avx512f,avx512cd,popcnt,bmi2");

/// Leaves those of sixteen words that are in use side by side on the desk, behind `count` others. Returns the new
/// count.
///
/// # Safety
/// The part is aligned to a vector, and at most the other parts of a frame were picked before.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn pick(part: &Part, to: &mut Picked, count: usize) -> usize {
    ask_ahead(part);
    let evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odds = _mm512_or_si512(evens, _mm512_set1_epi32(1));
    let vectors = part.as_ptr().cast::<__m512i>();
    // SAFETY: two vectors, aligned as the caller promised. Volatile: the kernel may write there at any
    // time, so each is read exactly once.
    let (a, b) = unsafe { (vectors.read_volatile(), vectors.add(1).read_volatile()) };
    let low = _mm512_permutex2var_epi32(a, evens, b);
    let high = _mm512_permutex2var_epi32(a, odds, b);
    let used = _mm512_test_epi32_mask(low, _mm512_set1_epi32(7));
    // SAFETY: as few words came before as the caller promised, so sixteen fit.
    unsafe {
        store(to.low.as_mut_ptr().add(count), _mm512_maskz_compress_epi32(used, low));
        store(to.high.as_mut_ptr().add(count), _mm512_maskz_compress_epi32(used, high));
    }
    count + used.count_ones() as usize
}

/// Makes records of the block of this number. For frames of one owner (`ONE`) the keys are rows to spread over and
/// columns. Returns the slots with a page older than the oldest of its owner.
#[inline]
#[target_feature(enable = "avx512f,avx512cd")]
fn classify<const ONE: bool>(
    ruler: &Ruler,
    bar: &mut Bar,
    oldest: &[u32],
    at_hand: &Picked,
    nth: usize,
    records: &mut Block,
) -> u32 {
    let (low, high) = block(at_hand, nth);
    let state = _mm512_and_si512(low, _mm512_set1_epi32(7));
    let is_zswap = _mm512_cmpeq_epi32_mask(state, _mm512_set1_epi32(2));
    let age = _mm512_sub_epi32(_mm512_set1_epi32(ruler.now as i32), high);
    let age = _mm512_maskz_and_epi32(is_zswap, age, _mm512_set1_epi32(STAMP_MASK as i32));
    let bucket = _mm512_sub_epi32(_mm512_set1_epi32(32), _mm512_lzcnt_epi32(age));
    let one = _mm512_set1_epi32(1);
    let is_older = _mm512_cmpge_epi32_mask(age, _mm512_set1_epi32(ruler.asked as i32));
    let mut column = _mm512_mask_add_epi32(bucket, is_older, bucket, one);
    for asked in &ruler.more_asked {
        let is_older = _mm512_cmpge_epi32_mask(age, _mm512_set1_epi32(*asked as i32));
        column = _mm512_mask_add_epi32(column, is_older, column, one);
    }
    // Written back: bit 3 of the history; from the column of state 4 to that of state 2.
    let is_phys = _mm512_cmpeq_epi32_mask(state, _mm512_set1_epi32(4));
    let came_back = _mm512_mask_test_epi32_mask(is_phys, high, _mm512_set1_epi32(1 << 27));
    let other = _mm512_add_epi32(state, _mm512_set1_epi32(STATES as i32));
    let other = _mm512_mask_sub_epi32(other, came_back, other, _mm512_set1_epi32(2));
    let column = _mm512_mask_blend_epi32(is_zswap, other, column);
    let length = _mm512_and_si512(_mm512_srli_epi32::<3>(low), _mm512_set1_epi32(8191));
    let owner = _mm512_min_epu32(_mm512_srli_epi32::<16>(low), _mm512_set1_epi32(ruler.owners as i32));
    let key = if ONE {
        // One after the other, in the order of the records.
        let row = _mm512_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
        _mm512_or_si512(_mm512_slli_epi32::<ROW_SHIFT>(row), column)
    } else {
        let turn = _mm512_and_si512(owner, _mm512_set1_epi32(SWIZZLE as i32));
        _mm512_or_si512(_mm512_slli_epi32::<ROW_SHIFT>(owner), _mm512_xor_si512(column, turn))
    };
    let lower = _mm512_or_si512(key, _mm512_slli_epi32::<KEY_BITS>(length));
    let page = _mm512_set1_epi32(1 << PAGE_IN_UPPER);
    let upper = _mm512_or_si512(_mm512_srli_epi32::<{ 32 - KEY_BITS }>(length), page);
    // SAFETY: a block has room for sixteen records.
    unsafe {
        store(records.as_mut_ptr().cast(), _mm512_unpacklo_epi32(lower, upper));
        store(records.as_mut_ptr().add(BLOCK / 2).cast(), _mm512_unpackhi_epi32(lower, upper));
    }
    // SAFETY: sixteen floors. Of an index only the last four bits count.
    let floor = unsafe { _mm512_permutexvar_epi32(owner, load(bar.floors.as_ptr())) };
    let above = _mm512_cmpgt_epi32_mask(age, floor);
    if ONE || above == 0 {
        return u32::from(above);
    }
    bar.vain_looks += 1;
    // SAFETY: no owner is greater than `owners`, and the oldest of each up to and with it is there.
    let oldest = unsafe { _mm512_i32gather_epi32::<4>(owner, oldest.as_ptr().cast()) };
    u32::from(_mm512_cmpgt_epi32_mask(age, oldest))
}

/// The halves of the words in the block of this number.
#[inline]
#[target_feature(enable = "avx512f")]
fn block(at_hand: &Picked, nth: usize) -> (__m512i, __m512i) {
    let (low, high) = (&at_hand.low[nth * BLOCK..][..BLOCK], &at_hand.high[nth * BLOCK..][..BLOCK]);
    // SAFETY: sixteen of each.
    unsafe { (load(low.as_ptr()), load(high.as_ptr())) }
}

/// # Safety
/// Sixteen halves from `at` on can be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(at: *const u32) -> __m512i {
    // SAFETY: the caller's.
    unsafe { _mm512_loadu_si512(at.cast()) }
}

/// # Safety
/// Sixteen halves from `at` on can be written.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(at: *mut u32, vector: __m512i) {
    // SAFETY: the caller's.
    unsafe { _mm512_storeu_si512(at.cast(), vector) }
}
