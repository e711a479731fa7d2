//! The one door to `/proc`, `/sys`, `/etc`, `/run` and `/var/lib`.
//!
//! Lives here: opening and reading files under a movable root, and directory handles of cgroups. Changing something is
//! `change.rs`'s, and only who takes that in by name can do it. What the files mean is not known here (`sense/` reads them,
//! `act/` changes them). Everything in this crate that touches the
//! world takes a [`Root`], so that a test, or `--root`, moves all of it at once.
//!
//! Two rules of resolution: outside the cgroup tree a symlink is followed but never leaves the root; beneath
//! [`CGROUP_ROOT`] there are no symlinks at all, because paths there are made by whoever owns a delegated subtree.

#![expect(clippy::disallowed_methods, reason = "the door itself")]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir as RawDir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use swaptier_policies::{CgroupId, CgroupPath, path::text};

use descriptor::{read_to_end, walk};

pub use cgroup_dir::CgroupDir;
pub use device::{DeviceNumber, Identity, device_dir};
pub use swaptier_policies::path::{CGROUP_ROOT, FilePath};

mod cgroup_dir;
pub mod change;
mod descriptor;
mod device;

/// The most one file may hold. The longest file read here is `memory.numa_stat` or `vmstat` of a big machine, far
/// below a MiB; a longer one is not what we think it is.
pub const READ_LIMIT: usize = 4 << 20;

/// A file operation that failed: which file, what was tried, and the kernel's answer.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", text::shown(path.as_os_str().as_bytes()))]
pub struct RootError {
    /// The path as an operator would type it, with the root in front of it.
    pub path: PathBuf,
    /// What was tried, in the present tense: "read", "write", "open", "list", "stat", "remove".
    pub action: &'static str,
    /// The kernel's answer, or why the path was refused (`InvalidInput`), or what was wrong with the content
    /// (`InvalidData`).
    pub source: io::Error,
}

impl RootError {
    /// The errno behind it, if the kernel said one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// The file or its cgroup is not there (any more): `ENOENT`, or `ENODEV` from a file of a dying cgroup.
    pub fn is_gone(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV))
    }
}

impl From<RootError> for io::Error {
    fn from(error: RootError) -> Self {
        io::Error::new(error.source.kind(), error)
    }
}

/// What this room returns.
pub type Result<T> = std::result::Result<T, RootError>;

/// The root of the world. Cheap to clone: clones share one handle.
#[derive(Debug, Clone)]
pub struct Root {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    fd: OwnedFd,
    resolver: Resolver,
}

/// How often a path is resolved anew while somebody renames and mounts. Each try fails only if that happens within it.
const TRIES: u32 = 256;

/// How a path below a directory handle is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolver {
    /// `openat2`, Linux 5.6.
    Openat2,
    /// One component at a time without following links: `openat2` is missing or filtered by seccomp.
    Walk,
}

impl Root {
    /// The host itself.
    pub fn system() -> Result<Root> {
        Root::at("/")
    }

