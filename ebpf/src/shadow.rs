//! Finding a slot's word and changing it exactly once.

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
    mem::offset_of,
    sync::atomic::AtomicU64,
};

use aya_ebpf::helpers::{
    bpf_ktime_get_ns,
    generated::{bpf_jiffies64, bpf_loop},
};
use swaptier_common::{
    BLOCK_CGROUPS, CHUNK_FRAMES, FRAME_SLOTS, FREE_RING, Frame, PAGE_CLUSTERS,
    cgroup::{AGE_BUCKETS, Counters, age_bucket},
    control::Control,
    event::{Event, Kind},
    slot::{State, Word, entry_offset, entry_type},
};

use crate::{
    kernel::Owner,
    maps::{ALARMS, AREAS, CGROUPS, CONTROL, DIRECTORY, EVENTS, FRAMES, FREE_FRAMES},
};

/// How often a contended free frame or slot is tried again before the event counts as missed.
const TRIES: u32 = 4;

/// Adds to the counter at `offset` of a map value (`offset_of!`). The result is not used: a relaxed add whose
/// result is used miscompiles on this target.
#[inline(always)]
pub(crate) fn add<T>(value: *mut T, offset: usize, by: u64) {
    // SAFETY: callers pass a map value and the offset of one of its words.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(value.byte_add(offset).cast(), by) };
}

#[inline(always)]
fn swap_if<T: Copy>(place: *mut T, old: T, new: T) -> bool {
    // SAFETY: callers pass a field of a map value.
    unsafe { atomic_cxchg::<T, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(place, old, new).1 }
}

#[inline(always)]
pub(crate) fn peek<T: Copy>(place: *const T) -> T {
    // SAFETY: callers pass a field of a map value; it may change under us, hence volatile.
    unsafe { core::ptr::read_volatile(place) }
}

/// The second of `CLOCK_MONOTONIC` in the low half, and the kernel's tick (the low half of its jiffies) in which it was
/// read in the high one.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// Seconds of `CLOCK_MONOTONIC`: it stands still while the host sleeps, and so do ages. The kernel is asked once in each
/// of its ticks; the answer lies beside the tick's number, in one word.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without arguments, which becomes a load.
    let tick = unsafe { bpf_jiffies64() } << 32;
    let known = peek(CLOCK.as_ptr());
    if known >> 32 == tick >> 32 {
        return known & u64::from(u32::MAX);
    }
    // SAFETY: a helper without arguments; a word of our own, written whole.
    unsafe {
        let second = bpf_ktime_get_ns() / 1_000_000_000;
        core::ptr::write_volatile(CLOCK.as_ptr(), tick | second);
        second
    }
}

#[inline(always)]
pub(crate) fn control() -> Option<*mut Control> {
    CONTROL.get_ptr_mut(0)
}

/// Wakes the agent. A full buffer loses only the wake-up.
#[inline(always)]
pub(crate) fn wake(kind: Kind, a: u32, b: u64) {
    let event = Event { kind: kind as u32, a, b };
    let _lost_when_full = EVENTS.output(&event, 0);
}

/// Sounds the write-back alarm.
#[inline(always)]
pub(crate) fn ring(pages: u64) {
    let event = Event { kind: Kind::WriteBackAlarm as u32, a: 0, b: pages };
    let _lost_when_full = ALARMS.output(&event, 0);
}

/// The frame that holds an entry's slot, and the slot's place in it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    frame: *mut Frame,
    first: u32,
}

