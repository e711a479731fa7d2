//! What must be true of any plan, whoever made it: checked by the agent before it acts, and by the laws in `tests`.
//!
//! It looks at the finished plan only and shares no path with `decide` but who is governed by what.

use std::collections::BTreeSet;
use std::fmt;

use crate::area::{AreaKind, Level, PoolView};
use crate::asker::Asker;
use crate::decide::{Government, by_ghosts, govern, least_round, pools, wanted_valve};
use crate::knob::{Knob, Setting};
use crate::plan::{Action, Plan};
use crate::policy::PolicySet;
use crate::snapshot::{CgroupId, CgroupView, MapHealth, Snapshot, Writeback};
use crate::units::{Pages, Share};

/// One step that must not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its index in [`Plan::steps`].
    pub step: usize,
    /// What is wrong with it.
    pub broken: Broken,
}

/// The rule that a step breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The cgroup is not in the snapshot.
    NoSuchCgroup,
    /// The cgroup has no policy, or is the root, or the step names another policy.
    NotItsPolicy,
    /// The policy says nothing that asks for this.
    NotAskedFor,
    /// The file's present value is unknown.
    Unknown,
    /// The file reads so already.
    Idle,
    /// The limit is no multiple of the page size.
    Unaligned,
    /// An earlier step writes the same file, or another one writes back the same pages.
    Twice,
    /// The host cannot write back, or the map is not exact.
    CannotWriteBack,
    /// More pages than are known to be cold, or an age that is not the policy's.
    NotCold,
    /// More than one round, or less than a round is worth.
    NotOneRound,
    /// Pages could be written to an area without storage, or to a disk that is full.
    GateClosed,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = match self.broken {
            Broken::NoSuchCgroup => "the cgroup is not in the snapshot",
            Broken::NotItsPolicy => "the cgroup does not have this policy",
            Broken::NotAskedFor => "the policy does not ask for it",
            Broken::Unknown => "the present value is unknown",
            Broken::Idle => "the file reads so already",
            Broken::Unaligned => "the limit is no multiple of the page size",
            Broken::Twice => "an earlier step does the same",
            Broken::CannotWriteBack => "the host cannot write back, or the map is not exact",
            Broken::NotCold => "the pages are not known to be cold",
            Broken::NotOneRound => "the pages are not one round",
            Broken::GateClosed => "nothing may be written to the swap areas now",
        };
        write!(f, "step {}: {broken}", self.step)
    }
}

/// Everything that is wrong with a plan for this snapshot; empty for every plan of `decide`.
#[must_use]
pub fn violations(plan: &Plan, snap: &Snapshot, policies: &PolicySet) -> Vec<Violation> {
    let government = govern(snap, policies);
    let mut written = BTreeSet::new();
    let mut found = Vec::new();
    for (step, planned) in plan.steps.iter().enumerate() {
        let mut broken = judge(&planned.action, &planned.by, snap, &government);
        if !written.insert((planned.action.cgroup(), planned.action.knob())) || overlaps(plan, step, snap) {
            broken.push(Broken::Twice);
        }
        found.extend(broken.into_iter().map(|broken| Violation { step, broken }));
    }
    found
}

/// Whether some other round of the plan takes a cgroup above the one of this round.
fn overlaps(plan: &Plan, step: usize, snap: &Snapshot) -> bool {
    let Action::Writeback { cgroup, .. } = plan.steps[step].action else { return false };
    let rounds = plan.steps.iter().filter_map(|step| match step.action {
        Action::Writeback { cgroup, .. } => Some(cgroup),
        _ => None,
    });
    let others: BTreeSet<_> = rounds.filter(|other| *other != cgroup).collect();
    snap.above(cgroup).any(|(above, _)| others.contains(&above))
}

