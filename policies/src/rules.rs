//! What one policy file says, compiled: which tiers a cgroup may use, and when its pages are demoted.
//!
//! Values are checked already: a share is at most the whole, a budget is not zero, demotion has both tiers. Made by
//! `file`, read by `decide` and by `explain`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::knob::Knob;
use crate::units::{ByteRate, Bytes, Seconds, Share};

/// `[tiers]`: where the pages of a cgroup may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierRule {
    /// `use`.
    pub uses: Use,
    /// The limits that it gives, by file: `swap_max` (the most swap, *original* bytes), `swap_high`, `zswap_max` (the most zswap,
    /// *compressed* bytes). One that is left out leaves its file alone.
    pub limits: Amounts,
    /// `overflow`: where a page goes that zswap refuses. `None`: left out, so with both tiers that is left as it is.
    pub overflow: Option<Overflow>,
}

impl TierRule {
    /// Whether this says what a file is to read. A file that it says nothing of is left alone.
    #[must_use]
    pub fn asks_for(&self, knob: Knob) -> bool {
        match (knob, self.uses) {
            (Knob::SwapMax, Use::Nothing) | (Knob::ZswapMax, Use::Disk) => true,
            (Knob::ZswapWriteback, Use::Nothing) => false,
            (Knob::ZswapWriteback, Use::Zswap | Use::Disk) => true,
            (Knob::ZswapWriteback, Use::ZswapThenDisk) => self.overflow.is_some(),
            (limit, _) => self.limits.get(limit).is_some(),
        }
    }

    /// The files that concern a tier in use and that a key is left out for, with that key.
    pub fn left_alone(&self) -> impl Iterator<Item = (Knob, &'static str)> {
        let is_left = |knob: &Knob| self.uses.concerns(*knob) && !self.asks_for(*knob) && !knob.is_quiet();
        let left = Knob::ALL.into_iter().filter(is_left);
        left.map(|knob| (knob, if knob == Knob::ZswapWriteback { "overflow" } else { knob.name() }))
    }
}

/// Limits by file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts([Option<Amount>; Knob::ALL.len()]);

impl Amounts {
    /// The limit of a file; `None`: it is left alone.
    #[must_use]
    pub fn get(&self, knob: Knob) -> Option<Amount> {
        self.0[knob as usize]
    }

    pub(crate) fn set(&mut self, knob: Knob, amount: Option<Amount>) {
        self.0[knob as usize] = amount;
    }
}

/// Which tiers beside RAM a cgroup uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// `[]`: no swap at all.
    Nothing,
    /// `["zswap"]`: compressed memory, never the disk.
    Zswap,
    /// `["disk"]`: the disk without compression.
    Disk,
    /// `["zswap", "disk"]`.
    ZswapThenDisk,
}

/// Where a page goes that zswap refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// To the disk, as the kernel does by itself.
    Disk,
    /// Nowhere: it stays in RAM, and only demotion writes to the disk.
    Keep,
}

/// A limit as a policy gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// `"max"`.
    Max,
    /// So many bytes.
    Bytes(Bytes),
    /// A part of the cgroup's `memory.high` or `memory.max`, else of the host's RAM.
    Share(Share),
}

/// `[demote]`: pages that stay cold in zswap go to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoteRule {
    /// `older_than`: how long a page has been in zswap before it may go.
    pub older_than: Seconds,
    /// `budget`.
    pub budget: Budget,
    /// `keep_free`: the part of zswap's room that is to stay free.
    pub keep_free: Share,
}

/// `[demote] budget`: how much may go, in *original* bytes, for each cgroup by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In one round.
    pub round: Bytes,
    /// In one day.
    pub day: Option<Bytes>,
    /// On average; bursts up to `round`.
    pub rate: Option<ByteRate>,
}

impl Budget {
    /// `round` when a file gives none: 0.4 s of a disk that writes 160 MB/s, so that a round ends soon.
    pub const DEFAULT_ROUND: Bytes = Bytes(64 << 20);
}

impl Use {
    /// Whether zswap takes pages.
    #[must_use]
    pub fn zswap(self) -> bool {
        matches!(self, Use::Zswap | Use::ZswapThenDisk)
    }

    /// Whether a key may say what this file is to read.
    #[must_use]
    pub fn concerns(self, knob: Knob) -> bool {
        match knob {
            Knob::SwapMax | Knob::SwapHigh => self != Use::Nothing,
            Knob::ZswapMax => self.zswap(),
            Knob::ZswapWriteback => self == Use::ZswapThenDisk,
        }
    }

    /// Whether the disk takes pages.
    #[must_use]
    pub fn disk(self) -> bool {
        matches!(self, Use::Disk | Use::ZswapThenDisk)
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::Nothing => "no swap",
            Use::Zswap => "zswap",
            Use::Disk => "disk",
            Use::ZswapThenDisk => "zswap, then disk",
        })
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overflow::Disk => "disk",
            Overflow::Keep => "keep",
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Max => f.pad("max"),
            Amount::Bytes(bytes) => bytes.fmt(f),
            Amount::Share(share) => share.fmt(f),
        }
    }
}
