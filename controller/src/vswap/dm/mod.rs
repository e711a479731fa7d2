//! Device-mapper by its ioctls: devices made, tables loaded and read, messages sent. No library of C, no udev: a device is
//! used by its number and its node `/dev/dm-N`, which the kernel makes.
//!
//! Lives here: the commands and their errors. How a request looks in memory is `wire.rs`'s; what the tables mean is known
//! to those who load them. Callers: the executor and `look.rs`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::found::{DeviceNumber, Target};
use wire::{Command, Flags, Request};

mod wire;

const CONTROL: &str = "/dev/mapper/control";
/// The control node's number: a misc device (linux/miscdevice.h, `MAPPER_CTRL_MINOR`).
const CONTROL_NUMBER: (u32, u32) = (10, 236);

/// A program that looks at each new device (udev's blkid) has it open for a moment: removing is tried again this often.
const BUSY_TRIES: u32 = 25;
const BUSY_PAUSE: Duration = Duration::from_millis(40);

/// A command that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("device-mapper: {action} {name}: {source}{}", hint(.source))]
pub struct DmError {
    /// What was tried, in the present tense.
    pub action: &'static str,
    /// The device, or the table that was refused.
    pub name: String,
    /// The kernel's answer.
    pub source: io::Error,
}

impl DmError {
    fn new(action: &'static str, name: impl Into<String>, source: io::Error) -> DmError {
        DmError { action, name: name.into(), source }
    }

    /// There is no such device.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.source.raw_os_error() == Some(libc::ENXIO)
    }

    /// It is there already.
    #[must_use]
    pub fn is_there(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::EEXIST | libc::EBUSY))
    }
}

/// Where to look for what mends it.
fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EINVAL) => " (the kernel's log says which part of the table it refused)",
        Some(libc::EPERM | libc::EACCES | libc::EROFS) => {
            " (a service needs `DeviceAllow=/dev/mapper/control rw` and no `PrivateDevices=`: the shipped unit has both right)"
        }
        _ => "",
    }
}

type Result<T> = std::result::Result<T, DmError>;

/// The open control node.
#[derive(Debug)]
pub struct Dm {
    control: File,
}

impl Dm {
    /// Opens the control node, and makes it where nobody else did; loads the module if the kernel has not.
    ///
    /// # Errors
    /// Without device-mapper, or without the right to use it.
    pub fn open() -> Result<Dm> {
        let open = || OpenOptions::new().read(true).write(true).open(CONTROL);
        let control = open().or_else(|_missing| {
            super::modules::load("dm_mod");
            make_control()?;
            open()
        });
        let control = control.map_err(|e| DmError::new("open", CONTROL, e))?;
        let dm = Dm { control };
        dm.run("ask the version of", CONTROL, Request::new(Command::Version))?;
        Ok(dm)
    }

    /// The control node if the kernel has device-mapper already; loads nothing.
    #[must_use]
    pub fn open_if_there() -> Option<Dm> {
        let control = OpenOptions::new().read(true).write(true).open(CONTROL).ok()?;
        let dm = Dm { control };
        dm.run("ask the version of", CONTROL, Request::new(Command::Version)).is_ok().then_some(dm)
    }

