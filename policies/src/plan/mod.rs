//! What is to be done, and what is not done and why: the output of `decide`, the input of the actuators.
//!
//! A plan leaves nothing to choose. Each step and each hold carries its reason as data; `show` makes the one sentence
//! that the journal, `explain` and the screen print. Carrying out is the controller's `act`.

mod show;

use serde::{Deserialize, Serialize};

use crate::area::{Level, Part, PoolView};
use crate::asker::Asker;
use crate::knob::{Knob, Setting};
use crate::snapshot::CgroupId;
use crate::units::{Bytes, Pages, Seconds, Share};
use crate::want::{Because, Wants};

/// The whole of one decision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which they are to be carried out.
    pub steps: Vec<Step>,
    /// What was not done.
    pub held: Vec<Held>,
    /// What is wanted of the kernel files, whatever they say: the steps that set them are where they say otherwise.
    pub wants: Wants,
}

impl Plan {
    /// What this plan leaves to somebody else's value, and `before` did not.
    pub fn newly_foreign<'a>(&'a self, before: &'a Plan) -> impl Iterator<Item = &'a Held> {
        let is_foreign = |held: &&Held| matches!(held.hold, Hold::Foreign { .. });
        self.held.iter().filter(is_foreign).filter(|held| !before.held.contains(held))
    }

    /// Whether this plan leaves the same file to somebody, whatever their value.
    #[must_use]
    pub fn is_foreign(&self, other: &Held) -> bool {
        let file = |held: &Held| match held.hold {
            Hold::Foreign { knob, .. } => Some((held.cgroup, knob)),
            _ => None,
        };
        file(other).is_some_and(|wanted| self.held.iter().any(|held| file(held) == Some(wanted)))
    }
}

/// One action and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Who asks for it: the cgroup's policy, or the swap areas.
    pub by: Asker,
    /// Why, with the numbers.
    pub reason: Reason,
}

/// Something the agent can do to one cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Write one of the files that policies set.
    Set {
        /// The cgroup.
        cgroup: CgroupId,
        /// Which file.
        knob: Knob,
        /// What it is to say; a limit is a multiple of the page size.
        to: Setting,
    },
    /// Move pages from zswap to disk.
    Writeback {
        /// The cgroup; its subtree is included.
        cgroup: CgroupId,
        /// Only pages that have been in zswap this long.
        older_than: Seconds,
        /// How many, at most.
        pages: Pages,
    },
}

impl Action {
    /// The cgroup acted on.
    #[must_use]
    pub fn cgroup(&self) -> CgroupId {
        match *self {
            Action::Set { cgroup, .. } | Action::Writeback { cgroup, .. } => cgroup,
        }
    }

    /// The file that it writes; `None`: it writes pages.
    #[must_use]
    pub fn knob(&self) -> Option<Knob> {
        match *self {
            Action::Set { knob, .. } => Some(knob),
            Action::Writeback { .. } => None,
        }
    }
}

/// Why a step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The file says otherwise than is wanted.
    Differs {
        /// What it says now.
        from: Setting,
        /// What it is to say.
        to: Setting,
        /// Where that value comes from.
        because: Because,
    },
    /// The file went back to the kernel's default, by itself or by somebody: it is put right, a few times.
    Returned {
        /// Which file.
        knob: Knob,
        /// What it is to read.
        to: Setting,
        /// For this time within an hour.
        times: u32,
        /// So often it is put right.
        most: u32,
    },
    /// Nothing may be written to the swap areas, and somebody has opened the way to disk again.
    Reopened {
        /// Why nothing may.
        because: Closed,
    },
    /// There are cold pages and room in the budgets.
    Cold {
        /// Pages at least `older_than` old.
        cold: Pages,
        /// The age of the oldest.
        oldest: Seconds,
        /// The policy's age.
        older_than: Seconds,
        /// What set the number of pages asked for.
        bound: Bound,
    },
}

/// Where a wanted limit comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// The tier is not in `tiers.use`.
    TierUnused,
    /// The policy says `max`.
    Unlimited,
    /// The policy gives the limit in bytes.
    Given,
    /// The policy gives a share.
    ShareOf {
        /// The share.
        share: Share,
        /// Of what.
        of: Whole,
        /// How much that is.
        whole: Bytes,
    },
    /// The disk under a virtual area is full: nothing more is swapped out.
    PoolFull {
        /// The pool.
        pool: String,
        /// The part of it in use.
        used: Share,
    },
}

/// Why nothing may be written to the swap areas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closed {
    /// Only areas without storage are on.
    OnlyGhosts {
        /// One of them.
        ghost: String,
    },
    /// A ghost is filled no later than the first area with storage.
    GhostFirst {
        /// The ghost.
        ghost: String,
        /// The first area with storage.
        disk: String,
    },
    /// Pages are in a ghost, after the areas before it were full.
    GhostUsed {
        /// The ghost.
        ghost: String,
        /// Its slots in use.
        used: Pages,
    },
    /// The areas before a ghost are about full: the next page lands in it.
    GhostNext {
        /// The ghost.
        ghost: String,
        /// The first area with storage.
        disk: String,
    },
    /// A pool met its mark.
    Pool {
        /// The pool.
        pool: String,
        /// What of it.
        part: Part,
        /// The part in use.
        used: Share,
        /// How far that is.
        level: Level,
        /// The gate opens again below this.
        below: Share,
    },
}

