//! The files of one cgroup, kept open from tick to tick.
//!
//! Lives here: opening and reading. What single values say is `texts.rs`'s, which cgroups there are is `mod.rs`'s, the
//! only caller.
//!
//! A file that was open answers `ENODEV` when the cgroup has gone, and also when the memory controller was taken from
//! it: then it is opened once more, and only `cgroup.events`, which every cgroup has, tells whether it lives.

#![expect(
    clippy::disallowed_methods,
    reason = "cgroups that are kept open, opened from the one that each is in"
)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use swaptier_policies::{Bytes, CgroupId, CgroupPath, Knob, Limit, Settings};

use super::{CgroupSample, texts};
use crate::root::{READ_LIMIT, Root, RootError, cgroup_path};
use crate::sense::counters::MemoryStat;
use crate::sense::pressure::Pressure;

/// Every file that is read of a cgroup beside those that policies set.
const OTHERS: [&str; 9] = [
    "cgroup.events",
    "cgroup.subtree_control",
    "memory.current",
    "memory.high",
    "memory.max",
    "memory.pressure",
    "memory.stat",
    "memory.swap.current",
    "memory.zswap.current",
];

/// How many files are read of a cgroup.
pub(super) const FILES: usize = OTHERS.len() + Knob::ALL.len();

/// What tells that other cgroups are in a directory than before. On kernfs there is one link for each; the time does not
/// always move there, as it does elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    links: u64,
    modified: (i64, u64),
}

