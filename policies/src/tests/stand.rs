//! Whose value stands in a file: stories of a policy, somebody else and the kernel.

use super::*;
use crate::Action;
use crate::{Knob, lifts};

const A: CgroupId = CgroupId(5);
const MAX_40M: &str = "[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"40M\"\noverflow = \"keep\"";

fn mib(mib: u64) -> Limit {
    Limit::Bytes(Bytes(mib * MIB))
}

/// A cgroup, decided about again and again; steps are carried out.
struct World {
    snap: Snapshot,
    history: History,
}

impl World {
    fn new() -> World {
        World { snap: host().with(A.0, fresh("a")), history: History::default() }
    }

    fn view(&mut self) -> &mut CgroupView {
        self.snap.cgroups.get_mut(&A).unwrap()
    }

    /// The decision five seconds later, carried out; as `--dry-run` prints it.
    fn decide(&mut self, set: &PolicySet) -> String {
        let plan = self.look(set);
        plan.steps.iter().for_each(|step| self.history.stood(&step.action));
        let said = plan.describe(&self.snap);
        self.snap = plan.preview(&self.snap);
        said
    }

    /// The decision five seconds later, of which nothing comes about.
    fn look(&mut self, set: &PolicySet) -> Plan {
        self.snap.at = Seconds(self.snap.at.0 + 5);
        plan_with(&self.snap, set, &mut self.history)
    }
}

#[test]
fn a_key_that_is_left_out_leaves_its_file_alone() {
    // What a kubelet forbids stays forbidden: swap 0, zswap 80 MiB, the way to disk closed.
    let view = CgroupView {
        settings: Settings::fresh()
            .with(Knob::SwapMax, Limit::ZERO)
            .with(Knob::ZswapMax, mib(80))
            .with(Knob::ZswapWriteback, false),
        ..fresh("a")
    };
    let snap = host().with(5, view);
    check(&snap, &policy("[tiers]\nuse = [\"zswap\", \"disk\"]"), "");
    check(&snap, &policy("[tiers]\nuse = [\"zswap\"]"), "");
    check(
        &snap,
        &policy(
            "[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"max\"\nzswap_max = \"max\"\noverflow = \"disk\"",
        ),
        "a: memory.zswap.max = max (is 80.0 MiB, wanted max: the policy says `max`; p.toml)
         a: memory.swap.max = max (is 0 B, wanted max: the policy says `max`; p.toml)
         a: memory.zswap.writeback = 1 (is 0: `tiers.overflow = \"disk\"`; p.toml)",
    );
}

#[test]
fn a_policy_about_ages_lifts_no_prohibition_to_write_to_disk() {
    let view = CgroupView {
        settings: Settings::fresh().with(Knob::ZswapWriteback, false),
        cold: cold(1_000),
        ..fresh("a")
    };
    let demote = "[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\nolder_than = \"10m\"\n";
    let held =
        "a: held: somebody closed its way to disk (memory.zswap.writeback is 0), not its policy (p.toml)";
    check(&host().with(5, view.clone()), &policy(demote), held);
    // One that the policy itself closes between its rounds is its own.
    let own = demote.replace("\n[demote]", "\noverflow = \"keep\"\n[demote]");
    assert_eq!(plan(&host().with(5, view), &policy(&own)).steps.len(), 1);
}

#[test]
fn a_value_is_set_when_the_policy_begins_and_whoever_changes_it_then_has_the_last_word() {
    let (mut world, set) =
        (World::new(), policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"max\""));
    // It was found as wanted: nothing is written, and it is ours nevertheless.
    same(&world.decide(&set), "");
    world.view().settings.set(Knob::ZswapMax, Setting::from(mib(40)));
    let held =
        "a: held: somebody set memory.zswap.max to 40.0 MiB, the policy asks for max: left alone (p.toml)";
    for _ in 0..3 {
        same(&world.decide(&set), held);
    }
    // They give it back themselves: from here on it is ours again.
    world.view().settings.set(Knob::ZswapMax, Setting::from(Limit::Max));
    same(&world.decide(&set), "");
    world.view().settings.set(Knob::ZswapMax, Setting::from(mib(20)));
    same(&world.decide(&set), &held.replace("40.0", "20.0"));
    // Another wish begins anew.
    same(
        &world.decide(&policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"30M\"")),
        "a: memory.zswap.max = 30.0 MiB (is 20.0 MiB, wanted 30.0 MiB: the policy gives it; p.toml)",
    );
}

#[test]
fn a_policy_that_went_and_came_begins_anew() {
    let (mut world, set) = (World::new(), policy(MAX_40M));
    world.decide(&set);
    world.view().settings.set(Knob::ZswapMax, Setting::from(mib(20)));
    assert!(world.decide(&set).contains("left alone"));
    same(&world.decide(&policy("")), "");
    assert!(world.decide(&set).contains("a: memory.zswap.max = 40.0 MiB"));
}

#[test]
fn what_did_not_come_about_is_asked_for_again() {
    let (mut world, set) = (World::new(), policy(MAX_40M));
    for _ in 0..3 {
        assert_eq!(world.look(&set).steps.len(), 2);
    }
    assert_eq!(world.decide(&set).lines().count(), 2);
    same(&world.decide(&set), "");
}

