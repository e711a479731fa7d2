//! Swap areas come and go; each gets a run of the directory.

use aya_ebpf::{EbpfContext, Global, macros::fentry, programs::FEntryContext};
use aya_log_ebpf::{debug, warn};
use swaptier_common::{
    DIRECTORY_PAGES, FRAME_SLOTS, PAGE_CLUSTERS,
    area::{Area, MAX_AREAS},
    event::Kind,
};

use crate::{
    kernel::{SWAP_INFO_MAX, SWAP_INFO_TYPE, read},
    maps::AREAS,
    shadow::{Each, each, wake},
};

/// Clusters the directory can address: the loader may have made it larger or smaller than it is declared.
#[unsafe(no_mangle)]
static DIRECTORY_CLUSTERS: Global<u32> = Global::new((DIRECTORY_PAGES * PAGE_CLUSTERS) as u32);

/// `zswap_swapon(type, nr_pages)`.
#[fentry]
pub fn zswap_swapon(ctx: FEntryContext) -> i32 {
    on(&ctx, ctx.arg::<u64>(0) as u32, ctx.arg::<u64>(1) as u32);
    0
}

/// `zswap_swapoff(type)`: all its slots were freed one by one before.
#[fentry]
pub fn zswap_swapoff(ctx: FEntryContext) -> i32 {
    let kind = ctx.arg::<u64>(0) as u32;
    if let Some(area) = AREAS.get_ptr_mut(kind) {
        // SAFETY: a map value.
        unsafe {
            if (*area).slots != 0 {
                (*area).slots = 0;
                debug!(&ctx, "swap area {} is off", kind);
                wake(Kind::AreaOff, kind, 0);
            }
        }
    }
    0
}

/// `swap_show(seq, si)`: somebody reads /proc/swaps. So the agent learns of the areas that were there before
/// it, with their types, which the file itself does not tell.
#[fentry]
pub fn swap_show(ctx: FEntryContext) -> i32 {
    let info: u64 = ctx.arg(1);
    // 1 is the heading (`SEQ_START_TOKEN`).
    if info > 1
        && let (Some(kind), Some(slots)) =
            (read::<i8>(info, SWAP_INFO_TYPE.load()), read::<u32>(info, SWAP_INFO_MAX.load()))
    {
        on(&ctx, kind as u8 as u32, slots);
    }
    0
}

/// Gives the area the lowest run of the directory that no other area has. What the area before it left there
/// are frames of free slots, as good as new.
#[inline(always)]
fn on(ctx: &impl EbpfContext, kind: u32, slots: u32) {
    let Some(area) = AREAS.get_ptr_mut(kind) else { return };
    // SAFETY: map values; each field is one word. Two areas switched on at the same moment are set apart by
    // the kernel's own `swapon_mutex` long before either is used.
    unsafe {
        if (*area).slots != 0 {
            return;
        }
        let clusters = slots.div_ceil(FRAME_SLOTS as u32);
        match lowest_run(kind, clusters) {
            Some(base) => {
                (*area).base = base;
                (*area).clusters = clusters;
                (*area).generation += 1;
                (*area).slots = slots;
                debug!(ctx, "swap area {} is on: {} slots, directory from {}", kind, slots, base);
            }
            None => warn!(ctx, "swap area {} has no room in the directory: {} slots", kind, slots),
        }
    }
    wake(Kind::AreaOn, kind, u64::from(slots));
}

#[inline(always)]
fn lowest_run(kind: u32, clusters: u32) -> Option<u32> {
    let mut run = Run { kind, base: 0, clusters };
    // Each round moves the run past every area in its way; there are no more rounds to go than areas.
    each(MAX_AREAS as u32, &mut Settle(&mut run));
    (run.base + clusters <= DIRECTORY_CLUSTERS.load()).then_some(run.base)
}

struct Run {
    kind: u32,
    base: u32,
    clusters: u32,
}

/// Moves past the area with this index if it is in the way.
impl Each for Run {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let Some(area) = AREAS.get_ptr(nth) else { return };
        // SAFETY: a map value.
        let Area { slots, base, clusters, .. } = unsafe { core::ptr::read_volatile(area) };
        let end = base + clusters;
        if nth != self.kind && slots != 0 && self.base < end && base < self.base + self.clusters {
            self.base = end;
        }
    }
}

struct Settle<'a>(&'a mut Run);

impl Each for Settle<'_> {
    #[inline(always)]
    fn nth(&mut self, _round: u32) {
        each(MAX_AREAS as u32, self.0);
    }
}