/// The file and what the kernel said.
pub(super) type FileError = (&'static str, Errno);

/// A cgroup's open directory and those of its files that were read.
#[derive(Debug)]
pub(super) struct OpenCgroup {
    dir: OwnedFd,
    id: CgroupId,
    files: [Option<OwnedFd>; FILES],
    /// The first file that could not be read, though it is there.
    trouble: Option<FileError>,
    /// A file was not there: either the kernel has no such file, or the controller is off, or the cgroup is going.
    missed: bool,
}

impl Stamp {
    /// Whether there is no directory in it. Where a file system does not count them there is one link, or none.
    pub(super) fn has_no_directories(self) -> bool {
        self.links == 2
    }
}

impl CgroupSample {
    /// One of which nothing could be read.
    pub(super) fn unknown(id: CgroupId, parent: Option<CgroupId>, path: &CgroupPath) -> CgroupSample {
        CgroupSample {
            id,
            parent,
            path: path.clone(),
            populated: true,
            memory_current: None,
            memory_high: None,
            memory_max: None,
            swap_current: None,
            zswap_current: None,
            settings: Settings::default(),
            stat: MemoryStat::default(),
            pressure: None,
        }
    }

    /// Whether it has any file of the memory controller.
    pub(super) fn has_memory(&self) -> bool {
        self.memory_current.is_some() || self.stat != MemoryStat::default()
    }
}

impl OpenCgroup {
    /// Opens the cgroup at `path` below the cgroup root.
    pub(super) fn at(root: &Root, path: &CgroupPath) -> Result<OpenCgroup, RootError> {
        let rel = cgroup_path(path);
        let dir = root.open(&rel, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let open = OpenCgroup::of(dir).map_err(|e| RootError {
            path: root.host_path(rel),
            action: "stat",
            source: e.into(),
        })?;
        let id = CgroupId(root.cgroup_with_inode(open.id.0, path.is_root()));
        Ok(OpenCgroup { id, ..open })
    }

    /// Opens the cgroup `name` in this one.
    pub(super) fn child(&self, name: &[u8]) -> rustix::io::Result<OpenCgroup> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        OpenCgroup::of(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?)
    }

    fn of(dir: OwnedFd) -> rustix::io::Result<OpenCgroup> {
        let id = CgroupId(rustix::fs::fstat(&dir)?.st_ino);
        Ok(OpenCgroup { dir, id, files: Default::default(), trouble: None, missed: false })
    }

    pub(super) fn id(&self) -> CgroupId {
        self.id
    }

    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Closes all but the directory.
    pub(super) fn close_files(&mut self) {
        self.files = Default::default();
    }

    /// What the directory looks like from outside now.
    pub(super) fn stamp(&self) -> rustix::io::Result<Stamp> {
        let stat = rustix::fs::fstat(&self.dir)?;
        Ok(Stamp { links: stat.st_nlink, modified: (stat.st_mtime, stat.st_mtime_nsec) })
    }

    /// What could not be read of it; what it says is unknown.
    pub(super) fn take_trouble(&mut self) -> Option<FileError> {
        self.trouble.take()
    }

    /// Whether its children have the memory controller. Without the file, or where it cannot be read: yes.
    pub(super) fn gives_memory(&mut self, buffer: &mut Vec<u8>) -> bool {
        let is_memory = |name: &str| name == "memory";
        match self.text("cgroup.subtree_control", buffer) {
            Ok(Some(text)) => text.split_ascii_whitespace().any(is_memory),
            Ok(None) | Err(_) => true,
        }
    }

    /// Reads all of it. An error is that it is gone.
    pub(super) fn sample(
        &mut self,
        parent: Option<CgroupId>,
        path: &CgroupPath,
        with_pressure: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<CgroupSample, FileError> {
        (self.missed, self.trouble) = (false, None);
        let populated = match parent {
            None => true,
            Some(_) => self.events(buffer)?,
        };
        let stat = self.text("memory.stat", buffer)?.map(MemoryStat::parse).unwrap_or_default();
        let mut sample = CgroupSample {
            populated,
            memory_current: self.bytes("memory.current", buffer)?,
            zswap_current: stat.zswap.map(Bytes),
            stat,
            ..CgroupSample::unknown(self.id, parent, path)
        };
        // Without it the memory controller is off here, or this is the root: the others are not there either.
        if sample.memory_current.is_some() {
            sample.memory_high = self.limit("memory.high", buffer)?;
            sample.memory_max = self.limit("memory.max", buffer)?;
            sample.swap_current = self.bytes("memory.swap.current", buffer)?;
            if sample.zswap_current.is_none() {
                sample.zswap_current = self.bytes("memory.zswap.current", buffer)?;
            }
        }
        for knob in Knob::ALL {
            if sample.memory_current.is_some() || knob.is_on_root() {
                let setting = self.text(knob.file(), buffer)?.and_then(|text| knob.parse(text));
                sample.settings.set(knob, setting);
            }
        }
        if with_pressure {
            // Nobody decides by it: without it nothing of the cgroup is unknown that matters.
            let trouble = self.trouble;
            sample.pressure = self.text("memory.pressure", buffer)?.and_then(Pressure::parse);
            self.trouble = trouble;
        }
        if self.missed && parent.is_some() {
            // Half of a dying cgroup's files is no sample.
            rustix::fs::accessat(&self.dir, "cgroup.events", Access::EXISTS, AtFlags::empty())
                .map_err(|errno| ("cgroup.events", errno))?;
        }
        Ok(sample)
    }

    fn events(&mut self, buffer: &mut Vec<u8>) -> Result<bool, FileError> {
        match self.text("cgroup.events", buffer)? {
            Some(text) => Ok(texts::is_populated(text)),
            // Something may live in it.
            None if self.trouble.is_some() => Ok(true),
            None => Err(("cgroup.events", Errno::NOENT)),
        }
    }

    fn bytes(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> Result<Option<Bytes>, FileError> {
        Ok(self.text(file, buffer)?.and_then(texts::parse_bytes))
    }

    fn limit(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> Result<Option<Limit>, FileError> {
        Ok(self.text(file, buffer)?.and_then(texts::parse_limit))
    }

    /// The whole file; `None` when there is no such file.
    fn text<'b>(
        &mut self,
        file: &'static str,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<&'b str>, FileError> {
        match self.read(file, buffer) {
            Ok(n) => Ok(std::str::from_utf8(&buffer[..n]).ok()),
            Err(Errno::NOENT) => {
                self.missed = true;
                Ok(None)
            }
            // Pressure is switched off at boot.
            Err(Errno::OPNOTSUPP) => Ok(None),
            Err(errno @ Errno::NODEV) => Err((file, errno)),
            Err(errno) => {
                self.trouble.get_or_insert((file, errno));
                Ok(None)
            }
        }
    }

    fn read(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> rustix::io::Result<usize> {
        let mut known = OTHERS.into_iter().chain(Knob::ALL.map(Knob::file));
        let index = known.position(|known| known == file).expect("every file read is one of these");
        if let Some(open) = &self.files[index] {
            match read_whole(open.as_fd(), buffer) {
                Err(Errno::NODEV) => self.files[index] = None,
                read => return read,
            }
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&self.dir, file, flags, Mode::empty())?;
        let read = read_whole(open.as_fd(), buffer);
        self.files[index] = Some(open);
        read
    }
}

/// Reads a file in one call to the front of the buffer, and says how long it is. A cgroup file is one record, so a read
/// that leaves room in the buffer has seen all of it; a second read to see the end would double the cost of the tick.
fn read_whole(file: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> rustix::io::Result<usize> {
    // The buffer keeps its length: to clear it for each file would cost more than the reads.
    buffer.resize(buffer.len().max(16 * 1024), 0);
    loop {
        let n = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[..], 0))?;
        match buffer.len() {
            len if n < len => return Ok(n),
            len if len >= READ_LIMIT => return Err(Errno::FBIG),
            len => buffer.resize(len * 4, 0),
        }
    }
}