#[test]
fn a_share_moves_with_its_whole_and_stays_somebody_s_where_it_was() {
    let (mut world, set) =
        (World::new(), policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"25%\""));
    // 25 % of 8 GiB, then of 2 GiB, then of 1 GiB.
    assert!(world.decide(&set).contains("a: memory.zswap.max = 2.0 GiB"));
    world.view().memory_max = Some(mib(2_048));
    assert!(world.decide(&set).contains("a: memory.zswap.max = 512.0 MiB (is 2.0 GiB"));
    world.view().settings.set(Knob::ZswapMax, Setting::from(mib(40)));
    assert!(world.decide(&set).contains("held: somebody set"));
    world.view().memory_max = Some(mib(1_024));
    same(
        &world.decide(&set),
        "a: held: somebody set memory.zswap.max to 40.0 MiB, the policy asks for 256.0 MiB: left alone (p.toml)",
    );
}

#[test]
fn a_file_that_went_back_to_its_default_is_put_right_three_times_an_hour_and_then_somebody_s() {
    let (mut world, set) = (World::new(), policy(MAX_40M));
    world.decide(&set);
    let back = |world: &mut World| {
        world.view().settings = Settings::fresh();
        world.decide(&set)
    };
    for times in 1..=3 {
        same(
            &back(&mut world),
            &format!(
                "a: memory.zswap.writeback = 0 (memory.zswap.writeback went back to the kernel's default, wanted 0: put right, {times} of at most 3 times an hour; p.toml)
                 a: memory.zswap.max = 40.0 MiB (memory.zswap.max went back to the kernel's default, wanted 40.0 MiB: put right, {times} of at most 3 times an hour; p.toml)"
            ),
        );
    }
    let theirs = "a: held: somebody set memory.zswap.writeback to 1, the policy asks for 0: left alone (p.toml)
                  a: held: somebody set memory.zswap.max to max, the policy asks for 40.0 MiB: left alone (p.toml)";
    same(&back(&mut world), theirs);
    same(&back(&mut world), theirs);
}

#[test]
fn an_hour_later_a_default_is_put_right_again() {
    let (mut world, set) = (World::new(), policy(MAX_40M));
    world.decide(&set);
    for _ in 0..9 {
        world.snap.at = Seconds(world.snap.at.0 + 1_200);
        world.view().settings.set(Knob::ZswapWriteback, Setting::from(true));
        assert!(world.decide(&set).contains("a: memory.zswap.writeback = 0"));
    }
}

#[test]
fn what_was_refused_as_somebody_s_stays_so() {
    let (mut world, set) = (World::new(), policy(MAX_40M));
    world.view().settings.set(Knob::ZswapMax, Setting::from(mib(7)));
    let plan = world.look(&set);
    plan.steps.iter().for_each(|step| world.history.refused(&step.action));
    assert!(world.look(&set).steps.is_empty());
    assert_eq!(world.look(&set).held.len(), 2);
}

#[test]
fn a_gate_that_opens_again_gives_no_way_free_that_somebody_closed() {
    let set = policy("[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"disk\"");
    let mut world = World::new();
    same(&world.decide(&set), "");
    world.view().settings.set(Knob::ZswapWriteback, Setting::from(false));
    let held =
        "a: held: somebody set memory.zswap.writeback to 0, the policy asks for 1: left alone (p.toml)";
    same(&world.decide(&set), held);
    world.snap.host.areas = vec![area("ghost", crate::AreaKind::GhostDm, 10)];
    assert!(world.decide(&set).contains(held));
    world.snap.host.areas.clear();
    same(&world.decide(&set), held);
}

#[test]
fn a_valve_that_the_gate_closed_is_the_policy_s_to_open_again() {
    let set = policy("[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"disk\"");
    let mut world = World::new();
    world.decide(&set);
    world.snap.host.areas = vec![area("ghost", crate::AreaKind::GhostDm, 10)];
    assert!(world.decide(&set).contains("a: memory.zswap.writeback = 0"));
    world.snap.host.areas.clear();
    same(&world.decide(&set), "a: memory.zswap.writeback = 1 (is 0: `tiers.overflow = \"disk\"`; p.toml)");
}

#[test]
fn lifts_are_the_values_that_a_policy_would_raise() {
    let view = CgroupView {
        settings: Settings::fresh().with(Knob::SwapMax, Limit::ZERO).with(Knob::ZswapWriteback, false),
        ..fresh("a")
    };
    let snap = host().with(5, view);
    assert_eq!(lifts(&snap, &policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"1M\"")), []);
    let max = policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"max\"\noverflow = \"disk\"");
    let found: Vec<_> = lifts(&snap, &max).into_iter().map(|lift| (lift.knob, lift.from, lift.to)).collect();
    let limit = Setting::Limit;
    assert_eq!(
        found,
        [
            (Knob::SwapMax, limit(Limit::ZERO), limit(Limit::Max)),
            (Knob::ZswapWriteback, Setting::Valve(false), Setting::Valve(true)),
        ]
    );
    let disk = policy("[tiers]\nuse = [\"disk\"]");
    assert!(matches!(
        plan(&snap, &disk).steps[0].action,
        Action::Set { knob: Knob::ZswapMax, to: Setting::Limit(Limit::ZERO), .. }
    ));
    assert_eq!(lifts(&snap, &disk).len(), 1, "the way to disk alone");
}
