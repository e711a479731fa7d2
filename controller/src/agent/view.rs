//! What the map says at one moment, by cgroup: what `probes` reads, and all others of this room rest on. Plain data.
//!
//! Counters are of this moment. Pages by tier and age are of the newest walk through the slots, which costs by the slot
//! (`docs/performance.md`): one is made when a decision is due, and each tick while somebody looks, or records.

use std::collections::BTreeMap;

use swaptier_common::{
    area::Area,
    cgroup::{AGE_BUCKETS, Counters},
    latency::Latency,
    slot::State,
};
use swaptier_policies::{Bytes, CgroupId, Cold, Pages, Policy, PolicySet, Seconds, Tiers};

use super::heirs::Heirs;
use crate::{
    map::{Health, OwnerScan, Scan},
    sense::{CgroupSample, Sensed},
};

/// What the map says at one moment, by cgroup.
#[derive(Default)]
pub(super) struct MapView {
    /// Pages of each cgroup by itself.
    pub(super) counts: BTreeMap<CgroupId, Tiers>,
    /// Cold pages of each cgroup with a policy that asks for them, with all below it that have none of their own.
    pub(super) cold: BTreeMap<CgroupId, Cold>,
    /// Counters of each cgroup by itself.
    pub(super) counters: BTreeMap<CgroupId, Counters>,
    /// The oldest page in zswap of each cgroup by itself, in seconds.
    pub(super) oldest: BTreeMap<CgroupId, u64>,
    /// Pages in zswap of each cgroup by itself, by age.
    pub(super) ages: BTreeMap<CgroupId, [u64; AGE_BUCKETS]>,
    /// Cgroups that are gone and still have counters → the living one that answers for them.
    pub(super) homes: BTreeMap<CgroupId, CgroupId>,
    pub(super) health: Health,
    pub(super) recursion_misses: u64,
    /// Slots that were wrong and were put right.
    pub(super) repaired: u64,
    /// The areas that the probes know, by the kernel's numbers.
    pub(super) areas: BTreeMap<u32, Area>,
    /// How long swap-ins of each cgroup by itself took. `None`: none was ever timed.
    pub(super) swap_ins: Option<BTreeMap<CgroupId, Latency>>,
    /// They are timed now.
    pub(super) is_timed: bool,
    /// When the slots were walked, in seconds of the map's clock: pages by tier and age are of then.
    pub(super) walked_at: u64,
    /// Pages in zswap by the kernel, of the same tick.
    pub(super) kernel_pages: Option<u64>,
}

impl MapView {
    /// Adds the counters of all owners, and what a walk found of each: for the cgroup it is, or that answers for it.
    pub(super) fn add(
        &mut self,
        counters: &BTreeMap<u16, Counters>,
        walk: &Walk,
        asked: &Asked,
        heirs: &Heirs,
    ) {
        (self.walked_at, self.kernel_pages) = (walk.at, walk.kernel_pages);
        for (age, id) in asked.by.values() {
            self.cold.entry(*id).or_insert_with(|| cold(*age));
        }
        for (owner, counters) in counters {
            let (id, found) = (heirs.home(CgroupId(counters.id)), walk.scan.owner(*owner));
            *self.counts.entry(id).or_default() =
                plus(self.counts.get(&id).copied().unwrap_or_default(), &found);
            // The root has two: pages charged to nobody are under index 0.
            let all = self.counters.entry(CgroupId(counters.id));
            all.and_modify(|sum| *sum = both(sum, counters)).or_insert(*counters);
            let oldest = self.oldest.entry(id).or_default();
            *oldest = (*oldest).max(found.oldest);
            let ages = self.ages.entry(id).or_insert([0; AGE_BUCKETS]);
            ages.iter_mut().zip(found.zswap_age).for_each(|(sum, pages)| *sum += pages);
            if id != CgroupId(counters.id) {
                self.homes.insert(CgroupId(counters.id), id);
            }
            if let Some(cold) = asked.by.get(&id).and_then(|(_, policy)| self.cold.get_mut(policy)) {
                cold.pages.0 += found.cold_pages;
                cold.compressed.0 += found.cold_bytes;
                cold.oldest.0 = cold.oldest.0.max(found.oldest);
            }
        }
    }
}