fn judge(action: &Action, by: &Asker, snap: &Snapshot, government: &Government<'_>) -> Vec<Broken> {
    let Some(view) = snap.cgroups.get(&action.cgroup()) else { return vec![Broken::NoSuchCgroup] };
    let name = match by {
        Asker::Areas => return judge_host(action, view, snap),
        Asker::Policy(name) => name,
        // What is decided again and again is a policy's or the areas'.
        Asker::Settings | Asker::Hand | Asker::Round | Asker::Other(_) => return vec![Broken::NotAskedFor],
    };
    let policy = match government.get(&action.cgroup()) {
        Some(governed) if governed.policy.name() == *name => governed.policy,
        _ => return vec![Broken::NotItsPolicy],
    };
    let Some(tiers) = policy.tiers() else { return vec![Broken::NotAskedFor] };
    match *action {
        Action::Set { knob, .. } if !tiers.asks_for(knob) => vec![Broken::NotAskedFor],
        Action::Set { knob, to, .. } => {
            let mut broken = set(view, knob, to, snap);
            if let (Setting::Valve(to), []) = (to, broken.as_slice()) {
                broken.extend(valve(to, wanted_valve(tiers).map(|(wanted, _)| wanted), snap));
            }
            broken
        }
        Action::Writeback { older_than, pages, .. } => {
            let Some(rule) = policy.demote() else { return vec![Broken::NotAskedFor] };
            let mut broken = Vec::new();
            if !matches!((&snap.host.writeback, &snap.host.map), (Writeback::Ready(_), MapHealth::Exact)) {
                broken.push(Broken::CannotWriteBack);
            }
            if must_be_closed(snap) || any_pool(snap, |pool| pool.marks.demote) {
                broken.push(Broken::GateClosed);
            }
            let cold =
                view.cold.filter(|cold| cold.older_than == rule.older_than && older_than == rule.older_than);
            if cold.is_none_or(|cold| pages > cold.pages) {
                broken.push(Broken::NotCold);
            }
            let least = least_round(&rule.budget, snap.page_size);
            let most = rule.budget.round.whole_pages(snap.page_size).max(Pages(1));
            if pages < least || pages > most {
                broken.push(Broken::NotOneRound);
            }
            broken
        }
    }
}

/// A policy's valve; `wanted` is what the policy says of it.
fn valve(to: bool, wanted: Option<bool>, snap: &Snapshot) -> Option<Broken> {
    match wanted {
        _ if to && must_be_closed(snap) => Some(Broken::GateClosed),
        // A gate closes what a policy opens, and opens nothing.
        Some(wanted) if wanted == to || (!to && may_be_closed(snap)) => None,
        _ => Some(Broken::NotAskedFor),
    }
}

/// What is done for the host's areas: the root's valve is closed, and limits right below the root are lowered.
fn judge_host(action: &Action, view: &CgroupView, snap: &Snapshot) -> Vec<Broken> {
    match *action {
        Action::Set {
            cgroup: CgroupId::ROOT,
            knob: knob @ Knob::ZswapWriteback,
            to: to @ Setting::Valve(false),
        } if may_be_closed(snap) => set(view, knob, to, snap),
        Action::Set { knob: knob @ Knob::SwapMax, to, .. }
            if view.parent == Some(CgroupId::ROOT) && any_pool(snap, |pool| pool.marks.demote) =>
        {
            let mut broken = set(view, knob, to, snap);
            if view.settings.get(knob).is_some_and(|now| to.is_above(now)) {
                broken.push(Broken::NotAskedFor);
            }
            broken
        }
        _ => vec![Broken::NotAskedFor],
    }
}

/// Whether pages of whoever swaps land in a ghost, or a pool is past the mark at which nothing is written; by the
/// snapshot alone.
fn must_be_closed(snap: &Snapshot) -> bool {
    by_ghosts(&snap.host.areas, false).is_some() || any_pool(snap, |pool| pool.marks.of(Level::Closed))
}

/// Whether closing can be right at all: it lasts longer than what made it necessary.
fn may_be_closed(snap: &Snapshot) -> bool {
    snap.host.areas.iter().any(|area| area.kind.is_ghost()) || any_pool(snap, |pool| pool.marks.demote)
}

/// Whether some pool is as full as this mark, or it is not known how full it is.
fn any_pool(snap: &Snapshot, mark: impl Fn(&PoolView) -> Share) -> bool {
    let is_dark = snap.host.areas.iter().any(|area| area.kind == AreaKind::Virtual && area.pool.is_none());
    is_dark || pools(&snap.host.areas).any(|pool| pool.refuses || pool.fullest().1 >= mark(pool))
}

/// Whatever a file is set to: its value is known and another one, and one that the kernel keeps.
fn set(view: &CgroupView, knob: Knob, to: Setting, snap: &Snapshot) -> Vec<Broken> {
    let mut broken = Vec::new();
    match view.settings.get(knob) {
        None => broken.push(Broken::Unknown),
        Some(now) if now == to => broken.push(Broken::Idle),
        Some(_) => {}
    }
    if to.as_kernel_keeps_it(snap.page_size) != to {
        broken.push(Broken::Unaligned);
    }
    broken
}
