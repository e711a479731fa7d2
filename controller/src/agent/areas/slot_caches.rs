//! Slots that processors keep after they were freed: before Linux 6.15 each has 64 taken in advance and up to 64 that came
//! back (mm/swap_slots.c). Their clusters are not discarded, so a virtual area that has run empty holds blocks for nothing.
//! The kernel lets go of all of them when any swap area is switched off.
//!
//! When that is worth it is decided here, from the slots in use; `vswap/operations/cost.rs` does it. Caller: `care`.

use std::collections::{BTreeMap, BTreeSet};

use swaptier_policies::{AreaKind, AreaView, Pages};

use crate::{hooks::symbols::addresses, root::Root};

/// A function of those caches: a kernel that has none of it has none of them.
const SIGN: &str = "free_swap_slot";
/// Slots one processor keeps at most (`SWAP_SLOTS_CACHE_SIZE`, twice).
const EACH: u64 = 128;
/// So many looks in a row nothing may have come or gone: who swaps takes new slots at once.
const STILL: u32 = 3;

/// What is remembered of the virtual areas.
#[derive(Debug, Default)]
pub(super) struct SlotCaches {
    /// Whether this kernel keeps slots. `None`: not asked yet.
    does_keep: Option<bool>,
    /// Slots in use at the last look, and for how many looks.
    still: BTreeMap<String, (Pages, u32)>,
    /// Areas that were asked for already, and had no more slots in use since.
    done: BTreeSet<String>,
}

impl SlotCaches {
    /// Whether the kernel is to let go of them now.
    pub(super) fn is_due(&mut self, root: &Root, areas: &[AreaView]) -> bool {
        let processors = std::thread::available_parallelism().map_or(1, |it| it.get() as u64);
        self.is_worth_it(areas, processors)
            && *self.does_keep.get_or_insert_with(|| addresses(root, [SIGN]) != [None])
    }

    fn is_worth_it(&mut self, areas: &[AreaView], processors: u64) -> bool {
        let of_pools = || areas.iter().filter(|area| area.kind == AreaKind::Virtual);
        let is_there = |name: &String| of_pools().any(|area| area.name == *name);
        self.still.retain(|name, _| is_there(name));
        self.done.retain(is_there);
        let mut is_due = false;
        for area in of_pools() {
            let (used, looks) = self.still.entry(area.name.clone()).or_insert((area.used, 0));
            *looks = if *used == area.used { *looks + 1 } else { 0 };
            *used = area.used;
            if area.used.0 > EACH * processors {
                self.done.remove(&area.name);
            } else if area.used.0 > 0 && *looks >= STILL && self.done.insert(area.name.clone()) {
                is_due = true;
            }
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(used: u64) -> [AreaView; 1] {
        [AreaView {
            name: "main".to_owned(),
            path: "/dev/dm-3".to_owned(),
            number: None,
            kind: AreaKind::Virtual,
            priority: -2,
            slots: Pages(1 << 20),
            used: Pages(used),
            pool: None,
        }]
    }

    /// Looks at an area with so many slots in use, one after the other; how often it was worth it.
    fn times(caches: &mut SlotCaches, used: &[u64]) -> usize {
        used.iter().filter(|used| caches.is_worth_it(&area(**used), 2)).count()
    }

    #[test]
    fn slots_are_asked_for_once_when_an_area_has_run_empty() {
        let mut caches = SlotCaches::default();
        // Two processors keep 256 at most.
        assert_eq!(times(&mut caches, &[50_000, 9_000, 257, 257, 257, 257]), 0);
        assert_eq!(times(&mut caches, &[256, 200, 200, 200]), 0);
        assert_eq!(times(&mut caches, &[200, 200, 200, 10, 10, 10, 10, 10]), 1);
        assert_eq!(times(&mut caches, &[300, 10, 10, 10, 10, 10]), 1);
    }

    #[test]
    fn an_empty_area_keeps_none() {
        assert_eq!(times(&mut SlotCaches::default(), &[0; 10]), 0);
    }
}
