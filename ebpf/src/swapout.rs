//! Swap-out: a slot is allocated, a folio is written, data goes to the device (mm/page_io.c, mm/swapfile.c).

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::{
    cgroup::Counters,
    control::Control,
    slot::{State, WRITTEN_BACK, Word},
};

use crate::{
    kernel::{Owner, folio_entry, folio_pages},
    shadow::{
        Each, Place, add, control, count, count_age, count_drop, counters, counters_of, each, now, peek, ring,
    },
};

/// `folio_alloc_swap(folio, gfp)` returned (6.18).
#[fexit]
pub fn folio_alloc_swap_gfp(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(2) as i32 == 0 {
        allocated(ctx.arg(0), folio_entry(ctx.arg(0)));
    }
    0
}

/// `folio_alloc_swap(folio)` returned (7.0 and later).
#[fexit]
pub fn folio_alloc_swap(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(1) as i32 == 0 {
        allocated(ctx.arg(0), folio_entry(ctx.arg(0)));
    }
    0
}

/// `add_to_swap_cache(folio, entry, gfp, shadowp)` returned (up to 6.17). It is called on swap-in too, when
/// the slot is in use already and nothing changes.
#[fexit]
pub fn add_to_swap_cache(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(4) as i32 == 0 {
        allocated(ctx.arg(0), ctx.arg(1));
    }
    0
}

/// `__mem_cgroup_try_charge_swap(folio, entry)` (up to 7.0): the slot was just allocated, or, if the entry is 0, there was
/// none. Should it not be charged, it is freed again, and seen to be.
#[fentry]
pub fn mem_cgroup_try_charge_swap(ctx: FEntryContext) -> i32 {
    let entry: u64 = ctx.arg(1);
    if entry != 0 {
        allocated(ctx.arg(0), entry);
    }
    0
}

#[inline(always)]
fn allocated(folio: *const u8, entry: u64) -> Option<()> {
    let place = Place::of(entry, true)?;
    if place.get(0).state() != State::Free {
        return None;
    }
    let owner = Owner::index_of_folio(folio);
    each(folio_pages(folio), &mut Allocate { place, owner, now: now() });
    Some(())
}

struct Allocate {
    place: Place,
    owner: u16,
    now: u64,
}

impl Each for Allocate {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        self.place.change(nth, |old| {
            (old.state() == State::Free).then(|| Word::new(State::Folio, 0, self.owner, self.now))
        });
    }
}

/// A folio is about to be written out: `swap_writeout(folio, …)`, on older kernels `swap_writepage(page, …)`.
#[fentry]
pub fn swap_writeout_enter(ctx: FEntryContext) -> i32 {
    begun(ctx.arg(0));
    0
}

/// The same where a context comes first (7.3): `swap_writeout(ctx, folio)`.
#[fentry]
pub fn swap_writeout_enter_second(ctx: FEntryContext) -> i32 {
    begun(ctx.arg(1));
    0
}

/// Whatever a slot held is out of date now. Most hold nothing: they were just allocated, or read out of zswap.
#[inline(always)]
fn begun(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio), true)?;
    let (first, pages) = (place.get(0), folio_pages(folio));
    if pages == 1 && first.state() == State::Folio {
        return None;
    }
    let owner = match first.state() {
        State::Free | State::Unknown => Owner::index_of_folio(folio),
        _ => first.owner(),
    };
    each(pages, &mut Begin { place, owner });
    Some(())
}

struct Begin {
    place: Place,
    owner: u16,
}

impl Each for Begin {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| {
            (old.state() != State::Folio).then(|| Word::new(State::Folio, 0, self.owner, now()))
        });
        if let Some(old) = changed {
            count_drop(old);
        }
    }
}

/// `swap_writeout(folio, …)` returned.
#[fexit]
pub fn swap_writeout_exit(ctx: FExitContext) -> i32 {
    ended(ctx.arg(0), ctx.arg::<u64>(2) as i32);
    0
}

/// `swap_writeout(ctx, folio)` returned (7.3).
#[fexit]
pub fn swap_writeout_exit_second(ctx: FExitContext) -> i32 {
    ended(ctx.arg(1), ctx.arg::<u64>(2) as i32);
    0
}

