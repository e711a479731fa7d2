//! What nearly every guest test stands on: a swap area on the disk and zswap in front of it, both gone at drop.

use std::path::Path;

use anyhow::Result;

use super::preamble::SWAP_DISK;
use super::swap::SwapArea;
use super::zswap::Zswap;

/// Guard of swap and zswap. Fields drop in order: the area is emptied before zswap is set back.
#[derive(Debug)]
pub struct Stage {
    /// The area on the whole disk.
    pub swap: SwapArea,
    /// zswap in front of it.
    pub zswap: Zswap,
}

impl Stage {
    /// Swap on /dev/vda, zswap with its limit at `pool_percent` of RAM, its shrinker off.
    ///
    /// # Errors
    /// When either is refused.
    pub fn set(pool_percent: u32) -> Result<Stage> {
        let zswap = Zswap::set_up(pool_percent)?;
        let swap = SwapArea::set_up(Path::new(SWAP_DISK), None, 10)?;
        Ok(Stage { swap, zswap })
    }
}
