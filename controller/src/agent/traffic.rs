//! What moves: totals of each cgroup with all below it, and pages a second between two ticks. Pure: fed with the
//! counters of each tick.
//!
//! Properties
//! - A total never falls while its cgroup lives: what a removed cgroup did stays in the totals above it.
//! - What happens to pages of a removed cgroup counts for the one that answers for them; of one that came and went between
//!   two ticks nobody knows where it was, and the root answers.
//! - Without the map the kernel's files give the rates; the totals are unknown then.
//! - A counter that fell gives no rate: of its cgroup, and of those above it.
//! - What went to areas past zswap is not known of a cgroup once pages may have been sent to one without storage: the probes see
//!   the attempt, and nothing was written.

use std::collections::{BTreeMap, BTreeSet};

use swaptier_common::cgroup::{AGE_BUCKETS, Counters};
use swaptier_policies::{AreaView, CgroupId, Pages};

use super::view::{MapView, both};
use crate::{
    sense::{CgroupSample, Sensed},
    serve::{
        rates::Counted,
        status::{HostRates, Rates},
    },
};

/// What was seen until now.
#[derive(Default)]
pub(super) struct Traffic {
    /// Counters of each cgroup by itself at the last tick, removed ones included.
    seen: BTreeMap<CgroupId, Counters>,
    totals: BTreeMap<CgroupId, Counters>,
    files: BTreeMap<CgroupId, Counted>,
    vmstat: Option<Counted>,
    rates: BTreeMap<CgroupId, Rates>,
    host: HostRates,
    /// At the last look pages could be sent to an area without storage.
    is_leaking: bool,
    /// Cgroups whose pages past zswap are not known since.
    doubtful: BTreeSet<CgroupId>,
}

impl Traffic {
    /// Takes one tick; `elapsed` seconds after the one before, `None` at the first.
    pub(super) fn look(
        &mut self,
        sensed: &Sensed,
        areas: &[AreaView],
        view: Option<&MapView>,
        elapsed: Option<f64>,
    ) {
        let elapsed = elapsed.filter(|seconds| *seconds > 0.0);
        let vmstat = Counted::of_host(&sensed.vmstat);
        let before = self.vmstat.replace(vmstat);
        self.host = before
            .zip(elapsed)
            .map_or_else(HostRates::default, |(before, elapsed)| vmstat.since(&before).host_rates(elapsed));
        self.rates.clear();
        let is_leaking = is_leaking(sensed, areas);
        let is_doubtful = std::mem::replace(&mut self.is_leaking, is_leaking) || is_leaking;
        match view {
            Some(view) => self.look_at_map(&sensed.cgroups, view, elapsed, is_doubtful),
            None => self.look_at_files(&sensed.cgroups, elapsed),
        }
    }

    /// Pages that the cgroup, with all below it, sent to areas past zswap. `None` where some may have been sent to one without
    /// storage.
    pub(super) fn direct(&self, id: CgroupId) -> Option<u64> {
        self.total(id).filter(|_| !self.doubtful.contains(&id)).map(|total| total.direct_pages)
    }

    /// That this is not known of some, for people.
    pub(super) fn doubt(&self) -> Option<String> {
        let cgroups = self.doubtful.len();
        (cgroups > 0).then(|| {
            format!(
                "how much {cgroups} cgroups wrote past zswap is not known until the agent starts with a new map: pages were sent \
                 on while an area without storage was in use and the way to it was open, and nothing is written there"
            )
        })
    }

    /// Counters of the cgroup with all below it, since the map was made.
    pub(super) fn total(&self, id: CgroupId) -> Option<&Counters> {
        self.totals.get(&id)
    }

    /// Pages a second of the cgroup with all below it; `None` at its first tick.
    pub(super) fn rates(&self, id: CgroupId) -> Option<Rates> {
        self.rates.get(&id).copied()
    }

