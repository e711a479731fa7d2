//! The part of a plan that is about ghosts over zram. Pure.
//!
//! zram gives its devices no names, only numbers, and a number is used again. So ours are told by what was noted of them: the
//! number, the sequence number of the disk, which no other disk of this boot has, and the size; and by what they hold, which
//! is nothing yet, or a swap header with the name of the area. All that is not so is somebody else's, and left.
//!
//! Between adding a device and noting its number a process may die. Before it adds one it notes the disks that are there. A
//! disk that was not there, and is not set up, is the one; it holds nothing, and is taken back. If there are two, one may be
//! somebody else's, and both are left.

use std::collections::BTreeMap;
use std::fmt;

use swaptier_policies::Bytes;

use super::{Place, Step, in_use};
use crate::vswap::area::AreaName;
use crate::vswap::found::{Found, Holds, Zram};
use crate::vswap::intended::{AreaRecord, Part, ZramNote};

/// One thing to be done about zram devices of an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZramStep {
    /// Notes what is there, adds a device for this part, and notes its number.
    Add(u32),
    /// Gives the device of this part its size: from now on it can be used.
    Size(u32, Bytes),
    /// Has the device of this part refuse whatever would take memory.
    Limit(u32),
    /// Removes the device of this part, and then its note.
    Remove(u32),
    /// Removes the device of this number, if there is one, which was added and not noted; notes that none is being added.
    TakeBack(Option<u32>),
    /// Tells that the device of this number is somebody else's, and forgets it.
    Leave(u32),
}

/// Says of each device which part of ours it is.
pub fn name(areas: &[AreaRecord], zrams: &mut BTreeMap<u32, Zram>) {
    zrams.values_mut().for_each(|zram| zram.part = None);
    for area in areas {
        for (part, note) in area.zram.iter().flat_map(|over| &over.devices) {
            if let Some(zram) = zrams.get_mut(&note.number).filter(|zram| is_ours(area, note, zram)) {
                zram.part = Some(area.spec.name.device(part));
            }
        }
    }
}

fn is_ours(area: &AreaRecord, note: &ZramNote, zram: &Zram) -> bool {
    let has_our_size = zram.size == note.size || zram.size == Bytes(0);
    let holds_nothing_else = match &zram.holds {
        // A disk with our sequence number was ours; who made it anew since cannot be told, and must not be written to.
        Holds::Nothing | Holds::Hidden => true,
        Holds::Header(label) => label == area.spec.name.as_str(),
        Holds::Something => false,
    };
    zram.sequence == note.sequence && has_our_size && holds_nothing_else
}

/// Makes one part that is not in use.
pub(super) fn build(area: &AreaRecord, part: &Part, place: &Place, found: &Found, steps: &mut Vec<Step>) {
    let step = |step| Step::Zram(area.spec.name.clone(), step);
    let device = found.zram_named(&area.device(part)).map(|(_, zram)| zram);
    if device.is_none() {
        steps.extend(left(area, part.id, found));
        steps.push(step(ZramStep::Add(part.id)));
    }
    if device.is_none_or(|zram| zram.size == Bytes(0)) {
        steps.push(step(ZramStep::Size(part.id, part.size)));
    }
    // Under its limit it would not take a second one.
    if device.is_none_or(|zram| zram.holds == Holds::Nothing) {
        steps.push(Step::Header(area.spec.name.clone(), place.clone(), part.size));
    }
    steps.push(step(ZramStep::Limit(part.id)));
    steps.push(Step::On { place: place.clone(), slots: part.size, priority: part.priority, discard: false });
}

/// Removes what is left of a device that was being added, and the devices of parts for which `is_to_go`.
pub(super) fn clean(area: &AreaRecord, is_to_go: impl Fn(u32) -> bool, found: &Found, steps: &mut Vec<Step>) {
    let Some(over) = &area.zram else { return };
    let step = |step| Step::Zram(area.spec.name.clone(), step);
    if let Some(before) = &over.adding {
        let is_it =
            |zram: &Zram| zram.part.is_none() && zram.size == Bytes(0) && !before.contains(&zram.sequence);
        let those: Vec<u32> =
            found.zrams.iter().filter(|(_, zram)| is_it(zram)).map(|(number, _)| *number).collect();
        let one = if let [one] = those[..] { Some(one) } else { None };
        steps.extend(those.into_iter().filter(|_| one.is_none()).map(|number| step(ZramStep::Leave(number))));
        steps.push(step(ZramStep::TakeBack(one)));
    }
    for part in over.devices.keys().copied().filter(|part| is_to_go(*part)) {
        let name = area.spec.name.device(part);
        if found.zram_named(&name).is_some() {
            steps.extend(in_use(&Place::Zram(name), found).map(|swap| Step::Off(swap.path.clone())));
            steps.push(step(ZramStep::Remove(part)));
        } else {
            steps.extend(left(area, part, found));
        }
    }
}

/// The device that was noted for a part and is not ours (any more).
fn left(area: &AreaRecord, part: u32, found: &Found) -> Option<Step> {
    let note = area.zram.as_ref()?.devices.get(&part)?;
    let is_there = found.zrams.get(&note.number).is_some_and(|zram| zram.sequence == note.sequence);
    is_there.then(|| Step::Zram(area.spec.name.clone(), ZramStep::Leave(note.number)))
}

impl ZramStep {
    /// The step as a sentence, for the area of this name.
    pub(super) fn show(&self, area: &AreaName, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZramStep::Add(part) => write!(f, "add a zram device, to be {}", area.device(part)),
            ZramStep::Size(part, size) => write!(f, "set the size of {} to {size}", area.device(part)),
            ZramStep::Limit(part) => {
                write!(f, "limit the memory of {} to less than its header takes", area.device(part))
            }
            ZramStep::Remove(part) => write!(f, "remove the zram device of {}", area.device(part)),
            ZramStep::TakeBack(Some(number)) => write!(f, "remove zram{number}, just added for {area}"),
            ZramStep::TakeBack(None) => write!(f, "note that no zram device is being added for {area}"),
            ZramStep::Leave(number) => write!(f, "leave zram{number}: it is not known to be that of {area}"),
        }
    }
}
