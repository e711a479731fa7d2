//! What the kernel has of our areas: device-mapper and zram devices, swap areas in use, loop devices, put together by name. Pure;
//! reading it is `look.rs`'s.

use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use swaptier_policies::Bytes;

use super::intended::AreaRecord;
use super::pool::PoolStatus;

/// All that is ours on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Device-mapper devices of our name.
    pub devices: BTreeMap<String, Device>,
    /// Swap areas in use, by the path that was switched on.
    pub swaps: BTreeMap<PathBuf, SwapUse>,
    /// The block devices under the intended areas: disks by their own path, loop devices by the file behind them.
    pub blocks: BTreeMap<PathBuf, DeviceNumber>,
    /// Files of ours that are there, with their bytes.
    pub files: BTreeMap<PathBuf, Bytes>,
    /// All zram devices, whoever's, by their number.
    pub zrams: BTreeMap<u32, Zram>,
}

/// Major and minor number of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's.
    pub major: u32,
    /// The device's.
    pub minor: u32,
}

impl std::fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
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
    pub fn swap_on(&self, name: &str) -> Option<(PathBuf, SwapUse)> {
        let path = super::dm::node(self.devices.get(name)?.number);
        let swap = *self.swaps.get(&path)?;
        Some((path, swap))
    }
}

/// A zram device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zram {
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
}

/// A device-mapper device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub number: DeviceNumber,
    /// The table in use: empty when none was ever loaded.
    pub table: Vec<Target>,
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
    /// The path of its device or file, as in `/proc/swaps`. `None`: there is none.
    pub path: Option<PathBuf>,
    /// Its use as swap. `None`: it is off.
    pub swap: Option<SwapUse>,
}
