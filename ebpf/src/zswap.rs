//! zswap: a page stored, a page read out again (mm/zswap.c). The other ways a copy goes are seen where they lead: a page
//! that is written back in `swapout`, a slot that is freed in `free`.

use core::mem::offset_of;

use aya_ebpf::{
    Global,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::{
    cgroup::Counters,
    slot::{LOADED, State, Word},
};

use crate::{
    kernel::{
        Owner, ZSWAP_ENTRY_LENGTH, ZSWAP_ENTRY_LRU, ZSWAP_ENTRY_SWPENTRY, ZSWAP_LIST_LRU, folio_entry, read,
    },
    shadow::{Place, add, count_age, counters, counters_of, drop_from, now},
};

/// 1 where `zswap_load` returns `bool`, 0 where it returns `int` with 0 for success.
#[unsafe(no_mangle)]
static ZSWAP_LOAD_IS_BOOL: Global<u32> = Global::new(0);

/// `list_lru_add(lru, item, nid, memcg)` on zswap's own list: the last step of storing one page, with the
/// entry complete. Called for every list in the kernel, so the filter comes first.
#[fentry]
pub fn list_lru_add(ctx: FEntryContext) -> i32 {
    let lru: *const u8 = ctx.arg(0);
    if lru as u64 == ZSWAP_LIST_LRU.load() {
        let item: *const u8 = ctx.arg(1);
        stored((item as u64).wrapping_sub(u64::from(ZSWAP_ENTRY_LRU.load())), ctx.arg(3));
    }
    0
}

#[inline(always)]
fn stored(entry: u64, memcg: *const u8) -> Option<()> {
    let (swpentry, length) = slot_and_length(entry)?;
    let place = Place::of(swpentry, true)?;
    if place.get(0).state() == State::Zswap {
        return None;
    }
    let owner = Owner::of_argument(memcg);
    let counters = counters_of(owner);
    let now = now();
    place.change(0, |old| {
        (old.state() != State::Zswap).then(|| Word::new(State::Zswap, length, owner.index, now))
    })?;
    let counters = counters?;
    add(counters, offset_of!(Counters, stored_pages), 1);
    add(counters, offset_of!(Counters, stored_bytes), length);
    Some(())
}

/// What an entry says, by one read of both where they are neighbours, as everywhere known.
#[inline(always)]
fn slot_and_length(entry: u64) -> Option<(u64, u64)> {
    let (slot, length) = (ZSWAP_ENTRY_SWPENTRY.load(), ZSWAP_ENTRY_LENGTH.load());
    if length == slot + 8 {
        let both: [u64; 2] = read(entry, slot)?;
        return Some((both[0], both[1] & u64::from(u32::MAX)));
    }
    Some((read(entry, slot)?, u64::from(read::<u32>(entry, length)?)))
}

/// `zswap_load(folio)` returned: the page was read out of zswap, which drops the copy. (On one path, up to 7.0, it drops
/// it a moment later, with the slot.)
#[fexit]
pub fn zswap_load(ctx: FExitContext) -> i32 {
    let returned: u64 = ctx.arg(1);
    let is_loaded = if ZSWAP_LOAD_IS_BOOL.load() != 0 { returned & 0xff != 0 } else { returned as u32 == 0 };
    if is_loaded {
        loaded(ctx.arg(0));
    }
    0
}

#[inline(always)]
fn loaded(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio), false)?;
    if !matches!(place.get(0).state(), State::Zswap | State::Unknown) {
        return None;
    }
    let now = now();
    let old = place.change(0, |old| {
        let is_there = matches!(old.state(), State::Zswap | State::Unknown);
        is_there.then(|| Word::new(State::Folio, old.length(), old.owner(), now).with(LOADED))
    })?;
    let counters = counters(old.owner())?;
    if old.state() == State::Zswap {
        drop_from(counters, old);
    }
    add(counters, offset_of!(Counters, loaded_pages), 1);
    count_age(counters, offset_of!(Counters, load_age), old.age(now));
    Some(())
}
