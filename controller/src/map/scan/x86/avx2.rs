//! Eight words at a time. Called by `x86::walk` alone.

use std::arch::x86_64::*;
use std::sync::atomic::AtomicU64;

use swaptier_common::{FRAME_SLOTS, slot::STAMP_MASK};

use super::{BLOCK, Desk, FEW, Ruler, Table, ask_ahead, frames};
use crate::map::scan::table::{AGE_SHIFT, PAGE_SHIFT, ROW_SHIFT, STATES};

frames!("avx2,popcnt,bmi2");

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

/// Leaves the words in use side by side on the desk. Their order changes within eight; nobody looks at it.
///
/// # Safety
/// The frame is aligned to a vector.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn pick<const SPARSE: bool>(frame: &[AtomicU64; FRAME_SLOTS], desk: &mut Desk) -> usize {
    let zero = _mm256_setzero_si256();
    let state = _mm256_set1_epi32(7);
    let mut count = 0;
    let vectors = frame.as_ptr().cast::<__m256i>();
    for nth in 0..FRAME_SLOTS / LANES {
        if SPARSE && nth.is_multiple_of(4) {
            ask_ahead(frame, nth / 4);
        }
        // SAFETY: two vectors of the frame, aligned as the caller promised. Volatile: the kernel may write there
        // at any time, so each is read exactly once.
        let (a, b) =
            unsafe { (vectors.add(2 * nth).read_volatile(), vectors.add(2 * nth + 1).read_volatile()) };
        let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
        let low = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
        let high = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
        let used = _mm256_cmpgt_epi32(_mm256_and_si256(low, state), zero);
        let set = _mm256_movemask_ps(_mm256_castsi256_ps(used)) as usize;
        // SAFETY: eight bytes of the table; at most `nth` × 8 words came before, so eight fit on the desk.
        unsafe {
            let order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(ORDER[set].as_ptr().cast()));
            store(desk.low.as_mut_ptr().add(count), _mm256_permutevar8x32_epi32(low, order));
            store(desk.high.as_mut_ptr().add(count), _mm256_permutevar8x32_epi32(high, order));
        }
        count += set.count_ones() as usize;
    }
    count
}

/// Classifies the block of this number. For frames of one owner (`ONE`) the keys are columns and the records carry no
/// age: the oldest is returned.
#[inline]
#[target_feature(enable = "avx2")]
fn classify<const ONE: bool>(ruler: &Ruler<'_>, desk: &mut Desk, nth: usize) -> u32 {
    let mut oldest = _mm256_setzero_si256();
    for half in 0..BLOCK / LANES {
        let age = classify_half::<ONE>(ruler, desk, nth, half * LANES);
        oldest = _mm256_max_epu32(oldest, age);
    }
    if ONE { lanes(oldest).into_iter().fold(0, u32::max) } else { 0 }
}

#[inline]
#[target_feature(enable = "avx2")]
fn classify_half<const ONE: bool>(ruler: &Ruler<'_>, desk: &mut Desk, nth: usize, to: usize) -> __m256i {
    let from = nth * BLOCK + to;
    let block = &mut desk.blocks[nth];
    // SAFETY: `pad` closed the last block.
    let (low, high) = unsafe { (load(desk.low.as_ptr().add(from)), load(desk.high.as_ptr().add(from))) };
    let state = _mm256_and_si256(low, _mm256_set1_epi32(7));
    let is_zswap = _mm256_cmpeq_epi32(state, _mm256_set1_epi32(2));
    let age = _mm256_sub_epi32(_mm256_set1_epi32(ruler.now as i32), high);
    let age = _mm256_and_si256(is_zswap, _mm256_and_si256(age, _mm256_set1_epi32(STAMP_MASK as i32)));
    // A 24-bit number is exact as a float, and its exponent is the place of its highest bit: 126 below its bucket.
    let exponent = _mm256_srli_epi32::<23>(_mm256_castps_si256(_mm256_cvtepi32_ps(age)));
    let bucket = _mm256_sub_epi32(_mm256_max_epi32(exponent, _mm256_set1_epi32(126)), _mm256_set1_epi32(126));
    let mut column = bucket;
    for asked in ruler.asked {
        // True is −1.
        column = _mm256_sub_epi32(column, _mm256_cmpgt_epi32(age, _mm256_set1_epi32(*asked as i32 - 1)));
    }
    // Written back: bit 3 of the history; from the column of state 4 to that of state 2.
    let is_phys = _mm256_cmpeq_epi32(state, _mm256_set1_epi32(4));
    let came_back = _mm256_and_si256(_mm256_srli_epi32::<26>(high), _mm256_set1_epi32(2));
    let other = _mm256_add_epi32(state, _mm256_set1_epi32(STATES as i32));
    let other = _mm256_sub_epi32(other, _mm256_and_si256(is_phys, came_back));
    let column = _mm256_blendv_epi8(other, column, is_zswap);
    let length = _mm256_and_si256(_mm256_srli_epi32::<3>(low), _mm256_set1_epi32(8191));
    // The upper half of a record: one page, and the age unless it is returned.
    let page = _mm256_set1_epi32(1 << (PAGE_SHIFT - 32));
    let (key, top) = if ONE {
        (column, page)
    } else {
        let owner = _mm256_min_epu32(_mm256_srli_epi32::<16>(low), _mm256_set1_epi32(ruler.owners as i32));
        let turn = _mm256_slli_epi32::<3>(_mm256_and_si256(owner, _mm256_set1_epi32(7)));
        let place = _mm256_xor_si256(column, turn);
        let key = _mm256_or_si256(_mm256_slli_epi32::<{ ROW_SHIFT as i32 }>(owner), place);
        (key, _mm256_or_si256(_mm256_slli_epi32::<{ AGE_SHIFT as i32 - 32 }>(age), page))
    };
    // Within each half of the vector: words 0, 1 and 4, 5, then 2, 3 and 6, 7.
    let (a, b) = (_mm256_unpacklo_epi32(length, top), _mm256_unpackhi_epi32(length, top));
    // SAFETY: the block has room for eight keys and eight records from here.
    unsafe {
        store(block.keys.as_mut_ptr().add(to), key);
        let records = block.records.as_mut_ptr().add(to).cast::<u32>();
        store(records, _mm256_permute2x128_si256::<0x20>(a, b));
        store(records.add(LANES), _mm256_permute2x128_si256::<0x31>(a, b));
    }
    age
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes(vector: __m256i) -> [u32; LANES] {
    let mut lanes = [0; LANES];
    // SAFETY: eight halves.
    unsafe { store(lanes.as_mut_ptr(), vector) };
    lanes
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
