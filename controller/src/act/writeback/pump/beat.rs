//! What the pump says, in memory that others see, of the values that it holds low; and who puts them back when that
//! lasts.
//!
//! While the pool's limit is low every store of the host is refused, and a pump that is stopped, frozen, or waits for
//! memory right there cannot end it. So it stamps the moment before it lowers a value, and whoever watches puts the value
//! back once the stamp is old: the agent while a round runs (`link`), and a process of its own (`guard`), which lives
//! where neither a stopped agent nor a stopped pump stops it. The pump sees that it was done (`knob`).
//!
//! Kernel files have no compare-and-swap: between the look at a file and the write lie some microseconds. Whoever
//! writes the file right there is written over.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, OFlags},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

use super::knob::Knob;
use crate::{
    root::{FilePath, Root, RootError},
    sense::zswap::PARAMETERS,
};

/// A value that is low for longer is put back: a stroke holds one for 8 ms, the wait for a worker for 20.
pub(in super::super) const LONGEST: Duration = Duration::from_millis(50);

/// The values that are watched, in the order in which they are put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Limit,
    Threshold,
}

impl Value {
    const ALL: [Value; 2] = [Value::Limit, Value::Threshold];

    fn path(self) -> String {
        let name = match self {
            Value::Limit => "max_pool_percent",
            Value::Threshold => "accept_threshold_percent",
        };
        format!("{PARAMETERS}/{name}")
    }

    /// The value whose file is at this path.
    pub(super) fn at(path: &FilePath) -> Option<Value> {
        Self::ALL.into_iter().find(|value| *path == value.path().as_str())
    }
}

/// What is said of one value.
#[repr(C)]
struct Lane {
    /// Microseconds of the monotonic clock when it was lowered, and never 0; 0: it is not low.
    since: AtomicU64,
    /// What it is at all other times.
    high: AtomicU64,
}

/// The shared memory. All zero at first: nothing is low.
#[derive(Debug)]
pub(in super::super) struct Beat {
    memory: OwnedFd,
    page: NonNull<[Lane; 2]>,
}

// SAFETY: only atomics are behind the pointer, which stays valid until the drop.
unsafe impl Send for Beat {}
// SAFETY: as above.
unsafe impl Sync for Beat {}

impl Beat {
    pub(in super::super) fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("swaptier-pump", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, size_of::<[Lane; 2]>() as u64)?;
        Self::of(memory)
    }

    /// The same memory, as the pump has inherited it.
    pub(super) fn of(memory: OwnedFd) -> io::Result<Self> {
        let bytes = size_of::<[Lane; 2]>();
        if rustix::fs::fstat(&memory)?.st_size < bytes as i64 {
            return Err(io::Error::other("too little shared memory"));
        }
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, of a file that is as long.
        let page = unsafe { mmap(std::ptr::null_mut(), bytes, flags, MapFlags::SHARED, &memory, 0) }?;
        let page = NonNull::new(page.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { memory, page })
    }

    /// The pump is about to lower a value that is `high` at all other times.
    pub(super) fn lowers(&self, value: Value, high: u64) {
        let lane = self.lane(value);
        lane.high.store(high, Ordering::Relaxed);
        lane.since.store(now(), Ordering::Release);
    }

    /// It is up again. Says how long it was low.
    pub(super) fn raised(&self, value: Value) -> Duration {
        let since = self.lane(value).since.swap(0, Ordering::AcqRel);
        Duration::from_micros(if since == 0 { 0 } else { now().saturating_sub(since) })
    }

    /// What a value has to be, if it was low for longer than this.
    fn overdue(&self, value: Value, longest: Duration) -> Option<u64> {
        let lane = self.lane(value);
        let since = lane.since.load(Ordering::Acquire);
        let is_old = since != 0 && u128::from(now().saturating_sub(since)) >= longest.as_micros();
        is_old.then(|| lane.high.load(Ordering::Relaxed))
    }

    fn lane(&self, value: Value) -> &Lane {
        // SAFETY: mapped in `of`, unmapped at the drop, and all zero is a `Lane`.
        let lanes = unsafe { self.page.as_ref() };
        &lanes[value as usize]
    }
}

impl AsFd for Beat {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `of`.
        let _unmapped = unsafe { munmap(self.page.as_ptr().cast(), size_of::<[Lane; 2]>()) };
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub(in super::super) struct Watch {
    files: [Knob; 2],
}

impl Watch {
    /// Opens both files now: later there may be no memory for it.
    pub(in super::super) fn open(root: &Root) -> Result<Self, RootError> {
        let open = |value: Value| Knob::open(root, value.path(), OFlags::RDWR);
        Ok(Self { files: [open(Value::Limit)?, open(Value::Threshold)?] })
    }

    /// Puts back what was low for longer than this, where the file still says so. Returns how many values.
    pub(in super::super) fn look(&self, beat: &Beat, longest: Duration) -> usize {
        let overdue = Value::ALL.into_iter().zip(&self.files).filter_map(|(value, file)| {
            let high = beat.overdue(value, longest)?;
            (file.says("0") && file.put(&high.to_string()).is_ok()).then_some(())
        });
        overdue.count()
    }
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_value_that_is_low_for_long_is_put_back_and_no_other() {
        let fake = FakeRoot::host();
        let (beat, watch) = (Beat::new().unwrap(), Watch::open(fake.root()).unwrap());
        let says = |value: Value| fake.read(&value.path());
        fake.write(&Value::Threshold.path(), "0\n");
        fake.write(&Value::Limit.path(), "0\n");
        assert_eq!(watch.look(&beat, Duration::ZERO), 0, "nobody lowered them: they are somebody's wish");
        beat.lowers(Value::Limit, 20);
        assert_eq!(watch.look(&beat, LONGEST), 0, "just now");
        assert_eq!(watch.look(&beat, Duration::ZERO), 1);
        assert_eq!((says(Value::Limit).as_str(), says(Value::Threshold).as_str()), ("20", "0"));
        assert_eq!(watch.look(&beat, Duration::ZERO), 0, "it is back");
        fake.write(&Value::Limit.path(), "35\n");
        assert_eq!(watch.look(&beat, Duration::ZERO), 0, "somebody else's value stays");
        beat.raised(Value::Limit);
        fake.write(&Value::Limit.path(), "0\n");
        assert_eq!(watch.look(&beat, Duration::ZERO), 0);
    }

    #[test]
    fn both_sides_see_the_same_memory() {
        let ours = Beat::new().unwrap();
        let theirs = Beat::of(ours.as_fd().try_clone_to_owned().unwrap()).unwrap();
        theirs.lowers(Value::Threshold, 90);
        assert_eq!(ours.overdue(Value::Threshold, Duration::ZERO), Some(90));
        assert_eq!(ours.overdue(Value::Limit, Duration::ZERO), None);
        std::thread::sleep(Duration::from_millis(2));
        assert!(theirs.raised(Value::Threshold) >= Duration::from_millis(2));
        assert_eq!(ours.overdue(Value::Threshold, Duration::ZERO), None);
        assert!(Beat::of(rustix::fs::memfd_create("short", MemfdFlags::CLOEXEC).unwrap()).is_err());
    }
}
