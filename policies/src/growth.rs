//! How many slots an area has, and when it gets more, without anybody choosing a size.
//!
//! A slot costs the kernel memory from the moment its area is on, whether or not it is used; how much is measured on
//! the host. Where all slots that could ever be of use cost less than the budget, one area has all of them. Where they
//! cost more, slots come in pieces: one more before the free ones run short, one less when it has long been empty.
//! What is decided here is carried out by the controller's `vswap`.
//!
//! Properties, each with a law in `tests/growth.rs`:
//! - what is on never costs more than the budget because of a piece that was added;
//! - adding settles: after it, nothing is added or drained;
//! - a drained piece is not wanted back at once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::area::AreaView;
use crate::history::History;
use crate::units::{Bytes, Pages, Seconds};

/// Areas the kernel can surely have on: `MAX_SWAPFILES` (include/linux/swap.h) is 32 less what page migration, poisoned
/// pages, device memory and markers take of the same numbers, nine where all of it is built in.
pub const MOST_AREAS: usize = 23;

/// How long a piece has been empty before it goes: longer than the pause between two bursts.
const EMPTY_FOR: Seconds = Seconds(600);

/// Pieces that fit into the budget: enough that one of them is a small step, few enough for [`MOST_AREAS`].
const PIECES: u64 = 8;

/// The least piece: 256 MiB at 4 KiB a page.
const LEAST: Pages = Pages(1 << 16);

/// What slots cost the kernel while they are empty: bytes of memory for each 2^20 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SlotCost(pub u64);

impl SlotCost {
    /// Memory that so many slots take, rounded up.
    #[must_use]
    pub fn of(self, slots: Pages) -> Bytes {
        let bytes = (u128::from(self.0) * u128::from(slots.0)).div_ceil(1 << 20);
        Bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// The most slots that cost no more than this.
    #[must_use]
    pub fn slots_for(self, memory: Bytes) -> Pages {
        let slots = (u128::from(memory.0) << 20).checked_div(u128::from(self.0)).unwrap_or(u128::MAX);
        Pages(u64::try_from(slots).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for SlotCost {
    /// In thousandths of a byte a slot: `3.102 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = (u128::from(self.0) * 1000).div_ceil(1 << 20);
        write!(f, "{}.{:03} B", thousandths / 1000, thousandths % 1000)
    }
}

/// What slots are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Slots that could ever be of use: pages that fit on the disk, and pages that fit into zswap.
    pub useful: Pages,
    /// Memory that empty slots may cost.
    pub budget: Bytes,
    /// What a slot costs.
    pub cost: SlotCost,
}

/// What is to be done about the number of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// One more area with so many slots.
    Add(Pages),
    /// This area goes.
    Drain(String),
    /// Nothing.
    Enough,
    /// Slots run short, and there can be no more.
    Short(Short),
}

/// Why there can be no more slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// Another piece would cost more than the budget has.
    Budget {
        /// Memory all slots would cost.
        needed: Bytes,
        /// What they may.
        budget: Bytes,
    },
    /// The kernel has no more areas.
    Areas {
        /// Areas that are on.
        on: usize,
    },
    /// The budget has not even one piece.
    Piece {
        /// Memory that the least piece costs.
        needed: Bytes,
        /// What it may.
        budget: Bytes,
    },
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Short::Budget { needed, budget } => {
                write!(f, "more slots would take {needed} of kernel memory, the budget is {budget}")
            }
            Short::Areas { on } => write!(f, "{on} swap areas are on, and the kernel has room for no more"),
            Short::Piece { needed, budget } => {
                write!(f, "the least piece takes {needed} of kernel memory, the budget is {budget}")
            }
        }
    }
}

impl Wanted {
    /// The slots of one area: all that are of use, or a piece.
    #[must_use]
    pub fn piece(&self) -> Pages {
        if self.is_free() {
            return self.useful;
        }
        let most = self.cost.slots_for(Bytes(self.budget.0 / PIECES));
        // A power of two: an area's size says how many pieces it is.
        let floor = 1u64 << (63 - most.0.max(1).leading_zeros());
        Pages(floor).max(LEAST).min(self.useful)
    }

    /// Whether one area with all slots is as good as free.
    fn is_free(&self) -> bool {
        self.cost.of(self.useful) <= self.budget
    }
}

/// Decides about the areas `family`, which are `on` among so many.
#[must_use]
pub fn growth(family: &[&AreaView], on: usize, wanted: &Wanted, history: &History, now: Seconds) -> Growth {
    let piece = wanted.piece();
    let slots: u64 = family.iter().map(|area| area.slots.0).sum();
    let free: u64 = family.iter().map(|area| area.slots.0.saturating_sub(area.used.0)).sum();
    let is_short = free < piece.0 / 2 && slots < wanted.useful.0;
    if family.is_empty() || is_short {
        return add(Pages(slots), piece, on, wanted);
    }
    let has_long_been_empty = |area: &&&AreaView| {
        let since = history.areas.empty_since.get(&area.name).copied().flatten();
        since.is_some_and(|since| now.0.saturating_sub(since.0) >= EMPTY_FOR.0)
    };
    // Without it there is still a whole piece free: twice of what would bring it back.
    let is_spare = |area: &&&AreaView| free.saturating_sub(area.slots.0) >= piece.0;
    let last = family.iter().filter(has_long_been_empty).filter(is_spare).min_by_key(|area| area.priority);
    last.map_or(Growth::Enough, |area| Growth::Drain(area.name.clone()))
}

fn add(slots: Pages, piece: Pages, on: usize, wanted: &Wanted) -> Growth {
    if on >= MOST_AREAS {
        return Growth::Short(Short::Areas { on });
    }
    let budget = wanted.budget;
    let piece = piece.min(wanted.useful.saturating_sub(slots));
    let needed = wanted.cost.of(Pages(slots.0.saturating_add(piece.0)));
    match (needed <= budget, slots) {
        (true, _) => Growth::Add(piece),
        (false, Pages(0)) => Growth::Short(Short::Piece { needed, budget }),
        (false, _) => Growth::Short(Short::Budget { needed, budget }),
    }
}
