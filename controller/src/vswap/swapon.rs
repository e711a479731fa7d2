//! swapon(2) and swapoff(2). Which area, and with what priority, is decided elsewhere. Callers: the executor, `drain.rs`.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::Path;

use super::area::PREFIX;
use super::disk::size_of;
use super::dm;
use crate::root::Root;

/// Says that a priority follows in the low bits (linux/swap.h).
const PREFER: libc::c_int = 0x8000;
/// Discard freed clusters at once, and only those: not the whole area at the beginning.
const DISCARD_FREED: libc::c_int = 0x10000 | 0x40000;

/// Switches on the area at `path`. With `discard`, clusters that are freed are discarded.
///
/// # Errors
/// The kernel's answer: `EINVAL` for a header it does not take, `EBUSY` for an area that is on already.
pub fn on(path: &Path, priority: Option<u16>, discard: bool) -> io::Result<()> {
    let flags = priority.map_or(0, |priority| PREFER | libc::c_int::from(priority & 0x7fff));
    let flags = flags | if discard { DISCARD_FREED } else { 0 };
    let path = c_path(path)?;
    // SAFETY: a terminated string and plain flags; the kernel checks the rest.
    match unsafe { libc::swapon(path.as_ptr(), flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Switches off the area at `path`, which brings everything in it back into memory. Takes long; a signal that ends the
/// thread ends it, and the area is on as before.
///
/// # Errors
/// The kernel's answer: `ENOMEM` when memory cannot hold it, `EINVAL` when it is not on, `EINTR`.
pub fn off(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: a terminated string.
    match unsafe { libc::swapoff(path.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A device of ours whose blocks are given back once it is off: switching off gives back none, and what is there means nothing
/// any more. Opened before, it cannot become another device of the same number meanwhile.
#[derive(Debug)]
pub struct Emptied(File);

impl Emptied {
    /// Opens the device at `path`, if device-mapper says that it is ours.
    ///
    /// # Errors
    /// It is another, or cannot be opened.
    pub fn open(root: &Root, path: &Path) -> io::Result<Emptied> {
        let device = File::options().write(true).open(path)?;
        let number = rustix::fs::fstat(&device)?.st_rdev;
        let entry = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
        let said =
            |what: &str| root.read_value(&format!("sys/dev/block/{entry}/dm/{what}")).unwrap_or_default();
        let (name, uuid) = (said("name"), said("uuid"));
        // The version before gave none.
        if !name.starts_with(PREFIX) || !(uuid.is_empty() || uuid == dm::uuid(&name)) {
            return Err(io::Error::other("it is no device of swaptier's (any more)"));
        }
        Ok(Emptied(device))
    }

    /// Gives the blocks back.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn discard(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;
        /// `_IO(0x12, 119)` (linux/fs.h).
        const BLKDISCARD: libc::c_ulong = 0x1277;
        let range = [0, size_of(&self.0)?];
        // SAFETY: the kernel reads two numbers, which are there.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), BLKDISCARD as libc::Ioctl, range.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path with a null byte"))
}
