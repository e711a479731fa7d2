//! What a face shows of one cgroup and asks for one at a time: histograms, its rounds, who set its files. Pure data.
//!
//! It goes with the status of the same tick and is not part of it: two thousand cgroups have two thousand rows, and
//! nobody looks at two thousand histograms.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swaptier_policies::{AreaView, CgroupPath, Fate, Policy, PolicySet, Standing, fate};

use super::status::{ActionStatus, CgroupStatus, HeldStatus, KnobStatus, SwapIns};

/// One cgroup, its subtree included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// [`super::status::SCHEMA`].
    pub schema: u32,
    /// The tick it is of.
    pub tick: u64,
    /// Its row of the status.
    pub row: CgroupStatus,
    /// Histograms. `None` without the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages: Option<Ages>,
    /// How long swap-ins took. `None`: none was timed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_ins: Option<SwapIns>,
    /// Its files that swaptier changed, and those of the cgroups above that bind it too.
    #[serde(default)]
    pub knobs: Vec<KnobStatus>,
    /// What was not done to it at the last decision, and why.
    #[serde(default)]
    pub held: Vec<HeldStatus>,
    /// The last things done to it, oldest first; at most [`ACTIONS`].
    #[serde(default)]
    pub actions: Vec<ActionStatus>,
    /// Every policy that names it, the winner first, and why each is or is not its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contenders: Vec<Contender>,
    /// What the swap areas make of its policy. `None` without a policy for swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<FateStatus>,
    /// Its last rounds of write-back, oldest first; at most [`ACTIONS`].
    #[serde(default)]
    pub rounds: Vec<serde_json::Value>,
}

/// A policy that names a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// Its file name.
    pub policy: String,
    /// Why it wins, loses or does not apply.
    pub standing: String,
}

/// What becomes of the pages of a policy's cgroups in the swap areas of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FateStatus {
    /// In one sentence.
    pub says: String,
    /// Whether the policy gets what it asks for.
    pub can_work: bool,
}

/// Policies by which a page of the board can be explained, and the areas it was seen with.
#[derive(Clone, Debug, Default)]
pub struct Law {
    /// The policies in force.
    pub policies: Arc<PolicySet>,
    /// The swap areas that are on.
    pub areas: Vec<AreaView>,
}

impl Law {
    /// Who contends for the cgroup at `path`.
    #[must_use]
    pub fn contenders(&self, path: &CgroupPath) -> Vec<Contender> {
        let one = |(policy, standing): (&Policy, Standing)| Contender {
            policy: policy.name().to_owned(),
            standing: standing.to_string(),
        };
        self.policies.contenders(path).into_iter().map(one).collect()
    }

    /// What the areas make of its policy.
    #[must_use]
    pub fn fate(&self, path: &CgroupPath) -> Option<FateStatus> {
        let Fate { says, can_work } = fate(self.policies.resolve(path)?, &self.areas)?;
        Some(FateStatus { says, can_work })
    }
}

/// How much of its past a detail shows.
pub const ACTIONS: usize = 16;

/// Pages by age. Bucket 0 holds ages below a second, bucket *n* those from 2^(n-1) to 2^n - 1 seconds; empty buckets at
/// the end are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// Pages in zswap now, by how long they have been there.
    pub zswap_pages: Vec<u64>,
    /// Pages read out of zswap since the map was made, by how long they had been there.
    pub loaded_pages: Vec<u64>,
    /// Pages written back since the map was made, by how long they had been in zswap.
    pub written_back_pages: Vec<u64>,
}
