//! Snapshot and policies → plan. Cannot fail, cannot act.
//!
//! First what the swap areas themselves ask for (`gate`). Then cgroups are taken in the order of their paths: first
//! all limits (`tiers`), then all demotions (`demote`). A cgroup without a policy, and the root, get nothing of a
//! policy. Called by the agent each policy interval, by `--dry-run` and
//! by replay.
//!
//! Properties, each with a law in `tests/laws.rs`:
//! - the same inputs give the same plan;
//! - it settles: deciding again on [`Plan::preview`], after the rounds were booked, gives no step;
//! - no step rests on an unknown; what is missing is a [`Hold`];
//! - budgets are never passed; the history never outgrows the living cgroups;
//! - other ids for the same tree give the same plan but for the ids.

mod demote;
mod gate;
mod tiers;

use std::collections::BTreeMap;

use crate::asker::Asker;
use crate::history::History;
use crate::knob::Knob;
use crate::plan::{Held, Hold, Plan, Step};
use crate::policy::{Policy, PolicySet};
use crate::snapshot::{CgroupId, CgroupView, Snapshot};

pub(crate) use demote::least_round;
pub(crate) use gate::{asks, is_due, refusal};
pub(crate) use gate::{by_ghosts, look, pools};
pub(crate) use tiers::wanted_valve;

/// A cgroup and the policy it has.
#[derive(Clone, Copy)]
pub(crate) struct Governed<'a> {
    pub(crate) id: CgroupId,
    pub(crate) view: &'a CgroupView,
    pub(crate) policy: &'a Policy,
}

impl Governed<'_> {
    fn by(&self) -> Asker {
        Asker::Policy(self.policy.name().to_owned())
    }

    fn held(&self, hold: Hold) -> Held {
        Held { cgroup: self.id, by: self.by(), hold }
    }

    fn step(&self, action: crate::plan::Action, reason: crate::plan::Reason) -> Step {
        Step { action, by: self.by(), reason }
    }
}

/// Every cgroup that has a policy, by identity.
pub(crate) type Government<'a> = BTreeMap<CgroupId, Governed<'a>>;

/// Who is governed by what.
pub(crate) fn govern<'a>(snap: &'a Snapshot, policies: &'a PolicySet) -> Government<'a> {
    let governed = |(id, view): (&CgroupId, &'a CgroupView)| {
        let policy = policies.resolve(&view.path)?;
        Some((*id, Governed { id: *id, view, policy }))
    };
    snap.cgroups.iter().filter_map(governed).collect()
}

/// Decides what to do now, and what not and why.
pub(crate) fn decide(snap: &Snapshot, policies: &PolicySet, history: &mut History) -> Plan {
    history.turn(snap);
    let government = govern(snap, policies);
    let mut in_order: Vec<Governed<'_>> = government.values().copied().collect();
    in_order.sort_by(|one, other| (&one.view.path, one.id).cmp(&(&other.view.path, other.id)));

    let covered = demote::covered(snap, &government);

    gate::look(snap, history);
    let (mut plan, mut rounds) = (Plan::default(), Vec::new());
    let tiers_of = |id: &CgroupId| government.get(id).and_then(|governed| governed.policy.tiers());
    history.stands.retain(|id, _| tiers_of(id).is_some());
    let is_limited = |id| tiers_of(&id).is_some_and(|tiers| tiers.asks_for(Knob::SwapMax));
    gate::close(snap, history, &mut plan, is_limited);
    let mut disk = gate::may_demote(snap, history);
    for governed in in_order {
        if governed.view.has_memory() {
            tiers::limit(governed, snap, history, &mut plan);
            let room = (&covered, &mut disk);
            rounds.extend(demote::round(governed, snap, &government, room, history, &mut plan.held));
        } else {
            tiers::without_controller(governed, &mut plan);
        }
    }
    plan.steps.append(&mut rounds);
    plan
}