impl Place {
    /// Where an entry's word is. With `make`, a cluster seen for the first time gets a frame.
    #[inline(always)]
    pub(crate) fn of(entry: u64, make: bool) -> Option<Self> {
        let (kind, offset) = (entry_type(entry), entry_offset(entry));
        let area = AREAS.get_ptr(kind)?;
        // SAFETY: a map value; each field is one word.
        let (slots, base) = unsafe { (peek(&raw const (*area).slots), peek(&raw const (*area).base)) };
        if offset >= u64::from(slots) {
            if make {
                miss(offset_of!(Control, missed_areas));
            }
            return None;
        }
        let cell = directory_cell(base + offset as u32 / FRAME_SLOTS as u32)?;
        let mut number = peek(cell);
        if number == 0 {
            if !make {
                return None;
            }
            number = claim_frame(cell)?;
        }
        let number = number - 1;
        let frame =
            FRAMES.get_value_ptr_mut(number / CHUNK_FRAMES as u32, &(number % CHUNK_FRAMES as u32))?;
        Some(Self { frame, first: offset as u32 % FRAME_SLOTS as u32 })
    }

    /// The word `nth` slots on. A folio never crosses a cluster, so it never leaves the frame.
    #[inline(always)]
    fn word(self, nth: u32) -> *mut u64 {
        let slot = (self.first + nth) as usize & (FRAME_SLOTS - 1);
        // SAFETY: `frame` is a map value of 512 words and `slot` is below 512.
        unsafe { (&raw mut (*self.frame).0).cast::<u64>().add(slot) }
    }

    /// The word `nth` slots on, as it is now.
    #[inline(always)]
    pub(crate) fn get(self, nth: u32) -> Word {
        Word(peek(self.word(nth)))
    }

    /// Replaces the word `nth` slots on by what `next` makes of it; `None` leaves it alone. Returns the word
    /// that was replaced, so that exactly one of two copies of a program counts the change.
    #[inline(always)]
    pub(crate) fn change(self, nth: u32, next: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let word = self.word(nth);
        for _ in 0..2 {
            let old = Word(peek(word));
            let new = next(old)?;
            if swap_if(word, old.0, new.0) {
                return Some(old);
            }
        }
        None
    }
}

/// The directory's cell of a cluster.
#[inline(always)]
fn directory_cell(cluster: u32) -> Option<*mut u32> {
    let page = DIRECTORY.get_ptr_mut(cluster / PAGE_CLUSTERS as u32)?;
    // SAFETY: the remainder is below the page's number of cells.
    Some(unsafe { page.cast::<u32>().add(cluster as usize % PAGE_CLUSTERS) })
}

/// Something done for each of several: for every slot of a folio, say.
pub(crate) trait Each {
    /// Does it for the one with this index.
    fn nth(&mut self, nth: u32);
}

/// Does it for the indices below `count`, which is not 0. The first is done in line: most folios have one page.
/// The others go through `bpf_loop`, whose body the verifier walks once instead of 511 times.
#[inline(always)]
pub(crate) fn each<E: Each>(count: u32, change: &mut E) {
    change.nth(0);
    if count > 1 {
        let step = step::<E> as unsafe extern "C" fn(u64, *mut E) -> i64;
        // SAFETY: `step` has the signature the helper calls with, and `change` outlives the call.
        unsafe { bpf_loop(count - 1, step as *mut c_void, core::ptr::from_mut(change).cast(), 0) };
    }
}

unsafe extern "C" fn step<E: Each>(nth: u64, change: *mut E) -> i64 {
    // SAFETY: the pointer `each` handed to the helper.
    unsafe { (*change).nth(nth as u32 + 1) };
    0
}

#[inline(always)]
fn miss(offset: usize) {
    if let Some(control) = control() {
        add(control, offset, 1);
    }
}

