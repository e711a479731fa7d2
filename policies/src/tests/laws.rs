//! What is true of every decision, tried on random worlds.

use proptest::prelude::*;

use super::world::{FORGETTABLE, forget, policy_set, snapshot};
use super::*;
use crate::plan::Hold;
use crate::units::Share;
use crate::{Action, Want, Wanted};

/// Books every round of a plan as written in full.
fn book(plan: &Plan, history: &mut History, at: Seconds) {
    for step in &plan.steps {
        if let Action::Writeback { cgroup, pages, .. } = step.action {
            history.spent(cgroup, pages, at);
        }
    }
}

/// The same world with every id but the root's turned around.
fn renamed(snap: &Snapshot) -> Snapshot {
    let mut other = snap.clone();
    other.cgroups = snap
        .cgroups
        .iter()
        .map(|(id, view)| (rename(*id), CgroupView { parent: view.parent.map(rename), ..view.clone() }))
        .collect();
    other
}

fn rename(id: CgroupId) -> CgroupId {
    if id == CgroupId::ROOT { id } else { CgroupId(u64::MAX - id.0) }
}

fn rename_action(action: Action) -> Action {
    match action {
        Action::Set { cgroup, knob, to } => Action::Set { cgroup: rename(cgroup), knob, to },
        Action::Writeback { cgroup, older_than, pages } => {
            Action::Writeback { cgroup: rename(cgroup), older_than, pages }
        }
    }
}

fn rename_plan(mut plan: Plan) -> Plan {
    for step in &mut plan.steps {
        step.action = rename_action(step.action);
    }
    for held in &mut plan.held {
        held.cgroup = rename(held.cgroup);
        if let Hold::LeftToBelow(id) | Hold::ClosedAbove(id) = &mut held.hold {
            *id = rename(*id);
        }
    }
    for (cgroup, knob, wanted) in std::mem::take(&mut plan.wants).iter() {
        plan.wants.insert(rename(cgroup), knob, wanted.clone());
    }
    plan
}

