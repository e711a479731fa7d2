//! What moves: totals of each cgroup with all below it, and pages a second between two ticks. Pure: fed with the
//! counters of each tick.
//!
//! Properties
//! - A total never falls while its cgroup lives: what a removed cgroup did stays in the totals above it.
//! - What happens to pages of a removed cgroup counts for the one that answers for them.
//! - Without the map the kernel's files give the rates; the totals are unknown then.

use std::collections::BTreeMap;

use swaptier_common::cgroup::{AGE_BUCKETS, Counters};
use swaptier_policies::CgroupId;

use super::probes::{MapView, both};
use crate::{
    sense::{CgroupSample, MemoryStat, Sensed, VmStat},
    serve::status::Rates,
};

/// What was seen until now.
#[derive(Default)]
pub(super) struct Traffic {
    /// Counters of each cgroup by itself at the last tick, removed ones included.
    seen: BTreeMap<CgroupId, Counters>,
    totals: BTreeMap<CgroupId, Counters>,
    files: BTreeMap<CgroupId, Files>,
    vmstat: Option<Files>,
    rates: BTreeMap<CgroupId, Rates>,
    host: Rates,
}

/// The kernel's own counters: stored, loaded, written back, written to a device, read from one.
type Files = [Option<u64>; 5];

impl Traffic {
    /// Takes one tick; `elapsed` seconds after the one before, `None` at the first.
    pub(super) fn look(&mut self, sensed: &Sensed, view: Option<&MapView>, elapsed: Option<f64>) {
        let elapsed = elapsed.filter(|seconds| *seconds > 0.0);
        let vmstat = of_vmstat(&sensed.vmstat);
        let before = self.vmstat.replace(vmstat);
        self.host = before
            .zip(elapsed)
            .map_or_else(Rates::default, |(before, elapsed)| rates(moved(&vmstat, &before), elapsed, false));
        self.rates.clear();
        match view {
            Some(view) => self.look_at_map(&sensed.cgroups, view, elapsed),
            None => self.look_at_files(&sensed.cgroups, elapsed),
        }
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
    pub(super) fn host(&self) -> Rates {
        self.host
    }

    fn look_at_map(&mut self, cgroups: &[CgroupSample], view: &MapView, elapsed: Option<f64>) {
        let parents: BTreeMap<CgroupId, Option<CgroupId>> =
            cgroups.iter().map(|cgroup| (cgroup.id, cgroup.parent)).collect();
        self.totals.retain(|id, _| parents.contains_key(id));
        let mut moved: BTreeMap<CgroupId, Counters> = BTreeMap::new();
        for (id, now) in &view.counters {
            let before = self.seen.get(id).copied().unwrap_or_else(|| nothing(id.0));
            if before == *now {
                continue;
            }
            let delta = less(now, &before);
            let home = view.homes.get(id).copied().unwrap_or(*id);
            let mut next = parents.contains_key(&home).then_some(home);
            while let Some(id) = next {
                let sum = moved.entry(id).or_insert_with(|| nothing(id.0));
                *sum = both(sum, &delta);
                next = parents.get(&id).copied().flatten();
            }
        }
        for cgroup in cgroups {
            let total = self.totals.entry(cgroup.id).or_insert_with(|| nothing(cgroup.id.0));
            let moved = moved.get(&cgroup.id);
            if let Some(moved) = moved {
                *total = both(total, moved);
            }
            if let Some(elapsed) = elapsed {
                let moved = moved.copied().unwrap_or_else(|| nothing(cgroup.id.0));
                let pages = [
                    moved.stored_pages,
                    moved.loaded_pages,
                    moved.written_back_pages,
                    moved.direct_pages,
                    moved.read_pages,
                ];
                self.rates.insert(cgroup.id, rates(pages.map(Some), elapsed, false));
            }
        }
        self.seen.clone_from(&view.counters);
    }

    fn look_at_files(&mut self, cgroups: &[CgroupSample], elapsed: Option<f64>) {
        self.totals.clear();
        self.seen.clear();
        let now: BTreeMap<CgroupId, Files> =
            cgroups.iter().map(|cgroup| (cgroup.id, of_stat(&cgroup.stat))).collect();
        for (id, files) in &now {
            if let (Some(before), Some(elapsed)) = (self.files.get(id), elapsed) {
                self.rates.insert(*id, rates(moved(files, before), elapsed, true));
            }
        }
        self.files = now;
    }
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

fn of_stat(stat: &MemoryStat) -> Files {
    [stat.zswpout, stat.zswpin, stat.zswpwb, stat.pswpout, stat.pswpin]
}

fn of_vmstat(stat: &VmStat) -> Files {
    [stat.zswpout, stat.zswpin, stat.zswpwb, stat.pswpout, stat.pswpin]
}

fn moved(now: &Files, before: &Files) -> Files {
    std::array::from_fn(|n| Some(now[n]?.saturating_sub(before[n]?)))
}

/// Pages a second. With `is_all` the fourth number counts write-back too, which is taken out of it.
fn rates([stored, loaded, written_back, out, read]: Files, elapsed: f64, is_all: bool) -> Rates {
    let direct = match (out, written_back) {
        (Some(out), Some(back)) if is_all => Some(out.saturating_sub(back)),
        (out, _) => out,
    };
    let a_second = |pages: Option<u64>| pages.map(|pages| pages as f64 / elapsed);
    Rates {
        stored: a_second(stored),
        loaded: a_second(loaded),
        written_back: a_second(written_back),
        direct: a_second(direct),
        read: a_second(read),
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

/// What was added. A counter that fell, as that of an index which another cgroup took over, added nothing.
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
    use crate::{fake::FakeRoot, sense};

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
        traffic.look(&host.sensed(), Some(&view(&[(host.a, 10), (host.b, 5)])), None);
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 15);
        assert_eq!(traffic.rates(host.a), None, "nothing is known of the time before the first tick");
        // Two seconds later: 4 more in b, 2 more in a.
        traffic.look(&host.sensed(), Some(&view(&[(host.a, 12), (host.b, 9)])), Some(2.0));
        assert_eq!(traffic.total(host.b).unwrap().stored_pages, 9);
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 21);
        assert_eq!(traffic.rates(host.b).unwrap().stored, Some(2.0));
        assert_eq!(traffic.rates(host.a).unwrap().stored, Some(3.0));
    }

