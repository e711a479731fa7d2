//! Kernel files that are read or written again and again, opened once.

use std::{cell::RefCell, io, os::fd::OwnedFd, time::Duration};

use rustix::{fs::OFlags, io::Errno};
use swaptier_policies::Ended;

use super::{
    beat::{Beat, Value},
    wire::Flick,
};
use crate::{
    journal::is_same_value,
    root::{FilePath, Root, RootError, change::Make as _},
    sense::VmStat,
};

/// A value that was put back by somebody who watches ends the round if it had been low for longer: a pump that was only
/// late goes on.
const STOPPED: Duration = Duration::from_secs(1);

/// What stands in the way of a write.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Obstacle {
    /// The value is somebody else's by now.
    #[error("/{path}: somebody else wrote {found} during the round; it stays")]
    Foreign { path: FilePath, found: String },
    /// The pump stood still while the value was low.
    #[error("/{path} was put back while the pump stood still for {} ms", low.as_millis())]
    PutBack { path: FilePath, low: Duration },
    /// The kernel refused.
    #[error("/{path}: {errno}")]
    Kernel { path: FilePath, errno: Errno },
}

impl Obstacle {
    /// The one behind an error, if there is one.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// How a round ends that meets it.
    pub(super) fn ended(&self) -> Ended {
        match self {
            Self::Foreign { .. } => Ended::Foreign,
            Self::PutBack { .. } => Ended::Stopped,
            Self::Kernel { path, errno: Errno::NODEV | Errno::NOENT } if path.cgroup().is_some() => {
                Ended::Gone
            }
            Self::Kernel { .. } => Ended::Refused,
        }
    }
}

impl From<Obstacle> for io::Error {
    fn from(obstacle: Obstacle) -> Self {
        let kind = match &obstacle {
            Obstacle::Kernel { errno, .. } => io::Error::from(*errno).kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, obstacle)
    }
}

/// An open kernel file.
#[derive(Debug)]
pub(in super::super) struct Knob {
    file: OwnedFd,
    path: FilePath,
}

impl Knob {
    /// `flags`: the kernel refuses to open some of these files for reading.
    pub(super) fn open(root: &Root, path: impl Into<FilePath>, flags: OFlags) -> Result<Self, RootError> {
        let path = path.into();
        Ok(Self { file: root.open_to_change(&path, flags)?, path })
    }

    /// Reads its beginning, as much as fits.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a str> {
        let read = rustix::io::pread(&self.file, &mut *buffer, 0).ok()?;
        std::str::from_utf8(&buffer[..read]).ok()
    }

    pub(super) fn says(&self, value: &str) -> bool {
        self.read(&mut [0; 64]).is_some_and(|now| is_same_value(&self.path, now, value))
    }

    pub(super) fn put(&self, value: &str) -> io::Result<()> {
        self.done(rustix::io::pwrite(&self.file, value.as_bytes(), 0))
    }

    /// The same for a file that has no positions, as many of debugfs.
    pub(super) fn tell(&self, words: &str) -> io::Result<()> {
        self.done(rustix::io::write(&self.file, words.as_bytes()))
    }

    /// What it says now, a value of one line.
    pub(super) fn value(&self) -> Result<String, Obstacle> {
        let mut text = [0; 64];
        let read = rustix::io::pread(&self.file, &mut text, 0).map_err(|errno| self.refused(errno))?;
        Ok(String::from_utf8_lossy(&text[..read]).trim().to_owned())
    }

    /// Somebody else's value.
    pub(super) fn foreign(&self, found: String) -> Obstacle {
        Obstacle::Foreign { path: self.path.clone(), found }
    }

    fn refused(&self, errno: Errno) -> Obstacle {
        Obstacle::Kernel { path: self.path.clone(), errno }
    }

    fn done(&self, written: rustix::io::Result<usize>) -> io::Result<()> {
        written.map(drop).map_err(|errno| self.refused(errno).into())
    }
}

/// A file of many lines, read into memory that it keeps.
pub(super) struct StatFile {
    knob: Knob,
    text: RefCell<Vec<u8>>,
}

impl StatFile {
    /// `/proc/vmstat` has some 190 lines, `memory.stat` some 80.
    const BYTES: usize = 16 << 10;

    pub(super) fn new(knob: Knob) -> Self {
        Self { knob, text: RefCell::new(vec![0; Self::BYTES]) }
    }

    /// What `parse` makes of it now; `None` when it cannot be read.
    pub(super) fn read<T>(&self, parse: impl FnOnce(&str) -> T) -> Option<T> {
        self.knob.read(&mut self.text.borrow_mut()).map(parse)
    }
}

/// `/proc/vmstat`, open.
pub(super) struct VmStatFile(StatFile);

