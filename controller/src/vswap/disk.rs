//! Disks and files as they are opened and measured before anything is known of what they hold. Callers: all of this room
//! that touch one.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::error::{AreaError, Result};
use crate::root::DeviceNumber;

pub(super) fn page_size() -> usize {
    rustix::param::page_size()
}

/// The number of a block device at `path`.
#[must_use]
pub(super) fn number_of(path: &Path) -> Option<DeviceNumber> {
    let stat = rustix::fs::stat(path).ok()?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    (kind == rustix::fs::FileType::BlockDevice).then(|| DeviceNumber {
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
    })
}

/// Opens a disk or a file for writing.
pub(super) fn open(path: &Path) -> Result<File> {
    open_with(path, 0)
}

/// The same, of a block device that nobody else may have claimed.
pub(super) fn open_exclusive(path: &Path) -> Result<File> {
    // `O_EXCL` means that for block devices only.
    open_with(path, libc::O_EXCL)
}

fn open_with(path: &Path, more: libc::c_int) -> Result<File> {
    let exclusive = if number_of(path).is_some() { more } else { 0 };
    let open = |flags: libc::c_int| {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC | exclusive | flags).open(path)
    };
    // A disk is often named by a link of udev's.
    let opened = open(libc::O_NOFOLLOW).or_else(|error| match error.raw_os_error() {
        Some(libc::ELOOP) if number_of(path).is_some() => open(0),
        _ => Err(error),
    });
    opened.map_err(AreaError::io("open", path))
}

/// Bytes of a disk or a file.
pub(super) fn size_of(file: &File) -> io::Result<u64> {
    let mut file = file;
    file.seek(SeekFrom::End(0))
}

/// Bytes of the disk or the file at `path`, if one is there that can be read.
#[must_use]
pub fn bytes_at(path: &Path) -> Option<u64> {
    File::open(path).and_then(|file| size_of(&file)).ok()
}
