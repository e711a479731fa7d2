//! What a recording holds of one tick, and of the host it was made on. Pure data.
//!
//! Made by `agent` and by `swaptier record`; read back by `read`. How it is stored is `pack`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use swaptier_policies::{Action, CgroupId, Fault, History, Pages, Plan, PolicySet, Snapshot, SourceFile};

use crate::{
    act::Outcome,
    serve::{
        events::Event,
        status::{Status, SwapIns},
    },
};

/// Everything a replay needs beside the frames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Version of the swaptier that recorded.
    pub swaptier: String,
    /// What it was: `agent`, `agent --dry-run` or `record`.
    pub by: String,
    /// Release of the kernel, as `uname -r`.
    pub kernel: String,
    /// What `doctor` found of this host, one line each.
    pub host: Vec<String>,
    /// Seconds between two looks at the host.
    pub tick: u64,
    /// Seconds between two decisions.
    pub interval: u64,
    /// `swaptier.toml`: file name and text; empty when the defaults were in force.
    pub config: Option<(String, String)>,
    /// The policy files in force: name and text.
    pub policies: Vec<(String, String)>,
}

impl Terms {
    /// The policies as they were in force.
    ///
    /// # Errors
    /// This version of swaptier does not take what the recording one took.
    pub fn policy_set(&self) -> Result<PolicySet, Vec<Fault>> {
        let file = |(name, text): &(String, String)| SourceFile { name: name.clone(), text: text.clone() };
        PolicySet::load(&self.policies.iter().map(file).collect::<Vec<_>>())
    }
}

/// One tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The agent's number of it; begins anew with each agent.
    pub tick: u64,
    /// When: milliseconds since 1970.
    pub unix_ms: u64,
    /// What was seen.
    pub snapshot: Snapshot,
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

/// A decision and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What was decided.
    pub plan: Plan,
    /// What came of each step, in the order of the steps. Empty when the plan was not carried out.
    pub outcomes: Vec<Outcome>,
}

impl Decision {
    /// Books the rounds of write-back in the history, so that the next decision knows what is spent. The agent does this
    /// after acting, a replay after deciding the same.
    pub fn book(&self, history: &mut History, snapshot: &Snapshot) {
        for (step, outcome) in self.plan.steps.iter().zip(&self.outcomes) {
            if let Action::Writeback { cgroup, .. } = step.action {
                history.spent(cgroup, written(outcome), snapshot.at);
            }
        }
    }
}

/// Pages that a round wrote; whatever else came of it, it wrote none.
fn written(outcome: &Outcome) -> Pages {
    match outcome {
        Outcome::WroteBack { written, .. } => *written,
        _ => Pages(0),
    }
}