/// A walk through the slots.
pub(super) struct Walk {
    /// What it found, by owner.
    pub(super) scan: Scan,
    /// When, in seconds of the map's clock.
    pub(super) at: u64,
    /// Pages in zswap by the kernel, of the same tick.
    pub(super) kernel_pages: Option<u64>,
}

/// Pages in zswap by the kernel's own count: the root's `memory.stat`.
pub(super) fn zswapped(sensed: &Sensed) -> Option<u64> {
    let root = sensed.cgroups.iter().find(|cgroup| cgroup.parent.is_none())?;
    root.stat.zswapped.map(|bytes| bytes / rustix::param::page_size() as u64)
}

/// The sum of the counters of one cgroup under two indexes.
pub(super) fn both(one: &Counters, other: &Counters) -> Counters {
    let ages =
        |one: &[u64; AGE_BUCKETS], other: &[u64; AGE_BUCKETS]| std::array::from_fn(|n| one[n] + other[n]);
    Counters {
        id: one.id,
        stored_pages: one.stored_pages + other.stored_pages,
        stored_bytes: one.stored_bytes + other.stored_bytes,
        dropped_pages: one.dropped_pages + other.dropped_pages,
        dropped_bytes: one.dropped_bytes + other.dropped_bytes,
        loaded_pages: one.loaded_pages + other.loaded_pages,
        written_back_pages: one.written_back_pages + other.written_back_pages,
        written_back_bytes: one.written_back_bytes + other.written_back_bytes,
        direct_pages: one.direct_pages + other.direct_pages,
        zero_pages: one.zero_pages + other.zero_pages,
        read_pages: one.read_pages + other.read_pages,
        regret_pages: one.regret_pages + other.regret_pages,
        load_age: ages(&one.load_age, &other.load_age),
        written_back_age: ages(&one.written_back_age, &other.written_back_age),
    }
}

/// Which policy's age counts for which cgroup: its own policy's, or that of the nearest cgroup above that has one.
pub(super) struct Asked {
    /// cgroup → (age, cgroup whose policy it is).
    by: BTreeMap<CgroupId, (Seconds, CgroupId)>,
}

impl Asked {
    pub(super) fn of(cgroups: &[CgroupSample], policies: &PolicySet) -> Self {
        let mut by: BTreeMap<CgroupId, (Seconds, CgroupId)> = BTreeMap::new();
        // Parents come before children.
        for cgroup in cgroups {
            let asked = match policies.resolve(&cgroup.path) {
                Some(policy) => Policy::older_than(policy).map(|age| (age, cgroup.id)),
                None => cgroup.parent.and_then(|parent| by.get(&parent).copied()),
            };
            if let Some(asked) = asked {
                by.insert(cgroup.id, asked);
            }
        }
        Self { by }
    }

    pub(super) fn age(&self, id: CgroupId) -> Option<u64> {
        self.by.get(&id).map(|(age, _)| age.0)
    }
}

fn cold(older_than: Seconds) -> Cold {
    Cold { older_than, pages: Pages(0), compressed: Bytes(0), oldest: Seconds(0) }
}

fn plus(sum: Tiers, found: &OwnerScan) -> Tiers {
    Tiers {
        zswap: Pages(sum.zswap.0 + found.slots(State::Zswap)),
        zswap_compressed: Bytes(sum.zswap_compressed.0 + found.zswap_bytes),
        phys: Pages(sum.phys.0 + found.slots(State::Phys)),
        zero: Pages(sum.zero.0 + found.slots(State::Zero)),
        folio: Pages(sum.folio.0 + found.slots(State::Folio)),
        unknown: Pages(sum.unknown.0 + found.slots(State::Unknown)),
    }
}
