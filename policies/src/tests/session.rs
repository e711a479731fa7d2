//! The one door: what a decision remembers comes through it, and what it tells goes out.

use super::*;
use crate::plan::Hold;
use crate::report::{Ended, RoundReport};
use crate::{Action, Decision, Outcome, Session, Settled, Step};

const DEMOTE: &str =
    "[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"1G\"\n[demote]\nolder_than = \"10m\"";

/// A second later than `snap`.
fn later(snap: &Snapshot) -> Snapshot {
    Snapshot { at: Seconds(snap.at.0 + 5), ..snap.clone() }
}

/// Decides in this session; every step comes to what `outcome` says.
fn decided(session: &mut Session, snap: &Snapshot, ended: &[Settled], outcome: fn(&Step) -> Outcome) -> Plan {
    let turn = session.turn(snap, ended);
    let (plan, made) = session.decide(turn, snap, &policy(DEMOTE));
    let outcomes = plan.steps.iter().map(outcome).collect();
    let decision = Decision { plan, outcomes };
    session.done(made, &decision, snap.at);
    decision.plan
}

fn queued(step: &Step) -> Outcome {
    match step.action {
        Action::Writeback { pages, .. } => Outcome::Queued { path: "a".into(), asked: pages },
        Action::Set { to, .. } => Outcome::Set { path: "a".into(), from: "max".into(), to: to.kernel_text() },
    }
}

#[test]
fn what_came_of_a_decision_is_known_to_the_next() {
    let snap = host().with(5, CgroupView { cold: cold(1_000), ..fresh("a") });
    let mut session = Session::default();
    let first = decided(&mut session, &snap, &[], queued);
    let round = first.steps.iter().find(|step| matches!(step.action, Action::Writeback { .. })).cloned();
    let round = round.expect("a round");
    // It is under way, and the limit stands.
    let mut snap = later(&first.preview(&snap));
    snap.cgroups.get_mut(&CgroupId(5)).unwrap().cold = cold(900);
    let second = decided(&mut session, &snap, &[], queued);
    assert_eq!(second.steps, []);
    assert!(second.held.iter().any(|held| held.hold == Hold::RoundUnderWay(CgroupId(5))), "{second:?}");
    // It has ended: the next one may be made.
    let report = RoundReport { ended: Some(Ended::Target), ..RoundReport::default() };
    let outcome = Outcome::WroteBack { path: "a".into(), asked: Pages(1_000), written: Pages(100), report };
    let third = decided(&mut session, &later(&snap), &[Settled { step: round, outcome }], queued);
    assert_eq!(third.steps, [], "the last round is recent");
    let fourth = decided(&mut session, &later(&later(&snap)), &[], queued);
    assert!(matches!(fourth.steps[..], [Step { action: Action::Writeback { .. }, .. }]), "{fourth:?}");
}

#[test]
fn a_value_that_somebody_wrote_stands_for_all_decisions_that_follow() {
    let snap = host().with(5, fresh("a"));
    let mut session = Session::default();
    let foreign = |_: &Step| Outcome::Foreign { path: "a".into(), ours: "1".into(), found: "max".into() };
    assert_eq!(decided(&mut session, &snap, &[], foreign).steps.len(), 1);
    let second = decided(&mut session, &later(&snap), &[], foreign);
    assert_eq!(second.steps, []);
    assert!(second.held.iter().any(|held| matches!(held.hold, Hold::Foreign { .. })), "{second:?}");
}

#[test]
fn a_turn_tells_what_happened_to_the_areas_once_and_that_a_decision_cannot_wait() {
    let mut snap = host().with(5, fresh("a"));
    snap.host.areas = vec![area("ghost", AreaKind::GhostNative, 5)];
    let mut session = Session::default();
    let turn = session.turn(&snap, &[]);
    assert!(turn.is_urgent && turn.refusal.is_some() && !turn.events.is_empty(), "{turn:?}");
    let told = session.turn(&later(&snap), &[]).events;
    assert!(!told.iter().any(|event| matches!(event, crate::Event::AreaOn { .. })), "{told:?}");
}
