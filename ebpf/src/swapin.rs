//! Swap-in from the device (mm/zswap.c keeps the hook, mm/page_io.c calls it).

use core::mem::offset_of;

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use swaptier_common::{
    cgroup::Counters,
    slot::{LOADED, State, WRITTEN_BACK, Word},
};

use crate::{
    kernel::{MAX_FOLIO, folio_entry, folio_pages},
    shadow::{Place, count},
};

/// `zswap_folio_swapin(folio)`: the folio is read from the device, neither from zswap nor from zeroes. A
/// statistic only: attached once, unlike the programs that keep the map.
#[fentry]
pub fn zswap_folio_swapin(ctx: FEntryContext) -> i32 {
    read(ctx.arg(0));
    0
}

#[inline(always)]
fn read(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio)?, false)?;
    let pages = folio_pages(folio);
    let (owner, mut regrets) = (place.get(0).owner(), 0);
    for nth in 0..MAX_FOLIO {
        if nth >= pages {
            break;
        }
        let changed = place.change(nth, |old| match old.state() {
            State::Phys => Some(old.with(LOADED)),
            State::Unknown => Some(Word::new(State::Phys, 0, old.owner(), old.stamp()).with(LOADED)),
            _ => None,
        });
        if changed.is_some_and(|old| old.has(WRITTEN_BACK) && !old.has(LOADED)) {
            regrets += 1;
        }
    }
    count(owner, offset_of!(Counters, read_pages), u64::from(pages));
    count(owner, offset_of!(Counters, regret_pages), regrets);
    Some(())
}
