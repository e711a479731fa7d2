//! Disks of the guest that are slow or fail: a device-mapper device of one target over a whole disk, whose target can be
//! exchanged while it is in use. The ioctls of linux/dm-ioctl.h, as far as needed; there is no dmsetup in the guest.
//!
//! Not here: what is put on the device; `bench/ugly/disk.rs` makes a swap area of it.

use std::fs::{File, OpenOptions};
use std::io::{Error, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::preamble;
use super::wait::wait_for;

const CONTROL: &str = "/dev/mapper/control";
/// Modules of the targets used here; `linear` and `error` are the first one's own.
const MODULES: [&str; 3] = ["dm_mod", "dm_delay", "dm_flakey"];
const SECTOR: u64 = 512;

// Numbers of the commands. Resuming is the opposite of `DM_DEV_SUSPEND`, told by a flag that is not set.
const DEV_CREATE: u32 = 3;
const DEV_REMOVE: u32 = 4;
const DEV_SUSPEND: u32 = 6;
const TABLE_LOAD: u32 = 9;
const TARGET_MSG: u32 = 14;

/// Room for one target, or for a message.
const PAYLOAD: usize = 296;
/// A target's parameters begin there: first and number of sectors, status, where the next one is, and its kind.
const PARAMETERS: usize = 40;
/// A message begins there: it follows the sector it is for.
const MESSAGE: usize = 8;

/// What every command begins with and comes back as: `struct dm_ioctl`, and what follows it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
    payload: [u8; PAYLOAD],
}

/// Bytes of `struct dm_ioctl` alone: part of every command's number.
const HEADER: usize = std::mem::offset_of!(Request, payload);
const _: () = assert!(HEADER == 312);

/// Guard of a device; gone at drop, so nothing may use it then.
#[derive(Debug)]
pub struct Device {
    name: String,
    disk: PathBuf,
    sectors: u64,
    minor: u64,
    control: File,
}

impl Device {
    /// Makes a device over the whole of `disk`, which passes everything on as it is.
    ///
    /// # Errors
    /// Outside a guest; when this kernel has no device-mapper, or refuses.
    pub fn over(disk: &str, name: &str) -> Result<Device> {
        Device::over_first(disk, name, u64::MAX)
    }

    /// The same over the first `bytes` of `disk`, all of it where it has fewer.
    ///
    /// # Errors
    /// As [`Device::over`].
    pub fn over_first(disk: &str, name: &str, bytes: u64) -> Result<Device> {
        preamble::require_guest()?;
        for module in MODULES {
            // Built in is as good; what is missing is told by the ioctl that needs it.
            let _ = Command::new("modprobe").arg(module).output();
        }
        let sectors = File::open(disk).and_then(|mut file| file.seek(SeekFrom::End(0)));
        let sectors = sectors.with_context(|| format!("measuring {disk}"))?.min(bytes) / SECTOR;
        let control = control()?;
        let (name, disk) = (name.to_owned(), PathBuf::from(disk));
        let mut device = Device { name, disk, sectors, minor: 0, control };
        let dev = device.command(DEV_CREATE, None).context("making the device")?;
        // Twenty bits of minor number, in two pieces.
        device.minor = dev & 0xff | dev >> 12 & 0xf_ff00;
        device.linear()?;
        wait_for("the device's node", Duration::from_secs(10), || Ok(device.path().exists()))?;
        Ok(device)
    }

