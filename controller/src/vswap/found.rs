//! What the kernel has of our areas: device-mapper and zram devices, swap areas in use, loop devices, put together by
//! what they are, a device number or an inode: a path is one of many. Pure; reading it is `look.rs`'s.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use swaptier_policies::Bytes;

use super::identity::FileId;
use super::intended::AreaRecord;
use super::pool::PoolStatus;
pub use crate::root::DeviceNumber;
use crate::root::Identity;

/// All that is ours on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Device-mapper devices of our name.
    pub devices: BTreeMap<String, Device>,
    /// Swap areas in use. One of which it is not known what it is, is none of ours: a step on it is refused by the kernel.
    pub swaps: BTreeMap<Identity, Swap>,
    /// The block devices under the intended areas: disks by their own path, loop devices by the file behind them.
    pub blocks: BTreeMap<PathBuf, DeviceNumber>,
    /// Files at the places of ours.
    pub files: BTreeMap<PathBuf, FileFound>,
    /// What is at the paths of the intended areas: their disks, and the files of ghosts.
    pub places: BTreeMap<PathBuf, Identity>,
    /// Device-mapper devices that are named like ours and are not.
    pub others: BTreeSet<String>,
    /// All zram devices, whoever's, by their number.
    pub zrams: BTreeMap<u32, Zram>,
}

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFound {
    /// Its bytes.
    pub size: Bytes,
    /// Which one it is. `None`: that cannot be told.
    pub id: Option<FileId>,
}

impl Found {
    /// The zram device that is the part of this name, and its number.
    #[must_use]
    pub fn zram_named(&self, name: &str) -> Option<(u32, &Zram)> {
        let named = |zram: &Zram| zram.part.as_deref() == Some(name);
        self.zrams.iter().find(|(_, zram)| named(zram)).map(|(number, zram)| (*number, zram))
    }

    /// The swap area on the device-mapper device of this name.
    #[must_use]
    pub fn swap_on(&self, name: &str) -> Option<&Swap> {
        self.swaps.get(&Identity::Device(self.devices.get(name)?.number))
    }

    /// *Original* bytes in the swap area that is reached by this path.
    #[must_use]
    pub fn used_at(&self, path: &Path) -> Option<Bytes> {
        self.swaps.values().find(|swap| swap.path == path).map(|swap| swap.usage.used)
    }
}

/// A zram device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zram {
    /// Its number among all block devices.
    pub device: DeviceNumber,
    /// The sequence number of its disk: no other disk of this boot has it.
    pub sequence: u64,
    /// Its size. 0: it is not set up.
    pub size: Bytes,
    /// What is in it.
    pub holds: Holds,
    /// The part of ours that it is.
    pub part: Option<String>,
}

/// What is in a zram device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Nothing was ever written to it.
    Nothing,
    /// A swap header with this label.
    Header(String),
    /// Something else.
    Something,
    /// It cannot be read from here. Whether it is ours is then told by its number, its disk and its size alone.
    Hidden,
}

/// A device-mapper device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub number: DeviceNumber,
    /// The table in use: empty when none was ever loaded. `None`: it cannot be read from here, and is taken as it is.
    pub table: Option<Vec<Target>>,
}

impl Device {
    /// Whether it is known that it has no table.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.table.as_ref().is_some_and(Vec::is_empty)
    }

    /// The lines of its table that are known.
    #[must_use]
    pub fn lines(&self) -> &[Target] {
        self.table.as_deref().unwrap_or_default()
    }
}

/// One line of a device's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its first sector.
    pub start: u64,
    /// Its sectors.
    pub sectors: u64,
    /// The kernel's name of it: `linear`, `error`, `thin`.
    pub kind: String,
    /// Its parameters, as the kernel prints them.
    pub parameters: String,
}

/// A swap area in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// By which it can be reached: not always what `/proc/swaps` calls it.
    pub path: PathBuf,
    /// How it is used.
    pub usage: SwapUse,
}

/// How a swap area is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SwapUse {
    /// *Original* bytes of slots, without the header page.
    pub size: Bytes,
    /// *Original* bytes of slots in use, wherever the pages are.
    pub used: Bytes,
    /// Higher is used first.
    pub priority: i32,
}

/// An area as it is: what was noted, and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Area {
    /// What was noted.
    pub record: AreaRecord,
    /// Its parts, in their order.
    pub parts: Vec<PartFound>,
    /// Its pool, if it has one that answers.
    pub pool: Option<PoolStatus>,
}

/// A part of an area as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartFound {
    /// Its number.
    pub id: u32,
    /// The path of its device or file. `None`: there is none.
    pub path: Option<PathBuf>,
    /// What it is.
    #[serde(skip)]
    pub identity: Option<Identity>,
    /// Its use as swap. `None`: it is off.
    pub swap: Option<SwapUse>,
}
