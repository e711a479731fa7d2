//! What was done and what other policies would have done, cgroup by cgroup. Pure counting over one decision after the
//! other; the deciding is `swaptier_policies`'.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use swaptier_policies::{
    Action, CgroupId, Decision, Ended, FilePath, History, Outcome, Pages, Plan, PolicySet, RoundReport,
    Session, Settled, Snapshot, Step, Turn,
};

use super::cold;
use crate::recording::Frame;

/// What one side did to one cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// File name of the policy, the last one it had.
    pub policy: Option<String>,
    /// Limits and valves set to a value they were not set to before. In the recorded world a limit that was not set stays
    /// as it was, and is asked for at each decision: that is one change.
    pub changes: u64,
    /// Rounds of write-back.
    pub rounds: u64,
    /// Pages asked to be written back, all rounds together.
    pub asked_pages: u64,
    /// The most that one round asked for.
    pub largest_round_pages: u64,
    /// Pages written back. Only what was done is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_pages: Option<u64>,
    /// What was held back: how often, by kind, with the last reason.
    pub held: BTreeMap<String, Kind>,
    /// The last value of each file.
    pub files: BTreeMap<&'static str, String>,
}

/// One kind of reason for not doing something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// At how many decisions.
    pub decisions: u64,
    /// The last reason, with its numbers.
    pub last: String,
}

/// Both sides of one cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Path below the cgroup root.
    pub path: String,
    /// What was done.
    pub done: Tally,
    /// What would have been.
    pub would: Tally,
    /// The other policy asks for an age that the recording knows by powers of two only: its pages are *at least* so many.
    pub is_at_least: bool,
}

/// The comparison, by cgroup.
#[derive(Debug, Default)]
pub struct Other {
    /// By identity: a path may be used again.
    pub cgroups: BTreeMap<CgroupId, Side>,
    /// Decisions at which both plans had the same steps.
    pub same_steps: u64,
    /// Decisions compared.
    pub decisions: u64,
    /// Who decides by the other policies.
    session: Option<Session>,
    /// The tick that is to be decided.
    turn: Option<Turn>,
}

impl Other {
    /// Decides by the other policies what was decided at `frame`, and counts both. `history` is that of the recorded ones,
    /// before the decision: what was spent before the first frame is spent.
    pub(super) fn decide(
        &mut self,
        frame: &Frame,
        done: &Decision,
        recorded: &PolicySet,
        other: &PolicySet,
        history: &History,
    ) {
        let (snapshot, by_buckets) = cold::under(frame, recorded, other);
        let session = self.session.get_or_insert_with(|| Session::of(history.clone()));
        let turn = self.turn.take().unwrap_or_else(|| session.turn(&snapshot, &[]));
        let (plan, made) = session.decide(turn, &snapshot, other);
        let outcomes = plan.steps.iter().map(|step| supposed(step, done)).collect();
        let supposed = Decision { plan, outcomes };
        session.done(made, &supposed, snapshot.at);
        let plan = supposed.plan;
        self.decisions += 1;
        let actions = |plan: &Plan| plan.steps.iter().map(|step| step.action).collect::<Vec<_>>();
        self.same_steps += u64::from(actions(&plan) == actions(&done.plan));
        self.count(&snapshot, &done.plan, &done.outcomes, |side| &mut side.done);
        self.count(&snapshot, &plan, &[], |side| &mut side.would);
        self.mark(&by_buckets);
    }

    /// Takes in a tick: of the rounds that ended those that the other policies asked for just so ended like this.
    pub(super) fn turn(&mut self, frame: &Frame) {
        if let Some(session) = &mut self.session {
            let is_own = |ended: &&Settled| session.history().is_under_way(ended.step.action.cgroup());
            let own: Vec<_> = frame.ended.iter().filter(is_own).cloned().collect();
            self.turn = Some(session.turn(&frame.snapshot, &own));
        }
        for ended in &frame.ended {
            let side = self.cgroups.get_mut(&ended.step.action.cgroup());
            if let (Outcome::WroteBack { written, .. } | Outcome::BrokenOff { written, .. }, Some(side)) =
                (&ended.outcome, side)
            {
                side.done.wrote(*written);
            }
        }
    }

    fn count(
        &mut self,
        snapshot: &Snapshot,
        plan: &Plan,
        outcomes: &[Outcome],
        side: fn(&mut Side) -> &mut Tally,
    ) {
        let tally =
            |cgroups: &mut BTreeMap<CgroupId, Side>, id: CgroupId, act: &mut dyn FnMut(&mut Tally)| {
                let path = snapshot.cgroups.get(&id).map_or_else(String::new, |view| view.path.to_string());
                act(side(cgroups.entry(id).or_insert_with(|| Side { path, ..Side::default() })));
            };
        for (n, step) in plan.steps.iter().enumerate() {
            let outcome = outcomes.get(n);
            tally(&mut self.cgroups, step.action.cgroup(), &mut |tally| tally.step(step, outcome));
        }
        for held in &plan.held {
            tally(&mut self.cgroups, held.cgroup, &mut |tally| {
                tally.policy = Some(held.by.to_string());
                let kind = tally.held.entry(held.hold.kind().to_owned()).or_default();
                kind.decisions += 1;
                kind.last = held.hold.to_string();
            });
        }
    }

    fn mark(&mut self, by_buckets: &BTreeSet<CgroupId>) {
        for id in by_buckets {
            if let Some(side) = self.cgroups.get_mut(id) {
                side.is_at_least = true;
            }
        }
    }
}

impl Tally {
    fn step(&mut self, step: &Step, outcome: Option<&Outcome>) {
        self.policy = Some(step.by.to_string());
        let (knob, value) = match step.action {
            Action::Set { knob, to, .. } => (knob, to.kernel_text()),
            Action::Writeback { pages, .. } => return self.round(pages, outcome),
        };
        if self.files.insert(knob.file(), value.clone()) != Some(value) {
            self.changes += 1;
        }
    }

    fn round(&mut self, asked: Pages, outcome: Option<&Outcome>) {
        self.rounds += 1;
        self.asked_pages = self.asked_pages.saturating_add(asked.0);
        self.largest_round_pages = self.largest_round_pages.max(asked.0);
        if let Some(Outcome::WroteBack { written, .. }) = outcome {
            self.wrote(*written);
        }
    }

    fn wrote(&mut self, written: Pages) {
        self.written_pages = Some(self.written_pages.unwrap_or(0).saturating_add(written.0));
    }
}

/// What is taken to come of a step of the other policies. The recorded host does not react: a file that would be set stays as it
/// was, and a round that was not recorded writes all that it asks for.
fn supposed(step: &Step, done: &Decision) -> Outcome {
    let path = FilePath::default();
    let Action::Writeback { pages, .. } = step.action else {
        return Outcome::Postponed { path, why: "it is recorded".to_owned() };
    };
    let same = done.plan.steps.iter().position(|it| it.action == step.action);
    match same.and_then(|same| done.outcomes.get(same)) {
        Some(outcome @ (Outcome::Queued { .. } | Outcome::WroteBack { .. })) => outcome.clone(),
        _ => {
            let report = RoundReport { ended: Some(Ended::Target), ..RoundReport::default() };
            Outcome::WroteBack { path, asked: pages, written: pages, report }
        }
    }
}
