//! From what the kernel has to what is intended: the steps between, in an order in which a crash after any of them leaves
//! every page readable and the next plan leads to the same end. Pure: the same two lists, the same steps.
//!
//! Making goes from the disks upwards, removing from the swap areas downwards. What of ours is on nobody's list is removed.
//! Carrying out is `executor/`'s.
//!
//! Properties
//! - A plan for what was carried out is empty.
//! - No step writes to a device that is, or stands under, a swap area in use; a table under one is exchanged for another
//!   with the same content only.
//! - `SwapOff` comes before any removal of what is under it, and only for areas that are not wanted on.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use swaptier_policies::Bytes;

use super::area::{AreaKind, AreaName, PREFIX};
use super::found::{Device, Found, Swap};
use super::identity::FileId;
use super::intended::{AreaRecord, Disk, Intended, Part, Want};
use super::table::{self, Wanted};
use crate::root::Identity;
use zram::ZramStep;

pub mod zram;

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a file of so many bytes for the area, all of them on disk, and notes which it is.
    MakeFile(AreaName, PathBuf, Bytes),
    /// Wipes what a disk or a file holds, which a command gave away, and puts a label of ours there.
    Wipe(AreaName, PathBuf),
    /// Attaches a loop device to a file.
    Attach(PathBuf),
    /// Writes the pool's label to a disk that is blank, a swap area that is off, or ours.
    Label(AreaName, PathBuf),
    /// Makes the metadata of a pool that does not run empty.
    Clear(String),
    /// Makes a device, if there is none of the name, and puts this table in place.
    Load(Wanted),
    /// Makes a volume in a pool.
    Volume(String, u32),
    /// Says that a device turns no disk, so that the kernel gives back freed clusters at once.
    NonRotational(String),
    /// Writes the header of a swap area onto a device or a file that is off.
    Header(AreaName, Place, Bytes),
    /// Makes a ghost's file: a header that claims so many bytes, and nothing else.
    GhostFile(AreaName, PathBuf, Bytes),
    /// Something about the zram devices of an area.
    Zram(AreaName, ZramStep),
    /// Switches a swap area on.
    On {
        /// Where it is.
        place: Place,
        /// *Original* bytes of its slots: each takes memory of the kernel as long as it is on.
        slots: Bytes,
        /// Higher is used first. `None`: the kernel chooses.
        priority: Option<u16>,
        /// Freed clusters are discarded.
        discard: bool,
    },
    /// Switches a swap area off: all in it comes back into memory.
    Off(PathBuf),
    /// Gives the blocks of a device that is off back to its pool.
    Discard(PathBuf),
    /// Removes a device that nothing uses any more.
    Remove(String),
    /// Removes the file that was made for the area: the one that was noted, or without a note the one that names the area.
    RemoveFile(AreaName, PathBuf, Option<FileId>),
    /// Puts the new disk of a finished move in the place of the old one, on the list.
    Moved(AreaName),
    /// Takes the area off the list.
    Forget(AreaName),
}

/// Where a swap area is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a device-mapper device of this name.
    Device(String),
    /// On a disk, or in a file.
    Path(PathBuf),
    /// On the zram device that is known by this name.
    Zram(String),
}

impl Step {
    /// Whether it may take minutes and all of memory: it is not for an agent's tick.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self, Step::Off(_) | Step::MakeFile(..))
    }
}

/// What is to be done so that the host has the intended areas and no other of ours. `ghosts` is the folder of header-only
/// files.
#[must_use]
pub fn plan(intended: &Intended, found: &Found) -> Vec<Step> {
    let mut steps = strays(intended, found);
    for area in &intended.areas {
        match area.want {
            Want::On => build(area, found, &mut steps),
            Want::Off => empty(area, found, &mut steps),
            Want::Gone => remove(area, found, &mut steps),
        }
    }
    steps
}

/// The steps for this area alone.
#[must_use]
pub fn plan_area(area: &AreaRecord, found: &Found) -> Vec<Step> {
    let alone = Intended { version: super::intended::VERSION, boot: None, areas: vec![area.clone()] };
    let mut found = found.clone();
    let prefix = area.spec.name.device("");
    found.devices.retain(|name, _| name.starts_with(&prefix));
    plan(&alone, &found)
}

