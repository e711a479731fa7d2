//! Swap areas as a decision sees them: what kind each is, how much of it is used, and how full the disk under it is.
//!
//! Data and the arithmetic of marks only. What follows from it for the way to disk is `decide/gate.rs`, for the number
//! of areas `growth.rs`. Filled by the controller's `sense`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Pages, Share, WHOLE};

/// One swap area that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaView {
    /// What it was named when it was made; the path of one that somebody else made.
    pub name: String,
    /// The device or file, as `/proc/swaps` has it.
    pub path: String,
    /// The kernel's number of the area (the type in a swap entry); `None` without the shadow map.
    pub number: Option<u32>,
    /// What is under it.
    pub kind: AreaKind,
    /// Higher is used first.
    pub priority: i32,
    /// Slots it has.
    pub slots: Pages,
    /// Slots in use, wherever their pages are.
    pub used: Pages,
    /// The disk under a virtual area. `None`: it has none, or of a virtual one how full it is could not be read.
    pub pool: Option<PoolView>,
}

/// What is under a swap area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AreaKind {
    /// Nothing: a file whose header claims more than it has.
    GhostNative,
    /// Nothing: a device-mapper table of one header page and the error target.
    GhostDm,
    /// No storage: zram that takes no writes, by its limit.
    GhostZram,
    /// A thin volume: disk blocks are taken when a page is written.
    Virtual,
    /// zram: a write takes memory.
    Zram,
    /// A partition or a file: each slot has its place on the disk.
    Plain,
    /// It could not be told: it counts as an area without storage.
    Unseen,
}

impl AreaKind {
    /// Whether a page that is written there is lost to the writer: nothing but zswap can hold one. So it is of an area of
    /// which that is not known: a write that fails is tried again and again, a page that is not written only waits.
    #[must_use]
    pub fn is_ghost(self) -> bool {
        match self {
            AreaKind::GhostNative | AreaKind::GhostDm | AreaKind::GhostZram | AreaKind::Unseen => true,
            AreaKind::Virtual | AreaKind::Zram | AreaKind::Plain => false,
        }
    }

    /// Whether a page in zswap keeps a piece of the disk busy that it does not use.
    #[must_use]
    pub fn pins_disk(self) -> bool {
        self == AreaKind::Plain
    }
}

impl fmt::Display for AreaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AreaKind::GhostNative => "ghost (native)",
            AreaKind::GhostDm => "ghost (dm)",
            AreaKind::GhostZram => "ghost (zram)",
            AreaKind::Virtual => "virtual",
            AreaKind::Zram => "zram",
            AreaKind::Plain => "plain",
            AreaKind::Unseen => "unseen",
        })
    }
}

/// The pool of a virtual area: what its blocks are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name: several areas may share one.
    pub name: String,
    /// One data block, in bytes *on disk*.
    pub block: Bytes,
    /// Data blocks.
    pub data: Fill,
    /// Blocks of the metadata device.
    pub metadata: Fill,
    /// What is done as it fills.
    pub marks: Marks,
    /// Whether it takes no write any more: full, or switched to read-only or failed by the kernel.
    pub refuses: bool,
}

/// How full something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Blocks in use.
    pub used: Blocks,
    /// Blocks there are.
    pub total: Blocks,
}

/// A number of blocks; which, and how large, is said by who has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Blocks(pub u64);

impl Fill {
    /// The part in use, rounded up: a mark is met rather too early. Nothing at all counts as full.
    #[must_use]
    pub fn share(self) -> Share {
        let parts = u128::from(self.used.0) * u128::from(WHOLE);
        let share = parts.checked_div(u128::from(self.total.0)).unwrap_or(u128::from(WHOLE));
        let is_rounded = share * u128::from(self.total.0) < parts;
        Share(u32::try_from(share + u128::from(is_rounded)).unwrap_or(WHOLE).min(WHOLE))
    }
}

/// At which part of the pool what is done. They rise; `file` and `config` refuse others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Below this, demotion goes on again.
    pub resume: Share,
    /// From this on nothing is demoted.
    pub demote: Share,
    /// From this on the way to disk is closed for everyone: what zswap refuses stays in RAM.
    pub close: Share,
    /// From this on nothing more is swapped out, so that the kernel's own handling of a shortage can work.
    pub stop: Share,
}

impl Default for Marks {
    /// A tenth of the pool between two steps: a disk that writes 200 MB/s fills a tenth of 16 GiB in eight seconds.
    fn default() -> Self {
        Marks { resume: Share(600_000), demote: Share(700_000), close: Share(800_000), stop: Share(900_000) }
    }
}

impl Marks {
    /// Whether each is above the one before, and the last below the whole.
    #[must_use]
    pub fn rise(&self) -> bool {
        self.resume < self.demote && self.demote < self.close && self.close < self.stop && self.stop.0 < WHOLE
    }

    /// The level at `fill`, coming from `before`. A level is entered at its own mark and left below the one before.
    #[must_use]
    pub fn level(&self, fill: Share, before: Level) -> Level {
        let enter = [Level::Free, Level::NoDemotion, Level::Closed, Level::Stopped];
        let marks = [Share(0), self.demote, self.close, self.stop];
        let keep = [Share(0), self.resume, self.demote, self.close];
        let highest = |marks: [Share; 4]| {
            enter.into_iter().zip(marks).filter(|(_, mark)| fill >= *mark).map(|(level, _)| level).max()
        };
        let (entered, kept) = (highest(marks), highest(keep));
        entered.max(kept.min(Some(before))).unwrap_or(Level::Free)
    }

    /// The mark at which `level` is entered.
    #[must_use]
    pub fn of(&self, level: Level) -> Share {
        match level {
            Level::Free => self.resume,
            Level::NoDemotion => self.demote,
            Level::Closed => self.close,
            Level::Stopped => self.stop,
        }
    }
}

/// How far a pool has come: each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Room enough.
    #[default]
    Free,
    /// Nothing is demoted.
    NoDemotion,
    /// The way to disk is closed.
    Closed,
    /// Nothing more is swapped out.
    Stopped,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Free => "free",
            Level::NoDemotion => "no demotion",
            Level::Closed => "closed",
            Level::Stopped => "stopped",
        })
    }
}

/// Which part of a pool fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Where the pages are.
    Data,
    /// Where it is written down which block is whose.
    Metadata,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Data => "data",
            Part::Metadata => "metadata",
        })
    }
}

impl PoolView {
    /// Both parts of it.
    #[must_use]
    pub fn parts(&self) -> [(Part, Share); 2] {
        [(Part::Data, self.data.share()), (Part::Metadata, self.metadata.share())]
    }

    /// The fuller part.
    #[must_use]
    pub fn fullest(&self) -> (Part, Share) {
        let [data, metadata] = self.parts();
        if metadata.1 > data.1 { metadata } else { data }
    }

    /// Bytes *on disk* that can be written until `mark` of the data is met.
    #[must_use]
    pub fn until(&self, mark: Share) -> Bytes {
        let whole = Bytes(self.data.total.0.saturating_mul(self.block.0));
        mark.of(whole).saturating_sub(Bytes(self.data.used.0.saturating_mul(self.block.0)))
    }
}
