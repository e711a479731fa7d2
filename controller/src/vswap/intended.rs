//! The areas this host shall have: the list that is on disk before anything of it is made. Its lines are here, and what
//! follows from them; reading and writing the file is `store.rs`'s, what is to be done about it `reconcile/`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, PathBuf};

use serde::{Deserialize, Serialize};
use swaptier_policies::Bytes;

use super::area::{AreaKind, AreaName, AreaSpec};
use super::identity::FileId;

/// Slots of a part: a header counts them in 32 bits, and fewer pages than this are no swap area.
const LEAST_PART: Bytes = Bytes(64 << 10);
const MOST_PART: Bytes = Bytes(1 << 48);
/// The kernel has 32 swap areas at most.
const MOST_PARTS: usize = 32;
/// Sectors of a disk: an exbibyte.
const MOST_SECTORS: u64 = 1 << 51;

/// The version of the list written here.
pub const VERSION: u32 = 1;

/// All areas of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intended {
    /// [`VERSION`].
    pub version: u32,
    /// The boot in which they were made: the kernel forgets its devices with each.
    pub boot: Option<String>,
    /// The areas, in the order they were asked for.
    pub areas: Vec<AreaRecord>,
}

impl Intended {
    /// No area, in this boot.
    #[must_use]
    pub fn none(boot: Option<String>) -> Intended {
        Intended { version: VERSION, boot, areas: Vec::new() }
    }

    /// The area of this name.
    #[must_use]
    pub fn area(&self, name: &AreaName) -> Option<&AreaRecord> {
        self.areas.iter().find(|area| area.spec.name == *name)
    }

    /// The same, to be changed.
    pub fn area_mut(&mut self, name: &AreaName) -> Option<&mut AreaRecord> {
        self.areas.iter_mut().find(|area| area.spec.name == *name)
    }
}

impl AreaRecord {
    /// Whether this can be an area that was noted here: a damaged list must not become steps.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<(), String> {
        let name = &self.spec.name;
        for (index, part) in self.parts.iter().enumerate() {
            if !(LEAST_PART..=MOST_PART).contains(&part.size) {
                return Err(format!("part {} of {name} has {} of slots", part.id, part.size));
            }
            if self.parts[..index].iter().any(|other| other.id == part.id) {
                return Err(format!("{name} has two parts {}", part.id));
            }
        }
        if self.parts.len() > MOST_PARTS {
            return Err(format!("{name} has {} parts", self.parts.len()));
        }
        let folders = self.native.iter();
        if let Some(path) = self.all_disks().map(|disk| &disk.path).chain(folders).find(|path| {
            let is_step_up = |part: Component<'_>| part == Component::ParentDir;
            !path.is_absolute() || path.components().any(is_step_up)
        }) {
            return Err(format!("{name} stands on `{}`, which is no whole path", path.display()));
        }
        let sectors = |disk: &Disk| {
            Some(disk.metadata_sectors.max(disk.data_sectors).max(disk.reserved_sectors))
                .filter(|n| *n < MOST_SECTORS)
        };
        if self.all_disks().any(|disk| sectors(disk).is_none()) {
            return Err(format!("{name} stands on more sectors than there can be"));
        }
        match &self.transfer {
            Some(transfer) if transfer.from >= self.disks.len() => {
                Err(format!("{name} moves from disk {}, and has {}", transfer.from, self.disks.len()))
            }
            _ => Ok(()),
        }
    }
}

/// Who asked for an area, and may take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Somebody at the command line: it lasts until it is removed, or until the next boot.
    Command,
    /// An `[[area]]` of `swaptier.toml`.
    Config,
}

/// What an area shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// There, and in use as swap.
    On,
    /// There, and empty: swapped off, its devices kept.
    Off,
    /// Not there.
    Gone,
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Want::On => "on",
            Want::Off => "off",
            Want::Gone => "gone",
        })
    }
}

