//! Whether memory can hold what an area holds, before it is asked to. Pure.
//!
//! `/proc/swaps` counts every slot in use, also those whose content nobody knows (`Unknown` in the map) and those that
//! are in zswap: each becomes a page of memory. What zswap gives back meanwhile is not counted on.

use serde::Serialize;
use swaptier_policies::{Bytes, Share};

use crate::sense::procfs::HostMemory;

/// How much of memory is left alone: below it the kernel begins to reclaim in a hurry.
const KEPT: Share = Share(50_000);

/// What draining will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// *Original* bytes that come back into memory.
    pub needed: Bytes,
    /// Memory that can be had without pushing other pages out. `None`: the kernel does not say.
    pub available: Option<Bytes>,
    /// Memory that stays free of it.
    pub kept: Bytes,
}

impl Forecast {
    /// For an area in which `used` *original* bytes are.
    #[must_use]
    pub fn of(used: Bytes, memory: &HostMemory) -> Forecast {
        Forecast { needed: used, available: memory.available, kept: KEPT.of(memory.total) }
    }

    /// Whether it fits.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.available.is_some_and(|available| self.needed.saturating_add(self.kept) <= available)
    }
}

impl Forecast {
    /// Whether what is in an area may come back: nothing needs no memory, however short that is.
    #[must_use]
    pub fn allows_emptying(&self) -> bool {
        self.needed == Bytes(0) || self.fits()
    }
}

impl std::fmt::Display for Forecast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let available = self.available.map_or("an unknown amount".to_owned(), |bytes| bytes.to_string());
        write!(
            f,
            "{} come back into memory; {available} is available, of which {} stays free",
            self.needed, self.kept
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(available: Option<u64>) -> HostMemory {
        HostMemory {
            total: Bytes(1000),
            available: available.map(Bytes),
            swap_total: Bytes(0),
            swap_free: Bytes(0),
            zswap: None,
            zswapped: None,
        }
    }

    #[test]
    fn an_area_is_drained_into_memory_that_is_there() {
        // 5 % of 1,000 = 50 stays: 200 + 50 = 250.
        assert!(Forecast::of(Bytes(200), &memory(Some(250))).fits());
        assert!(!Forecast::of(Bytes(201), &memory(Some(250))).fits());
    }

    #[test]
    fn unknown_memory_is_no_room() {
        assert!(!Forecast::of(Bytes(0), &memory(None)).fits());
        assert!(!Forecast::of(Bytes(1), &memory(None)).allows_emptying());
    }

    #[test]
    fn an_empty_area_is_taken_off_however_short_memory_is() {
        assert!(Forecast::of(Bytes(0), &memory(Some(0))).allows_emptying());
    }
}