impl Closed {
    pub(crate) fn pool(pool: &PoolView, level: Level) -> Self {
        let (part, used) = pool.fullest();
        Closed::Pool { pool: pool.name.clone(), part, used, level, below: pool.marks.demote }
    }
}

/// What a share is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whole {
    /// The cgroup's `memory.high`.
    MemoryHigh,
    /// The cgroup's `memory.max`.
    MemoryMax,
    /// The host's RAM.
    Ram,
}

/// Why the way to disk is to be open or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Valve {
    /// `tiers.use` is `["disk"]`.
    DiskUsed,
    /// `tiers.overflow = "disk"`.
    OverflowDisk,
    /// `disk` is not in `tiers.use`.
    DiskUnused,
    /// `tiers.overflow = "keep"`: only demotion may write to disk.
    OverflowKeep,
}

/// What set the number of pages of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Bound {
    /// All cold pages.
    AllCold,
    /// `demote.budget.round`.
    Round,
    /// `demote.budget.day`.
    Day,
    /// `demote.budget.rate`.
    Rate,
    /// What the pool of a virtual area takes until its mark.
    Pool,
}

/// Something not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The cgroup.
    pub cgroup: CgroupId,
    /// Who asked for it.
    pub by: Asker,
    /// Why not.
    pub hold: Hold,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// A value that the decision needs could not be read: the file or the field.
    Unknown(String),
    /// No memory controller: the parent's `cgroup.subtree_control` lacks `memory`, and its pages are the parent's.
    NoController,
    /// A budget has less than a round's least left.
    Budget {
        /// Which one.
        bound: Bound,
        /// *Original* bytes left in it.
        left: Bytes,
        /// When there is enough again; `None`: when the day changes.
        wait: Option<Seconds>,
    },
    /// No page is old enough.
    NothingCold {
        /// The policy's age.
        older_than: Seconds,
    },
    /// Fewer cold pages than a round is worth.
    TooFew {
        /// How many there are.
        cold: Pages,
        /// The least a round moves.
        least: Pages,
    },
    /// zswap stays fuller than `demote.keep_free` allows, and no further page may be demoted now.
    KeepFree {
        /// *Compressed* bytes in zswap once this plan is carried out.
        compressed: Bytes,
        /// The mark: limit × (1 − keep_free).
        mark: Bytes,
    },
    /// The host's pool stays fuller than `demote.keep_free` allows; the cgroup has no limit of its own.
    PoolNearLimit {
        /// *Compressed* bytes in the pool once this plan is carried out.
        compressed: Bytes,
        /// The mark: the pool's limit × (1 − keep_free).
        mark: Bytes,
    },
    /// This host has no way to write back now.
    NoDialect(String),
    /// The shadow map does not know how old pages are.
    NoMap(String),
    /// No swap area is on.
    NoDisk,
    /// zswap is off: the policy's tier takes no page.
    ZswapOff,
    /// The last round is recent, or wrote nothing and is retried later: the time to wait.
    Cooldown(Seconds),
    /// The round of this cgroup, the same or one above or below, waits for its turn or runs.
    RoundUnderWay(CgroupId),
    /// A write-back takes the whole subtree, and this cgroup below, among others perhaps, has a policy of its own.
    LeftToBelow(CgroupId),
    /// Somebody else set the file: it is left alone.
    Foreign {
        /// Which file.
        knob: Knob,
        /// What the policy asks for.
        wanted: Setting,
        /// What the file reads.
        found: Setting,
    },
    /// Its own `memory.zswap.writeback` is 0, and its policy did not close it.
    ClosedHere,
    /// This cgroup above keeps `memory.zswap.writeback` at 0, and no policy that demotes has closed it.
    ClosedAbove(CgroupId),
    /// Nothing may be written to the swap areas.
    Gate(Closed),
    /// The pool of a virtual area is too full for demotion.
    PoolMark {
        /// The pool.
        pool: String,
        /// What of it.
        part: Part,
        /// The part in use.
        used: Share,
        /// Where demotion stops.
        mark: Share,
        /// Where it goes on.
        resume: Share,
    },
    /// The kernel charges what is in zswap to no cgroup: a write-back would take anybody's pages.
    Uncharged,
}

impl Hold {
    /// The name of its kind: the key of `replay --json`, a versioned interface.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Hold::Unknown(_) => "Unknown",
            Hold::NoController => "NoController",
            Hold::Budget { .. } => "Budget",
            Hold::NothingCold { .. } => "NothingCold",
            Hold::TooFew { .. } => "TooFew",
            Hold::KeepFree { .. } => "KeepFree",
            Hold::PoolNearLimit { .. } => "PoolNearLimit",
            Hold::NoDialect(_) => "NoDialect",
            Hold::NoMap(_) => "NoMap",
            Hold::NoDisk => "NoDisk",
            Hold::ZswapOff => "ZswapOff",
            Hold::Cooldown(_) => "Cooldown",
            Hold::RoundUnderWay(_) => "RoundUnderWay",
            Hold::LeftToBelow(_) => "LeftToBelow",
            Hold::Foreign { .. } => "Foreign",
            Hold::ClosedHere => "ClosedHere",
            Hold::ClosedAbove(_) => "ClosedAbove",
            Hold::Gate(_) => "Gate",
            Hold::PoolMark { .. } => "PoolMark",
            Hold::Uncharged => "Uncharged",
        }
    }
}