proptest! {
    #[test]
    fn same_inputs_same_plan(snap in snapshot(), set in policy_set()) {
        let (mut one, mut other) = (History::default(), History::default());
        prop_assert_eq!(decide(&snap, &set, &mut one), decide(&snap, &set, &mut other));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_carried_out_plan_leaves_nothing_to_do(snap in snapshot(), set in policy_set()) {
        let mut history = History::default();
        let plan = decide(&snap, &set, &mut history);
        book(&plan, &mut history, snap.at);
        let after = plan.preview(&snap);
        prop_assert!(after.host.areas.len() == snap.host.areas.len());
        let again = decide(&after, &set, &mut history);
        prop_assert!(again.steps.is_empty(), "first:\n{}again:\n{}", plan.describe(&snap), again.describe(&after));
    }

    #[test]
    fn no_plan_breaks_the_guard(snap in snapshot(), set in policy_set()) {
        let plan = decide(&snap, &set, &mut History::default());
        prop_assert_eq!(violations(&plan, &snap, &set), [], "{}", plan.describe(&snap));
    }

    #[test]
    fn knowing_less_never_adds_a_step(snap in snapshot(), set in policy_set(), n in 0usize..9, which in 0..FORGETTABLE) {
        let Some(cgroup) = snap.cgroups.keys().nth(n).copied() else { return Ok(()) };
        let plan = decide(&snap, &set, &mut History::default());
        let forgetful = forget(snap.clone(), cgroup, which);
        let has_pool = snap.host.areas.iter().any(|area| area.pool.is_some());
        for step in decide(&forgetful, &set, &mut History::default()).steps {
            // What one cgroup leaves of a pool's room another may use.
            let is_of_shared_room =
                has_pool && matches!(step.action, Action::Writeback { cgroup: other, .. } if other != cgroup);
            prop_assert!(is_of_shared_room || plan.steps.contains(&step), "{:?} is new", step);
        }
    }

    #[test]
    fn a_step_rests_on_values_that_are_known(snap in snapshot(), set in policy_set()) {
        for step in decide(&snap, &set, &mut History::default()).steps {
            let view = &snap.cgroups[&step.action.cgroup()];
            let known = match step.action {
                Action::Set { knob, .. } => view.settings.get(knob).is_some(),
                Action::Writeback { .. } => view.cold.is_some() && view.settings.valve().is_some(),
            };
            prop_assert!(known, "{:?}", step);
        }
    }

    #[test]
    fn nothing_opens_a_way_into_a_ghost_or_a_full_pool(snap in snapshot(), set in policy_set()) {
        let mut history = History::default();
        let plan = decide(&snap, &set, &mut history);
        let areas = &snap.host.areas;
        let disk = areas.iter().filter(|a| !a.kind.is_ghost()).map(|a| a.priority).max();
        let is_ghost_used = areas.iter().any(|a| {
            a.kind.is_ghost() && (a.used > Pages(0) || disk.is_none_or(|disk| a.priority >= disk))
        });
        let pools = areas.iter().filter_map(|a| a.pool.as_ref());
        let is_full = pools.into_iter().any(|p| p.parts().iter().any(|(_, used)| *used >= p.marks.close));
        if is_ghost_used || is_full {
            for step in &plan.steps {
                prop_assert!(!matches!(step.action, Action::Set { to: Setting::Valve(true), .. }), "{step:?}");
                prop_assert!(!matches!(step.action, Action::Writeback { .. }), "{step:?}");
            }
            let root = plan.preview(&snap).cgroups[&CgroupId::ROOT].settings.valve();
            prop_assert_ne!(root, Some(true), "the root's valve stays open");
        }
    }

    #[test]
    fn rounds_never_take_a_pool_past_its_mark(snap in snapshot(), set in policy_set()) {
        let plan = decide(&snap, &set, &mut History::default());
        let rounds = plan.steps.iter().filter_map(|step| match step.action {
            Action::Writeback { pages, .. } => Some(u128::from(pages.0) * u128::from(snap.page_size.0)),
            _ => None,
        });
        let written: u128 = rounds.sum();
        for pool in snap.host.areas.iter().filter_map(|area| area.pool.as_ref()).filter(|_| written > 0) {
            let mark = u128::from(pool.data.total.0) * u128::from(pool.block.0) * u128::from(pool.marks.demote.0);
            let used = u128::from(pool.data.used.0) * u128::from(pool.block.0) + written;
            prop_assert!(used * 1_000_000 <= mark, "{written} B into {pool:?}");
        }
    }

    #[test]
    fn looking_twice_tells_nothing_twice(snap in snapshot()) {
        let mut history = History::default();
        history.watch(&snap);
        let seen = history.clone();
        let again = history.watch(&snap);
        prop_assert_eq!(&seen, &history);
        prop_assert!(again.iter().all(|e| matches!(e, crate::Event::GateOpenedByOthers { .. })), "{again:?}");
    }

    #[test]
    fn a_pool_that_fills_steadily_goes_through_its_levels_in_order(steps in proptest::collection::vec(0i64..60, 1..200)) {
        use crate::area::{Level, Marks};
        let (marks, mut level, mut fill) = (Marks::default(), Level::Free, 0i64);
        for (n, step) in steps.iter().enumerate() {
            // Up and down again, never by more than 6 % of the pool, which is less than two marks are apart.
            fill = (fill + if (n / 30) % 2 == 0 { *step } else { -*step }).clamp(0, 1000);
            let next = marks.level(Share(fill as u32 * 1000), level);
            prop_assert!((next as i32 - level as i32).abs() <= 1, "{level} -> {next} at {fill}");
            prop_assert_eq!(marks.level(Share(fill as u32 * 1000), next), next, "a level must not change by itself");
            level = next;
        }
    }

    #[test]
    fn a_file_is_set_to_what_is_wanted_of_it_for_who_wants_it(snap in snapshot(), set in policy_set()) {
        let plan = decide(&snap, &set, &mut History::default());
        for step in &plan.steps {
            let Action::Set { cgroup, knob, to } = step.action else { continue };
            let wanted = plan.wants.get(cgroup, knob);
            let is_wanted = matches!(wanted, Some(Wanted::This(want)) if want.to == to && want.by == step.by);
            prop_assert!(is_wanted, "{step:?}: {wanted:?}");
        }
        // Nobody has set a file yet, so what is wanted and not there is a step.
        for (cgroup, knob, wanted) in plan.wants.iter() {
            let Wanted::This(Want { to, .. }) = wanted else { continue };
            let is_there = snap.cgroups[&cgroup].settings.get(knob) == Some(*to);
            let step = Action::Set { cgroup, knob, to: *to };
            prop_assert_ne!(is_there, plan.steps.iter().any(|it| it.action == step), "{:?}: {:?}", step, wanted);
        }
    }

    #[test]
    fn what_no_key_asks_for_is_left_alone(snap in snapshot(), set in policy_set()) {
        let mut history = History::default();
        for step in decide(&snap, &set, &mut history).steps {
            let Action::Set { cgroup, knob, .. } = step.action else { continue };
            let Some(name) = step.by.policy() else { continue };
            let tiers = set.iter().find(|policy| policy.name() == name).and_then(|policy| policy.tiers());
            prop_assert!(tiers.is_some_and(|tiers| tiers.asks_for(knob)), "{cgroup:?}: {step:?}");
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_never_written_over(
        snap in snapshot(), set in policy_set(), theirs in any::<u64>(), n in 0usize..9,
    ) {
        let mut history = History::default();
        let plan = decide(&snap, &set, &mut history);
        plan.steps.iter().for_each(|step| history.stood(&step.action));
        let mut after = plan.preview(&snap);
        decide(&after, &set, &mut history);
        let Some(id) = after.cgroups.keys().nth(n).copied().filter(|id| *id != CgroupId::ROOT) else { return Ok(()) };
        let view = after.cgroups.get_mut(&id).unwrap();
        let theirs = Limit::Bytes(Bytes(theirs)).as_kernel_keeps_it(after.page_size);
        for (knob, setting) in view.settings.known().collect::<Vec<_>>() {
            if matches!(setting, Setting::Limit(_)) {
                view.settings.set(knob, Setting::Limit(theirs));
            }
        }
        for _ in 0..3 {
            after.at = Seconds(after.at.0.saturating_add(5));
            for step in decide(&after, &set, &mut history).steps {
                // But where theirs is the kernel's default, which nobody may have written.
                if step.by.policy().is_some() && theirs != Limit::Max {
                    let is_limit = matches!(step.action, Action::Set { cgroup, to: Setting::Limit(_), .. } if cgroup == id);
                    prop_assert!(!is_limit, "{step:?}");
                }
            }
        }
    }

    #[test]
    fn every_governed_demotion_is_a_step_or_a_hold(snap in snapshot(), set in policy_set()) {
        let plan = decide(&snap, &set, &mut History::default());
        for (id, view) in &snap.cgroups {
            let demotes = set.resolve(&view.path).is_some_and(|policy| policy.demote().is_some());
            let spoken = plan.steps.iter().any(|s| matches!(s.action, Action::Writeback { cgroup, .. } if cgroup == *id))
                || plan.held.iter().any(|held| held.cgroup == *id);
            prop_assert!(!demotes || spoken, "nothing is said about {}", view.path);
        }
    }

    #[test]
    fn ids_are_only_names(snap in snapshot(), set in policy_set()) {
        let plan = decide(&snap, &set, &mut History::default());
        let other = decide(&renamed(&snap), &set, &mut History::default());
        prop_assert_eq!(rename_plan(plan), other);
    }

    #[test]
    fn history_never_outgrows_the_living(
        snap in snapshot(), set in policy_set(), ids in proptest::collection::vec(1u64..40, 0..30),
    ) {
        let mut history = History::default();
        for &id in &ids {
            history.spent(CgroupId(id), Pages(id), Seconds(id));
        }
        decide(&snap, &set, &mut history);
        let living = snap.cgroups.keys().filter(|id| ids.contains(&id.0)).count();
        prop_assert_eq!(history.len(), living);
    }

    #[test]
    fn budgets_are_never_passed(ticks in proptest::collection::vec((0u64..20, 0u64..=100, prop::bool::weighted(0.1)), 1..60)) {
        // 1 MiB a round, 3 MiB a day, 64 KiB a second.
        let (round, day_budget, rate) = (MIB, 3 * MIB, 64 * 1024);
        let set = policy(
            "[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\nolder_than = \"10m\"\n\
             budget = { round = \"1M\", day = \"3M\", rate = \"64K/s\" }",
        );
        let (mut history, mut written) = (History::default(), Vec::new());
        let mut snap = host().with(5, CgroupView { cold: super::cold(1_000_000), ..fresh("a") });
        for (pause, percent, new_day) in ticks {
            snap.at = Seconds(snap.at.0 + pause);
            snap.day += u32::from(new_day);
            if let [step] = &decide(&snap, &set, &mut history).steps[..]
                && let Action::Writeback { cgroup, pages, .. } = step.action
            {
                let pages = Pages(pages.0 * percent / 100);
                history.spent(cgroup, pages, snap.at);
                written.push((snap.at.0, snap.day, pages.bytes(snap.page_size).0));
            }
        }
        for (first, &(start, day, _)) in written.iter().enumerate() {
            let mut sum = 0;
            for &(at, _, bytes) in &written[first..] {
                sum += bytes;
                prop_assert!(bytes <= round);
                prop_assert!(sum <= round + rate * (at - start), "{sum} B from {start} s to {at} s");
            }
            let today: u64 = written.iter().filter(|(_, d, _)| *d == day).map(|(_, _, bytes)| bytes).sum();
            prop_assert!(today <= day_budget, "{today} B on day {day}");
        }
    }

    #[test]
    fn absurd_hosts_do_no_harm(snap in snapshot(), set in policy_set(), page_size in any::<u64>(), ram in any::<u64>()) {
        let absurd = |page_size| {
            let mut snap = snap.clone();
            (snap.page_size, snap.host.ram) = (Bytes(page_size), Bytes(ram));
            let plan = decide(&snap, &set, &mut History::default());
            let _ = plan.describe(&plan.preview(&snap));
        };
        [0, 1, page_size, u64::MAX].into_iter().for_each(absurd);
    }

    #[test]
    fn any_text_is_read_or_refused_in_its_own_lines(text in "(?s).{0,200}") {
        readable(&text);
    }

    #[test]
    fn any_damage_to_a_good_file_is_read_or_refused(at in 0usize..900, len in 0usize..40, with in "[\"=\\[\\]{}#,.a-z0-9 \n-]{0,12}") {
        let mut text = include_str!("../../batch.toml").to_owned();
        let boundary = |mut n: usize, text: &str| {
            while !text.is_char_boundary(n) { n -= 1 }
            n
        };
        let from = boundary(at.min(text.len()), &text);
        let to = boundary((at + len).min(text.len()), &text);
        text.replace_range(from..to.max(from), &with);
        readable(&text);
    }

    #[test]
    fn shares_are_read_as_they_are_shown(parts in 0u32..=1_000_000) {
        prop_assert_eq!(Share(parts).to_string().parse::<Share>(), Ok(Share(parts)));
    }

    #[test]
    fn a_part_is_never_more_than_the_whole(parts in 0u32..=1_000_000, whole in any::<u64>()) {
        let (share, whole) = (Share(parts), Bytes(whole));
        let sum = u128::from(share.of(whole).0) + u128::from(share.rest().of(whole).0);
        // Both are rounded down, so at most one byte is lost.
        prop_assert!(sum <= u128::from(whole.0) && sum + 1 >= u128::from(whole.0));
    }
}

/// Loads a text; if it is refused, each fault has a place within the text and one line.
fn readable(text: &str) {
    let Err(faults) = PolicySet::load(&[file("f.toml", text)]) else { return };
    assert!(!faults.is_empty());
    for fault in faults {
        assert!(fault.line >= 1 && fault.line <= text.matches('\n').count() + 1, "{fault}");
        let line = text.split('\n').nth(fault.line - 1).unwrap();
        assert!(fault.column >= 1 && fault.column <= line.chars().count() + 1, "{fault} in {text:?}");
        assert!(!fault.message.contains('\n'));
    }
}