impl VmStatFile {
    pub(super) fn open(root: &Root) -> Result<Self, RootError> {
        Knob::open(root, "proc/vmstat", OFlags::RDONLY).map(|knob| Self(StatFile::new(knob)))
    }

    /// What it says now; `None` when it cannot be read.
    pub(super) fn read(&self) -> Option<VmStat> {
        self.0.read(VmStat::parse)
    }
}

/// A value that is low for moments. Each write is behind a look, in the next system call: a value that is not ours is not
/// written over. What is left between the two are the microseconds of a kernel without compare-and-swap for its files.
pub(super) struct Lever<'a> {
    knob: Knob,
    values: &'a Flick,
    beat: &'a Beat,
    /// What is said of it, where somebody can put it back: a number, and one of the values that are watched.
    watched: Option<(Value, u64)>,
}

impl<'a> Lever<'a> {
    pub(super) fn open(root: &Root, values: &'a Flick, beat: &'a Beat) -> Result<Self, RootError> {
        let watched = Value::at(&values.path).zip(values.high.parse().ok());
        Ok(Self { knob: Knob::open(root, &values.path, OFlags::RDWR)?, values, beat, watched })
    }

    /// It is up, as we left it.
    ///
    /// # Errors
    /// Somebody else has changed it: it is theirs now.
    pub(super) fn check(&self) -> io::Result<()> {
        let found = self.knob.value()?;
        match self.is(&found, &self.values.high) {
            true => Ok(()),
            false => Err(self.knob.foreign(found).into()),
        }
    }

    pub(super) fn down(&self) -> io::Result<()> {
        self.check()?;
        if let Some((value, high)) = self.watched {
            self.beat.lowers(value, high);
        }
        self.knob.put(&self.values.low)
    }

    /// # Errors
    /// Somebody else has changed it, or somebody who watches put it back while this process stood still.
    pub(super) fn up(&self) -> io::Result<()> {
        let found = self.knob.value()?;
        let raised = match () {
            () if self.is(&found, &self.values.low) => self.knob.put(&self.values.high).map(|()| false),
            () if self.is(&found, &self.values.high) => Ok(true),
            () => Err(self.knob.foreign(found).into()),
        };
        let low = self.watched.map_or(Duration::ZERO, |(value, _)| self.beat.raised(value));
        match raised? && low > STOPPED {
            true => Err(Obstacle::PutBack { path: self.values.path.clone(), low }.into()),
            false => Ok(()),
        }
    }

    fn is(&self, found: &str, value: &str) -> bool {
        is_same_value(&self.values.path, found, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    const LIMIT: &str = "sys/module/zswap/parameters/max_pool_percent";

    #[test]
    fn a_value_of_somebody_else_is_not_written_over_at_either_end() {
        let (fake, beat) = (FakeRoot::host(), Beat::new().unwrap());
        let flick = Flick { path: LIMIT.into(), low: "0".into(), high: "20".into() };
        let lever = Lever::open(fake.root(), &flick, &beat).unwrap();
        let is_foreign = |said: io::Result<()>| {
            said.is_err_and(|error| {
                Obstacle::of(&error).is_some_and(|obstacle| obstacle.ended() == Ended::Foreign)
            })
        };
        fake.write(LIMIT, "35");
        assert!(is_foreign(lever.down()) && fake.read(LIMIT) == "35");
        fake.write(LIMIT, "20");
        lever.down().unwrap();
        fake.write(LIMIT, "35");
        assert!(is_foreign(lever.up()) && fake.read(LIMIT) == "35");
    }

    #[test]
    fn a_pump_that_was_late_goes_on_and_one_that_was_stopped_does_not() {
        let (fake, beat) = (FakeRoot::host(), Beat::new().unwrap());
        let flick = Flick { path: LIMIT.into(), low: "0".into(), high: "20".into() };
        let lever = Lever::open(fake.root(), &flick, &beat).unwrap();
        lever.down().unwrap();
        fake.write(LIMIT, "20");
        assert!(lever.up().is_ok());
        fake.write(LIMIT, "20");
        lever.down().unwrap();
        fake.write(LIMIT, "20");
        std::thread::sleep(STOPPED + Duration::from_millis(5));
        let error = lever.up().unwrap_err();
        assert_eq!(Obstacle::of(&error).map(Obstacle::ended), Some(Ended::Stopped), "{error}");
    }

    #[test]
    fn only_a_file_of_a_cgroup_goes_away_with_one() {
        let gone = |path: &str| Obstacle::Kernel { path: path.into(), errno: Errno::NODEV }.ended();
        assert_eq!(gone("sys/fs/cgroup/a/memory.reclaim"), Ended::Gone);
        assert_eq!(gone(LIMIT), Ended::Refused);
        let busy = io::Error::from(Obstacle::Kernel { path: LIMIT.into(), errno: Errno::AGAIN });
        assert_eq!(busy.kind(), io::ErrorKind::WouldBlock);
    }
}
