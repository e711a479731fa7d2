//! Decisions of a recording made again by the same `decide`, and what another set of policies would have decided. Pure.
//!
//! `other` counts what was done and what would have been; `cold` answers how many pages are as old as another policy asks.
//! Caller: `swaptier replay`.
//!
//! Properties
//! - A recording decides again to the same plans: what a decision rests on is in its frame and in the history, and the
//!   history moves on by what was begun and what was written, as it did in the agent.
//! - Where frames are missing, the history is unknown until the next key frame, and no decision is called the same.
//! - The recorded world does not react to what another policy would have done: limits it would have set are as they
//!   were, and pages it would have written back are cold again at the next decision.

mod cold;
mod other;

use swaptier_policies::{Plan, PolicySet, Session};

pub use other::{Kind, Other, Side, Tally};

use super::{Frame, Terms};

/// How many decisions that differ are kept; the others are counted.
const KEPT: usize = 20;

/// What came of deciding again.
#[derive(Debug, Default)]
pub struct Report {
    /// Frames looked at.
    pub frames: u64,
    /// Frames with a decision.
    pub decisions: u64,
    /// Decided the same.
    pub same: u64,
    /// Not decided again: frames before them are lost, so the history is not known.
    pub unproven: u64,
    /// Decided otherwise.
    pub different: u64,
    /// The first of these.
    pub differences: Vec<Difference>,
    /// Key frames at which the history was not what the recording says.
    pub histories: u64,
    /// Faults that this swaptier finds in the recorded policies: decisions by them are not made again.
    pub refused: Vec<String>,
    /// What other policies would have done.
    pub other: Option<Other>,
}

/// A decision that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The frame's number.
    pub frame: usize,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// Lines of the recorded plan that the new one lacks.
    pub recorded: Vec<String>,
    /// Lines of the new plan that the recorded one lacks.
    pub now: Vec<String>,
}

/// A replay under way: frames are handed in one after the other.
#[derive(Debug)]
pub struct Replay<'a> {
    other: Option<&'a PolicySet>,
    report: Report,
    /// Who decides; `None` after a gap.
    session: Option<Session>,
    last_tick: Option<u64>,
    /// The policies in force, and what they were compiled from.
    recorded: Option<(Vec<(String, String)>, PolicySet)>,
}

impl<'a> Replay<'a> {
    /// Decides again; also by `other` policies, if they are given.
    pub fn new(other: Option<&'a PolicySet>) -> Self {
        let report = Report { other: other.map(|_| Other::default()), ..Report::default() };
        Self { other, report, session: None, last_tick: None, recorded: None }
    }

    /// Takes a frame that only leads up to those that are wanted.
    pub fn lead(&mut self, frame: &Frame, terms: &Terms) {
        let kept = std::mem::take(&mut self.report);
        let other = self.other.take();
        self.frame(0, frame, terms);
        (self.report, self.other) = (kept, other);
    }

    /// Takes a frame whose terms are lost: by which policies it was decided is not known, so it is not decided again, and
    /// what decisions remember is not known either until the next key.
    pub fn without_terms(&mut self, frame: &Frame) {
        self.report.frames += 1;
        if frame.decision.is_some() {
            self.report.decisions += 1;
            self.report.unproven += 1;
        }
        (self.session, self.last_tick) = (None, None);
    }

    /// Takes the next frame.
    pub fn frame(&mut self, number: usize, frame: &Frame, terms: &Terms) {
        self.report.frames += 1;
        if self.last_tick.is_none_or(|last| last + 1 != frame.tick) {
            self.session = None;
        }
        self.last_tick = Some(frame.tick);
        if let Some(recorded) = &frame.history {
            if self.session.as_ref().is_some_and(|session| session.history() != recorded) {
                self.report.histories += 1;
            }
            self.session = Some(Session::of(recorded.clone()));
        }
        // What it tells was told then.
        let turn = self.session.as_mut().map(|session| session.turn(&frame.snapshot, &frame.ended));
        if let Some(tally) = &mut self.report.other {
            tally.turn(frame);
        }
        let Some(decision) = &frame.decision else { return };
        self.report.decisions += 1;
        let Some(policies) = self.policies(terms) else { return };
        let (Some(session), Some(turn)) = (&mut self.session, turn) else {
            self.report.unproven += 1;
            return;
        };
        if let (Some(other), Some(tally)) = (self.other, &mut self.report.other) {
            tally.decide(frame, decision, &policies, other, session.history());
        }
        let (now, made) = session.decide(turn, &frame.snapshot, &policies);
        session.done(made, decision, frame.snapshot.at);
        if now == decision.plan {
            self.report.same += 1;
        } else {
            self.report.different += 1;
            if self.report.differences.len() < KEPT {
                self.report.differences.push(difference(number, frame, &decision.plan, &now));
            }
        }
        self.recorded = Some((terms.policies.clone(), policies));
    }

    /// What came of it.
    pub fn finish(self) -> Report {
        self.report
    }

    /// The recorded policies, compiled once. Taken out of `self`; the caller puts them back.
    fn policies(&mut self, terms: &Terms) -> Option<PolicySet> {
        match self.recorded.take() {
            Some((texts, set)) if texts == terms.policies => Some(set),
            _ => match terms.policy_set() {
                Ok(set) => Some(set),
                Err(faults) => {
                    self.session = None;
                    self.report.unproven += 1;
                    self.report.refused = faults.iter().map(ToString::to_string).collect();
                    None
                }
            },
        }
    }
}

/// Two plans for the same snapshot, with what they want, as the lines that are only in one of them.
fn difference(number: usize, frame: &Frame, recorded: &Plan, now: &Plan) -> Difference {
    let lines = |plan: &Plan| plan.describe(&frame.snapshot) + &plan.wants.describe(&frame.snapshot);
    let (recorded, now) = (lines(recorded), lines(now));
    let only = |these: &str, those: &str| -> Vec<String> {
        these.lines().filter(|line| !those.lines().any(|it| it == *line)).map(str::to_owned).collect()
    };
    Difference {
        frame: number,
        unix_ms: frame.unix_ms,
        recorded: only(&recorded, &now),
        now: only(&now, &recorded),
    }
}

#[cfg(test)]
mod tests;
