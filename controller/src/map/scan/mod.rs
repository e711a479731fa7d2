//! Walking the words of the shadow map: how much of each cgroup is where, and how long it has been there. Pure.
//!
//! A walk reads all of the map, so it is made to run as fast as the words come out of memory. There are two ways with
//! the same result: `plain` for every processor, `x86` for those with AVX2. Both put what they see into a `table`, which
//! keeps a row of sums per owner; an [`OwnerScan`] is read out of a row only when it is asked for. How fast they are is
//! measured by `cargo xtask bench scan`.

mod plain;
mod table;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::atomic::AtomicU64;

use swaptier_common::{cgroup::AGE_BUCKETS, slot::State};

use table::Table;

/// What one owner (a memory cgroup id) has in swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerScan {
    /// Slots by [`State`], as numbered there; those that are free are not counted.
    pub slots: [u64; 6],
    /// *Compressed* bytes in zswap.
    pub zswap_bytes: u64,
    /// Pages in zswap by age; buckets as in [`swaptier_common::cgroup::age_bucket`].
    pub zswap_age: [u64; AGE_BUCKETS],
    /// Pages in zswap at least as old as the threshold.
    pub cold_pages: u64,
    /// *Compressed* bytes of them.
    pub cold_bytes: u64,
    /// Seconds the oldest page in zswap has been there; 0 when there is none.
    pub oldest: u64,
    /// Slots on the device whose data came by write-back.
    pub written_back: u64,
}

impl OwnerScan {
    /// Slots in this state.
    pub fn slots(&self, state: State) -> u64 {
        self.slots[state as usize]
    }

    /// The sum of two owners, for a cgroup that had several ids.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        add_all(&mut self.slots, &other.slots);
        add_all(&mut self.zswap_age, &other.zswap_age);
        self.zswap_bytes += other.zswap_bytes;
        self.cold_pages += other.cold_pages;
        self.cold_bytes += other.cold_bytes;
        self.oldest = self.oldest.max(other.oldest);
        self.written_back += other.written_back;
        self
    }
}

fn add_all<const N: usize>(to: &mut [u64; N], from: &[u64; N]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// How the words are walked. All ways have the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One word after the other: any processor.
    Plain,
    /// Eight words at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Way {
    /// The ways of this processor, the fastest first.
    pub fn all() -> Vec<Way> {
        #[cfg(target_arch = "x86_64")]
        if x86::can_walk() {
            return vec![Way::Avx2, Way::Plain];
        }
        vec![Way::Plain]
    }
}

/// A walk in progress, and its result.
#[derive(Clone, Debug)]
pub struct Scan {
    way: Way,
    table: Table,
    #[cfg(target_arch = "x86_64")]
    desk: Box<x86::Desk>,
}

impl Scan {
    /// An empty result for owners below `owners`, at second `now` of `CLOCK_MONOTONIC`. `cold_after` gives the age in
    /// seconds from which an owner's pages are cold; `None` if nobody asks.
    pub fn new(owners: usize, now: u64, cold_after: impl Fn(u16) -> Option<u64>) -> Self {
        Self::by(Way::all()[0], owners, now, cold_after)
    }

    /// As [`Scan::new`], in a way of the caller's choice: for tests and measurements. A way that is not one of
    /// [`Way::all`] is replaced by the plain one.
    pub fn by(way: Way, owners: usize, now: u64, cold_after: impl Fn(u16) -> Option<u64>) -> Self {
        let table = Table::new(owners, now, cold_after);
        let can = table.has_columns() && Way::all().contains(&way);
        Self {
            way: if can { way } else { Way::Plain },
            #[cfg(target_arch = "x86_64")]
            desk: Box::new(x86::Desk::new(&table)),
            table,
        }
    }

    /// Adds the words of a frame, or better of many frames that lie together.
    pub fn words(&mut self, words: &[AtomicU64]) {
        for part in words.chunks(table::SPILL_AFTER) {
            self.table.make_room(part.len());
            match self.way {
                Way::Plain => plain::walk(&mut self.table, part),
                #[cfg(target_arch = "x86_64")]
                Way::Avx2 => x86::walk(&mut self.table, &mut self.desk, part),
            }
        }
    }

    /// What the owner with this index has in swap; all zero if nothing.
    pub fn owner(&self, index: u16) -> OwnerScan {
        self.table.owner(index)
    }

    /// What is in all slots that were walked, whoever owns them.
    pub fn total(&self) -> OwnerScan {
        self.table.total()
    }

    /// Slots in use whose owner has no counters: they are in no cgroup's sums.
    pub fn strays(&self) -> u64 {
        self.table.strays()
    }
}
