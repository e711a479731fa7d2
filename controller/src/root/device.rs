//! Block devices and files by what they are: a device by its number, a file by its inode. A path is one of many names, and
//! may mean something else, or nothing, in another mount namespace.
//!
//! A device whose node cannot be reached is found by its name in sysfs. Callers: `sense/swaps.rs`, `vswap/`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use rustix::fs::FileType;

use super::Root;

/// Every block device by the kernel's name for it; `/` in a name is `!`.
const BY_NAME: &str = "sys/class/block";
/// Every block device by its number.
const BY_NUMBER: &str = "sys/dev/block";
/// What the kernel puts behind a name that was removed.
const DELETED: &[u8] = b" (deleted)";

/// Major and minor number of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's.
    pub major: u32,
    /// The device's.
    pub minor: u32,
}

impl DeviceNumber {
    fn of(raw: u64) -> DeviceNumber {
        DeviceNumber { major: rustix::fs::major(raw), minor: rustix::fs::minor(raw) }
    }

    /// `253:4`, as the kernel prints it.
    #[must_use]
    pub fn parse(text: &str) -> Option<DeviceNumber> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl std::fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// What tells a device or a file from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A block device.
    Device(DeviceNumber),
    /// A file.
    File {
        /// Of its file system.
        device: DeviceNumber,
        /// Its number there.
        inode: u64,
    },
}

impl Identity {
    /// The device itself, or that of the file's file system.
    #[must_use]
    pub fn device(self) -> DeviceNumber {
        match self {
            Identity::Device(device) | Identity::File { device, .. } => device,
        }
    }
}

impl Root {
    /// What is at `path` now, and its bytes if it is a file; links are followed. `None`: nothing, or neither a block device
    /// nor a file.
    #[must_use]
    pub fn identity(&self, path: &Path) -> Option<(Identity, u64)> {
        let stat = rustix::fs::stat(self.host_path(path)).ok()?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice => Some((Identity::Device(DeviceNumber::of(stat.st_rdev)), 0)),
            FileType::RegularFile => {
                let device = DeviceNumber::of(stat.st_dev);
                Some((
                    Identity::File { device, inode: stat.st_ino },
                    u64::try_from(stat.st_size).unwrap_or_default(),
                ))
            }
            _ => None,
        }
    }

    /// The block device that is, or was, called `path`: by its node, else by the name of it in sysfs, else by the name that
    /// device-mapper has for it. In a mount namespace that is gone `/dev/dm-3` is called `/dm-3`.
    #[must_use]
    pub fn device_called(&self, path: &Path) -> Option<DeviceNumber> {
        if let Some((Identity::Device(number), _)) = self.identity(path) {
            return Some(number);
        }
        let bytes = path.as_os_str().as_bytes();
        let path = Path::new(std::ffi::OsStr::from_bytes(bytes.strip_suffix(DELETED).unwrap_or(bytes)));
        let parts: Option<Vec<&str>> = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_str())
            .collect();
        let parts = parts?;
        let last = *parts.last()?;
        let by_name = |from: usize| self.number_in(&format!("{BY_NAME}/{}/dev", parts[from..].join("!")));
        (0..parts.len()).rev().find_map(by_name).or_else(|| self.mapped(last))
    }

    /// The kernel's name for a device, by which its node is called in `/dev`; `None`: none of this number is in sysfs.
    #[must_use]
    pub fn device_name(&self, number: DeviceNumber) -> Option<String> {
        let text = self.read(&format!("{}/uevent", device_dir(number))).ok()?;
        text.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(str::to_owned)
    }

    /// The name that device-mapper has for a device; `None`: it is none of device-mapper's.
    #[must_use]
    pub fn mapped_name(&self, number: DeviceNumber) -> Option<String> {
        self.read_value(&format!("{}/dm/name", device_dir(number))).ok()
    }

    /// The identifier that whoever made a device of device-mapper gave it; empty: none.
    #[must_use]
    pub fn mapped_uuid(&self, number: DeviceNumber) -> String {
        self.read_value(&format!("{}/dm/uuid", device_dir(number))).unwrap_or_default()
    }

    /// All devices of device-mapper, by its own names for them, as sysfs has them.
    #[must_use]
    pub fn mapped_devices(&self) -> Vec<(String, DeviceNumber)> {
        let names = self.list(BY_NAME).unwrap_or_default().into_iter().filter(|name| name.starts_with("dm-"));
        let named = |name: String| {
            let number = self.number_in(&format!("{BY_NAME}/{name}/dev"))?;
            Some((self.mapped_name(number)?, number))
        };
        names.filter_map(named).collect()
    }

    fn mapped(&self, name: &str) -> Option<DeviceNumber> {
        self.mapped_devices().into_iter().find(|(mapped, _)| mapped == name).map(|(_, number)| number)
    }

    fn number_in(&self, file: &str) -> Option<DeviceNumber> {
        DeviceNumber::parse(&self.read_value(file).ok()?)
    }
}

/// The folder of a device in sysfs.
#[must_use]
pub fn device_dir(number: DeviceNumber) -> String {
    format!("{BY_NUMBER}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_device_is_known_by_whatever_is_left_of_its_name() {
        let fake = FakeRoot::empty();
        fake.block("dm-3", "253:3");
        fake.block("cciss!c0d0", "104:0");
        fake.write("sys/devices/virtual/block/dm-3/dm/name", "swaptier-main-0\n");
        let number = |path: &str| fake.root().device_called(Path::new(path)).map(|it| it.to_string());
        for path in ["/dev/dm-3", "/dm-3", "/dm-3 (deleted)", "/dev/mapper/swaptier-main-0"] {
            assert_eq!(number(path).as_deref(), Some("253:3"), "{path}");
        }
        assert_eq!(number("/dev/cciss/c0d0").as_deref(), Some("104:0"));
        for path in ["/dev/dm-33", "/dev/c0d0", "/", "", "/dev/mapper/other"] {
            assert_eq!(number(path), None, "{path}");
        }
        let dm = DeviceNumber { major: 253, minor: 3 };
        assert_eq!(fake.root().device_name(dm).as_deref(), Some("dm-3"));
        assert_eq!(fake.root().mapped_devices(), [("swaptier-main-0".to_owned(), dm)]);
    }

    #[test]
    fn a_file_is_the_same_by_every_name() {
        let fake = FakeRoot::empty();
        fake.write("swap/file", "1234");
        std::os::unix::fs::symlink(fake.path("swap"), fake.path("link")).unwrap();
        let at = |path: &str| fake.root().identity(Path::new(path));
        assert_eq!(at("/swap/file"), at("/link/file"));
        assert_eq!(at("/swap/file").map(|(_, bytes)| bytes), Some(4));
        assert_eq!((at("/swap"), at("/gone")), (None, None));
    }
}
