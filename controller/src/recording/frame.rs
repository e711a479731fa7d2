//! What a recording holds of one tick. Pure data.
//!
//! Made by `agent` and by `swaptier record`; read back by `read`. How it is stored is `pack`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use swaptier_policies::{CgroupId, Decision, History, Settled, Snapshot};

use crate::serve::{
    events::Event,
    status::{Status, SwapIns},
};

/// One tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The agent's number of it; begins anew with each agent.
    pub tick: u64,
    /// When: milliseconds since 1970.
    pub unix_ms: u64,
    /// What was seen.
    pub snapshot: Snapshot,
    /// Rounds that ended since the frame before, in the order in which they were booked: before this tick's decision.
    pub ended: Vec<Settled>,
    /// What was decided and done; `None` on a tick between two decisions.
    pub decision: Option<Decision>,
    /// What decisions remembered *before* this tick. Only key frames have it.
    pub history: Option<History>,
    /// The published status, as `top` and `status` showed it.
    pub status: Option<Status>,
    /// Pages in zswap of each cgroup by itself, by age: bucket n > 0 holds ages from 2^(n-1) s to below 2^n s, bucket 0
    /// those below 1 s. Cgroups without a page are left out.
    pub ages: BTreeMap<CgroupId, Vec<u64>>,
    /// What moved of each cgroup with all below it since the map began, as `top` shows it. Cgroups of which nothing has are
    /// left out.
    pub moved: BTreeMap<CgroupId, Moved>,
    /// What happened since the frame before, as `top` shows it.
    pub events: Vec<Event>,
}

/// At which age pages moved, in the buckets of [`crate::serve::detail::Ages`], and how long swap-ins took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moved {
    /// Pages read out of zswap.
    pub loaded_pages: Vec<u64>,
    /// Pages written back.
    pub written_back_pages: Vec<u64>,
    /// `None`: none was timed.
    pub swap_ins: Option<SwapIns>,
}
