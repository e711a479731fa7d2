//! What a round is measured by: the map's counters, or where there is no map the kernel's own files.
//!
//! The files tell less: pages of the whole host instead of one cgroup's, which is the same while every other valve is
//! closed; no ages; no entry that was passed over; no beginning of a run of the worker. Reading them costs a system
//! call or three, and is exact all the same: these counters are summed up when they are read.

use std::{
    cell::Cell,
    io,
    path::Path,
    time::{Duration, Instant},
};

use swaptier_common::cgroup::AGE_BUCKETS;

use super::{knob::VmStatFile, page::Page, wire::Gauge};
use crate::{
    map::{self, Reading, Stores},
    root::Root,
    sense::VmStat,
};

/// Stores that met the pool's limit. This file of debugfs cannot be read twice: it is opened anew each time.
const LIMIT_HIT: &str = "sys/kernel/debug/zswap/pool_limit_hit";

/// How the kernel shows the thread that runs zswap's worker, while it runs it (kernel/workqueue.c `wq_worker_comm`).
const WORKER: (&str, &str) = ("kworker/", "+zswap-shrink");

/// How long zswap's worker may take to end once every valve is closed: it gives up after 16 walks over all cgroups.
pub(in super::super) const SETTLE: Duration = Duration::from_secs(5);

/// Looks that must find nothing moving and no worker running: one that is queued starts in this time.
const QUIET_LOOKS: (u32, Duration) = (5, Duration::from_millis(2));

/// The same where a worker that waits for a processor is not seen.
const QUIET_LOOKS_UNSEEN: (u32, Duration) = (10, Duration::from_millis(10));

/// The meter of a round.
pub(super) enum Meter {
    /// The map's counters.
    Map(map::Meter),
    /// The kernel's own.
    Files(Files),
}

/// The kernel's counters of the whole host.
pub(super) struct Files {
    root: Root,
    vmstat: VmStatFile,
    /// Refused stores that were the pump's own.
    own: Cell<u64>,
    /// What was last read: what cannot be read for once has not moved.
    last: Cell<VmStat>,
    hit: Cell<Option<u64>>,
}

impl Meter {
    pub(super) fn open(root: &Root, pins: &Path, gauge: &Gauge) -> io::Result<Self> {
        match gauge {
            Gauge::Map(owners) => map::Meter::open(pins, owners).map(Self::Map).map_err(io::Error::other),
            Gauge::Files => Files::open(root).map(Self::Files),
        }
    }

    /// Whether it tells the cgroup's pages from others', their ages, and what was passed over.
    pub(super) fn tells_pages(&self) -> bool {
        matches!(self, Self::Map(_))
    }

    /// Pages that may be written until they are seen: a look takes its time where it is a system call.
    pub(super) fn lag(&self) -> u64 {
        match self {
            Self::Map(_) => 0,
            Self::Files(_) => 16,
        }
    }

    pub(super) fn read(&self) -> Reading {
        match self {
            Self::Map(map) => map.read(),
            Self::Files(files) => files.read(),
        }
    }

    pub(super) fn worker_begun(&self) -> u64 {
        match self {
            Self::Map(map) => map.worker_begun(),
            Self::Files(_) => 0,
        }
    }

    pub(super) fn worker_ended(&self) -> u64 {
        match self {
            Self::Map(map) => map.worker_ended(),
            Self::Files(_) => 0,
        }
    }

    /// Whether zswap's worker is under way. Where its runs are not seen the answer is no.
    pub(super) fn is_worker_running(&self) -> bool {
        match self {
            Self::Map(map) => map.is_worker_running(),
            Self::Files(_) => false,
        }
    }

    /// Waits until nothing moves any more, with every valve closed; whether zswap's worker has ended then. One that began
    /// under a low limit and lost its processor would go on writing as soon as a valve is opened again. `each` sees every
    /// look.
    pub(super) fn settle(&self, mut each: impl FnMut(Reading)) -> bool {
        let (looks, apart) = match self {
            Self::Map(_) => QUIET_LOOKS,
            Self::Files(_) => QUIET_LOOKS_UNSEEN,
        };
        let until = Instant::now() + SETTLE;
        let (mut seen, mut quiet) = (self.read(), 0);
        while quiet < looks {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(apart);
            let last = std::mem::replace(&mut seen, self.read());
            each(seen);
            let is_running = match self {
                Self::Map(map) => map.is_worker_running(),
                Self::Files(files) => files.is_worker_running(),
            };
            quiet = if seen == last && !is_running { quiet + 1 } else { 0 };
        }
        true
    }

    pub(super) fn ages(&self) -> [u64; AGE_BUCKETS] {
        match self {
            Self::Map(map) => map.ages(),
            Self::Files(_) => [0; AGE_BUCKETS],
        }
    }

    pub(super) fn set_cold_after(&self, seconds: u64) {
        if let Self::Map(map) = self {
            map.set_cold_after(seconds);
        }
    }

    pub(super) fn set_alarm(&self, total: u64) {
        if let Self::Map(map) = self {
            map.set_alarm(total);
        }
    }

