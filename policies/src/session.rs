//! The one door to what decisions remember. Each tick is a [`turn`](Session::turn); where a decision is due it is made of that
//! turn ([`Session::decide`]), and what came of its steps ends it ([`Session::done`]).
//!
//! The order is held by types: a decision uses up a turn, and what came of it uses up the decision. The agent, a recording
//! without one and a replay go through this door; who asks only once, and remembers nothing, calls [`decide_afresh`].

use serde::{Deserialize, Serialize};

use crate::decide::{asks, decide, is_due, refusal};
use crate::event::Event;
use crate::history::History;
use crate::outcome::{Outcome, Settled};
use crate::plan::{Action, Hold, Plan};
use crate::policy::PolicySet;
use crate::snapshot::Snapshot;
use crate::units::Seconds;

/// A decision and what came of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub plan: Plan,
    /// What came of each step, in the order of the steps; of a round that it waits. Empty when the plan was not carried out.
    pub outcomes: Vec<Outcome>,
}

/// Who decides again and again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Session {
    history: History,
}

/// A tick that was taken in. A decision may be made of it.
#[derive(Debug)]
pub struct Turn {
    /// What happened to the swap areas since the turn before.
    pub events: Vec<Event>,
    /// What the areas ask for has changed: a decision cannot wait for its interval.
    pub is_urgent: bool,
    /// Why nothing may be written back now, whoever asks; `None`: nothing is against it.
    pub refusal: Option<Hold>,
    sealed: Sealed,
}

/// A decision that was made, and of which it is not told yet what came of it.
#[must_use = "what came of it belongs into the history: `Session::done`"]
#[derive(Debug)]
pub struct Made(Sealed);

/// Nobody else makes one.
#[derive(Debug)]
struct Sealed;

impl Session {
    /// One that goes on with what was remembered.
    #[must_use]
    pub fn of(history: History) -> Session {
        Session { history }
    }

    /// What is remembered.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes in a tick: the rounds that ended since the one before, in the order in which they ended, and what the swap areas
    /// look like now.
    pub fn turn(&mut self, snapshot: &Snapshot, ended: &[Settled]) -> Turn {
        let before = asks(&self.history);
        ended.iter().for_each(|ended| ended.book(&mut self.history, snapshot.at));
        let events = self.history.watch(snapshot);
        let is_urgent = is_due(snapshot, &self.history) || asks(&self.history) != before;
        Turn { events, is_urgent, refusal: refusal(snapshot, &self.history), sealed: Sealed }
    }

    /// Decides what to do now.
    pub fn decide(&mut self, turn: Turn, snapshot: &Snapshot, policies: &PolicySet) -> (Plan, Made) {
        (decide(snapshot, policies, &mut self.history), Made(turn.sealed))
    }

    /// Takes in what came of a decision at `at` of the map's clock, so that the next one knows what is under way or spent, and whose values stand. A
    /// replay says what was really done, whatever it decided itself.
    pub fn done(&mut self, made: Made, decision: &Decision, at: Seconds) {
        let Made(Sealed) = made;
        for (step, outcome) in decision.plan.steps.iter().zip(&decision.outcomes) {
            match (step.action, outcome) {
                (Action::Writeback { cgroup, pages, .. }, Outcome::Queued { .. }) => {
                    self.history.begun(cgroup, pages);
                }
                (Action::Writeback { .. }, _) => {
                    let settled = Settled { step: step.clone(), outcome: outcome.clone() };
                    settled.book(&mut self.history, at);
                }
                (action, Outcome::Set { .. } | Outcome::Already { .. }) => self.history.stood(&action),
                (action, Outcome::Foreign { .. }) => self.history.refused(&action),
                // Not in the file, or not known to be: it is asked for again.
                _ => {}
            }
        }
    }
}

/// What somebody would decide who remembers nothing: for `explain`, `check` and whoever asks once.
#[must_use]
pub fn decide_afresh(snapshot: &Snapshot, policies: &PolicySet) -> Plan {
    decide(snapshot, policies, &mut History::default())
}
