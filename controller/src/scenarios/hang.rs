//! A file to which no write returns for now, as in a cgroup whose memory the kernel is reclaiming. Caller: `stage.rs`.

use std::{fs::File, io, os::fd::AsRawFd as _, path::Path};

/// Of `asm-generic/fcntl.h`, which the libc crate lacks.
const F_SETSIG: libc::c_int = 10;

/// It hangs until this is dropped.
#[derive(Debug)]
pub(super) struct Hang {
    _file: File,
}

impl Hang {
    /// Takes a lease for reading: whoever opens the file to write it waits until the lease is given up, fcntl(2).
    pub(super) fn begin(path: &Path) -> io::Result<Hang> {
        let file = File::open(path)?;
        let fd = file.as_raw_fd();
        // The signal that tells that somebody waits would end this process; one that nobody minds is sent instead.
        // SAFETY: both are about a descriptor that is open, and touch no memory.
        let taken = unsafe {
            match libc::fcntl(fd, F_SETSIG, libc::SIGURG) {
                0 => libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK),
                failed => failed,
            }
        };
        if taken == 0 { Ok(Hang { _file: file }) } else { Err(io::Error::last_os_error()) }
    }
}
