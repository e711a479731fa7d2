//! zswap's own trees of entries (mm/zswap.c): an array of them for each swap area, one for each 64 MiB of it. They say what
//! the map would have to guess after a program was skipped.

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

/// Address of the `struct zswap_entry` of this swap entry; 0 where zswap has none.
#[inline(never)]
pub(crate) fn find(entry: u64) -> u64 {
    seek(entry).filter(|found| read(*found, ZSWAP_ENTRY_SWPENTRY.load()) == Some(entry)).unwrap_or(0)
}

#[inline(always)]
fn seek(entry: u64) -> Option<u64> {
    let offset = entry_offset(entry);
    let trees: u64 = read(ZSWAP_TREES.load(), entry_type(entry) * size_of::<u64>() as u32)?;
    let tree = trees + (offset >> TREE_SHIFT) * u64::from(XARRAY_SIZE.load());
    let mut found: u64 = read(tree, XARRAY_HEAD.load())?;
    for _ in 0..LEVELS {
        if found & 3 != NODE || found <= NO_NODES {
            break;
        }
        let node = found - NODE;
        let shift: u8 = read(node, XA_NODE_SHIFT.load())?;
        let nth = offset >> (shift & 63) & u64::from(XA_SLOTS.load() - 1);
        found = read(node + nth * size_of::<u64>() as u64, XA_NODE_SLOTS.load())?;
    }
    Some(found)
}
