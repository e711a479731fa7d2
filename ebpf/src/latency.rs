//! How long a swap-in takes, by the tier the page is in: from where the kernel has not found it in the swap cache until the
//! fault is over, readahead, waits and the reclaim that makes room included (mm/swap_state.c, mm/memory.c).
//!
//! Loaded and attached only while somebody looks. Nothing here keeps the map; a run that is skipped is a swap-in that is
//! not timed. Pages of shmem and of synchronous devices (zram) come in another way, and are not.

use core::mem::offset_of;

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::{
    cgroup::age_bucket,
    latency::{Fault, LATENCY_BUCKETS, Latency, Spread, TIMED_FAULTS},
    slot::{State, Word},
};

use crate::{
    kernel::number,
    maps::{FAULTS, LATENCY},
    shadow::{Place, add, counters, peek},
};

/// The fault had to bring the page in (`enum vm_fault_reason`, include/linux/mm_types.h).
const VM_FAULT_MAJOR: u64 = 4;

/// A cgroup of which nothing was timed yet.
static NONE: Latency = Latency { id: 0, zswap: NEVER, disk: NEVER };
const NEVER: Spread = Spread { sum_micros: 0, buckets: [0; LATENCY_BUCKETS] };

/// `swapin_readahead(entry, gfp_mask, vmf)`: the page of this slot is not in the swap cache and is brought in now.
#[fentry]
pub fn swapin_readahead(ctx: FEntryContext) -> i32 {
    begun(ctx.arg(0), number(ctx.arg(2)));
    0
}

#[inline(always)]
fn begun(entry: u64, fault: u64) -> Option<()> {
    let word = Place::of(entry, false)?.get(0);
    if !matches!(word.state(), State::Zswap | State::Phys) {
        return None;
    }
    let place = FAULTS.get_ptr_mut(index(fault))?;
    // SAFETY: a map value; a helper without arguments.
    unsafe { place.write_volatile(Fault { fault, begun: bpf_ktime_get_ns(), word: word.0 }) };
    Some(())
}

/// `do_swap_page(vmf)` returned. It is called again for a fault that had to wait, and then finds the page in the swap
/// cache: the wait was in the first call.
#[fexit]
pub fn do_swap_page(ctx: FExitContext) -> i32 {
    ended(number(ctx.arg(0)), ctx.arg(1));
    0
}

#[inline(always)]
fn ended(fault: u64, returned: u64) -> Option<()> {
    let place = FAULTS.get_ptr_mut(index(fault))?;
    // SAFETY: a map value.
    let known = unsafe { place.read_volatile() };
    if known.fault != fault {
        return None;
    }
    // SAFETY: a map value.
    unsafe { (&raw mut (*place).fault).write_volatile(0) };
    if returned & VM_FAULT_MAJOR == 0 {
        return None;
    }
    // SAFETY: a helper without arguments.
    let micros = unsafe { bpf_ktime_get_ns() }.wrapping_sub(known.begun) / 1000;
    let word = Word(known.word);
    let latency = latency(word.owner())?;
    let tier = match word.state() {
        State::Zswap => offset_of!(Latency, zswap),
        _ => offset_of!(Latency, disk),
    };
    let last = (LATENCY_BUCKETS - 1) as u64;
    let bucket = core::hint::black_box((age_bucket(micros) as u64).min(last)) & 31;
    if bucket <= last {
        add(latency, tier + offset_of!(Spread, sum_micros), micros);
        add(latency, tier + offset_of!(Spread, buckets) + 8 * bucket as usize, 1);
    }
    Some(())
}

/// The histograms of a cgroup, begun anew where another one has taken its index over.
#[inline(always)]
fn latency(owner: u16) -> Option<*mut Latency> {
    let key = u32::from(owner);
    let counters = counters(owner)?;
    // SAFETY: a field of a map value.
    let id = peek(unsafe { (&raw const (*counters).id).cast::<u64>() });
    // SAFETY: a field of a map value.
    let is_its = |latency: &*mut Latency| peek(unsafe { (&raw const (**latency).id).cast::<u64>() }) == id;
    if let Some(latency) = LATENCY.get_ptr_mut(&key).filter(is_its) {
        return Some(latency);
    }
    let _full = LATENCY.insert(&key, &NONE, 0);
    let latency = LATENCY.get_ptr_mut(&key)?;
    // SAFETY: a field of a map value.
    unsafe { (&raw mut (*latency).id).write_volatile(id) };
    Some(latency)
}

/// Where a fault is kept. The structure lies on a kernel stack, all of which are aligned alike: only the upper bits of its
/// address tell one from another.
#[inline(always)]
fn index(fault: u64) -> u32 {
    (fault.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 & (TIMED_FAULTS - 1)
}
