//! The files of one cgroup, kept open from tick to tick.
//!
//! Lives here: opening and reading. What single values say is `texts.rs`'s, which cgroups there are is `mod.rs`'s, the
//! only caller.
//!
//! A file that was open answers `ENODEV` when the cgroup has gone, and also when the memory controller was taken from
//! it: then it is opened once more, and only `cgroup.events`, which every cgroup has, tells whether it lives.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use swaptier_policies::{Bytes, CgroupId, Limit};

use super::{CgroupSample, texts};
use crate::root::{READ_LIMIT, Root, RootError, cgroup_path};
use crate::sense::counters::MemoryStat;
use crate::sense::pressure::Pressure;

/// Every file that is read of a cgroup.
pub(super) const FILES: [&str; 11] = [
    "cgroup.events",
    "memory.current",
    "memory.high",
    "memory.max",
    "memory.pressure",
    "memory.stat",
    "memory.swap.current",
    "memory.swap.max",
    "memory.zswap.current",
    "memory.zswap.max",
    "memory.zswap.writeback",
];

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
    files: [Option<OwnedFd>; FILES.len()],
    /// A file was not there: either the kernel has no such file, or the controller is off, or the cgroup is going.
    missed: bool,
}

impl OpenCgroup {
    /// Opens the cgroup at `path` below the cgroup root.
    pub(super) fn at(root: &Root, path: &str) -> Result<OpenCgroup, RootError> {
        let rel = cgroup_path(path);
        let dir = root.open(&rel, OFlags::RDONLY | OFlags::DIRECTORY)?;
        OpenCgroup::of(dir).map_err(|e| RootError {
            path: root.host_path(rel),
            action: "stat",
            source: e.into(),
        })
    }

    /// Opens the cgroup `name` in this one.
    pub(super) fn child(&self, name: &str) -> rustix::io::Result<OpenCgroup> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        OpenCgroup::of(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?)
    }

    fn of(dir: OwnedFd) -> rustix::io::Result<OpenCgroup> {
        let id = CgroupId(rustix::fs::fstat(&dir)?.st_ino);
        Ok(OpenCgroup { dir, id, files: Default::default(), missed: false })
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

    /// Reads all of it.
    pub(super) fn sample(
        &mut self,
        parent: Option<CgroupId>,
        path: &str,
        with_pressure: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<CgroupSample, FileError> {
        self.missed = false;
        let populated = match parent {
            None => true,
            Some(_) => self.events(buffer)?,
        };
        let stat = self.text("memory.stat", buffer)?.map(MemoryStat::parse).unwrap_or_default();
        let mut sample = CgroupSample {
            id: self.id,
            parent,
            path: path.to_owned(),
            populated,
            memory_current: self.bytes("memory.current", buffer)?,
            memory_high: None,
            memory_max: None,
            swap_current: None,
            swap_max: None,
            zswap_current: stat.zswap.map(Bytes),
            zswap_max: None,
            zswap_writeback: self.switch("memory.zswap.writeback", buffer)?,
            stat,
            pressure: None,
        };
        // Without it the memory controller is off here, or this is the root: the others are not there either.
        if sample.memory_current.is_some() {
            sample.memory_high = self.limit("memory.high", buffer)?;
            sample.memory_max = self.limit("memory.max", buffer)?;
            sample.swap_current = self.bytes("memory.swap.current", buffer)?;
            sample.swap_max = self.limit("memory.swap.max", buffer)?;
            sample.zswap_max = self.limit("memory.zswap.max", buffer)?;
            if sample.zswap_current.is_none() {
                sample.zswap_current = self.bytes("memory.zswap.current", buffer)?;
            }
        }
        if with_pressure {
            sample.pressure = self.text("memory.pressure", buffer)?.and_then(Pressure::parse);
        }
        if self.missed && parent.is_some() {
            // Half of a dying cgroup's files is no sample.
            rustix::fs::accessat(&self.dir, "cgroup.events", Access::EXISTS, AtFlags::empty())
                .map_err(|errno| ("cgroup.events", errno))?;
        }
        Ok(sample)
    }

    fn events(&mut self, buffer: &mut Vec<u8>) -> Result<bool, FileError> {
        let text = self.text("cgroup.events", buffer)?.ok_or(("cgroup.events", Errno::NOENT))?;
        Ok(texts::is_populated(text))
    }

    fn bytes(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> Result<Option<Bytes>, FileError> {
        Ok(self.text(file, buffer)?.and_then(texts::parse_bytes))
    }

    fn limit(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> Result<Option<Limit>, FileError> {
        Ok(self.text(file, buffer)?.and_then(texts::parse_limit))
    }

    fn switch(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> Result<Option<bool>, FileError> {
        Ok(self.text(file, buffer)?.and_then(texts::parse_switch))
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
            Err(errno) => Err((file, errno)),
        }
    }

    fn read(&mut self, file: &'static str, buffer: &mut Vec<u8>) -> rustix::io::Result<usize> {
        let index = FILES.iter().position(|known| *known == file).expect("every file read is in FILES");
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