    /// All devices there are, ours or not.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn list(&self) -> Result<Vec<(String, DeviceNumber)>> {
        self.run("list the devices of", CONTROL, Request::new(Command::List)).map(|answer| answer.names())
    }

    /// The kinds of targets the kernel has now; more may be loaded when a table asks for them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn targets(&self) -> Result<Vec<String>> {
        self.run("list the targets of", CONTROL, Request::new(Command::ListVersions))
            .map(|answer| answer.versions())
    }

    /// Makes a device without a table, with the uuid that says it is ours.
    ///
    /// # Errors
    /// When the kernel refuses, as it does when there is one of this name.
    pub fn create(&self, name: &str) -> Result<DeviceNumber> {
        let request =
            Request::named(Command::Create, name).and_then(|request| request.with_uuid(&uuid(name)));
        let request = request.map_err(|e| DmError::new("create", name, e))?;
        self.run("create", name, request).map(|answer| answer.number())
    }

    /// Loads a table beside the one in use; [`Dm::resume`] puts it in its place.
    ///
    /// # Errors
    /// When a target is unknown or refuses its parameters.
    pub fn load(&self, name: &str, table: &[Target]) -> Result<()> {
        let action = "load a table into";
        let request = Request::named(Command::Load, name).and_then(|request| request.with_table(table));
        let request = request.map_err(|e| DmError::new(action, name, e))?;
        // The parameters may hold a key.
        self.run(action, name, request.flag(Flags::SECURE_DATA)).map(drop)
    }

    /// Forgets a table that was loaded and not put in place.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn clear(&self, name: &str) -> Result<()> {
        self.plain("clear the loaded table of", name, Command::Clear, Flags::NONE)
    }

    /// Puts the loaded table in place and lets requests through. What is under way ends under the old table; in between
    /// nothing of this process is needed, so memory may be swapped to this very device.
    ///
    /// # Errors
    /// When the new table's targets refuse to begin.
    pub fn resume(&self, name: &str) -> Result<()> {
        self.plain("resume", name, Command::Suspend, Flags::SKIP_LOCKFS)
    }

    /// Removes a device that nobody uses.
    ///
    /// # Errors
    /// When it is in use, also after waiting a second.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.plain("remove", name, Command::Remove, Flags::NONE) {
                Err(error) if error.is_there() && tries < BUSY_TRIES => tries += 1,
                outcome => return outcome,
            }
            std::thread::sleep(BUSY_PAUSE);
        }
    }

    /// Sends `text` to the device's first target.
    ///
    /// # Errors
    /// When the target refuses it.
    pub fn message(&self, name: &str, text: &str) -> Result<()> {
        let action = "send a message to";
        let request = Request::named(Command::Message, name).and_then(|request| request.with_message(text));
        self.run(action, name, request.map_err(|e| DmError::new(action, name, e))?).map(drop)
    }

    /// Its uuid, and the table in use; that is empty if none was ever put in place.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn table(&self, name: &str) -> Result<(String, Vec<Target>)> {
        let answer = self.ask("read the table of", name, Flags::STATUS_TABLE | Flags::SECURE_DATA)?;
        Ok((answer.uuid(), answer.table()))
    }

    /// What each target says about itself; it is not asked to write out anything first.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn status(&self, name: &str) -> Result<Vec<Target>> {
        self.ask("read the status of", name, Flags::NO_FLUSH).map(|answer| answer.table())
    }

    fn ask(&self, action: &'static str, name: &str, flags: Flags) -> Result<Request> {
        let request = Request::named(Command::Status, name).map_err(|e| DmError::new(action, name, e))?;
        self.run(action, name, request.flag(flags))
    }

    fn plain(&self, action: &'static str, name: &str, command: Command, flags: Flags) -> Result<()> {
        let request = Request::named(command, name).map_err(|e| DmError::new(action, name, e))?;
        self.run(action, name, request.flag(flags)).map(drop)
    }

    /// Sends a request, with more room as long as the answer does not fit.
    fn run(&self, action: &'static str, name: &str, mut request: Request) -> Result<Request> {
        loop {
            let mut answer = request.clone();
            // SAFETY: the kernel reads and writes at most `data_size` bytes, which is the buffer's size.
            let outcome = unsafe {
                libc::ioctl(self.control.as_raw_fd(), answer.code() as libc::Ioctl, answer.as_mut_ptr())
            };
            if outcome != 0 {
                return Err(DmError::new(action, name, io::Error::last_os_error()));
            }
            if !answer.is_cut_off() {
                return Ok(answer);
            }
            request.grow();
        }
    }
}

/// The uuid that a device of ours has: anybody may give a device one of our names.
#[must_use]
pub fn uuid(name: &str) -> String {
    format!("SWAPTIER-{name}")
}

/// The node of a device.
#[must_use]
pub fn node(number: DeviceNumber) -> PathBuf {
    Path::new("/dev").join(format!("dm-{}", number.minor))
}

fn make_control() -> io::Result<()> {
    if Path::new(CONTROL).exists() {
        return Ok(());
    }
    fs::create_dir_all("/dev/mapper")?;
    let (major, minor) = CONTROL_NUMBER;
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o600));
    let made = rustix::fs::mknodat(rustix::fs::CWD, CONTROL, kind, mode, rustix::fs::makedev(major, minor));
    made.map_err(io::Error::from)
}
