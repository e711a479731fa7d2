//! A handle of one cgroup's directory: the identity that survives the reuse of a path.
//!
//! Lives here: access to the files of one cgroup through its open directory. Walking the whole hierarchy each tick is
//! `sense/cgroupfs.rs`. `act/` calls it before it changes anything.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::descriptor::{read_to_end, write_once};
use super::{Result, Root, RootError};

/// A handle of one cgroup's directory. It stays with that cgroup: once the cgroup is removed every access fails as
/// gone, even when another cgroup has been made at the same path.
#[derive(Debug)]
pub struct CgroupDir {
    root: Root,
    fd: OwnedFd,
    id: u64,
    /// Path relative to the root, for messages.
    rel: String,
}

impl CgroupDir {
    pub(super) fn new(root: Root, fd: OwnedFd, rel: String) -> Result<CgroupDir> {
        let id = rustix::fs::fstat(&fd).map_err(|e| root.failed("stat", &rel, e))?.st_ino;
        Ok(CgroupDir { root, fd, id, rel })
    }

    /// The cgroup's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The path of one of its files, relative to the root: what the undo log notes.
    pub fn rel(&self, file: &str) -> String {
        format!("{}/{file}", self.rel)
    }

    /// One of its files, trimmed.
    pub fn read_value(&self, file: &str) -> Result<String> {
        let fd = self.open(file, OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        read_to_end(fd.as_fd(), &mut bytes).map_err(|e| self.failed("read", file, e))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Writes one of its files with one write call.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let fd = self.open(file, OFlags::WRONLY | self.root.truncation())?;
        write_once(fd.as_fd(), text).map_err(|e| self.failed("write", file, e))
    }

    fn open(&self, file: &str, flags: OFlags) -> Result<OwnedFd> {
        if file.contains('/') {
            let why = "a file of a cgroup is one name";
            return Err(self.root.refused("open", &self.rel(file), io::ErrorKind::InvalidInput, why));
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, file, flags, Mode::empty()).map_err(|e| self.failed("open", file, e))
    }

    fn failed(&self, action: &'static str, file: &str, errno: Errno) -> RootError {
        self.root.failed(action, &self.rel(file), errno)
    }
}
