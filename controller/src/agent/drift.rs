//! Where the map and the kernel's own counters differ, and since when. Pure: fed with one reading each tick, it says
//! which difference has lasted long enough to be put right.

use std::collections::BTreeMap;

use swaptier_policies::CgroupId;

use crate::sense::{Accounting, CgroupSample, Sensed};

use super::view::MapView;

/// Ticks in which a difference must have been the same, and nothing have moved, before it counts as an error.
const TICKS: u32 = 3;

/// The differences seen so far.
#[derive(Default)]
pub(super) struct Drift {
    seen: BTreeMap<CgroupId, Seen>,
    /// Second of the last tick.
    last: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    pages: i64,
    /// Pages in zswap by the kernel and pages stored by the map: as long as both stand still, the cgroup is quiet.
    marks: (u64, u64),
    ticks: u32,
    /// Second of the tick before the difference was there.
    since: u64,
}

/// A difference that has become an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) cgroup: CgroupId,
    /// Pages in zswap that the map has too many; negative: too few.
    pub(super) surplus: i64,
    /// Slots of any kind that the map has too many.
    pub(super) slots: u64,
    /// Second of `CLOCK_MONOTONIC` when it was not there yet.
    pub(super) since: u64,
}

impl Drift {
    /// Takes the reading of one tick at second `now`; returns the differences that have become errors by it. One that
    /// could not be put right is told once. Where the kernel charges nobody there is nothing to compare the map with.
    pub(super) fn look(&mut self, sensed: &Sensed, view: &MapView, page: u64, now: u64) -> Vec<Due> {
        if sensed.accounting == Accounting::Nokmem {
            *self = Self { last: now, ..Self::default() };
            return Vec::new();
        }
        let cgroups = &sensed.cgroups;
        let zswapped = own_pages(cgroups, |cgroup| Some(cgroup.stat.zswapped? / page));
        let slots = own_pages(cgroups, |cgroup| Some(cgroup.swap_current?.0 / page));
        self.compare(zswapped, &slots, view, now)
    }

    fn compare(
        &mut self,
        own: BTreeMap<CgroupId, u64>,
        slots: &BTreeMap<CgroupId, u64>,
        view: &MapView,
        now: u64,
    ) -> Vec<Due> {
        // Pages of cgroups that are gone: the kernel counts them with some cgroup above, the map does not know which.
        let gone: u64 =
            view.counts.iter().filter(|(id, _)| !own.contains_key(id)).map(|(_, tiers)| tiers.zswap.0).sum();
        let mut due = Vec::new();
        self.seen.retain(|id, _| own.contains_key(id));
        for (id, kernel) in own {
            let tiers = view.counts.get(&id).copied().unwrap_or_default();
            let pages = pages(tiers.zswap.0, tiers.unknown.0 + gone, kernel);
            let stored = view.counters.get(&id).map_or(0, |counters| counters.stored_pages);
            let marks = (kernel, stored);
            let before = self.seen.get(&id).copied();
            let is_same = before.is_some_and(|seen| (seen.pages, seen.marks) == (pages, marks));
            let ticks = before.filter(|_| is_same).map_or(1, |seen| seen.ticks.saturating_add(1));
            let since = match before {
                Some(seen) if seen.pages != 0 => seen.since,
                _ => self.last,
            };
            self.seen.insert(id, Seen { pages, marks, ticks, since });
            if pages != 0 && ticks == TICKS {
                let slots = slots.get(&id).map_or(0, |kernel| tiers.slots().0.saturating_sub(*kernel));
                due.push(Due { cgroup: id, surplus: pages, slots, since });
            }
        }
        self.last = now;
        due
    }
}

/// Pages by the kernel of each cgroup by itself: its files count those below it too.
fn own_pages(
    cgroups: &[CgroupSample],
    pages: impl Fn(&CgroupSample) -> Option<u64>,
) -> BTreeMap<CgroupId, u64> {
    let all = |cgroup: &CgroupSample| Some((cgroup.id, pages(cgroup)?));
    let mut own: BTreeMap<CgroupId, u64> = cgroups.iter().filter_map(all).collect();
    let whole = own.clone();
    for cgroup in cgroups {
        if let Some(parent) = cgroup.parent
            && let (Some(below), Some(above)) = (whole.get(&cgroup.id), own.get_mut(&parent))
        {
            *above = above.saturating_sub(*below);
        }
    }
    own
}