/// Where a part is used as swap.
#[must_use]
pub fn place(area: &AreaRecord, part: &Part) -> Option<Place> {
    match area.spec.kind {
        _ if area.is_over_zram() => Some(Place::Zram(area.device(part))),
        AreaKind::Ghost if area.native.is_some() => Some(Place::Path(area.ghost_file(part))),
        AreaKind::Plain if !area.spec.encrypt => Some(Place::Path(area.disks.first()?.path.clone())),
        AreaKind::Ghost | AreaKind::Virtual | AreaKind::Plain => Some(Place::Device(area.device(part))),
        AreaKind::Zram => None,
    }
}

/// The node of a zram device.
#[must_use]
pub fn zram_node(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/zram{number}"))
}

/// What is at a place; `None`: nothing, or it cannot be told.
#[must_use]
pub fn identity(place: &Place, found: &Found) -> Option<Identity> {
    match place {
        Place::Device(name) => found.devices.get(name).map(|device| Identity::Device(device.number)),
        Place::Path(path) => found.places.get(path).copied(),
        Place::Zram(name) => found.zram_named(name).map(|(_, zram)| Identity::Device(zram.device)),
    }
}

/// The swap area at a place that is in use as swap.
#[must_use]
pub fn in_use<'f>(place: &Place, found: &'f Found) -> Option<&'f Swap> {
    found.swaps.get(&identity(place, found)?)
}

fn build(area: &AreaRecord, found: &Found, steps: &mut Vec<Step>) {
    zram::clean(area, |part| !area.has_part(part), found, steps);
    let (below, parts) = table::wanted(area);
    let is_pool = area.spec.kind == AreaKind::Virtual;
    let left = area.transfer.as_ref().filter(|transfer| transfer.is_copied).map(|transfer| transfer.from);
    let disks = area.disks.iter().enumerate().filter(|(index, _)| Some(*index) != left).map(|(_, disk)| disk);
    for disk in disks.chain(area.transfer.iter().map(|transfer| &transfer.to)) {
        prepare(area, disk, found, steps);
    }
    let pool = area.spec.name.device("pool");
    let runs = found.devices.get(&pool).is_some_and(|device| !device.is_bare());
    for device in &below {
        if is_pool && device.name == pool && !runs {
            steps.push(Step::Clear(area.spec.name.device("meta")));
        }
        load(device, found, steps);
    }
    for (index, part) in area.parts.iter().enumerate() {
        let Some(place) = place(area, part) else { continue };
        if in_use(&place, found).is_some() {
            // A table under it may be another, its own never is.
            continue;
        }
        if area.is_over_zram() {
            zram::build(area, part, &place, found, steps);
            continue;
        }
        if let Some(device) = parts.get(index) {
            if is_pool && found.devices.get(&device.name).is_none_or(Device::is_bare) {
                steps.push(Step::Volume(pool.clone(), part.id));
            }
            load(device, found, steps);
            if area.spec.kind != AreaKind::Plain {
                steps.push(Step::NonRotational(device.name.clone()));
            }
        }
        match (&place, area.spec.kind) {
            (Place::Path(path), AreaKind::Ghost) => {
                steps.push(Step::GhostFile(area.spec.name.clone(), path.clone(), part.size));
            }
            // It is in the table.
            (Place::Device(_), AreaKind::Ghost) => {}
            _ => steps.push(Step::Header(area.spec.name.clone(), place.clone(), part.size)),
        }
        steps.push(Step::On { place, slots: part.size, priority: part.priority, discard: is_pool });
    }
    if let Some(transfer) = area.transfer.as_ref().filter(|transfer| transfer.is_copied) {
        let old = area.disks.get(transfer.from).filter(|disk| disk.made.is_some());
        let old = old.filter(|disk| found.files.contains_key(&disk.path));
        let name = &area.spec.name;
        steps.extend(old.map(|disk| Step::RemoveFile(name.clone(), disk.path.clone(), disk.file)));
        steps.push(Step::Moved(area.spec.name.clone()));
    }
}