    /// Pages a second of the whole host.
    pub(super) fn host(&self) -> HostRates {
        self.host
    }

    fn look_at_map(
        &mut self,
        cgroups: &[CgroupSample],
        view: &MapView,
        elapsed: Option<f64>,
        is_doubtful: bool,
    ) {
        let parents: BTreeMap<CgroupId, Option<CgroupId>> =
            cgroups.iter().map(|cgroup| (cgroup.id, cgroup.parent)).collect();
        self.totals.retain(|id, _| parents.contains_key(id));
        self.doubtful.retain(|id| parents.contains_key(id));
        let mut moved: BTreeMap<CgroupId, (Counters, Counted)> = BTreeMap::new();
        let root = cgroups.iter().find(|cgroup| cgroup.parent.is_none()).map(|cgroup| cgroup.id);
        for (id, now) in &view.counters {
            let before = self.seen.get(id).copied().unwrap_or_else(|| nothing(id.0));
            if before == *now {
                continue;
            }
            let (delta, counted) = (less(now, &before), of_map(now).since(&of_map(&before)));
            let home = view.homes.get(id).copied().unwrap_or(*id);
            let mut next = if parents.contains_key(&home) { Some(home) } else { root };
            while let Some(id) = next {
                let (sum, pages) = moved.entry(id).or_insert_with(|| (nothing(id.0), Counted::NOTHING));
                (*sum, *pages) = (both(sum, &delta), pages.plus(&counted));
                next = parents.get(&id).copied().flatten();
            }
        }
        for cgroup in cgroups {
            let total = self.totals.entry(cgroup.id).or_insert_with(|| nothing(cgroup.id.0));
            let (moved, mut pages) =
                moved.get(&cgroup.id).copied().unwrap_or_else(|| (nothing(cgroup.id.0), Counted::NOTHING));
            *total = both(total, &moved);
            let is_doubtful = is_doubtful && moved.direct_pages > 0;
            if is_doubtful {
                self.doubtful.insert(cgroup.id);
                pages.written = None;
            }
            if let Some(elapsed) = elapsed {
                self.rates.insert(cgroup.id, pages.rates(elapsed));
            }
        }
        self.seen.clone_from(&view.counters);
    }

    fn look_at_files(&mut self, cgroups: &[CgroupSample], elapsed: Option<f64>) {
        self.totals.clear();
        self.doubtful.clear();
        self.seen.clear();
        let now: BTreeMap<CgroupId, Counted> =
            cgroups.iter().map(|cgroup| (cgroup.id, Counted::of_cgroup(&cgroup.stat))).collect();
        for (id, files) in &now {
            if let (Some(before), Some(elapsed)) = (self.files.get(id), elapsed) {
                self.rates.insert(*id, files.since(before).rates(elapsed));
            }
        }
        self.files = now;
    }
}

/// Whether a page that zswap does not take may be sent to an area without storage: one is in use, and the way is not closed for
/// everyone.
fn is_leaking(sensed: &Sensed, areas: &[AreaView]) -> bool {
    let root = sensed.cgroups.iter().find(|cgroup| cgroup.parent.is_none());
    let is_closed = root.and_then(|root| root.settings.valve()) == Some(false);
    !is_closed && areas.iter().any(|area| area.kind.is_ghost() && area.used > Pages(0))
}

/// A value of each cgroup by itself → with all below it. `cgroups` has parents before children.
pub(super) fn with_below<T: Copy>(
    cgroups: &[CgroupSample],
    own: &BTreeMap<CgroupId, T>,
    sum: impl Fn(T, T) -> T,
) -> BTreeMap<CgroupId, T> {
    let mut all = own.clone();
    for cgroup in cgroups.iter().rev() {
        if let (Some(parent), Some(value)) = (cgroup.parent, all.get(&cgroup.id).copied()) {
            all.entry(parent).and_modify(|above| *above = sum(*above, value)).or_insert(value);
        }
    }
    all
}