    #[test]
    fn a_total_does_not_fall_when_a_cgroup_below_goes() {
        let (host, mut traffic) = (host(), Traffic::default());
        traffic.look(&host.sensed(), Some(&view(&[(host.b, 5)])), None);
        host.fake.remove("sys/fs/cgroup/a/b");
        // Its pages go on to be loaded: a answers for them.
        let mut later = view(&[(host.b, 7)]);
        later.homes.insert(host.b, host.a);
        traffic.look(&host.sensed(), Some(&later), Some(1.0));
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 7);
        assert!(traffic.total(host.b).is_none());
        traffic.look(&host.sensed(), Some(&view(&[])), Some(1.0));
        assert_eq!(traffic.total(host.a).unwrap().stored_pages, 7);
    }

    #[test]
    fn without_a_map_the_kernels_files_give_the_rates() {
        let (host, mut traffic) = (host(), Traffic::default());
        let stat = |text: &str| host.fake.write("sys/fs/cgroup/a/memory.stat", text);
        stat("zswpout 10\nzswpin 1\nzswpwb 3\npswpout 5\n");
        traffic.look(&host.sensed(), None, None);
        stat("zswpout 30\nzswpin 1\nzswpwb 7\npswpout 11\n");
        traffic.look(&host.sensed(), None, Some(2.0));
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
    fn a_sum_over_a_subtree_reaches_the_root() {
        let host = host();
        let sensed = host.sensed();
        let own = BTreeMap::from([(host.a, 2u64), (host.b, 7)]);
        let all = with_below(&sensed.cgroups, &own, u64::max);
        let root = sensed.cgroups[0].id;
        assert_eq!((all[&root], all[&host.a], all[&host.b]), (7, 7, 7));
    }
}
