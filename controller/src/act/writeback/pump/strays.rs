//! Pages of others that are written back while a round runs: how many, and when they are too many.

use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::knob::{Knob, StatFile};
use crate::{
    map::Reading,
    root::{FilePath, Root},
    sense::MemoryStat,
};

/// Pages of others that end a round: what a batch of the worker may take before anybody sees it. Pages of the root
/// cgroup, which no valve protects, count as well.
pub(super) const MOST: u64 = 64;

/// Between two looks at a file: the kernel sums all processors' counters for it.
const LOOK: Duration = Duration::from_millis(5);

/// Changes of a cgroup's counters that the kernel leaves out of its `memory.stat` for up to two seconds, for each
/// processor (`MEMCG_CHARGE_BATCH`, mm/memcontrol.c).
const BATCH: u64 = 64;

/// Where pages of others are seen.
pub(super) enum Strays {
    /// The map tells whose a page is.
    Map,
    /// The host's counter less the cgroup's own. `None`: the cgroup's kernel does not count.
    Files(Option<Own>),
}

/// The cgroup's own counter.
pub(super) struct Own {
    stat: StatFile,
    first: u64,
    looked: Instant,
    beside: u64,
    /// What may be missing in it.
    lag: u64,
}

impl Strays {
    pub(super) fn open(root: &Root, cgroup: &FilePath, tells_pages: bool) -> Self {
        if tells_pages {
            return Self::Map;
        }
        let open = || {
            let stat = StatFile::new(Knob::open(root, cgroup.join("memory.stat"), OFlags::RDONLY).ok()?);
            let first = stat.read(MemoryStat::parse)?.zswpwb?;
            let processors = std::thread::available_parallelism().map_or(1, |number| number.get() as u64);
            Some(Own { stat, first, looked: Instant::now(), beside: 0, lag: BATCH * processors })
        };
        Self::Files(open())
    }

    /// Pages of others since the round began, as far as it is known, if they are too many.
    pub(super) fn too_many(&mut self, start: Reading, now: Reading) -> Option<u64> {
        let total = now.total.saturating_sub(start.total);
        let (beside, most) = match self {
            Self::Map => (total.saturating_sub(now.written.saturating_sub(start.written)), MOST),
            Self::Files(None) => return None,
            Self::Files(Some(own)) => (own.beside(total), MOST + own.lag),
        };
        (beside > most).then_some(beside)
    }
}

impl Own {
    fn beside(&mut self, total: u64) -> u64 {
        if self.looked.elapsed() >= LOOK
            && let Some(own) = self.stat.read(MemoryStat::parse).and_then(|stat| stat.zswpwb)
        {
            self.looked = Instant::now();
            self.beside = total.saturating_sub(own.saturating_sub(self.first));
        }
        self.beside
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn pages_of_others_are_all_that_are_not_the_cgroups() {
        let reading = |written, total| Reading { written, total, ..Reading::default() };
        let mut strays = Strays::Map;
        // 1,000 of it and 64 of others.
        assert_eq!(strays.too_many(reading(5, 7), reading(1005, 1071)), None);
        assert_eq!(strays.too_many(reading(5, 7), reading(1005, 1072)), Some(65));
    }

    #[test]
    fn without_the_map_the_cgroups_own_counter_is_taken_from_the_hosts() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let set =
            |own: u64| fake.write("sys/fs/cgroup/a/memory.stat", &format!("zswapped 1\nzswpwb {own}\n"));
        set(3);
        let mut strays = Strays::open(fake.root(), &"sys/fs/cgroup/a".into(), false);
        let Strays::Files(Some(own)) = &strays else { panic!("it counts") };
        let most = MOST + own.lag;
        let mut after = |total: u64| {
            std::thread::sleep(LOOK);
            strays.too_many(Reading::default(), Reading { written: total, total, ..Reading::default() })
        };
        set(1003);
        assert_eq!(after(1000), None);
        assert_eq!(after(1000 + most), None);
        assert_eq!(after(1001 + most), Some(most + 1));
    }
}