/// Success without a zswap entry and without a device write can only mean that the folio was all zero: the kernel has no
/// function of its own there that could be watched. Failure ends what zswap had taken of a large folio.
#[inline(always)]
fn ended(folio: *const u8, returned: i32) -> Option<()> {
    let place = Place::of(folio_entry(folio), false)?;
    let (first, is_written) = (place.get(0), returned == 0);
    if first.state() != if is_written { State::Folio } else { State::Zswap } {
        return None;
    }
    let mut end = End { place, is_written, zeroes: 0 };
    each(folio_pages(folio), &mut end);
    if is_written {
        counters_of(Owner::of_folio(folio));
        count(first.owner(), offset_of!(Counters, zero_pages), end.zeroes);
    }
    Some(())
}

struct End {
    place: Place,
    is_written: bool,
    /// Those that turned out to be, where it is written.
    zeroes: u64,
}

impl Each for End {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| match old.state() {
            State::Folio if self.is_written => Some(Word::new(State::Zero, 0, old.owner(), now())),
            State::Zswap if !self.is_written => Some(Word::new(State::Folio, 0, old.owner(), now())),
            _ => None,
        });
        self.zeroes += u64::from(changed.is_some());
        if let Some(old) = changed {
            count_drop(old);
        }
    }
}

/// `__swap_writepage(folio, …)`: the data goes to the device.
#[fentry]
pub fn swap_writepage_device(ctx: FEntryContext) -> i32 {
    written(ctx.arg(0));
    0
}

/// The same where a context comes first (7.3): `__swap_writepage(ctx, folio)`.
#[fentry]
pub fn swap_writepage_device_second(ctx: FEntryContext) -> i32 {
    written(ctx.arg(1));
    0
}

/// A page that is in zswap and goes to the device is written back; a page that a swap-out sends there is in no other place
/// than memory. Large folios are never written back.
#[inline(always)]
fn written(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio), true)?;
    let (pages, now) = (folio_pages(folio), now());
    let first = place.get(0);
    if pages == 1 && matches!(first.state(), State::Zswap | State::Unknown | State::Free) {
        return written_back(folio, place, now);
    }
    let mut direct = Direct { place, now, pages: 0 };
    each(pages, &mut direct);
    counters_of(Owner::of_folio(folio));
    count(first.owner(), offset_of!(Counters, direct_pages), direct.pages);
    Some(())
}

struct Direct {
    place: Place,
    now: u64,
    pages: u64,
}

impl Each for Direct {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| {
            (old.state() != State::Phys).then(|| Word::new(State::Phys, 0, old.owner(), self.now))
        });
        if let Some(old) = changed {
            count_drop(old);
            self.pages += 1;
        }
    }
}

#[inline(always)]
fn written_back(folio: *const u8, place: Place, now: u64) -> Option<()> {
    let known = place.get(0);
    let owner = match known.state() {
        // Stored before the probes were there. The kernel has charged the folio to the owner of the slot.
        State::Free | State::Unknown => {
            let owner = Owner::of_folio(folio);
            counters_of(owner);
            owner.index
        }
        _ => known.owner(),
    };
    let old = place.change(0, |old| {
        (old.state() != State::Phys)
            .then(|| Word::new(State::Phys, old.length(), owner, now).with(WRITTEN_BACK))
    })?;
    count_drop(old);
    if let Some(counters) = counters(owner) {
        add(counters, offset_of!(Counters, written_back_pages), 1);
        add(counters, offset_of!(Counters, written_back_bytes), old.length());
        count_age(counters, offset_of!(Counters, written_back_age), old.age(now));
    }
    let control = control()?;
    add(control, offset_of!(Control, written_back_pages), 1);
    // SAFETY: fields of a map value.
    if old.age(now) >= unsafe { peek(&raw const (*control).cold_after) } {
        add(control, offset_of!(Control, written_back_cold), 1);
    }
    // SAFETY: fields of a map value.
    let (total, alarm) = unsafe {
        (peek(&raw const (*control).written_back_pages), peek(&raw const (*control).written_back_alarm))
    };
    if total == alarm {
        ring(total);
    }
    Some(())
}
