//! Swap-out: a slot is allocated, a folio is written, data goes to the device (mm/page_io.c, mm/swapfile.c).

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::{
    cgroup::Counters,
    control::Control,
    slot::{LARGE, State, WRITING, WRITTEN_BACK, Word},
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
        allocated_folio(ctx.arg(0));
    }
    0
}

/// `folio_alloc_swap(folio)` returned (7.0 and later).
#[fexit]
pub fn folio_alloc_swap(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(1) as i32 == 0 {
        allocated_folio(ctx.arg(0));
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

#[inline(always)]
fn allocated_folio(folio: *const u8) {
    if let Some(entry) = folio_entry(folio) {
        allocated(folio, entry);
    }
}

#[inline(always)]
fn allocated(folio: *const u8, entry: u64) -> Option<()> {
    let place = Place::of(entry, true)?;
    if place.get(0).state() != State::Free {
        return None;
    }
    let owner = Owner::of_folio(folio);
    counters_of(owner);
    each(folio_pages(folio), &mut Allocate { place, owner: owner.index, now: now() });
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

#[inline(always)]
fn begun(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio)?, true)?;
    let first = place.get(0);
    let owner = match first.state() {
        State::Free | State::Unknown => {
            let owner = Owner::of_folio(folio);
            counters_of(owner);
            owner.index
        }
        _ => first.owner(),
    };
    let pages = folio_pages(folio);
    let writing = if pages > 1 { WRITING | LARGE } else { WRITING };
    each(pages, &mut Begin { place, owner, writing, now: now() });
    Some(())
}

struct Begin {
    place: Place,
    owner: u16,
    writing: u64,
    now: u64,
}

impl Each for Begin {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        self.place.change(nth, |old| match old.state() {
            _ if old.has(WRITING) => None,
            State::Zswap => Some(old.with(self.writing)),
            _ => Some(Word::new(State::Folio, 0, self.owner, self.now).with(self.writing)),
        });
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

/// Success without a zswap entry and without a device write can only mean that the folio was all zero: the
/// kernel has no function of its own there that could be watched.
#[inline(always)]
fn ended(folio: *const u8, returned: i32) -> Option<()> {
    let place = Place::of(folio_entry(folio)?, false)?;
    let first = place.get(0);
    if !first.has(WRITING) {
        return None;
    }
    let pages = if first.has(LARGE) { folio_pages(folio) } else { 1 };
    let mut end = End { place, is_written: returned == 0, zeroes: 0 };
    each(pages, &mut end);
    count(first.owner(), offset_of!(Counters, zero_pages), end.zeroes);
    Some(())
}

struct End {
    place: Place,
    is_written: bool,
    zeroes: u64,
}

impl Each for End {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| {
            let is_zero = old.state() == State::Folio && self.is_written;
            let state = if is_zero { State::Zero } else { old.state() };
            old.has(WRITING).then(|| old.in_state(state).without(WRITING | LARGE))
        });
        let was_zero = changed.is_some_and(|old| old.state() == State::Folio) && self.is_written;
        self.zeroes += u64::from(was_zero);
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

/// Inside a writeout the page goes straight to the device; outside of one it is zswap writing back. Large
/// folios are never written back, so only the first page can be.
#[inline(always)]
fn written(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio)?, true)?;
    let (pages, now) = (folio_pages(folio), now());
    let first = place.get(0);
    if pages == 1 && !first.has(WRITING) {
        return written_back(folio, place, now);
    }
    let mut direct = Direct { place, now, pages: 0 };
    each(pages, &mut direct);
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
