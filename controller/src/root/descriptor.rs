//! What is done with a bare file descriptor: the walk without `openat2`, bounded reads, single writes.
//!
//! No path is known here and no error is worded here: that is [`super::Root`]'s part, the only caller.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::READ_LIMIT;

/// Opens `rel` below `at` one component at a time, following no link.
pub(super) fn walk(at: BorrowedFd<'_>, rel: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut parts = rel.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).peekable();
    let mut here = rustix::fs::openat(at, ".", step, Mode::empty())?;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() { step } else { flags | OFlags::NOFOLLOW };
        here = rustix::fs::openat(&here, part, flags, Mode::empty())?;
        if rustix::fs::fstat(&here).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Symlink) {
            return Err(Errno::LOOP);
        }
    }
    Ok(here)
}

pub(super) fn read_to_end(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> rustix::io::Result<()> {
    buffer.clear();
    loop {
        let filled = buffer.len();
        if filled > READ_LIMIT {
            return Err(Errno::FBIG);
        }
        buffer.resize(filled + 16 * 1024, 0);
        match rustix::io::read(fd, &mut buffer[filled..]) {
            Ok(0) => {
                buffer.truncate(filled);
                return Ok(());
            }
            Ok(n) => buffer.truncate(filled + n),
            Err(Errno::INTR) => buffer.truncate(filled),
            Err(e) => {
                buffer.clear();
                return Err(e);
            }
        }
    }
}

pub(super) fn write_once(fd: BorrowedFd<'_>, text: &str) -> rustix::io::Result<()> {
    match rustix::io::write(fd, text.as_bytes())? {
        n if n == text.len() => Ok(()),
        // No kernel file takes half a value.
        _ => Err(Errno::IO),
    }
}
