//! The one door to `/proc`, `/sys`, `/etc`, `/run` and `/var/lib`.
//!
//! Lives here: opening, reading and writing files under a movable root, and directory handles of cgroups. What the
//! files mean is not known here (`sense/` reads them, `act/` changes them). Everything in this crate that touches the
//! world takes a [`Root`], so that a test, or `--root`, moves all of it at once.
//!
//! Two rules of resolution: outside the cgroup tree a symlink is followed but never leaves the root; beneath
//! [`CGROUP_ROOT`] there are no symlinks at all, because paths there are made by whoever owns a delegated subtree.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir as RawDir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use descriptor::{read_to_end, walk, write_once};

pub use cgroup_dir::CgroupDir;

mod cgroup_dir;
mod descriptor;

/// Where cgroup v2 is mounted, relative to the root.
pub const CGROUP_ROOT: &str = "sys/fs/cgroup";

/// The most one file may hold. The longest file read here is `memory.numa_stat` or `vmstat` of a big machine, far
/// below a MiB; a longer one is not what we think it is.
pub const READ_LIMIT: usize = 4 << 20;

/// A file operation that failed: which file, what was tried, and the kernel's answer.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
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
    pub fn read(&self, rel: &str) -> Result<String> {
        let mut bytes = Vec::new();
        self.read_into(rel, &mut bytes)?;
        String::from_utf8(bytes)
            .map_err(|_| self.refused("read", rel, io::ErrorKind::InvalidData, "not UTF-8"))
    }

    /// The whole file without the spaces and the newline at its ends: for files of one value.
    pub fn read_value(&self, rel: &str) -> Result<String> {
        self.read(rel).map(|text| text.trim().to_owned())
    }

    /// The whole file into a buffer of the caller, which is cleared first.
    pub fn read_into(&self, rel: &str, buffer: &mut Vec<u8>) -> Result<()> {
        let fd = self.open(rel, OFlags::RDONLY)?;
        read_to_end(fd.as_fd(), buffer).map_err(|e| self.failed("read", rel, e))
    }

    /// Writes `text` with one write call. Never creates a file; on the host it never truncates one either, because
    /// kernel files give each write its own meaning.
    pub fn write(&self, rel: &str, text: &str) -> Result<()> {
        let fd = self.open(rel, OFlags::WRONLY | self.truncation())?;
        write_once(fd.as_fd(), text).map_err(|e| self.failed("write", rel, e))
    }

    /// Whether `rel` can be reached. A file that may not be looked at counts as absent.
    pub fn exists(&self, rel: &str) -> bool {
        self.open(rel, OFlags::PATH).is_ok()
    }

    /// The names in a directory, sorted, without `.` and `..`. Names that are not UTF-8 are left out.
    pub fn list(&self, rel: &str) -> Result<Vec<String>> {
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

    /// Opens `rel`. `flags` without `CLOEXEC`, which is always added.
    pub fn open(&self, rel: &str, flags: OFlags) -> Result<OwnedFd> {
        let rel = self.checked(rel)?;
        let top = self.inner.fd.as_fd();
        let opened = match beneath_cgroups(rel) {
            None => self.resolve(top, rel, flags, ResolveFlags::IN_ROOT),
            Some(rest) => self
                .resolve(top, CGROUP_ROOT, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::IN_ROOT)
                .and_then(|cgroups| self.resolve(cgroups.as_fd(), rest, flags, BENEATH)),
        };
        opened.map_err(|e| self.failed("open", rel, e))
    }

    /// What `stat` says about the last component itself (a symlink is not followed) and, for a symlink, its target.
    pub fn inspect(&self, rel: &str) -> Result<(Stat, Option<String>)> {
        let (parent, name) = rel.rsplit_once('/').unwrap_or((".", rel));
        let parent =
            self.open(if parent.is_empty() { "." } else { parent }, OFlags::PATH | OFlags::DIRECTORY)?;
        let stat = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("stat", rel, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Ok((stat, None));
        }
        let target =
            rustix::fs::readlinkat(&parent, name, Vec::new()).map_err(|e| self.failed("stat", rel, e))?;
        Ok((stat, Some(target.to_string_lossy().into_owned())))
    }

    /// A handle of the cgroup at `cgroup`, a path below the cgroup root (`""` is the root cgroup).
    pub fn cgroup(&self, cgroup: &str) -> Result<CgroupDir> {
        let rel = cgroup_path(cgroup);
        let fd = self.open(&rel, OFlags::PATH | OFlags::DIRECTORY)?;
        CgroupDir::new(self.clone(), fd, rel)
    }

    /// The id of the cgroup now at `cgroup`: the inode of its directory, which on cgroup v2 is the kernfs id that BPF
    /// sees too. Another cgroup made later at the same path has another id.
    pub fn cgroup_id(&self, cgroup: &str) -> Result<u64> {
        self.cgroup(cgroup).map(|dir| dir.id())
    }

    /// Makes the directory `rel`, for a cgroup of our own.
    pub fn make_dir(&self, rel: &str) -> Result<()> {
        let (parent, name) = self.parent_of(rel)?;
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).map_err(|e| self.failed("make", rel, e))
    }

    /// Removes the empty directory `rel`.
    pub fn remove_dir(&self, rel: &str) -> Result<()> {
        let (parent, name) = self.parent_of(rel)?;
        rustix::fs::unlinkat(parent, name, rustix::fs::AtFlags::REMOVEDIR)
            .map_err(|e| self.failed("remove", rel, e))
    }

    fn parent_of<'a>(&self, rel: &'a str) -> Result<(OwnedFd, &'a str)> {
        let (parent, name) = rel.trim_end_matches('/').rsplit_once('/').unwrap_or((".", rel));
        Ok((self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    /// Kernel files ignore truncation at best; the plain files of a fake root would keep the tail of a longer value.
    fn truncation(&self) -> OFlags {
        if self.is_system() { OFlags::empty() } else { OFlags::TRUNC }
    }

    fn checked<'a>(&self, rel: &'a str) -> Result<&'a str> {
        let path = rel.trim_start_matches('/');
        if path.split('/').any(|part| part == "..") || path.contains('\0') {
            return Err(self.refused("open", rel, io::ErrorKind::InvalidInput, "a path may not go up"));
        }
        Ok(if path.is_empty() { "." } else { path })
    }

    fn resolve(
        &self,
        at: BorrowedFd<'_>,
        rel: &str,
        flags: OFlags,
        how: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        match self.inner.resolver {
            Resolver::Openat2 => rustix::fs::openat2(at, rel, flags, Mode::empty(), how),
            // On the host, links outside the cgroup tree lead where the system wants them to.
            Resolver::Walk if how == ResolveFlags::IN_ROOT && self.is_system() => {
                rustix::fs::openat(at, rel, flags, Mode::empty())
            }
            Resolver::Walk => walk(at, rel, flags),
        }
    }

    fn failed(&self, action: &'static str, rel: &str, errno: Errno) -> RootError {
        failed(action, &self.host_path(rel), errno)
    }

    fn refused(&self, action: &'static str, rel: &str, kind: io::ErrorKind, why: &'static str) -> RootError {
        RootError { path: self.host_path(rel), action, source: io::Error::new(kind, why) }
    }

    /// The same root as on a kernel without `openat2`.
    #[cfg(test)]
    fn walking(&self) -> Root {
        let fd = self.inner.fd.try_clone().unwrap();
        Root { inner: Arc::new(Inner { dir: self.inner.dir.clone(), fd, resolver: Resolver::Walk }) }
    }
}

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// The path of a cgroup relative to the root: `batch.slice` → `sys/fs/cgroup/batch.slice`.
pub fn cgroup_path(cgroup: &str) -> String {
    match cgroup.trim_matches('/') {
        "" => CGROUP_ROOT.to_owned(),
        path => format!("{CGROUP_ROOT}/{path}"),
    }
}

/// The path of a cgroup's file relative to the root.
pub fn cgroup_file(cgroup: &str, file: &str) -> String {
    format!("{}/{file}", cgroup_path(cgroup))
}

fn beneath_cgroups(rel: &str) -> Option<&str> {
    rel.strip_prefix(CGROUP_ROOT)?
        .strip_prefix('/')
        .map(|rest| rest.trim_start_matches('/'))
        .filter(|r| !r.is_empty())
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> RootError {
    RootError { path: path.to_path_buf(), action, source: errno.into() }
}

#[cfg(test)]
mod tests;
