//! Sixteen words at a time. Called by `x86::walk` alone.

use std::arch::x86_64::*;
use std::sync::atomic::AtomicU64;

use swaptier_common::{FRAME_SLOTS, slot::STAMP_MASK};

use super::{BLOCK, Desk, FEW, Ruler, Table, ask_ahead, frames};
use crate::map::scan::table::{AGE_SHIFT, PAGE_SHIFT, ROW_SHIFT, STATES};

frames!("avx512f,popcnt,bmi2");

/// Leaves the words in use side by side on the desk.
///
/// # Safety
/// The frame is aligned to a vector.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn pick<const SPARSE: bool>(frame: &[AtomicU64; FRAME_SLOTS], desk: &mut Desk) -> usize {
    let evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odds = _mm512_or_si512(evens, _mm512_set1_epi32(1));
    let state = _mm512_set1_epi32(7);
    let mut count = 0;
    let vectors = frame.as_ptr().cast::<__m512i>();
    for nth in 0..FRAME_SLOTS / BLOCK {
        if SPARSE && nth.is_multiple_of(2) {
            ask_ahead(frame, nth / 2);
        }
        // SAFETY: two vectors of the frame, aligned as the caller promised. Volatile: the kernel may write there
        // at any time, so each is read exactly once.
        let (a, b) =
            unsafe { (vectors.add(2 * nth).read_volatile(), vectors.add(2 * nth + 1).read_volatile()) };
        let low = _mm512_permutex2var_epi32(a, evens, b);
        let high = _mm512_permutex2var_epi32(a, odds, b);
        let used = _mm512_test_epi32_mask(low, state);
        // SAFETY: at most `nth` × 16 words came before, so sixteen fit.
        unsafe {
            store(desk.low.as_mut_ptr().add(count), _mm512_maskz_compress_epi32(used, low));
            store(desk.high.as_mut_ptr().add(count), _mm512_maskz_compress_epi32(used, high));
        }
        count += used.count_ones() as usize;
    }
    count
}

/// Classifies the block of this number. For frames of one owner (`ONE`) the keys are columns and the records carry no
/// age: the oldest is returned.
#[inline]
#[target_feature(enable = "avx512f")]
fn classify<const ONE: bool>(ruler: &Ruler<'_>, desk: &mut Desk, nth: usize) -> u32 {
    let block = &mut desk.blocks[nth];
    // SAFETY: `pad` closed the last block.
    let (low, high) =
        unsafe { (load(desk.low.as_ptr().add(nth * BLOCK)), load(desk.high.as_ptr().add(nth * BLOCK))) };
    let state = _mm512_and_si512(low, _mm512_set1_epi32(7));
    let is_zswap = _mm512_cmpeq_epi32_mask(state, _mm512_set1_epi32(2));
    let age = _mm512_sub_epi32(_mm512_set1_epi32(ruler.now as i32), high);
    let age = _mm512_maskz_and_epi32(is_zswap, age, _mm512_set1_epi32(STAMP_MASK as i32));
    // A 24-bit number is exact as a float, and its exponent is the place of its highest bit: 126 below its bucket.
    let exponent = _mm512_srli_epi32::<23>(_mm512_castps_si512(_mm512_cvtepi32_ps(age)));
    let bucket = _mm512_sub_epi32(_mm512_max_epi32(exponent, _mm512_set1_epi32(126)), _mm512_set1_epi32(126));
    let one = _mm512_set1_epi32(1);
    let mut column = bucket;
    for asked in ruler.asked {
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
    // The upper half of a record: one page, and the age unless it is returned.
    let page = _mm512_set1_epi32(1 << (PAGE_SHIFT - 32));
    let (key, top) = if ONE {
        (column, page)
    } else {
        let owner = _mm512_min_epu32(_mm512_srli_epi32::<16>(low), _mm512_set1_epi32(ruler.owners as i32));
        let turn = _mm512_slli_epi32::<3>(_mm512_and_si512(owner, _mm512_set1_epi32(7)));
        let place = _mm512_xor_si512(column, turn);
        let key = _mm512_or_si512(_mm512_slli_epi32::<ROW_SHIFT>(owner), place);
        (key, _mm512_or_si512(_mm512_slli_epi32::<{ AGE_SHIFT - 32 }>(age), page))
    };
    let firsts = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let lasts = _mm512_or_si512(firsts, _mm512_set1_epi32(8));
    // SAFETY: the block has room for sixteen keys and sixteen records.
    unsafe {
        store(block.keys.as_mut_ptr(), key);
        store(block.records.as_mut_ptr().cast(), _mm512_permutex2var_epi32(length, firsts, top));
        store(block.records.as_mut_ptr().add(8).cast(), _mm512_permutex2var_epi32(length, lasts, top));
    }
    if ONE { _mm512_reduce_max_epu32(age) } else { 0 }
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
