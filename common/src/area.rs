//! One swap area as the probes know it.

/// Areas the kernel can have: `1 << MAX_SWAPFILES_SHIFT` (include/linux/swap.h).
pub const MAX_AREAS: usize = 32;

/// Where the slots of a swap area are found in the directory. Index = the area's type.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// Slots of the area, header page included; 0 when there is no such area.
    pub slots: u32,
    /// First directory entry of the area.
    pub base: u32,
    /// Directory entries the area has: one for each 512 slots.
    pub clusters: u32,
    /// How often this type was switched on while we looked; tells a new area from the one before.
    pub generation: u32,
}

#[cfg(feature = "user")]
// SAFETY: four words, every bit pattern valid, no padding.
unsafe impl aya::Pod for Area {}
