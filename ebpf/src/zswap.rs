//! zswap: an entry stored, an entry dropped, a page loaded (mm/zswap.c).

use core::mem::offset_of;

use aya_ebpf::{
    Global,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use swaptier_common::{
    cgroup::Counters,
    slot::{LARGE, LOADED, State, WRITING, Word},
};

use crate::{
    kernel::{
        Owner, ZSWAP_ENTRY_LENGTH, ZSWAP_ENTRY_LRU, ZSWAP_ENTRY_SWPENTRY, ZSWAP_LIST_LRU, folio_entry, load,
        read,
    },
    shadow::{Place, add, count_age, count_drop, counters, counters_of, now},
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
    let swpentry: u64 = read(entry, ZSWAP_ENTRY_SWPENTRY.load())?;
    let length = u64::from(read::<u32>(entry, ZSWAP_ENTRY_LENGTH.load())?);
    let place = Place::of(swpentry, true)?;
    let owner = Owner::of_argument(memcg);
    let counters = counters_of(owner);
    let now = now();
    place.change(0, |old| {
        if old.state() == State::Zswap {
            return None;
        }
        // A page of a large folio does not end the folio's writing.
        let kept = if old.has(LARGE) { WRITING | LARGE } else { 0 };
        Some(Word::new(State::Zswap, length, owner.index, now).with(kept))
    })?;
    let counters = counters?;
    add(counters, offset_of!(Counters, stored_pages), 1);
    add(counters, offset_of!(Counters, stored_bytes), length);
    Some(())
}

/// `zswap_entry_free(entry)`: the copy is gone, whatever the reason. The slot's length and stamp stay, so
/// that what follows (a load, a write-back) still knows how old and how large it was.
#[fentry]
pub fn zswap_entry_free(ctx: FEntryContext) -> i32 {
    let entry: *const u8 = ctx.arg(0);
    // SAFETY: a typed argument.
    let swpentry: u64 = unsafe { load(entry, &ZSWAP_ENTRY_SWPENTRY) };
    let Some(place) = Place::of(swpentry, false) else { return 0 };
    let changed = place.change(0, |old| match old.state() {
        State::Zswap | State::Unknown => Some(old.in_state(State::Folio)),
        _ => None,
    });
    if let Some(old) = changed {
        count_drop(old);
    }
    0
}

/// `zswap_load(folio)` returned: the page was read out of zswap, which on all paths but one drops the copy.
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
    let place = Place::of(folio_entry(folio)?, false)?;
    let now = now();
    let old = place.change(0, |old| {
        let is_new = matches!(old.state(), State::Folio | State::Zswap) && !old.has(LOADED);
        is_new.then(|| Word::new(old.state(), old.length(), old.owner(), now).with(old.history() | LOADED))
    })?;
    let counters = counters(old.owner())?;
    add(counters, offset_of!(Counters, loaded_pages), 1);
    count_age(counters, offset_of!(Counters, load_age), old.age(now));
    Some(())
}
