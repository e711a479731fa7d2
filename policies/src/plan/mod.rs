//! What is to be done, and what is not done and why: the output of `decide`, the input of the actuators.
//!
//! A plan leaves nothing to choose. Each step and each hold carries its reason as data; `show` makes the one sentence
//! that the journal, `explain` and the screen print. Carrying out is the controller's `act`.

mod show;

use serde::{Deserialize, Serialize};

use crate::area::{Level, Part, PoolView};
use crate::snapshot::CgroupId;
use crate::units::{Bytes, Limit, Pages, Seconds, Share};

/// The whole of one decision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which they are to be carried out.
    pub steps: Vec<Step>,
    /// What was not done.
    pub held: Vec<Held>,
}

/// One action and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// File name of the policy that asks for it; [`crate::HOST`] where it is the host's areas that do.
    pub policy: String,
    /// Why, with the numbers.
    pub reason: Reason,
}

/// Something the agent can do to one cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Write `memory.swap.max`.
    SetSwapMax {
        /// The cgroup.
        cgroup: CgroupId,
        /// The new limit, a multiple of the page size.
        to: Limit,
    },
    /// Write `memory.zswap.max`.
    SetZswapMax {
        /// The cgroup.
        cgroup: CgroupId,
        /// The new limit in *compressed* bytes, a multiple of the page size.
        to: Limit,
    },
    /// Write `memory.zswap.writeback`.
    SetZswapWriteback {
        /// The cgroup.
        cgroup: CgroupId,
        /// `true` opens the way to disk.
        to: bool,
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
            Action::SetSwapMax { cgroup, .. }
            | Action::SetZswapMax { cgroup, .. }
            | Action::SetZswapWriteback { cgroup, .. }
            | Action::Writeback { cgroup, .. } => cgroup,
        }
    }
}

/// Why a step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A limit file reads otherwise than the policy says.
    Limit {
        /// What the file reads now.
        from: Limit,
        /// What it is to read.
        to: Limit,
        /// Where that value comes from.
        basis: Basis,
    },
    /// `memory.zswap.writeback` reads otherwise than the policy says.
    Valve {
        /// What the file reads now.
        from: bool,
        /// What makes the policy want the other.
        because: Valve,
    },
    /// `memory.zswap.writeback` reads 1, and nothing may be written to the swap areas.
    Gate {
        /// Why not.
        because: Closed,
        /// It was closed before: somebody else opened it.
        reopened: bool,
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
    /// The policy gives no limit.
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
    /// `disk` is in `tiers.use`.
    DiskUsed,
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
    /// File name of its policy.
    pub policy: String,
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
    /// A write-back takes the whole subtree, and this cgroup below, among others perhaps, has a policy of its own.
    LeftToBelow(CgroupId),
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
}
