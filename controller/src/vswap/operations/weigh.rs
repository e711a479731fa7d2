//! Whether memory has room for the slots of an area, before it is switched on: the kernel takes memory for each, used or
//! not, and has no way back when it runs out in the middle. The same for every kind, and for an area that is switched on
//! again. Taking one off needs none of it.
//!
//! No version says what a slot costs. Where the most that any kernel takes would not fit, it is measured (`cost.rs`).

use swaptier_policies::{Bytes, growth::SlotCost};

use super::Operations;
use super::cost;
use crate::sense::procfs::{self, HostMemory};
use crate::vswap::area::AreaKind;
use crate::vswap::error::{AreaError, Result};
use crate::vswap::forecast::Forecast;
use crate::vswap::intended::AreaRecord;
use crate::vswap::zram;

/// Bytes for 2^20 slots that no kernel reaches: 3.2 each on 6.12 and 6.18, a tenth of that since.
const BOUND: SlotCost = SlotCost(4 << 20);

/// What is to be switched on, and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// *Original* bytes of slots.
    pub(super) slots: Bytes,
    /// Over zram each slot has an entry in the device's table beside.
    pub(super) is_over_zram: bool,
}

impl Load {
    pub(super) fn of(record: &AreaRecord, slots: Bytes) -> Load {
        Load { slots, is_over_zram: record.is_over_zram() }
    }

    /// Memory of the kernel, at this cost of a slot.
    fn memory(self, cost: SlotCost) -> Bytes {
        let entry = if self.is_over_zram { zram::ENTRY << 20 } else { 0 };
        let slots = u128::from(self.slots.0 / rustix::param::page_size() as u64);
        let bytes = (slots * u128::from(cost.0.saturating_add(entry))) >> 20;
        Bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn fits(self, cost: SlotCost, memory: &HostMemory) -> bool {
        Forecast::of(self.memory(cost), memory).fits()
    }
}

impl Operations<'_> {
    /// Whether these slots may be switched on now.
    ///
    /// # Errors
    /// What they take, and what there is.
    pub(super) fn require_room(&mut self, what: &str, load: Load) -> Result<()> {
        let cost = self.slot_cost.unwrap_or(BOUND);
        let memory = procfs::read_meminfo(self.root)?;
        if load.slots == Bytes(0) || load.fits(cost, &memory) {
            return Ok(());
        }
        if self.slot_cost.is_none() && !self.is_dry() {
            // The ghosts with which it is measured are weighed by what they take at most.
            self.slot_cost = Some(BOUND);
            match cost::measure_with(self, AreaKind::Ghost) {
                // A fourth more: what others take meanwhile is in it.
                Ok(SlotCost(cost)) => self.slot_cost = Some(SlotCost((cost + cost / 4).min(BOUND.0))),
                Err(error) => {
                    tracing::warn!(target: "swaptier::areas", "what a slot costs cannot be measured: {error}")
                }
            }
            return self.require_room(what, load);
        }
        Err(refused(what, load, cost, &memory))
    }
}

fn refused(what: &str, load: Load, cost: SlotCost, memory: &HostMemory) -> AreaError {
    let available = memory.available.map_or("an unknown amount".to_owned(), |bytes| bytes.to_string());
    let (slots, needed) = (load.slots, load.memory(cost));
    let hint = match load.is_over_zram {
        true => "ask for fewer slots, or for a ghost by device-mapper, which has no table beside",
        false => "ask for fewer slots",
    };
    AreaError::Refused(format!(
        "{what}: {slots} of slots would take {needed} of the kernel's memory as long as they are on, and {available} is \
         available: {hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(available: u64) -> HostMemory {
        HostMemory {
            total: Bytes(1 << 30),
            available: Some(Bytes(available)),
            swap_total: Bytes(0),
            swap_free: Bytes(0),
            zswap: None,
            zswapped: None,
        }
    }

    #[test]
    fn slots_of_every_kind_take_memory_and_those_over_zram_more() {
        let load = |is_over_zram| Load { slots: Bytes(1 << 40), is_over_zram };
        // 2^28 slots: 1 GiB at 4 B, 7 GiB at 4 + 24.
        assert_eq!(load(false).memory(BOUND), Bytes(1 << 30));
        assert_eq!(load(true).memory(BOUND), Bytes(7 << 30));
        // At about a tenth of a byte: 104,857 for 2^20 slots, 256 times.
        assert_eq!(load(false).memory(SlotCost((1 << 20) / 10)), Bytes(26_843_392));
        assert_eq!(
            Load { slots: Bytes(u64::MAX), is_over_zram: true }.memory(SlotCost(u64::MAX)),
            Bytes(u64::MAX)
        );
    }

    #[test]
    fn a_tebibyte_of_slots_is_too_much_for_a_gibibyte_of_memory() {
        let load = Load { slots: Bytes(1 << 40), is_over_zram: false };
        assert!(!load.fits(BOUND, &memory(900 << 20)));
        let why = refused("ghost area big", load, BOUND, &memory(900 << 20)).to_string();
        assert_eq!(
            why,
            "ghost area big: 1.0 TiB of slots would take 1.0 GiB of the kernel's memory as long as they are on, and \
             900.0 MiB is available: ask for fewer slots"
        );
        // 26 MiB and 5 % of 1 GiB.
        assert!(load.fits(SlotCost((1 << 20) / 10), &memory(900 << 20)));
        assert!(Load { slots: Bytes(64 << 30), ..load }.fits(BOUND, &memory(900 << 20)));
    }
}
