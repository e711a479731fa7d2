//! Swap-out: a slot is allocated, a folio is written, data goes to the device (mm/page_io.c, mm/swapfile.c).
//!
//! Nothing tells of a page of zeros: it is what a swap-out has neither given to zswap nor to the device, and its end finds
//! that out. So it also finds what zswap was given while the kernel skipped the program that would have seen it.

use core::mem::offset_of;

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::{
    cgroup::Counters,
    control::Control,
    notes::Notes,
    slot::{LOADED, State, WRITTEN_BACK, Word},
};

use crate::{
    copies::{is_second, is_seen_to, note_down, notes, says},
    kernel::{Owner, folio_entry, folio_pages},
    shadow::{
        Each, Place, add, control, count_age, count_drop, counters, counters_of, each, now, peek, ring,
    },
    tree::find,
    zswap::stored,
};

/// `folio_alloc_swap(folio, gfp)` returned (6.18).
#[fexit]
pub fn folio_alloc_swap_gfp(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(2) as i32 == 0 {
        allocated(ctx.arg(0), folio_entry(ctx.arg(0)), true);
    }
    0
}

/// `folio_alloc_swap(folio)` returned (7.0 and later).
#[fexit]
pub fn folio_alloc_swap(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(1) as i32 == 0 {
        allocated(ctx.arg(0), folio_entry(ctx.arg(0)), true);
    }
    0
}

/// `add_to_swap_cache(folio, entry, gfp, shadowp)` returned (up to 6.17). It is called on swap-in too, when
/// the slot is in use already and nothing changes.
#[fexit]
pub fn add_to_swap_cache(ctx: FExitContext) -> i32 {
    if ctx.arg::<u64>(4) as i32 == 0 {
        allocated(ctx.arg(0), ctx.arg(1), false);
    }
    0
}

/// `__mem_cgroup_try_charge_swap(folio, entry)` (up to 7.0): the slot was just allocated, or, if the entry is 0, there was
/// none. Should it not be charged, it is freed again, and seen to be.
#[fentry]
pub fn mem_cgroup_try_charge_swap(ctx: FEntryContext) -> i32 {
    let entry: u64 = ctx.arg(1);
    if entry != 0 {
        allocated(ctx.arg(0), entry, true);
    }
    0
}

/// Whatever the map has of a slot that is new is what it missed the end of.
#[inline(always)]
fn allocated(folio: *const u8, entry: u64, is_new: bool) -> Option<()> {
    const NOTE: usize = offset_of!(Notes, allocated);
    if is_seen_to(NOTE, entry) {
        return None;
    }
    let place = Place::of(entry, true)?;
    let owner = Owner::index_of_folio(folio);
    each(folio_pages(folio), &mut Allocate { place, owner, is_new, now: now() });
    note_down(notes()?, NOTE, entry);
    Some(())
}

struct Allocate {
    place: Place,
    owner: u16,
    is_new: bool,
    now: u64,
}

impl Each for Allocate {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| {
            (self.is_new || old.state() == State::Free)
                .then(|| Word::new(State::Folio, 0, self.owner, self.now))
        });
        if self.is_new
            && let Some(old) = changed
        {
            count_drop(old);
        }
    }
}

/// `swap_writeout(folio, …)` returned, on older kernels `swap_writepage(page, …)`.
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

/// Where the data of a folio is when its swap-out has ended. Success without a zswap entry and without a device write can
/// only mean that it was all zero: the kernel has no function of its own there that could be watched. After a failure the
/// page is in memory alone, whatever zswap had taken of a large folio.
#[inline(always)]
fn ended(folio: *const u8, returned: i32) -> Option<()> {
    let (entry, is_written) = (folio_entry(folio), returned == 0);
    // Without an entry the kernel has found that the slot is of no use any more, and has given it back.
    if entry == 0 {
        return None;
    }
    if is_written && says(offset_of!(Notes, in_zswap), entry) {
        return None;
    }
    let place = Place::of(entry, false)?;
    if is_written && place.get(0).state() == State::Zswap {
        return None;
    }
    settle(folio, entry, place, is_written)
}

/// Most go to zswap and need none of this.
#[inline(always)]
fn settle(folio: *const u8, entry: u64, place: Place, is_written: bool) -> Option<()> {
    let owner = Owner::of_folio(folio);
    let mut end = End { entry, place, is_written, owner, now: now(), pages: 0 };
    each(folio_pages(folio), &mut end);
    if is_written {
        add(counters_of(owner)?, offset_of!(Counters, zero_pages), end.pages);
    }
    Some(())
}

struct End {
    entry: u64,
    place: Place,
    is_written: bool,
    owner: Owner,
    now: u64,
    /// Pages of zeros, where it is written.
    pages: u64,
}

impl End {
    /// Whether the map has said already where the page is.
    #[inline(always)]
    fn is_settled(&self, old: Word) -> bool {
        match old.state() {
            State::Folio => !self.is_written,
            State::Zswap => self.is_written,
            // What was there before this swap-out has been read back, or the page would not be in memory.
            State::Phys => self.is_written && !old.has(LOADED),
            // Of a page that was all zero before, only one copy may say so again.
            State::Zero => self.is_written && is_second(),
            State::Free | State::Unknown => false,
        }
    }

    /// Enters the page if zswap has it: the program that sees pages stored was skipped then.
    #[inline(always)]
    fn is_in_zswap(&self, nth: u32) -> bool {
        let found = find(self.entry + u64::from(nth));
        if found == 0 {
            return false;
        }
        if stored(found, self.owner).is_some()
            && let Some(control) = control()
        {
            add(control, offset_of!(Control, stores_found), 1);
        }
        true
    }
}

impl Each for End {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        if self.is_settled(self.place.get(nth)) || self.is_written && self.is_in_zswap(nth) {
            return;
        }
        let changed = self.place.change(nth, |old| {
            let state = if self.is_written { State::Zero } else { State::Folio };
            (!self.is_settled(old)).then(|| Word::new(state, 0, self.owner.index, self.now))
        });
        if let Some(old) = changed {
            self.pages += 1;
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
    if pages == 1 && matches!(place.get(0).state(), State::Zswap | State::Unknown) {
        return written_back(folio, place, now);
    }
    let owner = Owner::of_folio(folio);
    let mut direct = Direct { place, owner: owner.index, now, pages: 0 };
    each(pages, &mut direct);
    add(counters_of(owner)?, offset_of!(Counters, direct_pages), direct.pages);
    Some(())
}

struct Direct {
    place: Place,
    owner: u16,
    now: u64,
    pages: u64,
}

impl Each for Direct {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| {
            let is_done = old.state() == State::Phys && !old.has(LOADED);
            (!is_done).then(|| Word::new(State::Phys, 0, self.owner, self.now))
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
        State::Unknown => {
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
