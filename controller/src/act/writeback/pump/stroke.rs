//! One stroke: what makes zswap write back a little, however a dialect does it.

use std::{
    cell::Cell,
    io,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use swaptier_policies::Ended;

use super::{
    aim::Aim,
    asked::{Key, Scan},
    beat::Beat,
    knob::{Knob, Lever},
    page::Page,
    refusals::Refusals,
    ride::Ride,
    wire::Stroke,
};
use crate::{fault, root::Root, sense};

/// How long a store of somebody else is waited for that falls into a window.
const PATIENCE: Duration = Duration::from_millis(8);

/// How long it takes until a refusal is seen.
const SEEN: Duration = Duration::from_micros(15);

/// How long to wait between two windows.
const BETWEEN: Duration = Duration::from_micros(100);

/// How long it takes a worker to begin that has a processor for itself.
const PROMPT: Duration = Duration::from_micros(40);

/// How long the next store of somebody else is waited for before one of ours takes its place.
const NEXT_STORE: Duration = Duration::from_micros(150);

/// How long a look at the size of the pool stays good.
const ROOM_LOOK: Duration = Duration::from_millis(5);

/// An opened [`Stroke`].
pub(super) enum Hand<'a> {
    /// zswap's own worker.
    Worker(Worker<'a>),
    /// zswap's shrinker: a little is reclaimed.
    Reclaim { file: Knob, text: &'a str },
    /// The kernel's own key.
    Key(Key<'a>),
    /// zswap's shrinker, by debugfs.
    Scan(Scan<'a>),
}

impl<'a> Hand<'a> {
    pub(super) fn open(root: &Root, stroke: &'a Stroke, beat: &'a Beat) -> io::Result<Self> {
        let opened = match stroke {
            Stroke::Worker { limit, accept, room, shrinker } => Lever::open(root, limit, beat)
                .and_then(|limit| {
                    let accept = Lever::open(root, accept, beat)?;
                    let room = Room { root: root.clone(), bytes: *room, looked: Cell::new(None) };
                    let ride = shrinker.as_ref().map(|switch| Ride::open(root, switch, beat)).transpose()?;
                    Ok(Worker { limit, accept, is_prompt: Cell::new(false), room, ride })
                })
                .map(Self::Worker),
            Stroke::Reclaim { file, text } => {
                Knob::open(root, file, OFlags::WRONLY).map(|file| Self::Reclaim { file, text })
            }
            Stroke::Key { file, key } => Key::open(root, file, key).map(Self::Key),
            Stroke::Scan { files, lists } => Scan::open(root, files, lists).map(Self::Scan),
        };
        opened.map_err(io::Error::other)
    }

    pub(super) fn stroke(
        &self,
        aim: &mut Aim<'_>,
        page: &mut Page,
        refusals: &mut Refusals,
    ) -> io::Result<()> {
        match self {
            Self::Worker(worker) => worker.stroke(aim, page, refusals),
            Self::Reclaim { file, text } => match file.put(text) {
                // Less was reclaimed than asked for: that is what is wanted.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                other => other,
            },
            Self::Key(key) => key.stroke(aim),
            Self::Scan(scan) => scan.stroke(aim),
        }
    }

    /// Whether the kernel does the work of a stroke by itself; it is waited for a little.
    pub(super) fn is_carried(&mut self, aim: &mut Aim<'_>) -> io::Result<bool> {
        match self {
            Self::Worker(Worker { ride: Some(ride), .. }) => ride.goes_on(aim),
            _ => Ok(false),
        }
    }

    /// Leaves nothing on.
    pub(super) fn let_go(&mut self) -> io::Result<()> {
        match self {
            Self::Worker(Worker { ride: Some(ride), .. }) => ride.end(),
            _ => Ok(()),
        }
    }

    /// Why no stroke can be made any more.
    pub(super) fn is_over(&self) -> Option<Ended> {
        match self {
            Self::Worker(worker) if worker.room.is_used_up() => Some(Ended::NearLimit),
            _ => None,
        }
    }

    /// Whether stores are refused for it.
    pub(super) fn refuses(&self) -> bool {
        matches!(self, Self::Worker(_))
    }

    /// Whether pages still come after the valve was told to close: then it is closed early.
    pub(super) fn runs_on(&self) -> bool {
        matches!(self, Self::Worker(_) | Self::Reclaim { .. })
    }
}

/// The two parameters that start zswap's worker and keep it going (mm/zswap.c).
///
/// A store that meets the pool limit is refused, marks the pool as full, and queues the worker. The worker reads its
/// threshold once, when it begins: the limit times the accept threshold. The mark stays until a store finds the pool
/// below that threshold; while it stays, every store is refused.
pub(super) struct Worker<'a> {
    limit: Lever<'a>,
    accept: Lever<'a>,
    /// Whether the last worker began as soon as it was queued.
    is_prompt: Cell<bool>,
    room: Room,
    /// The shrinker, where it may be switched on.
    ride: Option<Ride<'a>>,
}

/// What the pool may grow to before a refused store would keep the kernel refusing.
struct Room {
    root: Root,
    /// *Compressed* bytes, with the pool's overhead.
    bytes: u64,
    looked: Cell<Option<Instant>>,
}

impl Room {
    /// Looks now and then: it takes longer than a stroke.
    fn is_used_up(&self) -> bool {
        if self.looked.get().is_some_and(|looked| looked.elapsed() < ROOM_LOOK) {
            return false;
        }
        self.looked.set(Some(Instant::now()));
        let pool = sense::procfs::read_meminfo(&self.root).ok().and_then(|memory| memory.zswap);
        pool.is_some_and(|pool| pool.0 >= self.bytes)
    }
}

impl Worker<'_> {
    fn stroke(&self, aim: &mut Aim<'_>, page: &mut Page, refusals: &mut Refusals) -> io::Result<()> {
        self.limit.check()?;
        self.accept.check()?;
        aim.watch_stores(true);
        let refused = aim.refused();
        let is_short = refusals.must_be_short(refused);
        let low = match refused {
            Some(refused) if is_short => self.refuse_another(aim, page, refused),
            _ => self.refuse_ours(aim, page),
        };
        aim.watch_stores(false);
        refusals.stroke(low?, aim.refused(), is_short);
        Ok(())
    }

    /// Has our page refused until somebody else is, or the worker has done enough. A run that begins meanwhile reads a
    /// threshold of zero.
    fn refuse_ours(&self, aim: &mut Aim<'_>, page: &mut Page) -> io::Result<Duration> {
        page.renew();
        let mut begun = 0;
        let low = self.refuse(|| begun = aim.queue_work(page))?;
        if aim.meter.worker_begun() == begun && !aim.meter.is_worker_running() {
            self.begin_late(aim, page, begun)?;
        }
        Ok(low)
    }

    /// Where others store all the time, a store of theirs queues the worker as well as one of ours, and the shortest window
    /// that one of them falls into refuses hardly a second one.
    fn refuse_another(&self, aim: &mut Aim<'_>, page: &mut Page, refused: u64) -> io::Result<Duration> {
        let (begun, until) = (aim.meter.worker_begun(), Instant::now() + PATIENCE);
        let mut low = Duration::ZERO;
        // A worker that was queued before may still be writing.
        while Instant::now() < until && !aim.close_if_near() {
            low += if self.is_prompt.get() {
                self.wide_window(aim, refused)
            } else {
                self.window(aim, refused)
            }?;
            if aim.refused() == Some(refused) {
                // Both values are up. Far longer than a window: should this processor be taken away now, nobody is refused.
                aim.meter.wait(BETWEEN);
            }
            if aim.refused() != Some(refused) {
                self.is_prompt.set(aim.meter.worker_begun() != begun);
                if !self.is_prompt.get() {
                    self.begin_late(aim, page, begun)?;
                }
                break;
            }
        }
        Ok(low)
    }

    /// A moment in which somebody else may be refused, and the time it takes to see that.
    fn window(&self, aim: &Aim<'_>, refused: u64) -> io::Result<Duration> {
        let low = self.refuse(|| ())?;
        aim.await_refusal(refused, SEEN);
        Ok(low)
    }

    /// The same for a worker that has a processor for itself and begins at once: then the threshold must be zero before it
    /// is queued, and everybody is refused until it has begun. One that must wait for a processor has its threshold lowered
    /// later, at no cost. What held for the last worker is expected of the next.
    fn wide_window(&self, aim: &Aim<'_>, refused: u64) -> io::Result<Duration> {
        let begun = aim.meter.worker_begun();
        self.accept.down()?;
        fault::point("pump.accept.first");
        let low = self.refuse(|| fault::point("pump.both.low"));
        if low.is_ok() && aim.await_refusal(refused, SEEN) {
            aim.await_prompt_begin(begun, PROMPT);
        }
        let up = self.accept.up();
        low.and_then(|low| up.map(|()| low))
    }

    /// Holds the limit down for the time of `work`, and says how long that was. Every store of the host is refused meanwhile.
    fn refuse(&self, work: impl FnOnce()) -> io::Result<Duration> {
        let start = Instant::now();
        self.limit.down()?;
        fault::point("pump.limit.low");
        work();
        self.limit.up()?;
        let low = start.elapsed();
        fault::point("pump.limit.high");
        Ok(low)
    }

    /// The worker is queued and waits for a processor. It must find a threshold of zero when it begins, and nobody must be
    /// refused until then: the next store that is taken removes the mark of a full pool, and with the mark gone the accept
    /// threshold can be zero without any effect on stores.
    fn begin_late(&self, aim: &mut Aim<'_>, page: &mut Page, begun: u64) -> io::Result<()> {
        if !aim.await_store(NEXT_STORE) {
            page.renew();
            aim.meter.push_out(page);
        }
        self.is_prompt.set(aim.meter.worker_begun() != begun);
        self.accept.down()?;
        fault::point("pump.accept.low");
        aim.await_begin(begun);
        self.accept.up()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{
            aim::Ways,
            disk::Disk,
            life::Life,
            meter::Meter,
            wire::{Flick, Gauge},
        },
        *,
    };
    use crate::fake::FakeRoot;

    /// Else every store is refused for as long as the pump sleeps until the next.
    #[test]
    fn a_window_ends_with_both_values_up() {
        let fake = FakeRoot::host();
        fake.write("proc/vmstat", "zswpout 9\nzswpwb 5\n");
        let flick = |name: &str, high: &str| {
            let path = format!("{}/{name}", sense::zswap::PARAMETERS);
            fake.write(&path, high);
            Flick { path: path.into(), low: "0".into(), high: high.into() }
        };
        let (limit, accept) = (flick("max_pool_percent", "20"), flick("accept_threshold_percent", "90"));
        let stroke = Stroke::Worker { limit, accept, room: u64::MAX, shrinker: None };
        let beat = Beat::new().unwrap();
        let Hand::Worker(worker) = Hand::open(fake.root(), &stroke, &beat).unwrap() else {
            unreachable!("a worker")
        };
        fake.write("valve", "1");
        let meter = Meter::open(fake.root(), Path::new("/nowhere"), &Gauge::Files).unwrap();
        let (life, mut disk) = (Life::of_parent(fake.root()), Disk::open(fake.root()));
        let ways = Ways::open(fake.root(), &"".into(), &"valve".into(), None, false).unwrap();
        let aim = Aim::new(&life, meter, ways, (None, &mut disk), 64);
        for window in [Worker::window, Worker::wide_window] {
            window(&worker, &aim, 0).unwrap();
            assert!(worker.limit.check().is_ok() && worker.accept.check().is_ok());
        }
    }

    #[test]
    fn a_pool_that_has_grown_ends_the_round() {
        let fake = FakeRoot::host();
        let pool = sense::procfs::read_meminfo(fake.root()).ok().and_then(|memory| memory.zswap).unwrap();
        let room = |bytes| Room { root: fake.root().clone(), bytes, looked: Cell::new(None) };
        assert!(!room(pool.0 + 1).is_used_up());
        let full = room(pool.0);
        assert!(full.is_used_up());
        assert!(!full.is_used_up(), "it was looked at just now");
        std::thread::sleep(ROOM_LOOK);
        assert!(full.is_used_up());
    }
}