/// The map's counters of a cgroup by itself.
fn of_map(counters: &Counters) -> Counted {
    Counted {
        stored: Some(counters.stored_pages),
        loaded: Some(counters.loaded_pages),
        written_back: Some(counters.written_back_pages),
        written: counters.direct_pages.checked_add(counters.written_back_pages),
        read: Some(counters.read_pages),
    }
}

fn nothing(id: u64) -> Counters {
    Counters {
        id,
        stored_pages: 0,
        stored_bytes: 0,
        dropped_pages: 0,
        dropped_bytes: 0,
        loaded_pages: 0,
        written_back_pages: 0,
        written_back_bytes: 0,
        direct_pages: 0,
        zero_pages: 0,
        read_pages: 0,
        regret_pages: 0,
        load_age: [0; AGE_BUCKETS],
        written_back_age: [0; AGE_BUCKETS],
    }
}

/// What was added to a total, which never falls: a counter that did, as that of an index which another cgroup took over, adds
/// nothing.
fn less(now: &Counters, before: &Counters) -> Counters {
    let ages = |now: &[u64; AGE_BUCKETS], before: &[u64; AGE_BUCKETS]| {
        std::array::from_fn(|n| now[n].saturating_sub(before[n]))
    };
    Counters {
        id: now.id,
        stored_pages: now.stored_pages.saturating_sub(before.stored_pages),
        stored_bytes: now.stored_bytes.saturating_sub(before.stored_bytes),
        dropped_pages: now.dropped_pages.saturating_sub(before.dropped_pages),
        dropped_bytes: now.dropped_bytes.saturating_sub(before.dropped_bytes),
        loaded_pages: now.loaded_pages.saturating_sub(before.loaded_pages),
        written_back_pages: now.written_back_pages.saturating_sub(before.written_back_pages),
        written_back_bytes: now.written_back_bytes.saturating_sub(before.written_back_bytes),
        direct_pages: now.direct_pages.saturating_sub(before.direct_pages),
        zero_pages: now.zero_pages.saturating_sub(before.zero_pages),
        read_pages: now.read_pages.saturating_sub(before.read_pages),
        regret_pages: now.regret_pages.saturating_sub(before.regret_pages),
        load_age: ages(&now.load_age, &before.load_age),
        written_back_age: ages(&now.written_back_age, &before.written_back_age),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::FakeRoot, sense, vswap::seen::unnoted};
    use swaptier_policies::{Knob, Setting};

    /// The root (1), a, and a/b of which `b` says whether it lives; ids as the fake root gives them.
    struct Host {
        fake: FakeRoot,
        a: CgroupId,
        b: CgroupId,
    }

    fn host() -> Host {
        let fake = FakeRoot::host();
        let (a, b) = (CgroupId(fake.cgroup("a")), CgroupId(fake.cgroup("a/b")));
        Host { fake, a, b }
    }

    impl Host {
        fn sensed(&self) -> Sensed {
            sense::collect(self.fake.root(), &mut sense::CgroupTree::default()).unwrap()
        }
    }

    fn view(stored: &[(CgroupId, u64)]) -> MapView {
        let mut view = MapView::default();
        for (id, pages) in stored {
            view.counters.insert(*id, Counters { stored_pages: *pages, ..nothing(id.0) });
        }
        view
    }

    #[test]
    fn a_cgroup_counts_what_happens_below_it() {
        let (host, mut traffic) = (host(), Traffic::default());
        traffic.look(&host.sensed(), &[], Some(&view(&[(host.a, 10), (host.b, 5)])), None);
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 15);
        assert_eq!(traffic.rates(host.a), None, "nothing is known of the time before the first tick");
        // Two seconds later: 4 more in b, 2 more in a.
        traffic.look(&host.sensed(), &[], Some(&view(&[(host.a, 12), (host.b, 9)])), Some(2.0));
        assert_eq!(traffic.total(host.b).unwrap().stored_pages, 9);
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 21);
        assert_eq!(traffic.rates(host.b).unwrap().stored, Some(2.0));
        assert_eq!(traffic.rates(host.a).unwrap().stored, Some(3.0));
    }

    #[test]
    fn a_total_does_not_fall_when_a_cgroup_below_goes() {
        let (host, mut traffic) = (host(), Traffic::default());
        traffic.look(&host.sensed(), &[], Some(&view(&[(host.b, 5)])), None);
        host.fake.remove("sys/fs/cgroup/a/b");
        // Its pages go on to be loaded: a answers for them.
        let mut later = view(&[(host.b, 7)]);
        later.homes.insert(host.b, host.a);
        traffic.look(&host.sensed(), &[], Some(&later), Some(1.0));
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 7);
        assert!(traffic.total(host.b).is_none());
        traffic.look(&host.sensed(), &[], Some(&view(&[])), Some(1.0));
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 7);
    }

    #[test]
    fn what_a_cgroup_did_that_no_tick_saw_is_in_the_total_of_the_root() {
        let (host, mut traffic) = (host(), Traffic::default());
        let sensed = host.sensed();
        let root = sensed.cgroups[0].id;
        traffic.look(&sensed, &[], Some(&view(&[(host.a, 10)])), None);
        // Made, swapped and removed since: 20 pages.
        let short_lived = CgroupId(u64::MAX);
        traffic.look(&sensed, &[], Some(&view(&[(host.a, 13), (short_lived, 20)])), Some(1.0));
        // 13 of a, and 20.
        assert_eq!(traffic.total(root).unwrap().stored_pages, 33);
        assert_eq!(traffic.rates(root).unwrap().stored, Some(23.0));
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 13);
    }

    #[test]
    fn what_was_sent_to_an_area_without_storage_is_not_taken_for_written() {
        let (host, mut traffic) = (host(), Traffic::default());
        let direct = |pages: [(CgroupId, u64); 2]| {
            let mut view = MapView::default();
            for (id, pages) in pages {
                view.counters.insert(id, Counters { direct_pages: pages, ..nothing(id.0) });
            }
            view
        };
        let with = |line: &str, gate: Option<bool>| {
            host.fake.write("proc/swaps", &format!("Filename Type Size Used Priority\n{line}\n"));
            let mut sensed = host.sensed();
            sensed.cgroups[0].settings.set(Knob::ZswapWriteback, gate.map(Setting::Valve));
            let areas = unnoted(host.fake.root(), &sensed.swaps).views;
            (sensed, areas)
        };
        let look = |traffic: &mut Traffic, (sensed, areas): (Sensed, Vec<AreaView>), view, elapsed| {
            traffic.look(&sensed, &areas, Some(&view), elapsed);
        };
        let (disk, ghost) = ("/dev/vda partition 4096 400 -2", "/anywhere/big ghost 4096 400 1");
        let root = host.sensed().cgroups[0].id;
        look(&mut traffic, with(disk, Some(true)), direct([(host.a, 10), (host.b, 1)]), None);
        assert_eq!(
            (traffic.direct(host.b), traffic.direct(host.a), traffic.doubt()),
            (Some(1), Some(11), None)
        );
        // Closed, and then an empty one: nothing can have been sent there.
        look(&mut traffic, with(ghost, Some(false)), direct([(host.a, 12), (host.b, 1)]), Some(1.0));
        let empty = "/anywhere/big ghost 4096 0 1";
        look(&mut traffic, with(empty, Some(true)), direct([(host.a, 13), (host.b, 1)]), Some(1.0));
        assert_eq!((traffic.direct(host.a), traffic.rates(host.a).unwrap().direct), (Some(14), Some(1.0)));
        // In use, and open: of b, and so of all above it, it is not known; of what did nothing it is.
        look(&mut traffic, with(ghost, Some(true)), direct([(host.a, 13), (host.b, 9)]), Some(1.0));
        assert_eq!(
            (traffic.direct(host.b), traffic.direct(host.a), traffic.direct(root)),
            (None, None, None)
        );
        let rates = traffic.rates(host.b).unwrap();
        assert_eq!((rates.direct, rates.stored), (None, Some(0.0)));
        assert!(traffic.doubt().unwrap().starts_with("how much 3 cgroups wrote past zswap is not known"));
        // Closed by now: what came before that look is doubtful too, what comes after it is known as a rate.
        look(&mut traffic, with(ghost, Some(false)), direct([(host.a, 14), (host.b, 9)]), Some(1.0));
        assert_eq!(traffic.rates(host.a).unwrap().direct, None);
        look(&mut traffic, with(ghost, Some(false)), direct([(host.a, 15), (host.b, 9)]), Some(1.0));
        assert_eq!((traffic.rates(host.a).unwrap().direct, traffic.direct(host.a)), (Some(1.0), None));
    }

    #[test]
    fn without_a_map_the_kernels_files_give_the_rates() {
        let (host, mut traffic) = (host(), Traffic::default());
        let stat = |text: &str| host.fake.write("sys/fs/cgroup/a/memory.stat", text);
        stat("zswpout 10\nzswpin 1\nzswpwb 3\npswpout 5\n");
        traffic.look(&host.sensed(), &[], None, None);
        stat("zswpout 30\nzswpin 1\nzswpwb 7\npswpout 11\n");
        traffic.look(&host.sensed(), &[], None, Some(2.0));
        // 20, 0 and 4 pages in 2 s; 6 written to a device less the 4 of write-back; nothing is said of reads.
        let expected = Rates {
            stored: Some(10.0),
            loaded: Some(0.0),
            written_back: Some(2.0),
            direct: Some(1.0),
            read: None,
        };
        assert_eq!(traffic.rates(host.a), Some(expected));
        assert_eq!(traffic.total(host.a), None);
    }

    #[test]
    fn a_counter_that_fell_has_no_rate_with_a_map_and_without_and_its_total_stands() {
        let (host, mut traffic) = (host(), Traffic::default());
        let stat = |text: &str| host.fake.write("sys/fs/cgroup/a/memory.stat", text);
        let vmstat = |text: &str| host.fake.write("proc/vmstat", text);
        stat("zswpout 30\nzswpin 5\n");
        vmstat("zswpout 30\nzswpin 5\n");
        traffic.look(&host.sensed(), &[], None, None);
        stat("zswpout 3\nzswpin 9\n");
        vmstat("zswpout 3\nzswpin 9\n");
        traffic.look(&host.sensed(), &[], None, Some(2.0));
        // 4 pages read in 2 s.
        let rates = traffic.rates(host.a).unwrap();
        assert_eq!((rates.stored, rates.loaded), (None, Some(2.0)));
        assert_eq!((traffic.host().stored, traffic.host().loaded), (None, Some(2.0)));

        let mut traffic = Traffic::default();
        traffic.look(&host.sensed(), &[], Some(&view(&[(host.a, 10), (host.b, 5)])), None);
        traffic.look(&host.sensed(), &[], Some(&view(&[(host.a, 12), (host.b, 1)])), Some(2.0));
        let rates = [host.a, host.b].map(|id| traffic.rates(id).unwrap());
        assert_eq!(rates.map(|rates| (rates.stored, rates.loaded)), [(None, Some(0.0)); 2]);
        // 10 and 5, and 2 more of a.
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 17);
    }

    #[test]
    fn a_sum_over_a_subtree_reaches_the_root() {
        let host = host();
        let sensed = host.sensed();
        let own = BTreeMap::from([(host.a, 2u64), (host.b, 7)]);
        let all = with_below(&sensed.cgroups, &own, u64::max);
        let root = sensed.cgroups[0].id;
        assert_eq!((all[&root], all[&host.a], all[&host.b]), (7, 7, 7));
    }
}
