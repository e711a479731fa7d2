//! A handle of one cgroup's directory: the identity that survives the reuse of a path.
//!
//! Lives here: access to the files of one cgroup through its open directory. Walking the whole hierarchy each tick is
//! `sense/cgroupfs/`. `act/` calls it before it changes anything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::descriptor::{read_to_end, write_once};
use super::{CGROUP_ROOT, FilePath, Result, Root, RootError};

/// A handle of one cgroup's directory. It stays with that cgroup: once the cgroup is removed every access fails as
/// gone, even when another cgroup has been made at the same path.
#[derive(Debug)]
pub struct CgroupDir {
    root: Root,
    fd: OwnedFd,
    id: u64,
    /// Path relative to the root, for messages.
    rel: FilePath,
}

impl CgroupDir {
    pub(super) fn new(root: Root, fd: OwnedFd, rel: FilePath) -> Result<CgroupDir> {
        let inode = rustix::fs::fstat(&fd).map_err(|e| root.failed("stat", rel.as_ref(), e))?.st_ino;
        let id = root.cgroup_with_inode(inode, rel == CGROUP_ROOT);
        Ok(CgroupDir { root, fd, id, rel })
    }

    /// The open directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The cgroup's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The path of one of its files, relative to the root: what the undo log notes.
    pub fn rel(&self, file: &str) -> FilePath {
        self.rel.join(file)
    }

    /// The names of the cgroups in it, sorted.
    pub fn children(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.children_with_ids()?.into_iter().map(|(name, _)| name).collect())
    }

    /// The same, each with its id.
    pub fn children_with_ids(&self) -> Result<Vec<(Vec<u8>, u64)>> {
        let failed = |errno| self.root.failed("list", self.rel.as_ref(), errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.fd, ".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in Dir::new(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(entry.file_type(), FileType::Directory | FileType::Unknown)
                && !matches!(name, b"." | b"..")
            {
                names.push((name.to_vec(), entry.ino()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The cgroup called `name` in it.
    pub fn child(&self, name: &[u8]) -> Result<CgroupDir> {
        let rel = self.rel.join(name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        let fd = fd.map_err(|errno| self.root.failed("open", rel.as_ref(), errno))?;
        CgroupDir::new(self.root.clone(), fd, rel)
    }

    /// One of its files, trimmed.
    pub fn read_value(&self, file: &str) -> Result<String> {
        let file = file.as_bytes();
        let fd = self.open(file, OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        read_to_end(fd.as_fd(), &mut bytes).map_err(|e| self.failed("read", file, e))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    pub(super) fn write_file(&self, file: &[u8], text: &str) -> Result<()> {
        let fd = self.open(file, OFlags::WRONLY | self.root.truncation())?;
        write_once(fd.as_fd(), text).map_err(|e| self.failed("write", file, e))
    }

    fn open(&self, file: &[u8], flags: OFlags) -> Result<OwnedFd> {
        if file.contains(&b'/') {
            let why = "a file of a cgroup is one name";
            return Err(self.root.refused(
                "open",
                self.rel.join(file).as_ref(),
                io::ErrorKind::InvalidInput,
                why,
            ));
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, file, flags, Mode::empty()).map_err(|e| self.failed("open", file, e))
    }

    fn failed(&self, action: &'static str, file: &[u8], errno: Errno) -> RootError {
        self.root.failed(action, self.rel.join(file).as_ref(), errno)
    }
}
