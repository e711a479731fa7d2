//! Every cgroup of the v2 hierarchy, once per tick.
//!
//! Lives here: the walk and the reading of each cgroup's files. cgroups-rs says whether the host runs on cgroup v2; it
//! knows neither zswap nor directory handles, so the files are read here. What the numbers mean for a decision is
//! `assemble.rs`'s. Caller: `sense::collect`.
//!
//! Properties
//! - A parent comes before its children.
//! - A cgroup that vanishes during the walk is left out with all below it; that is no error.
//! - Identity is the inode of the directory that was open while its files were read.
//! - At most one file and one directory per level are open at a time, whatever the number of cgroups.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use swaptier_policies::{Bytes, CgroupId, Limit};

use super::SenseError;
use super::counters::MemoryStat;
use super::pressure::Pressure;
use crate::root::{CGROUP_ROOT, Root, RootError, cgroup_file};

/// How deep the walk goes. The counters of anything deeper are in those of its ancestors, so nothing is lost but
/// detail; the bound keeps whoever owns a delegated subtree from exhausting our files and stack.
const MAX_DEPTH: usize = 64;

/// How many cgroups are looked at: as many as the shadow map can name with its 16 bits.
const MAX_CGROUPS: usize = 65_535;

/// One cgroup as its files say. `None`: the file is not there, or does not say what it should.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CgroupSample {
    /// The inode of its directory.
    pub id: CgroupId,
    /// `None` for the root.
    pub parent: Option<CgroupId>,
    /// Below the cgroup root, without a leading slash; the root is the empty text.
    pub path: String,
    /// `populated` of `cgroup.events`: a process lives in it or below. The root always is.
    pub populated: bool,
    /// `memory.current`.
    pub memory_current: Option<Bytes>,
    /// `memory.high`.
    pub memory_high: Option<Limit>,
    /// `memory.max`.
    pub memory_max: Option<Limit>,
    /// `memory.swap.current`.
    pub swap_current: Option<Bytes>,
    /// `memory.swap.max`.
    pub swap_max: Option<Limit>,
    /// `memory.zswap.current`, or `zswap` of `memory.stat`, which is the same number: *compressed* bytes.
    pub zswap_current: Option<Bytes>,
    /// `memory.zswap.max`.
    pub zswap_max: Option<Limit>,
    /// `memory.zswap.writeback` (6.8 on).
    pub zswap_writeback: Option<bool>,
    /// `memory.stat`.
    pub stat: MemoryStat,
    /// `memory.pressure`, when it is asked for.
    pub pressure: Option<Pressure>,
}

/// Checks that the memory of this host is run by cgroup v2.
pub fn check(root: &Root) -> Result<(), SenseError> {
    let unified = if root.is_system() {
        cgroups_rs::fs::hierarchies::is_cgroup2_unified_mode()
    } else {
        root.exists(&cgroup_file("", "cgroup.controllers"))
    };
    let path = root.host_path(CGROUP_ROOT);
    if !unified {
        return Err(SenseError::NoCgroup2 { path });
    }
    let controllers = root.read(&cgroup_file("", "cgroup.controllers"))?;
    match controllers.split_ascii_whitespace().any(|name| name == "memory") {
        true => Ok(()),
        false => Err(SenseError::NoMemoryController { path }),
    }
}

/// The reader of the hierarchy. Kept from tick to tick, for its buffer.
#[derive(Debug, Default)]
pub struct CgroupTree {
    buffer: Vec<u8>,
    /// How many there were the last time.
    expected: usize,
    /// Whether `memory.pressure` is read too: one more file per cgroup.
    pub with_pressure: bool,
}

impl CgroupTree {
    /// Reads every cgroup.
    pub fn read(&mut self, root: &Root) -> Result<Vec<CgroupSample>, SenseError> {
        let top = root.open(CGROUP_ROOT, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut samples = Vec::with_capacity(self.expected + 16);
        let mut walk = Walk { root, tree: self, samples: &mut samples };
        walk.visit(top, String::new(), None, 0)?;
        self.expected = samples.len();
        Ok(samples)
    }
}

struct Walk<'a> {
    root: &'a Root,
    tree: &'a mut CgroupTree,
    samples: &'a mut Vec<CgroupSample>,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        dir: OwnedFd,
        path: String,
        parent: Option<CgroupId>,
        depth: usize,
    ) -> Result<(), SenseError> {
        let stat = rustix::fs::fstat(&dir).map_err(|e| self.failed("stat", &path, "", e))?;
        let id = CgroupId(stat.st_ino);
        let mut files = Files { dir: dir.as_fd(), buffer: &mut self.tree.buffer, missed: false };
        match files.sample(id, parent, &path, self.tree.with_pressure) {
            Ok(sample) => self.samples.push(sample),
            Err((_, Errno::NOENT | Errno::NODEV)) => return Ok(()),
            Err((file, errno)) => return Err(self.failed("read", &path, file, errno)),
        }
        // On kernfs a directory has two links and one more for each directory in it.
        if stat.st_nlink == 2 || depth == MAX_DEPTH {
            return Ok(());
        }
        for name in self.children(&dir, &path)? {
            if self.samples.len() >= MAX_CGROUPS {
                break;
            }
            let child = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&dir, &name, flags, Mode::empty()) {
                Ok(below) => self.visit(below, child, Some(id), depth + 1)?,
                Err(Errno::NOENT | Errno::NODEV | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(self.failed("open", &child, "", errno)),
            }
        }
        Ok(())
    }

    /// The names of the cgroups in this one. A name that is not UTF-8 is left out: it could not be matched by a policy,
    /// and its counters are in those of this one.
    fn children(&self, dir: &OwnedFd, path: &str) -> Result<Vec<String>, SenseError> {
        let mut names = Vec::new();
        let list = Dir::read_from(dir).map_err(|e| self.failed("list", path, "", e))?;
        for entry in list {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::NOENT | Errno::NODEV) => break,
                Err(errno) => return Err(self.failed("list", path, "", errno)),
            };
            let is_dir = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            match entry.file_name().to_str() {
                Ok(name) if is_dir && name != "." && name != ".." => names.push(name.to_owned()),
                _ => {}
            }
        }
        Ok(names)
    }

    fn failed(&self, action: &'static str, cgroup: &str, file: &str, errno: Errno) -> SenseError {
        let path = self.root.host_path(cgroup_file(cgroup, file).trim_end_matches('/'));
        SenseError::Read(RootError { path, action, source: errno.into() })
    }
}