/// An area as it was noted before it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaRecord {
    /// What was asked for.
    pub spec: AreaSpec,
    /// By whom.
    pub owner: Owner,
    /// What it shall be now.
    pub want: Want,
    /// The swap areas of the kernel it consists of: slots are added by adding one.
    pub parts: Vec<Part>,
    /// Where blocks lie, in the order of the pool's addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Of a ghost whose parts are files with nothing but a header, which this kernel takes: their folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<PathBuf>,
    /// Of a ghost that stands on zram: its devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zram: Option<OverZram>,
    /// A disk whose blocks are being moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Its device-mapper devices have uuids of ours. `false`: a swaptier made it that gave them none.
    #[serde(default)]
    pub has_uuids: bool,
}

impl AreaRecord {
    /// The name of a part's device.
    #[must_use]
    pub fn device(&self, part: &Part) -> String {
        self.spec.name.device(part.id)
    }

    /// The file of a part of a ghost that needs no device. Empty where there is none.
    #[must_use]
    pub fn ghost_file(&self, part: &Part) -> PathBuf {
        self.native.as_ref().map(|dir| dir.join(self.device(part))).unwrap_or_default()
    }

    /// Whether its parts are zram devices.
    #[must_use]
    pub fn is_over_zram(&self) -> bool {
        self.spec.kind == AreaKind::Zram || self.zram.is_some()
    }

    /// Whether it has the part of this number.
    #[must_use]
    pub fn has_part(&self, id: u32) -> bool {
        self.parts.iter().any(|part| part.id == id)
    }

    /// The same, to be changed.
    pub fn all_disks_mut(&mut self) -> impl Iterator<Item = &mut Disk> {
        self.disks.iter_mut().chain(self.transfer.iter_mut().map(|transfer| &mut transfer.to))
    }

    /// The disks that are or will be in use, those of a move in progress too.
    pub fn all_disks(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().chain(self.transfer.iter().map(|transfer| &transfer.to))
    }
}

/// One swap area of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its number within the area, part of its device's name, and of a virtual area its volume's number in the pool.
    pub id: u32,
    /// *Original* bytes of its slots, header page included.
    pub size: Bytes,
    /// Its priority. `None`: the kernel chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
}

/// The zram devices of an area: the kernel has no names for them, so that what is noted here is all that tells them from
/// others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverZram {
    /// The device of each part, by the part's number.
    #[serde(default)]
    pub devices: BTreeMap<u32, ZramNote>,
    /// A device is about to be added: the sequence numbers of the zram disks that were there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adding: Option<BTreeSet<u64>>,
}

/// A zram device of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZramNote {
    /// Its number, which another may have after it.
    pub number: u32,
    /// The sequence number of its disk, which no other has in this boot.
    pub sequence: u64,
    /// The size it gets.
    pub size: Bytes,
}

/// A disk of a pool: our label, then metadata, then data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The block device, or the file.
    pub path: PathBuf,
    /// It is a file, reached through a loop device.
    pub is_file: bool,
    /// The file was made by us, of so many bytes, and goes with the area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Bytes>,
    /// Which file that is. `None`: it is not made yet, or by a swaptier that did not note it; then the label in it says whose
    /// it is, and one without a label is somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileId>,
    /// It holds something that may be lost, as a command said (`--wipe`), and that was not wiped yet: the number that tells the
    /// disk or the file of which it was said from another of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wipe: Option<u64>,
    /// Of an encrypted plain area: sectors before its data, for our label. 0: a swaptier made it that wrote none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved_sectors: u64,
    /// Sectors (512 bytes) of the pool's metadata on it.
    pub metadata_sectors: u64,
    /// Sectors of the pool's data on it.
    pub data_sectors: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(sectors: &u64) -> bool {
    *sectors == 0
}

/// A move of the blocks of one disk to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Which of the area's disks is left.
    pub from: usize,
    /// What takes its place, with as many sectors.
    pub to: Disk,
    /// Everything is on both: the new one is used alone from now on.
    #[serde(default)]
    pub is_copied: bool,
}
