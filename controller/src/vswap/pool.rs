//! What a thin pool says about itself: its line of `dm status`, read. Pure; asking the kernel is `dm`'s.

use std::fmt;

use serde::Serialize;
use swaptier_policies::Bytes;

/// Bytes of one block of a pool: what one write-back takes at least, and 16 slots of 4 KiB.
pub const BLOCK: Bytes = Bytes(64 << 10);

/// Bytes of one block of a pool's metadata (drivers/md/dm-thin-metadata.h).
const METADATA_BLOCK: u64 = 4096;

/// How a pool takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolMode {
    /// As it should be.
    ReadWrite,
    /// No free block is left: writes that need one fail.
    OutOfDataSpace,
    /// Its metadata is full or damaged: no block is taken or given back.
    ReadOnly,
    /// Everything fails.
    Fail,
}

/// As in JSON.
impl fmt::Display for PoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PoolMode::ReadWrite => "read-write",
            PoolMode::OutOfDataSpace => "out-of-data-space",
            PoolMode::ReadOnly => "read-only",
            PoolMode::Fail => "fail",
        })
    }
}

/// The state of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PoolStatus {
    /// Blocks of data ([`BLOCK`] each) that hold pages.
    pub used_blocks: u64,
    /// Blocks of data there are.
    pub total_blocks: u64,
    /// Blocks of metadata (4 KiB each) in use.
    pub used_metadata_blocks: u64,
    /// Blocks of metadata there are.
    pub total_metadata_blocks: u64,
    /// How it takes writes.
    pub mode: PoolMode,
    /// Its metadata must be checked before it is used again: make the area anew.
    pub needs_check: bool,
}

impl PoolStatus {
    /// The kernel's line: `0 12/4096 1/15360 - rw discard_passdown error_if_no_space - 1024`, or `Fail`.
    ///
    /// # Errors
    /// What the line was, where it is none of those.
    pub fn parse(line: &str) -> Result<PoolStatus, String> {
        let strange = || format!("a thin pool's status is `{}`", line.escape_debug());
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.first() == Some(&"Fail") {
            return Ok(PoolStatus {
                used_blocks: 0,
                total_blocks: 0,
                used_metadata_blocks: 0,
                total_metadata_blocks: 0,
                mode: PoolMode::Fail,
                needs_check: true,
            });
        }
        let part = |index: usize| {
            let (used, total) = words.get(index)?.split_once('/')?;
            Some((used.parse().ok()?, total.parse().ok()?))
        };
        let (used_metadata_blocks, total_metadata_blocks) = part(1).ok_or_else(strange)?;
        let (used_blocks, total_blocks) = part(2).ok_or_else(strange)?;
        let mode = match *words.get(4).ok_or_else(strange)? {
            "rw" => PoolMode::ReadWrite,
            "out_of_data_space" => PoolMode::OutOfDataSpace,
            "ro" => PoolMode::ReadOnly,
            _ => return Err(strange()),
        };
        let needs_check = words.contains(&"needs_check");
        Ok(PoolStatus {
            used_blocks,
            total_blocks,
            used_metadata_blocks,
            total_metadata_blocks,
            mode,
            needs_check,
        })
    }

    /// Bytes *on disk* that blocks in use take.
    #[must_use]
    pub fn used(&self) -> Bytes {
        Bytes(self.used_blocks.saturating_mul(BLOCK.0))
    }

    /// Bytes *on disk* there are.
    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes(self.total_blocks.saturating_mul(BLOCK.0))
    }

    /// Bytes of metadata there are.
    #[must_use]
    pub fn metadata(&self) -> Bytes {
        Bytes(self.total_metadata_blocks.saturating_mul(METADATA_BLOCK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pools_line_is_read() {
        let status =
            PoolStatus::parse("1 12/4096 2967/15360 - rw no_discard_passdown error_if_no_space - 1024")
                .unwrap();
        assert_eq!(
            (status.used_blocks, status.total_blocks, status.mode),
            (2967, 15360, PoolMode::ReadWrite)
        );
        assert_eq!((status.used_metadata_blocks, status.total_metadata_blocks), (12, 4096));
        // 2,967 × 65,536.
        assert_eq!((status.used(), status.needs_check), (Bytes(194_445_312), false));
    }

    #[test]
    fn a_pool_in_trouble_says_so() {
        let full = "1 12/4096 15360/15360 - out_of_data_space discard_passdown error_if_no_space - 1024";
        assert_eq!(PoolStatus::parse(full).unwrap().mode, PoolMode::OutOfDataSpace);
        let ill = "1 12/4096 2/15360 - ro discard_passdown error_if_no_space needs_check 1024";
        let ill = PoolStatus::parse(ill).unwrap();
        assert_eq!((ill.mode, ill.needs_check), (PoolMode::ReadOnly, true));
        assert_eq!(PoolStatus::parse("Fail").unwrap().mode, PoolMode::Fail);
        for strange in ["", "Error", "0 1/2", "0 1/2 3/4 - so", "0 a/2 3/4 - rw"] {
            assert!(PoolStatus::parse(strange).is_err(), "{strange}");
        }
    }
}
