//! Changing what the kernel has: writing a file, making and removing a cgroup. Who wants to must take these traits in by name,
//! so that it can be told who does: the few files are listed in `xtask/src/tidy/writes.rs`, which no other file passes, and
//! their rooms in `ARCHITECTURE.md`. How it is undone is theirs.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::descriptor::write_once;
use super::{CgroupDir, Result, Root};

/// Writing a file that is there.
pub trait Write {
    /// Writes `text` into `file` with one write call: below a root by its path, in a cgroup by its name. Never creates a file;
    /// on the host it never truncates one either, because kernel files give each write its own meaning.
    ///
    /// # Errors
    /// The kernel's answer, with the path.
    fn write(&self, file: &(impl AsRef<[u8]> + ?Sized), text: &str) -> Result<()>;
}

impl Write for Root {
    fn write(&self, file: &(impl AsRef<[u8]> + ?Sized), text: &str) -> Result<()> {
        let file = file.as_ref();
        let fd = self.open_with(file, OFlags::WRONLY | self.truncation())?;
        write_once(fd.as_fd(), text).map_err(|error| self.failed("write", file, error))
    }
}

impl Write for CgroupDir {
    fn write(&self, file: &(impl AsRef<[u8]> + ?Sized), text: &str) -> Result<()> {
        self.write_file(file.as_ref(), text)
    }
}

/// Making and removing cgroups of our own, and files that stay open to be written again and again.
pub trait Make {
    /// Makes the directory `rel`, for a cgroup of our own.
    ///
    /// # Errors
    /// The kernel's answer, with the path.
    fn make_dir(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<()>;

    /// Removes the empty directory `rel`.
    ///
    /// # Errors
    /// The kernel's answer, with the path.
    fn remove_dir(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<()>;

    /// Opens `rel`, to be written too if `flags` say so.
    ///
    /// # Errors
    /// The kernel's answer, with the path.
    fn open_to_change(&self, rel: &(impl AsRef<[u8]> + ?Sized), flags: OFlags) -> Result<OwnedFd>;
}

impl Make for Root {
    fn make_dir(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<()> {
        let rel = rel.as_ref();
        let (parent, name) = self.parent_of(rel)?;
        let mode = Mode::from_raw_mode(0o755);
        let failed = |error| self.failed("make", rel, error);
        rustix::fs::mkdirat(&parent, name, mode).map_err(failed)?;
        // Whatever the umask: a cgroup that nobody may look into makes `explain` fail for those who may only look.
        rustix::fs::chmodat(&parent, name, mode, AtFlags::empty()).map_err(failed)
    }

    fn remove_dir(&self, rel: &(impl AsRef<[u8]> + ?Sized)) -> Result<()> {
        let rel = rel.as_ref();
        let (parent, name) = self.parent_of(rel)?;
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
            .map_err(|error| self.failed("remove", rel, error))
    }

    fn open_to_change(&self, rel: &(impl AsRef<[u8]> + ?Sized), flags: OFlags) -> Result<OwnedFd> {
        self.open_with(rel.as_ref(), flags)
    }
}
