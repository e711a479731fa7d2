//! Swap-in from the device (mm/zswap.c keeps the hook, mm/page_io.c calls it).

use core::mem::offset_of;

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use swaptier_common::{
    cgroup::Counters,
    slot::{LOADED, State, WRITTEN_BACK, Word},
};

use crate::{
    kernel::{folio_entry, folio_pages},
    shadow::{Each, Place, count, each},
};

/// `zswap_folio_swapin(folio)`: the folio is read from the device, neither from zswap nor from zeroes. A
/// statistic, but for slots that were `Unknown`: attached once, unlike the programs that keep the map.
#[fentry]
pub fn zswap_folio_swapin(ctx: FEntryContext) -> i32 {
    read(ctx.arg(0));
    0
}

#[inline(always)]
fn read(folio: *const u8) -> Option<()> {
    let place = Place::of(folio_entry(folio), false)?;
    let pages = folio_pages(folio);
    let owner = place.get(0).owner();
    let mut read = Read { place, regrets: 0, mistaken: 0 };
    each(pages, &mut read);
    count(owner, offset_of!(Counters, read_pages), u64::from(pages));
    count(owner, offset_of!(Counters, regret_pages), read.regrets);
    count(owner, offset_of!(Counters, loaded_pages), read.mistaken.wrapping_neg());
    Some(())
}

struct Read {
    place: Place,
    regrets: u64,
    /// Those that `zswap` has just taken for read out of zswap.
    mistaken: u64,
}

impl Each for Read {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| match old.state() {
            State::Phys => Some(old.with(LOADED)),
            State::Unknown | State::Folio => {
                Some(Word::new(State::Phys, 0, old.owner(), old.stamp()).with(LOADED))
            }
            _ => None,
        });
        self.mistaken += u64::from(changed.is_some_and(|old| old.state() == State::Folio));
        self.regrets += u64::from(changed.is_some_and(|old| old.has(WRITTEN_BACK) && !old.has(LOADED)));
    }
}