    /// A folder that stands for `/`: a test's little world, or a copied tree.
    pub fn at(dir: impl AsRef<Path>) -> Result<Root> {
        let dir = dir.as_ref().to_path_buf();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&dir, flags, Mode::empty()).map_err(|e| failed("open", &dir, e))?;
        let resolver = match rustix::fs::openat2(&fd, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
            Ok(_) => Resolver::Openat2,
            Err(_) => Resolver::Walk,
        };
        Ok(Root { inner: Arc::new(Inner { dir, fd, resolver }) })
    }

    /// Whether this is the host and not a folder that stands for it.
    pub fn is_system(&self) -> bool {
        self.inner.dir == Path::new("/")
    }

    /// `rel` as a path of the real file system: for messages, and for the few callers that need a path (bpffs).
    pub fn host_path(&self, rel: impl AsRef<Path>) -> PathBuf {
        let rel = rel.as_ref();
        self.inner.dir.join(rel.strip_prefix("/").unwrap_or(rel))
    }

    /// The whole file as text, at most [`READ_LIMIT`] bytes.
    pub fn read(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<String> {
        let (rel, mut bytes) = (rel.as_ref(), Vec::new());
        self.read_into(rel, &mut bytes)?;
        String::from_utf8(bytes)
            .map_err(|_| self.refused("read", rel, io::ErrorKind::InvalidData, "not UTF-8"))
    }

    /// The whole file as text where others choose the names in it: what is none becomes a sign that no name of ours has.
    pub fn read_lossy(&self, rel: &str) -> Result<String> {
        let mut bytes = Vec::new();
        self.read_into(rel, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The whole file without the spaces and the newline at its ends: for files of one value.
    pub fn read_value(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<String> {
        self.read(rel).map(|text| text.trim().to_owned())
    }

    /// The whole file into a buffer of the caller, which is cleared first.
    pub fn read_into(&self, rel: &(impl AsRef<[u8]> + ?Sized), buffer: &mut Vec<u8>) -> Result<()> {
        let rel = rel.as_ref();
        let fd = self.open(rel, OFlags::RDONLY)?;
        read_to_end(fd.as_fd(), buffer).map_err(|e| self.failed("read", rel, e))
    }

    /// Whether `rel` can be reached. A file that may not be looked at counts as absent.
    pub fn exists(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        self.open(rel, OFlags::PATH).is_ok()
    }

    /// The names in a directory, sorted, without `.` and `..`. Names that are not UTF-8 are left out.
    pub fn list(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<Vec<String>> {
        let rel = rel.as_ref();
        let fd = self.open(rel, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in RawDir::new(fd).map_err(|e| self.failed("list", rel, e))? {
            let entry = entry.map_err(|e| self.failed("list", rel, e))?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens `rel` to look at it. `flags` without `CLOEXEC`, which is always added; with those that would change something it
    /// is refused.
    pub fn open(&self, rel: &(impl AsRef<[u8]> + ?Sized), flags: OFlags) -> Result<OwnedFd> {
        if flags.intersects(CHANGING) {
            let why = "opened to look at it, and not to change it";
            return Err(self.refused("open", rel.as_ref(), io::ErrorKind::InvalidInput, why));
        }
        self.open_with(rel.as_ref(), flags)
    }

    fn open_with(&self, rel: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let rel = self.checked(rel)?;
        let top = self.inner.fd.as_fd();
        let opened = match beneath_cgroups(rel) {
            None => self.resolve(top, rel, flags, ResolveFlags::IN_ROOT),
            Some(rest) => self
                .resolve(top, CGROUP_ROOT.as_bytes(), OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::IN_ROOT)
                .and_then(|cgroups| self.beneath(cgroups, rest, flags)),
        };
        opened.map_err(|e| self.failed("open", rel, e))
    }

    /// What `stat` says about the last component itself (a symlink is not followed) and, for a symlink, its target.
    pub fn inspect(&self, rel: &str) -> Result<(Stat, Option<String>)> {
        let (parent, name) = rel.rsplit_once('/').unwrap_or((".", rel));
        let parent =
            self.open(if parent.is_empty() { "." } else { parent }, OFlags::PATH | OFlags::DIRECTORY)?;
        let stat = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("stat", rel.as_bytes(), e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Ok((stat, None));
        }
        let target = rustix::fs::readlinkat(&parent, name, Vec::new())
            .map_err(|e| self.failed("stat", rel.as_bytes(), e))?;
        Ok((stat, Some(target.to_string_lossy().into_owned())))
    }

    /// A handle of the cgroup at `cgroup`, a path below the cgroup root (`""` is the root cgroup).
    pub fn cgroup(&self, cgroup: &(impl AsRef<[u8]> + ?Sized)) -> Result<CgroupDir> {
        let rel = cgroup_path(cgroup);
        let fd = self.open(&rel, OFlags::PATH | OFlags::DIRECTORY)?;
        CgroupDir::new(self.clone(), fd, rel)
    }

    /// The id of the cgroup now at `cgroup`: the inode of its directory, which on cgroup v2 is the kernfs id that BPF
    /// sees too. Another cgroup made later at the same path has another id.
    pub fn cgroup_id(&self, cgroup: &(impl AsRef<[u8]> + ?Sized)) -> Result<u64> {
        self.cgroup(cgroup).map(|dir| dir.id())
    }

    /// The id of the cgroup whose directory has this inode. The root cgroup of every kernel has the same one, by which its
    /// values are told from all others; a folder that stands for it has any inode.
    pub(crate) fn cgroup_with_inode(&self, inode: u64, is_top: bool) -> u64 {
        if is_top && !self.is_system() { CgroupId::ROOT.0 } else { inode }
    }

    fn parent_of<'a>(&self, rel: &'a [u8]) -> Result<(OwnedFd, &'a [u8])> {
        let rel = rel.strip_suffix(b"/").unwrap_or(rel);
        let slash = rel.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = slash.map_or((&b"."[..], rel), |slash| (&rel[..slash], &rel[slash + 1..]));
        Ok((self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    /// Kernel files ignore truncation at best; the plain files of a fake root would keep the tail of a longer value.
    fn truncation(&self) -> OFlags {
        if self.is_system() { OFlags::empty() } else { OFlags::TRUNC }
    }

    fn checked<'a>(&self, rel: &'a [u8]) -> Result<&'a [u8]> {
        let path = trimmed_start(rel);
        if path.split(|byte| *byte == b'/').any(|part| part == b"..") || path.contains(&0) {
            return Err(self.refused("open", rel, io::ErrorKind::InvalidInput, "a path may not go up"));
        }
        Ok(if path.is_empty() { b"." } else { path })
    }

    fn resolve(
        &self,
        at: BorrowedFd<'_>,
        rel: &[u8],
        flags: OFlags,
        how: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        match self.inner.resolver {
            Resolver::Openat2 => {
                // A rename or a mount anywhere on the host while a link with `..` is followed (/sys/block has such):
                // the kernel cannot tell whether it would have led out, and asks for another try, openat2(2).
                let open = || rustix::fs::openat2(at, rel, flags, Mode::empty(), how);
                (0..TRIES)
                    .map(|_| open())
                    .find(|opened| !matches!(opened, Err(Errno::AGAIN)))
                    .unwrap_or_else(open)
            }
            // On the host, links outside the cgroup tree lead where the system wants them to.
            Resolver::Walk if how == ResolveFlags::IN_ROOT && self.is_system() => {
                rustix::fs::openat(at, rel, flags, Mode::empty())
            }
            Resolver::Walk => walk(at, rel, flags),
        }
    }

    /// Opens a path below the cgroup root, however long it is: the kernel takes [`LONGEST`] bytes of a path at a time, and
    /// whoever owns a delegated subtree may go deeper.
    fn beneath(&self, mut here: OwnedFd, mut rest: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        while rest.len() > LONGEST {
            let slash = rest[..LONGEST].iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            here = self.resolve(here.as_fd(), &rest[..slash], OFlags::PATH | OFlags::DIRECTORY, BENEATH)?;
            rest = trimmed_start(&rest[slash..]);
        }
        self.resolve(here.as_fd(), rest, flags, BENEATH)
    }

    fn failed(&self, action: &'static str, rel: &[u8], errno: Errno) -> RootError {
        failed(action, &self.host_path(OsStr::from_bytes(rel)), errno)
    }

    fn refused(&self, action: &'static str, rel: &[u8], kind: io::ErrorKind, why: &'static str) -> RootError {
        RootError { path: self.host_path(OsStr::from_bytes(rel)), action, source: io::Error::new(kind, why) }
    }

    /// The same root as on a kernel without `openat2`.
    #[cfg(test)]
    fn walking(&self) -> Root {
        let fd = self.inner.fd.try_clone().unwrap();
        Root { inner: Arc::new(Inner { dir: self.inner.dir.clone(), fd, resolver: Resolver::Walk }) }
    }
}

/// What nobody needs who only looks.
const CHANGING: OFlags =
    OFlags::WRONLY.union(OFlags::RDWR).union(OFlags::CREATE).union(OFlags::TRUNC).union(OFlags::APPEND);

/// `PATH_MAX` without the byte at the end.
const LONGEST: usize = 4095;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// The path of a cgroup relative to the root: `batch.slice` → `sys/fs/cgroup/batch.slice`.
pub fn cgroup_path(cgroup: &(impl AsRef<[u8]> + ?Sized)) -> FilePath {
    let (top, below) = (FilePath::from(CGROUP_ROOT), CgroupPath::new(cgroup.as_ref()));
    if below.is_root() { top } else { top.join(below) }
}

/// The path of a cgroup's file relative to the root.
pub fn cgroup_file(cgroup: &(impl AsRef<[u8]> + ?Sized), file: &str) -> FilePath {
    cgroup_path(cgroup).join(file)
}

fn beneath_cgroups(rel: &[u8]) -> Option<&[u8]> {
    rel.strip_prefix(CGROUP_ROOT.as_bytes())?
        .strip_prefix(b"/")
        .map(trimmed_start)
        .filter(|rest| !rest.is_empty())
}

fn trimmed_start(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/") {
        path = rest;
    }
    path
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> RootError {
    RootError { path: path.to_path_buf(), action, source: errno.into() }
}

#[cfg(test)]
mod tests;