    /// Stores are counted from now on but those of this process, or no more. The kernel's own counters always count.
    pub(super) fn watch_stores(&self, but: u64) {
        if let Self::Map(map) = self {
            map.watch_stores(but);
        }
    }

    /// What zswap took, and what it refused to others. All 0 where it is not seen.
    pub(super) fn stores(&self) -> Stores {
        match self {
            Self::Map(map) => map.stores(),
            Self::Files(files) => files.stores(),
        }
    }

    /// Offers the pump's page to zswap.
    pub(super) fn push_out(&self, page: &mut Page) {
        match self {
            Self::Map(_) => page.push_out(),
            Self::Files(files) => {
                let before = files.limit_hit();
                page.push_out();
                // One of them was ours; more are somebody else's.
                if files.limit_hit() > before {
                    files.own.set(files.own.get() + 1);
                }
            }
        }
    }

    /// Sleeps until the target is near, or at most this long.
    pub(super) fn wait(&mut self, at_most: Duration) {
        match self {
            Self::Map(map) => map.wait(at_most),
            Self::Files(_) => std::thread::sleep(at_most),
        }
    }
}

impl Files {
    fn open(root: &Root) -> io::Result<Self> {
        let files = Self {
            root: root.clone(),
            vmstat: VmStatFile::open(root).map_err(io::Error::other)?,
            own: Cell::new(0),
            last: Cell::new(VmStat::default()),
            hit: Cell::new(None),
        };
        match files.vmstat().zswpwb {
            Some(_) => Ok(files),
            None => {
                Err(io::Error::other("/proc/vmstat has no zswpwb: nothing says how much was written back"))
            }
        }
    }

    fn vmstat(&self) -> VmStat {
        if let Some(now) = self.vmstat.read().filter(|now| now.zswpwb.is_some()) {
            self.last.set(now);
        }
        self.last.get()
    }

    fn limit_hit(&self) -> Option<u64> {
        if let Some(hit) = self.root.read_value(LIMIT_HIT).ok().and_then(|text| text.parse().ok()) {
            self.hit.set(Some(hit));
        }
        self.hit.get()
    }

    fn read(&self) -> Reading {
        let written = self.vmstat().zswpwb.unwrap_or_default();
        Reading { written, total: written, ..Reading::default() }
    }

    fn stores(&self) -> Stores {
        match (self.vmstat().zswpout, self.limit_hit()) {
            (Some(taken), Some(hit)) => Stores { taken, refused: hit.saturating_sub(self.own.get()) },
            _ => Stores::default(),
        }
    }

    fn is_worker_running(&self) -> bool {
        let processes = self.root.list("proc").unwrap_or_default();
        processes.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).any(|pid| {
            let name = self.root.read_value(&format!("proc/{pid}/comm")).unwrap_or_default();
            name.starts_with(WORKER.0) && name.ends_with(WORKER.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    const VMSTAT: &str = "proc/vmstat";

    fn files(fake: &FakeRoot) -> io::Result<Meter> {
        Meter::open(fake.root(), Path::new("/nowhere"), &Gauge::Files)
    }

    fn set(fake: &FakeRoot, written: u64, stored: u64) {
        fake.write(VMSTAT, &format!("nr_free_pages 1\nzswpin 1\nzswpout {stored}\nzswpwb {written}\n"));
    }

    #[test]
    fn without_the_map_the_whole_hosts_counters_are_the_meter() {
        let fake = FakeRoot::host();
        set(&fake, 5, 9);
        let meter = files(&fake).unwrap();
        assert_eq!((meter.read().written, meter.read().total), (5, 5));
        set(&fake, 7, 9);
        assert_eq!(meter.read().written, 7);
        assert!(!meter.tells_pages() && meter.ages() == [0; AGE_BUCKETS]);
    }

    #[test]
    fn a_kernel_that_does_not_count_is_no_meter() {
        let fake = FakeRoot::host();
        fake.write(VMSTAT, "nr_free_pages 1\nzswpout 9\n");
        assert!(files(&fake).is_err());
    }

    #[test]
    fn refused_stores_are_seen_only_where_debugfs_is() {
        let fake = FakeRoot::host();
        set(&fake, 5, 9);
        let meter = files(&fake).unwrap();
        assert_eq!(meter.stores(), Stores::default());
        fake.write(LIMIT_HIT, "3\n");
        assert_eq!(meter.stores(), Stores { taken: 9, refused: 3 });
        let Meter::Files(files) = &meter else { unreachable!("opened as files") };
        files.own.set(2);
        assert_eq!(meter.stores().refused, 1, "the pump's own are not counted");
        fake.remove(LIMIT_HIT);
        assert_eq!(meter.stores().refused, 1, "what cannot be read for once has not moved");
    }

    #[test]
    fn it_is_settled_once_no_thread_runs_the_worker() {
        let fake = FakeRoot::host();
        fake.write("proc/7/comm", "kworker/u8:1-zswap-shrink\n");
        let meter = files(&fake).unwrap();
        let Meter::Files(files) = &meter else { unreachable!("opened as files") };
        assert!(!files.is_worker_running(), "it ran it last");
        fake.write("proc/8/comm", "kworker/u8:2+zswap-shrink\n");
        assert!(files.is_worker_running());
    }
}
