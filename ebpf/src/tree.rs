//! zswap's own trees of entries (mm/zswap.c): an array of them for each swap area, one for each 64 MiB of it. They say what
//! the map would have to guess after a program was skipped, and what was in zswap before there was any.

use aya_ebpf::Global;
use swaptier_common::slot::{entry_offset, entry_type};

use crate::kernel::{
    XA_NODE_SHIFT, XA_NODE_SLOTS, XA_SLOTS, XARRAY_HEAD, XARRAY_SIZE, ZSWAP_ENTRY_SWPENTRY, read,
};

/// Address of the kernel's `zswap_trees`; 0 where it has none, and every look at them is in vain.
#[unsafe(no_mangle)]
static ZSWAP_TREES: Global<u64> = Global::new(0);

/// A tree is for so many slots, as a power of two (`ZSWAP_ADDRESS_SPACE_SHIFT`). Should a kernel have other trees, an entry
/// found in them is of another slot, and is not taken.
const TREE_SHIFT: u32 = 14;
/// Levels of a tree that are looked through: with 64 slots in a node they reach over 2^36 slots.
const LEVELS: u32 = 6;
/// What marks a slot that leads to a node, in its low bits (include/linux/xarray.h).
const NODE: u64 = 2;
/// Marked values up to here are no nodes.
const NO_NODES: u64 = 4096;

/// Where a way down a tree ended.
struct End {
    /// What is there; 0: nothing.
    found: u64,
    /// Below this place are so many slots, as a power of two.
    shift: u32,
}

/// Address of the `struct zswap_entry` of this swap entry; 0 where zswap has none.
#[inline(never)]
pub(crate) fn find(entry: u64) -> u64 {
    seek(entry).map_or(0, |end| of_slot(end.found, entry))
}

/// The same, and how many slots this is true of, from a multiple of their number on: of more than one only where nothing is.
#[inline(always)]
pub(crate) fn find_or_gap(entry: u64) -> (u64, u64) {
    match seek(entry) {
        Some(end) if end.found == 0 && end.shift <= TREE_SHIFT => (0, 1 << end.shift),
        // Nodes of so high a level lead to other trees' slots, too.
        Some(end) if end.found == 0 => (0, 1 << TREE_SHIFT),
        Some(end) => (of_slot(end.found, entry), 1),
        None => (0, 1 << TREE_SHIFT),
    }
}

/// What was found, if it is the entry of this slot.
#[inline(always)]
fn of_slot(found: u64, entry: u64) -> u64 {
    if found != 0 && read(found, ZSWAP_ENTRY_SWPENTRY.load()) == Some(entry) { found } else { 0 }
}

#[inline(always)]
fn seek(entry: u64) -> Option<End> {
    let offset = entry_offset(entry);
    let trees: u64 = read(ZSWAP_TREES.load(), entry_type(entry) * size_of::<u64>() as u32)?;
    let tree = trees + (offset >> TREE_SHIFT) * u64::from(XARRAY_SIZE.load());
    let mut found: u64 = read(tree, XARRAY_HEAD.load())?;
    let mut shift = TREE_SHIFT;
    for _ in 0..LEVELS {
        if found & 3 != NODE || found <= NO_NODES {
            break;
        }
        let node = found - NODE;
        shift = u32::from(read::<u8>(node, XA_NODE_SHIFT.load())?) & 63;
        let nth = offset >> shift & u64::from(XA_SLOTS.load() - 1);
        found = read(node + nth * size_of::<u64>() as u64, XA_NODE_SLOTS.load())?;
    }
    Some(End { found, shift })
}