/// The files of one cgroup.
struct Files<'a> {
    dir: BorrowedFd<'a>,
    buffer: &'a mut Vec<u8>,
    /// A file was not there: either the kernel has no such file, or the cgroup is going.
    missed: bool,
}

/// The file and what the kernel said.
type FileError = (&'static str, Errno);

impl Files<'_> {
    fn sample(
        &mut self,
        id: CgroupId,
        parent: Option<CgroupId>,
        path: &str,
        with_pressure: bool,
    ) -> Result<CgroupSample, FileError> {
        let populated = match parent {
            None => true,
            Some(_) => self.events()?,
        };
        let stat = self.text("memory.stat")?.map(MemoryStat::parse).unwrap_or_default();
        let mut sample = CgroupSample {
            id,
            parent,
            path: path.to_owned(),
            populated,
            memory_current: self.bytes("memory.current")?,
            memory_high: None,
            memory_max: None,
            swap_current: None,
            swap_max: None,
            zswap_current: stat.zswap.map(Bytes),
            zswap_max: None,
            zswap_writeback: self.switch("memory.zswap.writeback")?,
            stat,
            pressure: None,
        };
        // Without it the memory controller is off here, or this is the root: the others are not there either.
        if sample.memory_current.is_some() {
            sample.memory_high = self.limit("memory.high")?;
            sample.memory_max = self.limit("memory.max")?;
            sample.swap_current = self.bytes("memory.swap.current")?;
            sample.swap_max = self.limit("memory.swap.max")?;
            sample.zswap_max = self.limit("memory.zswap.max")?;
            if sample.zswap_current.is_none() {
                sample.zswap_current = self.bytes("memory.zswap.current")?;
            }
        }
        if with_pressure {
            sample.pressure = self.text("memory.pressure")?.and_then(Pressure::parse);
        }
        if self.missed && parent.is_some() {
            // Half of a dying cgroup's files is no sample.
            rustix::fs::accessat(self.dir, "cgroup.events", rustix::fs::Access::EXISTS, AtFlags::empty())
                .map_err(|errno| ("cgroup.events", errno))?;
        }
        Ok(sample)
    }

    fn events(&mut self) -> Result<bool, FileError> {
        let text = self.text("cgroup.events")?.ok_or(("cgroup.events", Errno::NOENT))?;
        Ok(text.lines().any(|line| line == "populated 1"))
    }

    fn bytes(&mut self, file: &'static str) -> Result<Option<Bytes>, FileError> {
        Ok(self.text(file)?.and_then(|text| text.trim().parse().ok()).map(Bytes))
    }

    fn limit(&mut self, file: &'static str) -> Result<Option<Limit>, FileError> {
        Ok(self.text(file)?.and_then(|text| match text.trim() {
            "max" => Some(Limit::Max),
            bytes => bytes.parse().ok().map(|bytes| Limit::Bytes(Bytes(bytes))),
        }))
    }

    fn switch(&mut self, file: &'static str) -> Result<Option<bool>, FileError> {
        Ok(self.text(file)?.and_then(|text| match text.trim() {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }))
    }

    /// The whole file; `None` when this kernel has no such file.
    fn text(&mut self, file: &'static str) -> Result<Option<&str>, FileError> {
        match read_whole(self.dir, file, self.buffer) {
            Ok(()) => Ok(std::str::from_utf8(self.buffer).ok()),
            Err(Errno::NOENT) => {
                self.missed = true;
                Ok(None)
            }
            // Pressure is switched off at boot.
            Err(Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err((file, errno)),
        }
    }
}

/// Reads a file in one call. A cgroup file is one record, so a read that leaves room in the buffer has seen all of it;
/// a second read to see the end would double the cost of the tick.
fn read_whole(dir: BorrowedFd<'_>, file: &str, buffer: &mut Vec<u8>) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, file, flags, Mode::empty())?;
    let mut room = buffer.capacity().max(16 * 1024);
    loop {
        buffer.resize(room, 0);
        let n = rustix::io::retry_on_intr(|| rustix::io::pread(&fd, &mut buffer[..], 0))?;
        if n < room {
            buffer.truncate(n);
            return Ok(());
        }
        if room >= crate::root::READ_LIMIT {
            return Err(Errno::FBIG);
        }
        room *= 4;
    }
}
