//! Slots given back (mm/swapfile.c).

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use swaptier_common::slot::{State, Word};

use crate::{
    kernel::MAX_FOLIO,
    shadow::{Each, Place, count_drop, each, now},
};

/// `zswap_invalidate(entry)`: called for each freed slot, stored in zswap or not. Before 6.18 it misses the
/// slots of a large folio that are freed as one range.
#[fentry]
pub fn zswap_invalidate(ctx: FEntryContext) -> i32 {
    freed(ctx.arg(0), 1);
    0
}

/// `swap_entry_range_free(si, entry, nr)`, where it exists: the range is really returned now. A single slot was freed
/// before, by `zswap_invalidate`, and may have waited in a cache since.
#[fentry]
pub fn swap_entry_range_free(ctx: FEntryContext) -> i32 {
    let pages = ctx.arg::<u64>(2) as u32;
    if pages > 1 {
        freed(ctx.arg(1), if pages > MAX_FOLIO { MAX_FOLIO } else { pages });
    }
    0
}

#[inline(always)]
fn freed(entry: u64, pages: u32) -> Option<()> {
    let place = Place::of(entry, false)?;
    each(pages, &mut Free { place });
    Some(())
}

struct Free {
    place: Place,
}

impl Each for Free {
    #[inline(always)]
    fn nth(&mut self, nth: u32) {
        let changed = self.place.change(nth, |old| {
            (old.state() != State::Free).then(|| Word::new(State::Free, 0, old.owner(), now()))
        });
        if let Some(old) = changed {
            count_drop(old);
        }
    }
}
