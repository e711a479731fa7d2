//! Slots given back (mm/swapfile.c).

use core::mem::offset_of;

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use swaptier_common::{
    notes::Notes,
    slot::{State, Word},
};

use crate::{
    copies::{is_seen_to, note_down, notes},
    kernel::MAX_FOLIO,
    shadow::{Each, Place, count_drop, each, now},
};

/// `zswap_invalidate(entry)`: called for each freed slot, stored in zswap or not. Before 6.18 it misses the
/// slots of a large folio that are freed as one range.
#[fentry]
pub fn zswap_invalidate(ctx: FEntryContext) -> i32 {
    const NOTE: usize = offset_of!(Notes, freed);
    let entry: u64 = ctx.arg(0);
    if !is_seen_to(NOTE, entry)
        && freed(entry, 1).is_some()
        && let Some(notes) = notes()
    {
        note_down(notes, NOTE, entry);
    }
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