/// The map's pages in zswap less the kernel's. Each page of which the map knows no more than that it is in swap may be
/// in zswap or not, and explains a difference of one.
pub(super) fn pages(known: u64, unknown: u64, kernel: u64) -> i64 {
    kernel.clamp(known, known + unknown) as i64 - kernel as i64
}

#[cfg(test)]
mod tests {
    use swaptier_policies::{Pages, Tiers};

    use super::*;
    use crate::{
        fake::FakeRoot,
        sense::{self, CgroupTree},
    };

    /// What comes of these readings of one cgroup, one each tick: (pages by the map, pages by the kernel).
    fn looks(readings: &[(u64, u64)]) -> Vec<Vec<(i64, u64)>> {
        let id = CgroupId(7);
        let mut drift = Drift::default();
        let ticks = readings.iter().zip(10..).map(|((map, kernel), now)| {
            let mut view = MapView::default();
            view.counts.entry(id).or_default().zswap = Pages(*map);
            let due = drift.compare(BTreeMap::from([(id, *kernel)]), &BTreeMap::new(), &view, now);
            due.iter().map(|due| (due.surplus, due.since)).collect()
        });
        ticks.collect()
    }

    #[test]
    fn a_difference_that_stands_still_is_an_error_at_the_third_tick_and_once() {
        let none = Vec::new();
        // The tick at second 10 was the last without it.
        let seen = looks(&[(5, 5), (5, 7), (5, 7), (5, 7), (5, 7)]);
        assert_eq!(seen, [none.clone(), none.clone(), none.clone(), vec![(-2, 10)], none]);
    }

    #[test]
    fn where_the_kernel_charges_nobody_no_difference_is_an_error() {
        let fake = FakeRoot::host();
        let id = CgroupId(fake.cgroup("a"));
        let due = |fake: &FakeRoot| {
            let (mut drift, mut view) = (Drift::default(), MapView::default());
            view.counts.entry(id).or_default().zswap = Pages(25_668);
            let looks = (10..20).flat_map(|now| {
                let sensed = sense::collect(fake.root(), &mut CgroupTree::default()).unwrap();
                drift.look(&sensed, &view, 4096, now)
            });
            looks.map(|due| due.cgroup).collect::<Vec<_>>()
        };
        fake.write("sys/fs/cgroup/a/memory.stat", "anon 524288\nzswap 0\nzswapped 0\n");
        assert!(due(&fake).contains(&id), "an account that is kept, and says 0");
        fake.write("proc/cmdline", "cgroup.memory=nosocket,nokmem\n");
        assert_eq!(due(&fake), []);
    }

    #[test]
    fn while_pages_move_a_difference_is_no_error() {
        assert!(looks(&[(5, 7), (6, 8), (7, 9), (8, 10), (9, 11)]).concat().is_empty());
    }

    #[test]
    fn slots_too_many_are_told_apart_from_pages_in_zswap_too_many() {
        let id = CgroupId(7);
        let slots_of = |kernel: &BTreeMap<CgroupId, u64>| {
            let (mut drift, mut view) = (Drift::default(), MapView::default());
            *view.counts.entry(id).or_default() =
                Tiers { zswap: Pages(5), phys: Pages(3), folio: Pages(1), ..Tiers::default() };
            let looks = (0..4).flat_map(|now| drift.compare(BTreeMap::from([(id, 3)]), kernel, &view, now));
            looks.map(|due| (due.surplus, due.slots)).collect::<Vec<_>>()
        };
        assert_eq!(slots_of(&BTreeMap::from([(id, 7)])), [(2, 2)]);
        assert_eq!(slots_of(&BTreeMap::from([(id, 9)])), [(2, 0)]);
        assert_eq!(slots_of(&BTreeMap::from([(id, 12)])), [(2, 0)], "freed, and still cached by the kernel");
        assert_eq!(slots_of(&BTreeMap::new()), [(2, 0)], "the root has no such file");
    }

    #[test]
    fn an_unknown_page_explains_a_difference_of_one() {
        // 100 known, 20 unknown: the kernel may count 100 to 120.
        let drifts = [90, 100, 110, 120, 125].map(|kernel| pages(100, 20, kernel));
        assert_eq!(drifts, [10, 0, 0, 0, -5]);
    }
}
