//! Where the policies would raise what a cgroup has now, and whoever set it: for `check`, before they are in force.

use crate::knob::{Knob, Setting};
use crate::plan::Action;
use crate::policy::PolicySet;
use crate::session::decide_afresh;
use crate::snapshot::{CgroupId, Snapshot};

/// One file that a policy would raise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lift {
    /// Whose file.
    pub cgroup: CgroupId,
    /// File name of the policy.
    pub policy: String,
    /// Which file.
    pub knob: Knob,
    /// What it reads.
    pub from: Setting,
    /// What the policy would make of it.
    pub to: Setting,
}

/// All files that these policies would raise on this host, if they came into force now.
#[must_use]
pub fn lifts(snap: &Snapshot, policies: &PolicySet) -> Vec<Lift> {
    let plan = decide_afresh(snap, policies);
    let lift = |step: &crate::plan::Step| {
        let Action::Set { cgroup, knob, to } = step.action else { return None };
        let from = snap.cgroups.get(&cgroup)?.settings.get(knob)?;
        let policy = step.by.policy()?.to_owned();
        to.is_above(from).then_some(Lift { cgroup, policy, knob, from, to })
    };
    plan.steps.iter().filter_map(lift).collect()
}
