//! Loop devices: a file as a block device, attached in one step with direct I/O, and let go by the kernel with its last
//! user. So there is never one to clean up: a killed process leaves none, and removing what stands on it is enough.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;

use super::found::DeviceNumber;

const GET_FREE: libc::c_ulong = 0x4c82;
const CONFIGURE: libc::c_ulong = 0x4c0a;
/// Detached with the last user.
const AUTOCLEAR: u32 = 4;
/// Past the page cache of the file.
const DIRECT_IO: u32 = 16;
/// Another process may take the free device first: so often at most.
const TRIES: u32 = 16;
/// Major number of loop devices (linux/major.h).
pub(super) const MAJOR: u32 = 7;

/// `struct loop_config` of linux/loop.h, with its `struct loop_info64`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    ids: [u64; 3],
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    names: [[u8; 64]; 2],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Config>() == 8 + 232 + 64);

/// A loop device as long as this value, or something that was put on it, holds it open.
#[derive(Debug)]
pub(super) struct Loop {
    /// Its number.
    pub(super) number: DeviceNumber,
    _open: File,
}

impl Loop {
    /// Attaches a free loop device to `file`, with direct I/O if the file's system has it.
    ///
    /// # Errors
    /// When the kernel has no loop devices, or refuses the file.
    pub(super) fn attach(file: &File) -> io::Result<Loop> {
        let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
        let control = open("/dev/loop-control").or_else(|_| {
            super::modules::load("loop");
            open("/dev/loop-control")
        })?;
        let mut last = io::Error::from_raw_os_error(libc::EBUSY);
        for _ in 0..TRIES {
            // SAFETY: the command takes nothing and returns a number.
            let free = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE as libc::Ioctl) };
            let Ok(minor) = u32::try_from(free) else { return Err(io::Error::last_os_error()) };
            let device = open(&format!("/dev/loop{minor}"))?;
            match configure(&device, file, DIRECT_IO).or_else(|_| configure(&device, file, 0)) {
                Ok(()) => return Ok(Loop { number: DeviceNumber { major: MAJOR, minor }, _open: device }),
                Err(error) => last = error,
            }
            if last.raw_os_error() != Some(libc::EBUSY) {
                break;
            }
        }
        Err(last)
    }
}

fn configure(device: &File, file: &File, direct: u32) -> io::Result<()> {
    let mut config = Config {
        fd: file.as_raw_fd().unsigned_abs(),
        block_size: 0,
        ids: [0; 3],
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: AUTOCLEAR | direct,
        names: [[0; 64]; 2],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: the kernel reads one `struct loop_config`, whose size is asserted above.
    match unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE as libc::Ioctl, &raw mut config) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
