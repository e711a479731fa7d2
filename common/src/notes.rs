//! What programs tell those that run after them on the same CPU.

/// The copy of a program that has no second one.
pub const ALONE: u32 = 0;
/// The copy that runs first: the one attached last.
pub const FIRST: u32 = 1;
/// The copy that runs second.
pub const SECOND: u32 = 2;

/// Single element, for each CPU, of the `NOTES` map. 0 is no note.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Swap entry that was entered as allocated.
    pub allocated: u64,
    /// Address of the entry's list item that was entered into the map as stored.
    pub stored: u64,
    /// Swap entry that it is about. The end of its swap-out need not look for the slot then.
    pub in_zswap: u64,
    /// Swap entry that was entered as read.
    pub loaded: u64,
    /// Swap entry that was entered as freed.
    pub freed: u64,
}

#[cfg(feature = "user")]
// SAFETY: plain words, every bit pattern valid, no padding.
unsafe impl aya::Pod for Notes {}