/// Takes a frame off the ring and puts it into the directory cell. Of two that race for a cell one wins; the
/// other's frame is in neither place then, which the agent notices and mends.
#[inline(never)]
fn claim_frame(cell: *mut u32) -> Option<u32> {
    let control = control()?;
    for _ in 0..TRIES {
        // SAFETY: fields of a map value, each one word.
        let (head, tail, low) = unsafe {
            (
                peek(&raw const (*control).ring_head),
                peek(&raw const (*control).ring_tail),
                peek(&raw const (*control).ring_low),
            )
        };
        let left = tail.wrapping_sub(head);
        if left == 0 {
            break;
        }
        if left == low {
            wake(Kind::FramesLow, 0, left);
        }
        let ring = FREE_FRAMES.get_ptr(0)?;
        // SAFETY: the remainder is below the ring's number of cells.
        let frame = peek(unsafe { ring.cast::<u32>().add(head as usize % FREE_RING) });
        // SAFETY: as above.
        if swap_if(unsafe { &raw mut (*control).ring_head }, head, head + 1) {
            return Some(if swap_if(cell, 0, frame + 1) { frame + 1 } else { peek(cell) });
        }
    }
    add(control, offset_of!(Control, missed_frames), 1);
    wake(Kind::FramesLow, 0, 0);
    None
}

/// The counters with this index, if the agent has made them.
#[inline(always)]
pub(crate) fn counters(index: u16) -> Option<*mut Counters> {
    let (block, place) = place_of(index);
    let found = CGROUPS.get_value_ptr_mut(block, &place);
    if found.is_none() {
        miss(offset_of!(Control, missed_cgroups));
    }
    found
}

/// The counters of a live cgroup. The kernel hands an id to another cgroup once nothing of the old one is
/// left in swap; the first event of the new one finds a foreign kernfs id here and starts from zero.
#[inline(always)]
pub(crate) fn counters_of(owner: Owner) -> Option<*mut Counters> {
    let counters = counters(owner.index)?;
    name(counters, owner.id);
    Some(counters)
}

/// The same without an event: counters the agent has not made yet are not missed.
#[inline(always)]
pub(crate) fn name_counters(owner: Owner) {
    let (block, place) = place_of(owner.index);
    if let Some(counters) = CGROUPS.get_value_ptr_mut(block, &place) {
        name(counters, owner.id);
    }
}

#[inline(always)]
fn name(counters: *mut Counters, owner: u64) {
    // SAFETY: a field of a map value.
    let id = unsafe { &raw mut (*counters).id };
    let seen = peek(id);
    if seen != owner && swap_if(id, seen, owner) && seen != 0 {
        forget(counters);
    }
}

/// The block of an index, and its place there.
#[inline(always)]
fn place_of(index: u16) -> (u32, u32) {
    (u32::from(index) / BLOCK_CGROUPS as u32, u32::from(index) % BLOCK_CGROUPS as u32)
}

#[inline(never)]
fn forget(counters: *mut Counters) -> u32 {
    const WORDS: usize = size_of::<Counters>() / 8;
    let words = counters.cast::<u64>();
    for n in 1..WORDS {
        // SAFETY: within the map value; word 0 is the id, which stays.
        unsafe { core::ptr::write_volatile(words.add(n), 0) };
    }
    0
}

/// Adds to the counter at `offset` of the cgroup with this index. `by` may be 0: a test of it would make the
/// verifier follow every count a loop can end with.
#[inline(always)]
pub(crate) fn count(index: u16, offset: usize, by: u64) {
    if let Some(counters) = counters(index) {
        add(counters, offset, by);
    }
}

/// Adds one to the histogram at `offset` of the counters. The verifier wants to see the bound it is told.
#[inline(always)]
pub(crate) fn count_age(counters: *mut Counters, offset: usize, seconds: u64) {
    let bucket = core::hint::black_box(age_bucket(seconds)) & (AGE_BUCKETS - 1);
    add(counters, offset + 8 * bucket, 1);
}

/// Books the end of a zswap copy if this is what the replaced word stood for.
#[inline(always)]
pub(crate) fn count_drop(old: Word) {
    if old.state() == State::Zswap
        && let Some(counters) = counters(old.owner())
    {
        drop_from(counters, old);
    }
}

/// Books the end of the zswap copy that the replaced word stood for.
#[inline(always)]
pub(crate) fn drop_from(counters: *mut Counters, old: Word) {
    add(counters, offset_of!(Counters, dropped_pages), 1);
    add(counters, offset_of!(Counters, dropped_bytes), old.length());
}
