//! zswap: a page stored, a page read out again (mm/zswap.c). The other ways a copy goes are seen where they lead: a page
//! that is written back in `swapout`, a slot that is freed in `free`.

use core::mem::offset_of;

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use swaptier_common::{
    cgroup::Counters,
    notes::Notes,
    slot::{BEFORE, LOADED, State, Word},
};

use crate::{
    copies::{is_seen_to, note_down, notes, write},
    kernel::{
        Owner, ZSWAP_ENTRY, ZSWAP_ENTRY_LENGTH, ZSWAP_ENTRY_LRU, ZSWAP_ENTRY_SWPENTRY, ZSWAP_LIST_LRU, cast,
        folio_entry, load,
    },
    shadow::{Place, add, count_age, count_drop, counters, counters_of, drop_from, now},
};

/// `list_lru_add(lru, item, nid, memcg)` on zswap's own list: the last step of storing one page, with the
/// entry complete. Called for every list in the kernel, so the filter comes first.
#[fentry]
pub fn list_lru_add(ctx: FEntryContext) -> i32 {
    const NOTE: usize = offset_of!(Notes, stored);
    let lru: *const u8 = ctx.arg(0);
    if lru as u64 == ZSWAP_LIST_LRU.load() {
        let item: u64 = ctx.arg(1);
        if !is_seen_to(NOTE, item)
            && let Some(entry) = added(item, ctx.arg(3))
            && let Some(notes) = notes()
        {
            write(notes, offset_of!(Notes, in_zswap), entry);
            note_down(notes, NOTE, item);
        }
    }
    0
}

/// The swap entry that was entered now.
#[inline(always)]
fn added(item: u64, memcg: *const u8) -> Option<u64> {
    stored(item.wrapping_sub(u64::from(ZSWAP_ENTRY_LRU.load())), Owner::of_memcg(memcg))
}

/// Enters the page of the `struct zswap_entry` at this address; the swap entry that was entered now.
#[inline(always)]
pub(crate) fn stored(entry: u64, owner: Owner) -> Option<u64> {
    let entry = cast(entry, &ZSWAP_ENTRY);
    // SAFETY: callers have it from zswap's list or tree, and a bad address reads as zeroes.
    let (swpentry, length) =
        unsafe { (load(entry, &ZSWAP_ENTRY_SWPENTRY), u64::from(load::<u32>(entry, &ZSWAP_ENTRY_LENGTH))) };
    let place = Place::of(swpentry, true)?;
    let now = now();
    // What was there is dropped by now, with or without a look at it. What looks the same and is as young is the same: a
    // copy before this one has entered it.
    let old = place.change(0, |old| {
        let is_news =
            old.state() != State::Zswap || old.length() != length || old.age(now) > 1 || old.has(BEFORE);
        is_news.then(|| Word::new(State::Zswap, length, owner.index, now))
    })?;
    count_drop(old);
    if let Some(counters) = counters_of(owner) {
        add(counters, offset_of!(Counters, stored_pages), 1);
        add(counters, offset_of!(Counters, stored_bytes), length);
    }
    Some(swpentry)
}

/// `zswap_load(folio)`: the page is about to be read out of zswap, which drops the copy. (On one path, up to 7.0, it drops
/// it a moment later, with the slot.) What is in zswap by the map will be found there. For what is `Unknown` zswap is
/// only the first place where the kernel looks; if it reads the device, `swapin` takes this back.
#[fentry]
pub fn zswap_load(ctx: FEntryContext) -> i32 {
    const NOTE: usize = offset_of!(Notes, loaded);
    let entry = folio_entry(ctx.arg(0));
    if !is_seen_to(NOTE, entry)
        && loaded(entry).is_some()
        && let Some(notes) = notes()
    {
        note_down(notes, NOTE, entry);
    }
    0
}

#[inline(always)]
fn loaded(entry: u64) -> Option<()> {
    let place = Place::of(entry, false)?;
    let now = now();
    let old = place.change(0, |old| {
        let is_there = matches!(old.state(), State::Zswap | State::Unknown);
        is_there.then(|| Word::new(State::Folio, old.length(), old.owner(), now).with(LOADED))
    })?;
    let counters = counters(old.owner())?;
    add(counters, offset_of!(Counters, loaded_pages), 1);
    if old.state() == State::Zswap {
        drop_from(counters, old);
        // Nobody knows since when the others were there.
        if !old.has(BEFORE) {
            count_age(counters, offset_of!(Counters, load_age), old.age(now));
        }
    }
    Some(())
}
