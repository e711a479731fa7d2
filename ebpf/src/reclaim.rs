//! zswap's shrinking: when its worker runs, what it looks at and leaves alone, and whom a round refuses a store. What it
//! writes back is seen in `swapout`.

use core::mem::offset_of;

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::control::Control;

use crate::shadow::{add, control, peek};

/// `LRU_REMOVED_RETRY` (include/linux/list_lru.h): the entry was written back.
const WRITTEN_BACK: i32 = 1;

/// `shrink_memcg_cb(item, l, arg)` returned. A statistic only: attached once.
#[fexit]
pub fn shrink_memcg_cb(ctx: FExitContext) -> i32 {
    looked_at(ctx.arg::<u64>(3) as i32);
    0
}

/// The same where the list's lock is an argument (up to 6.12): `shrink_memcg_cb(item, l, lock, arg)`.
#[fexit]
pub fn shrink_memcg_cb_lock(ctx: FExitContext) -> i32 {
    looked_at(ctx.arg::<u64>(4) as i32);
    0
}

/// `shrink_worker(work)` begins. It is one work item, so neither this nor the next can be skipped.
#[fentry]
pub fn shrink_worker_enter(_ctx: FEntryContext) -> i32 {
    if let Some(control) = control() {
        add(control, offset_of!(Control, worker_begun), 1);
    }
    0
}

/// `shrink_worker(work)` returned. The count is set and not raised: a run that was under way while the probes were
/// attached would leave the two apart for good.
#[fexit]
pub fn shrink_worker_exit(_ctx: FExitContext) -> i32 {
    if let Some(control) = control() {
        // SAFETY: fields of a map value, each one word; only one run is under way.
        unsafe {
            let begun = peek(&raw const (*control).worker_begun);
            core::ptr::write_volatile(&raw mut (*control).worker_ended, begun);
        }
    }
    0
}

/// `zswap_store(folio)` returned, for a round that refuses stores for moments. A statistic only: attached once.
#[fexit]
pub fn zswap_store(ctx: FExitContext) -> i32 {
    if let Some(control) = control() {
        // SAFETY: a field of a map value.
        let but = unsafe { peek(&raw const (*control).watch_stores) };
        if but != 0 && bpf_get_current_pid_tgid() >> 32 != but {
            // A `bool`: only the low byte counts.
            let is_taken = ctx.arg::<u64>(1) & 0xff != 0;
            let counter = if is_taken {
                offset_of!(Control, stores_taken)
            } else {
                offset_of!(Control, stores_refused)
            };
            add(control, counter, 1);
        }
    }
    0
}

#[inline(always)]
fn looked_at(returned: i32) {
    if returned != WRITTEN_BACK
        && let Some(control) = control()
    {
        add(control, offset_of!(Control, passed_over), 1);
    }
}