/// A disk as far as it must be before anything stands on it.
fn prepare(area: &AreaRecord, disk: &Disk, found: &Found, steps: &mut Vec<Step>) {
    let is_swap = found.places.get(&disk.path).is_some_and(|it| found.swaps.contains_key(it));
    let is_used = found.blocks.contains_key(&disk.path) || is_swap;
    if let Some(size) = disk.made.filter(|size| !is_used && !is_made(disk, *size, found)) {
        steps.push(Step::MakeFile(area.spec.name.clone(), disk.path.clone(), size));
    }
    // Of a device whose table cannot be read it is not known; a label is a write.
    let stands_on_it = |device: &Device| {
        let number = found.blocks.get(&disk.path).map(ToString::to_string);
        device.table.is_none()
            || number.is_some_and(|number| {
                device
                    .lines()
                    .iter()
                    .any(|line| line.parameters.split_ascii_whitespace().any(|word| word == number))
            })
    };
    let is_taken = found.devices.values().any(stands_on_it) || is_swap;
    if disk.wipe.is_some() && !is_taken {
        steps.push(Step::Wipe(area.spec.name.clone(), disk.path.clone()));
    }
    let needs_loop = disk.is_file && (area.spec.kind == AreaKind::Virtual || area.spec.encrypt);
    if needs_loop && !found.blocks.contains_key(&disk.path) {
        steps.push(Step::Attach(disk.path.clone()));
    }
    let has_label = area.spec.kind == AreaKind::Virtual || disk.reserved_sectors > 0;
    if has_label && !is_taken {
        steps.push(Step::Label(area.spec.name.clone(), disk.path.clone()));
    }
}

/// Whether the file that was made is there, whole; not another of its name.
fn is_made(disk: &Disk, size: Bytes, found: &Found) -> bool {
    let Some(file) = found.files.get(&disk.path).filter(|file| file.size == size) else { return false };
    file.id.zip(disk.file).is_some_and(|(there, noted)| noted.is(&there))
}

/// Whether a device of this name and uuid is ours: by the uuid that we give. One without any counts while its area is on a
/// list of the version before, which gave none.
pub(super) fn is_ours(name: &str, uuid: &str, intended: &Intended) -> bool {
    let is_of = |area: &&AreaRecord| name.starts_with(&area.spec.name.device(""));
    let is_older = || intended.areas.iter().find(is_of).is_some_and(|area| !area.has_uuids);
    uuid == super::dm::uuid(name) || (uuid.is_empty() && is_older())
}

fn load(device: &Wanted, found: &Found, steps: &mut Vec<Step>) {
    if !device.is_in_use(found) {
        steps.push(Step::Load(device.clone()));
    }
}

fn off(area: &AreaRecord, found: &Found, steps: &mut Vec<Step>) {
    let places = area.parts.iter().rev().filter_map(|part| place(area, part));
    steps.extend(places.filter_map(|place| in_use(&place, found)).map(|swap| Step::Off(swap.path.clone())));
}

/// What stays of an area holds nothing.
fn empty(area: &AreaRecord, found: &Found, steps: &mut Vec<Step>) {
    zram::clean(area, |part| !area.has_part(part), found, steps);
    let from = steps.len();
    off(area, found, steps);
    if area.spec.kind == AreaKind::Virtual {
        let offs = steps[from..].iter();
        let freed: Vec<Step> = offs
            .filter_map(
                |step| if let Step::Off(path) = step { Some(Step::Discard(path.clone())) } else { None },
            )
            .collect();
        steps.extend(freed);
    }
}

