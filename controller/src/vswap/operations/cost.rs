//! What an empty slot costs the kernel on this host: a ghost of many slots is switched on and off beside one of few, and
//! free memory is looked at. No version says it, and no counter: the kernel takes it from several places.
//!
//! Also here: taking one part off an area, which is what dear slots make necessary, and what the same probe does to slots that
//! processors keep. Caller: the agent.

use std::path::Path;

use swaptier_policies::{Bytes, growth::SlotCost};

use super::Operations;
use crate::root::Root;
use crate::sense::procfs;
use crate::vswap::area::{AreaKind, AreaName, AreaSpec, NameError};
use crate::vswap::error::{AreaError, Result};
use crate::vswap::intended::Owner;
use crate::vswap::reconcile::Step;

/// How often is measured; the middle one counts. Others take and give back memory meanwhile.
const TIMES: usize = 5;

/// Slots of the larger ghost at most: at 3 bytes a slot 48 MiB, far above what others take meanwhile.
const MOST: u64 = 1 << 24;
/// Slots of the smaller one: what a device and an area cost however small they are, is in both.
const FEW: u64 = 1 << 12;
/// A part of RAM that measuring may take for a moment, at the 4 bytes a slot that no kernel reaches: 1/64.
const PART_OF_RAM: u64 = 64;

/// Measures it, with ghosts of this kind: over zram a slot costs the entry of a table more. Nothing is left of it; a killed measurement is removed by the next who settles.
///
/// # Errors
/// When no ghost can be made, or the kernel says nothing of its free memory.
pub fn measure(root: &Root, dir: &Path, kind: AreaKind) -> Result<SlotCost> {
    measure_with(&mut Operations::open(root, dir, false)?, kind)
}

/// The same with the lock of the areas in hand.
pub(super) fn measure_with(operations: &mut Operations<'_>, kind: AreaKind) -> Result<SlotCost> {
    let ram = procfs::read_meminfo(operations.root)?.total;
    let many = (ram.0 / PART_OF_RAM / 4).clamp(2 * FEW, MOST);
    let mut costs = Vec::new();
    for _ in 0..TIMES {
        let (small, large) = (taken(operations, kind, FEW)?, taken(operations, kind, many)?);
        costs.push(per_mega(large - small, many - FEW));
    }
    Ok(middle(&mut costs))
}

/// Bytes of memory for each 2^20 slots; what is below nothing is noise.
fn per_mega(bytes: i64, slots: u64) -> SlotCost {
    let bytes = u128::from(u64::try_from(bytes).unwrap_or(0));
    let cost = (bytes << 20).checked_div(u128::from(slots)).unwrap_or(0);
    SlotCost(u64::try_from(cost).unwrap_or(u64::MAX))
}

fn middle(costs: &mut [SlotCost]) -> SlotCost {
    costs.sort();
    costs.get(costs.len() / 2).copied().unwrap_or(SlotCost(0))
}

/// Bytes of memory that are free no more while a ghost of so many slots is on.
fn taken(operations: &mut Operations<'_>, kind: AreaKind, slots: u64) -> Result<i64> {
    let before = free(operations.root)?;
    let name = probe(operations, kind, slots)?;
    let after = free(operations.root);
    operations.remove(&name)?;
    Ok(before - after?)
}

/// Has the kernel let go of the slots that its processors keep: it does for all areas when it switches one off.
///
/// # Errors
/// As [`measure`].
pub fn give_back(root: &Root, dir: &Path) -> Result<Vec<Step>> {
    let mut operations = Operations::open(root, dir, false)?;
    let name = probe(&mut operations, AreaKind::Ghost, FEW)?;
    operations.remove(&name)
}

/// A ghost of this kind with so many slots, for a moment.
fn probe(operations: &mut Operations<'_>, kind: AreaKind, slots: u64) -> Result<AreaName> {
    let page = rustix::param::page_size() as u64;
    let name: AreaName = "slotprobe"
        .parse()
        .map_err(|error: NameError| AreaError::Refused(format!("the name of the probe: {error}")))?;
    // No priority: below all others, so that no page lands there while there is another area.
    let spec = AreaSpec { size: Some(Bytes(slots * page)), ..AreaSpec::new(name.clone(), kind) };
    operations.create(&spec, Owner::Command)?;
    Ok(name)
}

/// Free memory in bytes. Not `MemFree`, which leaves out what processors keep for their next allocations: more than a probe
/// takes, once another was freed.
fn free(root: &Root) -> Result<i64> {
    let text = root.read("proc/zoneinfo")?;
    let page = rustix::param::page_size() as i64;
    let pages = parse_free(&text)
        .ok_or_else(|| AreaError::Refused("/proc/zoneinfo has no nr_free_pages".to_owned()))?;
    Ok(pages.saturating_mul(page))
}

/// Pages that are free in all zones, and those in the processors' lists.
fn parse_free(text: &str) -> Option<i64> {
    let number = |line: &str, word: &str| line.trim().strip_prefix(word)?.trim().parse::<i64>().ok();
    let sum = |word: &str| text.lines().filter_map(|line| number(line, word)).collect::<Vec<i64>>();
    let free = sum("nr_free_pages ");
    (!free.is_empty()).then(|| free.iter().chain(&sum("count:")).sum())
}

impl Operations<'_> {
    /// Takes the part `id` off an area: an empty one, or one for whose pages memory has room.
    ///
    /// # Errors
    /// Without such a part; when it is the only one; when a step fails: then the next who settles goes on.
    pub fn drop_part(&mut self, name: &AreaName, id: u32) -> Result<Vec<Step>> {
        let mut area = self.area(name)?.clone();
        let refused = |why: &str| Err(AreaError::Refused(format!("part {id} of {name}: {why}")));
        if area.native.is_some() {
            return refused("files of a ghost are taken off as a whole");
        }
        if !area.parts.iter().any(|part| part.id == id) {
            return refused("there is none");
        }
        if area.parts.len() == 1 {
            return refused("it is the only one");
        }
        area.parts.retain(|part| part.id != id);
        self.note(area.clone())?;
        let plan = self.plan(&area)?;
        if let Some(why) = self.waits_for(&format!("part {id} of {name}"), &plan, Some(&area))? {
            return Err(AreaError::Refused(why));
        }
        self.carry_out(&plan)?;
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_measurements_counts_and_noise_is_nothing() {
        // 3 B × (2^24 − 4,096) slots: 50,319,360 B.
        let dear = per_mega(50_319_360, MOST - FEW);
        assert_eq!((dear, dear.to_string()), (SlotCost(3 << 20), "3.000 B".to_owned()));
        assert_eq!(per_mega(-5_000, MOST), SlotCost(0));
        let mut costs = [SlotCost(0), SlotCost(1 << 40), dear, dear, SlotCost(7)];
        assert_eq!(middle(&mut costs), dear);
    }

    #[test]
    fn free_memory_counts_what_processors_keep() {
        let zones = "Node 0, zone      DMA\n  pages free     3840\n        min      11\n      nr_free_pages 3840\n  pagesets\n    cpu: 0\n              count:    0\n              high:     0\nNode 0, zone    DMA32\n      nr_free_pages 100\n  pagesets\n    cpu: 0\n              count:    63\n              high:     186\n    cpu: 1\n              count:    7\n";
        // 3,840 + 100, and 63 + 7.
        assert_eq!(parse_free(zones), Some(4_010));
        assert_eq!((parse_free("count: 7\n"), parse_free("")), (None, None));
    }
}
