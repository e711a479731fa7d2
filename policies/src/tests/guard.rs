//! The guard refuses what `decide` would never plan: each rule is broken once.

use super::*;
use crate::guard::Broken;
use crate::plan::{Bound, Reason};
use crate::{Action, Asker, Step};

const A: CgroupId = CgroupId(5);
const B: CgroupId = CgroupId(6);
const DEMOTE: &str = "[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"max\"\nzswap_max = \"max\"\noverflow = \"disk\"\n[demote]\nolder_than = \"10m\"\nbudget = { round = \"1M\" }";

fn world() -> Snapshot {
    host().with(A.0, CgroupView { cold: cold(1_000), ..fresh("a") }).with(
        B.0,
        CgroupView { cold: cold(1_000), settings: Settings::fresh().without(Knob::SwapMax), ..fresh("a/b") },
    )
}

fn set(cgroup: CgroupId, knob: Knob, to: impl Into<Setting>) -> Action {
    Action::Set { cgroup, knob, to: to.into() }
}

/// What the guard says about a plan of these actions, all by `p.toml`.
fn broken_in(snap: &Snapshot, set: &PolicySet, actions: &[Action]) -> Vec<(usize, Broken)> {
    let reason =
        Reason::Cold { cold: Pages(1), oldest: Seconds(1), older_than: Seconds(1), bound: Bound::AllCold };
    let step = |action: &Action| Step {
        action: *action,
        by: Asker::Policy("p.toml".to_owned()),
        reason: reason.clone(),
    };
    let plan = Plan { steps: actions.iter().map(step).collect(), ..Plan::default() };
    violations(&plan, snap, set).iter().map(|violation| (violation.step, violation.broken)).collect()
}

fn broken(action: Action) -> Vec<Broken> {
    broken_in(&world(), &policy(DEMOTE), &[action]).into_iter().map(|(_, broken)| broken).collect()
}

fn writeback(cgroup: CgroupId, pages: u64) -> Action {
    Action::Writeback { cgroup, older_than: Seconds(600), pages: Pages(pages) }
}

#[test]
fn a_sound_plan_passes() {
    // 1 MiB = 256 pages is one round.
    assert_eq!(broken(writeback(B, 256)), []);
    assert_eq!(broken(set(A, Knob::SwapMax, Limit::ZERO)), []);
}

#[test]
fn cgroups_that_are_gone_or_governed_otherwise_are_refused() {
    assert_eq!(broken(set(CgroupId(99), Knob::SwapMax, Limit::ZERO)), [Broken::NoSuchCgroup]);
    assert_eq!(broken(set(CgroupId::ROOT, Knob::SwapMax, Limit::ZERO)), [Broken::NotItsPolicy]);
    let other = policies(&[("q.toml", &format!("[match]\ncgroup = [\"**\"]\n{DEMOTE}"))]);
    assert_eq!(broken_in(&world(), &other, &[writeback(B, 256)]), [(0, Broken::NotItsPolicy)]);
}

#[test]
fn what_the_policy_does_not_ask_for_is_refused() {
    let refused = |rest: &str, action| broken_in(&world(), &policy(rest), &[action]);
    let not_asked = [(0, Broken::NotAskedFor)];
    assert_eq!(refused("", set(A, Knob::SwapMax, Limit::ZERO)), not_asked);
    let left_out = "[tiers]\nuse = [\"zswap\", \"disk\"]";
    assert_eq!(refused(left_out, set(A, Knob::SwapMax, Limit::ZERO)), not_asked);
    assert_eq!(refused(left_out, set(A, Knob::ZswapMax, Limit::ZERO)), not_asked);
    assert_eq!(refused(left_out, set(A, Knob::ZswapWriteback, false)), not_asked);
    assert_eq!(refused("[tiers]\nuse = []", set(A, Knob::ZswapMax, Limit::ZERO)), not_asked);
    assert_eq!(refused("[tiers]\nuse = [\"zswap\"]", writeback(B, 256)), not_asked);
    assert_eq!(refused(DEMOTE, set(A, Knob::ZswapWriteback, false)), not_asked);
}

#[test]
fn limits_that_are_unknown_idle_or_unaligned_are_refused() {
    assert_eq!(broken(set(B, Knob::SwapMax, Limit::ZERO)), [Broken::Unknown]);
    assert_eq!(broken(set(A, Knob::SwapMax, Limit::Max)), [Broken::Idle]);
    assert_eq!(broken(set(A, Knob::ZswapWriteback, true)), [Broken::Idle]);
    let unaligned = Limit::Bytes(Bytes(4_097));
    assert_eq!(broken(set(A, Knob::ZswapMax, unaligned)), [Broken::Unaligned]);
}

#[test]
fn rounds_that_are_too_large_too_small_or_too_young_are_refused() {
    assert_eq!(broken(writeback(B, 257)), [Broken::NotOneRound]);
    assert_eq!(broken(writeback(B, 31)), [Broken::NotOneRound]);
    assert_eq!(broken(writeback(B, 1_001)), [Broken::NotCold, Broken::NotOneRound]);
    let young = Action::Writeback { cgroup: B, older_than: Seconds(599), pages: Pages(256) };
    assert_eq!(broken(young), [Broken::NotCold]);
}

#[test]
fn nothing_is_written_back_on_a_host_that_cannot() {
    let cannot = [(0, Broken::CannotWriteBack)];
    let mut snap = world();
    snap.host.map = MapHealth::Absent("drift".to_owned());
    assert_eq!(broken_in(&snap, &policy(DEMOTE), &[writeback(B, 256)]), cannot);
    let mut snap = world();
    snap.host.writeback = Writeback::None("locked down".to_owned());
    assert_eq!(broken_in(&snap, &policy(DEMOTE), &[writeback(B, 256)]), cannot);
}

#[test]
fn the_same_thing_twice_is_refused() {
    let twice = |actions: &[Action]| broken_in(&world(), &policy(DEMOTE), actions);
    let zero = set(A, Knob::SwapMax, Limit::ZERO);
    assert_eq!(twice(&[zero, zero]), [(1, Broken::Twice)]);
    // A round of `a` takes the pages of `a/b` as well.
    assert_eq!(twice(&[writeback(A, 256), writeback(B, 256)]), [(1, Broken::Twice)]);
}