fn remove(area: &AreaRecord, found: &Found, steps: &mut Vec<Step>) {
    zram::clean(area, |_| true, found, steps);
    if !area.is_over_zram() {
        off(area, found, steps);
    }
    let mut names: Vec<String> = area.parts.iter().rev().map(|part| area.device(part)).collect();
    names.extend(table::ROLES.iter().rev().map(|role| area.spec.name.device(role)));
    steps.extend(names.into_iter().filter(|name| found.devices.contains_key(name)).map(Step::Remove));
    let ghosts =
        area.parts.iter().filter(|_| area.native.is_some()).map(|part| (area.ghost_file(part), None));
    let made = area.all_disks().filter(|disk| disk.made.is_some());
    let made = made.map(|disk| (disk.path.clone(), disk.file));
    let there = ghosts.chain(made).filter(|(path, _)| found.files.contains_key(path));
    steps.extend(there.map(|(path, file)| Step::RemoveFile(area.spec.name.clone(), path, file)));
    steps.push(Step::Forget(area.spec.name.clone()));
}

/// The steps that remove devices of ours that are on no list, or not part of their area (any more).
#[must_use]
pub fn strays(intended: &Intended, found: &Found) -> Vec<Step> {
    let wanted = intended.areas.iter().flat_map(|area| {
        let (below, parts) = table::wanted(area);
        below.into_iter().chain(parts).map(|device| device.name)
    });
    let wanted: BTreeSet<String> = wanted.collect();
    let mut names: Vec<&String> =
        found.devices.keys().filter(|name| is_ours_by_name(name) && !wanted.contains(*name)).collect();
    // Parts stand on pools, pools on what is below: the reverse of `ROLES`, parts first.
    names.sort_by_key(|name| {
        let role = name.rsplit('-').next().unwrap_or_default();
        std::cmp::Reverse(table::ROLES.iter().position(|known| *known == role).unwrap_or(usize::MAX))
    });
    let mut steps: Vec<Step> = names
        .iter()
        .filter_map(|name| found.swap_on(name))
        .map(|swap| Step::Off(swap.path.clone()))
        .collect();
    steps.extend(names.into_iter().cloned().map(Step::Remove));
    steps
}

/// Whether the name is one that we give, and not only begins like one.
fn is_ours_by_name(name: &str) -> bool {
    let Some((area, role)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    let is_part = !role.is_empty() && role.bytes().all(|b| b.is_ascii_digit());
    (is_part || table::ROLES.contains(&role)) && area.parse::<AreaName>().is_ok()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Device(name) => f.write_str(name),
            Place::Path(path) => path.display().fmt(f),
            Place::Zram(name) => write!(f, "the zram device of {name}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::MakeFile(_, path, size) => write!(f, "make the file {} of {size}", path.display()),
            Step::Wipe(_, path) => write!(f, "wipe what {} holds", path.display()),
            Step::Attach(path) => write!(f, "attach a loop device to {}", path.display()),
            Step::Label(area, path) => write!(f, "label {} as a disk of {area}", path.display()),
            Step::Clear(name) => write!(f, "clear the pool's metadata on {name}"),
            Step::Load(wanted) => write!(f, "load {wanted}"),
            Step::Volume(pool, id) => write!(f, "make volume {id} in {pool}"),
            Step::NonRotational(name) => write!(f, "mark {name} as not rotational"),
            Step::Header(_, place, size) => write!(f, "write a swap header for {size} to {place}"),
            Step::GhostFile(_, path, size) => {
                write!(f, "make {}: a header for {size} and nothing else", path.display())
            }
            Step::Zram(area, step) => step.show(area, f),
            Step::On { place, priority, discard, .. } => {
                write!(f, "swap on {place}")?;
                priority.map_or(Ok(()), |priority| write!(f, ", priority {priority}"))?;
                if *discard { f.write_str(", discarding freed clusters") } else { Ok(()) }
            }
            Step::Off(path) => write!(f, "swap off {}", path.display()),
            Step::Discard(path) => write!(f, "give back the blocks of {}", path.display()),
            Step::Remove(name) => write!(f, "remove {name}"),
            Step::RemoveFile(_, path, _) => write!(f, "remove the file {}", path.display()),
            Step::Moved(area) => write!(f, "note that {area} is moved"),
            Step::Forget(area) => write!(f, "forget {area}"),
        }
    }
}

#[cfg(test)]
mod tests;