    /// Its node.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(format!("dm-{}", self.minor))
    }

    /// Everything goes through as it is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn linear(&self) -> Result<()> {
        self.become_target("linear", &format!("{} 0", self.disk.display()))
    }

    /// Each read and each write takes so much longer.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn slow(&self, read: Duration, write: Duration) -> Result<()> {
        let (disk, read, write) = (self.disk.display(), read.as_millis(), write.as_millis());
        self.become_target("delay", &format!("{disk} 0 {read} {disk} 0 {write}"))
    }

    /// Writes fail, reads do not.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fail_writes(&self) -> Result<()> {
        self.be_down(" 1 error_writes")
    }

    /// Reads and writes fail; by its table it is a device over a disk as before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fail_all(&self) -> Result<()> {
        self.be_down("")
    }

    /// Never up, down for an hour at a time; without features reads and writes fail.
    fn be_down(&self, features: &str) -> Result<()> {
        self.become_target("flakey", &format!("{} 0 0 3600{features}", self.disk.display()))
    }

    /// Everything fails, and its table says so: it has no storage.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fail(&self) -> Result<()> {
        self.become_target("error", "")
    }

    /// Loads a new table and resumes with it: what is under way ends under the old one.
    fn become_target(&self, kind: &str, parameters: &str) -> Result<()> {
        let load = || {
            self.command(TABLE_LOAD, Some(self.payload(kind, parameters)?))?;
            self.command(DEV_SUSPEND, None)
        };
        load().map(drop).with_context(|| format!("making {} a `{kind} {parameters}`", self.name))
    }

    /// `struct dm_target_spec` and its parameters.
    fn payload(&self, kind: &str, parameters: &str) -> Result<[u8; PAYLOAD]> {
        let mut payload = [0; PAYLOAD];
        payload[8..16].copy_from_slice(&self.sectors.to_ne_bytes());
        payload[20..24].copy_from_slice(&(PAYLOAD as u32).to_ne_bytes());
        payload[24..PARAMETERS].copy_from_slice(&terminated::<16>(kind)?);
        payload[PARAMETERS..].copy_from_slice(&terminated::<{ PAYLOAD - PARAMETERS }>(parameters)?);
        Ok(payload)
    }

    /// One command for this device; the device's number, as the kernel filled it in.
    fn command(&self, number: u32, target: Option<[u8; PAYLOAD]>) -> Result<u64> {
        command(&self.control, &self.name, number, target)
    }
}

/// Says something to the target of the device `name`, somebody else's.
///
/// # Errors
/// Outside a guest; when there is no such device, or it refuses.
pub fn message(name: &str, text: &str) -> Result<()> {
    preamble::require_guest()?;
    let mut payload = [0; PAYLOAD];
    payload[MESSAGE..].copy_from_slice(&terminated::<{ PAYLOAD - MESSAGE }>(text)?);
    command(&control()?, name, TARGET_MSG, Some(payload)).map(drop)
}

fn control() -> Result<File> {
    let control = OpenOptions::new().read(true).write(true).open(CONTROL);
    control.with_context(|| format!("{CONTROL}: is dm_mod there?"))
}

/// One command for the device `name`; its number, as the kernel filled it in.
fn command(control: &File, name: &str, number: u32, payload: Option<[u8; PAYLOAD]>) -> Result<u64> {
    let mut request = Request {
        version: [4, 0, 0],
        data_size: size_of::<Request>() as u32,
        data_start: HEADER as u32,
        target_count: u32::from(payload.is_some()),
        open_count: 0,
        flags: 0,
        event_nr: 0,
        padding: 0,
        dev: 0,
        name: terminated(name)?,
        uuid: [0; 129],
        data: [0; 7],
        payload: payload.unwrap_or([0; PAYLOAD]),
    };
    // _IOWR(0xfd, number, struct dm_ioctl)
    let code = 3 << 30 | (HEADER as u32) << 16 | 0xfd << 8 | number;
    // SAFETY: the kernel reads and writes at most `data_size` bytes of the request, which is its size.
    match unsafe { libc::ioctl(control.as_raw_fd(), code as libc::Ioctl, &raw mut request) } {
        0 => Ok(request.dev),
        _ => Err(Error::last_os_error()).with_context(|| format!("device-mapper command {number}")),
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = self.command(DEV_REMOVE, None) {
            eprintln!("device {} is left behind: {error:#}", self.name);
        }
    }
}

fn terminated<const N: usize>(text: &str) -> Result<[u8; N]> {
    ensure!(text.len() < N, "`{text}` is too long for the kernel");
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_developers_machine_gets_no_device() {
        assert!(Device::over("/dev/null", "test").is_err());
    }

    #[test]
    fn names_end_with_a_null_byte() {
        assert_eq!(terminated::<4>("abc").unwrap(), *b"abc\0");
        assert!(terminated::<4>("abcd").is_err());
    }
}
