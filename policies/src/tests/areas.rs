//! Stories about ghosts and pools: what the areas make of a policy, the plan, and what is told of it.

use super::*;
use crate::area::{Blocks, Fill, Level, Marks, PoolView};
use crate::units::Share;
use crate::{Asker, Event, Wanted};

const DEMOTE: &str = "[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\nolder_than = \"10m\"\n";

/// A host with these areas, an open root valve, and the cgroup `a` with 300 cold pages.
fn with_areas(areas: Vec<AreaView>) -> Snapshot {
    let mut snap = host().with(5, CgroupView { cold: cold(300), ..fresh("a") });
    snap.host.areas = areas;
    set_root(&mut snap, true);
    snap
}

fn set_root(snap: &mut Snapshot, open: bool) {
    snap.cgroups.get_mut(&CgroupId::ROOT).unwrap().settings.set(Knob::ZswapWriteback, Setting::from(open));
}

fn ghost(priority: i32) -> AreaView {
    area("ghost", AreaKind::GhostDm, priority)
}

/// A virtual area over a pool of 1,000 blocks of 64 KiB, so many of them in use; metadata of 100 blocks, 10 in use.
fn virtual_area(used: u64) -> AreaView {
    let fill = |used, total| Fill { used: Blocks(used), total: Blocks(total) };
    let pool = PoolView {
        name: "pool".to_owned(),
        block: Bytes(65_536),
        data: fill(used, 1_000),
        metadata: fill(10, 100),
        marks: Marks::default(),
        refuses: false,
    };
    AreaView { pool: Some(pool), used: Pages(1), ..area("vswap", AreaKind::Virtual, 0) }
}

#[test]
fn only_a_ghost_closes_the_way_to_disk_for_all_and_says_so_to_each() {
    check(
        &with_areas(vec![ghost(10)]),
        &policy(DEMOTE),
        ": memory.zswap.writeback = 0 (is 1: no swap area that is on has storage (ghost is a ghost); the swap areas)
         a: held: nothing may be written to the swap areas: no swap area that is on has storage (ghost is a ghost) (p.toml)",
    );
    // A policy that opens its way to disk itself has it closed.
    let opens = DEMOTE.replace("\n[demote]", "\noverflow = \"disk\"\n[demote]");
    let plan = plan(&with_areas(vec![ghost(10)]), &policy(&opens)).describe(&with_areas(vec![ghost(10)]));
    assert!(plan.contains("\na: memory.zswap.writeback = 0 (is 1: no swap area"), "{plan}");
}

#[test]
fn cgroups_without_a_policy_are_kept_out_of_a_ghost_too() {
    let none = policies(&[("p.toml", "[match]\ncgroup = [\"b/**\"]\n[tiers]\nuse = []")]);
    check(
        &with_areas(vec![ghost(10)]),
        &none,
        ": memory.zswap.writeback = 0 (is 1: no swap area that is on has storage (ghost is a ghost); the swap areas)",
    );
}

#[test]
fn a_gate_that_cannot_be_read_is_not_taken_for_shut() {
    let mut snap = with_areas(vec![ghost(10)]);
    snap.cgroups.get_mut(&CgroupId::ROOT).unwrap().settings.set(Knob::ZswapWriteback, None);
    let plan = plan(&snap, &policy(""));
    same(&plan.describe(&snap), ": held: memory.zswap.writeback of the root is unknown (the swap areas)");
}

#[test]
fn a_ghost_that_is_filled_first_closes_the_way_to_the_disk_behind_it() {
    for priority in [5, 6] {
        let snap = with_areas(vec![area("disk", AreaKind::Plain, 5), ghost(priority)]);
        let held = plan(&snap, &policy(DEMOTE)).describe(&snap);
        let told = "the ghost ghost is filled no later than disk, by their priorities";
        assert!(held.contains(told) && !held.contains("write back"), "{held}");
    }
}

#[test]
fn a_ghost_behind_a_disk_lets_demotion_go_on_until_a_page_is_in_it() {
    let mut snap = with_areas(vec![area("disk", AreaKind::Plain, 5), ghost(4)]);
    let writes =
        |snap: &Snapshot| plan(snap, &policy(DEMOTE)).describe(snap).contains("write back 300 pages");
    assert!(writes(&snap));
    snap.host.areas[1].used = Pages(1);
    assert!(!writes(&snap));
    let told = plan(&snap, &policy(DEMOTE)).describe(&snap);
    assert!(told.contains("the ghost ghost has 1 page"), "{told}");
}

#[test]
fn the_gate_closes_before_the_first_page_lands_in_a_ghost_and_opens_later() {
    // 90 % and 85 % of 1,000 slots.
    let mut snap = with_areas(vec![area("disk", AreaKind::Plain, 5), ghost(4)]);
    snap.host.areas[0].slots = Pages(1_000);
    let mut history = History::default();
    let mut is_closed = |used| {
        snap.host.areas[0].used = Pages(used);
        set_root(&mut snap, true);
        let plan = plan_with(&snap, &policy(""), &mut history);
        !plan.steps.is_empty()
    };
    assert_eq!([899, 900, 850, 849, 899].map(&mut is_closed), [false, true, true, false, false]);
}

#[test]
fn a_gate_that_somebody_opened_is_closed_again_and_told() {
    let mut snap = with_areas(vec![ghost(10)]);
    let (set, mut history) = (policy(""), History::default());
    let told = |history: &mut History, snap: &Snapshot| {
        let events: Vec<String> = history.watch(snap).iter().map(ToString::to_string).collect();
        (events.join("; "), is_due(snap, history))
    };
    let why = "no swap area that is on has storage (ghost is a ghost)";
    let on = "the swap area ghost is on: ghost (dm), 262144 slots, priority 10";
    let closed = format!("{on}; nothing may be written to the swap areas: {why}");
    assert_eq!(told(&mut history, &snap), (closed, true));
    decide(&snap, &set, &mut history);
    set_root(&mut snap, false);
    assert_eq!(told(&mut history, &snap), (String::new(), false));
    set_root(&mut snap, true);
    let opened = format!("somebody opened the way to disk, and it is closed again: {why}");
    assert_eq!(told(&mut history, &snap), (opened, true));
    let plan = plan_with(&snap, &set, &mut history).describe(&snap);
    let step = format!(
        ": memory.zswap.writeback = 0 (somebody opened it again; closed again: {why}; {})",
        Asker::Areas
    );
    same(&plan, &step);
    snap.host.areas.clear();
    let gone = "the swap area ghost is off; pages may be written to the swap areas again";
    assert_eq!(told(&mut history, &snap), (gone.to_owned(), false));
}

#[test]
fn a_pool_is_acted_on_at_its_marks_in_order_and_let_go_later() {
    // The default marks: 60 % to go on, 70 % no demotion, 80 % closed, 90 % stopped; of 1,000 blocks.
    let mut snap = with_areas(vec![virtual_area(0)]);
    let (set, mut history) = (policy(DEMOTE), History::default());
    let mut seen = |used: u64| {
        snap.host.areas = vec![virtual_area(used)];
        set_root(&mut snap, true);
        snap.at = Seconds(snap.at.0 + 1_000);
        let plan = plan_with(&snap, &set, &mut history).describe(&snap);
        let is = |part: &str| plan.contains(part);
        (is("write back"), is(": memory.zswap.writeback = 0"), is("a: memory.swap.max = "))
    };
    let rising = [650, 695, 700, 799, 800, 899, 900].map(&mut seen);
    let (free, held) = ((true, false, false), (false, false, false));
    let (closed, stopped) = ((false, true, false), (false, true, true));
    assert_eq!(rising, [free, free, held, held, closed, closed, stopped]);
    // Each is left below the mark before it.
    let falling = [800, 799, 700, 699, 600, 599].map(&mut seen);
    assert_eq!(falling, [stopped, closed, closed, held, held, free]);
}

#[test]
fn metadata_counts_as_data_does() {
    let mut snap = with_areas(vec![virtual_area(0)]);
    // 70 of 100 blocks of metadata: 70 %.
    snap.host.areas[0].pool.as_mut().unwrap().metadata.used = Blocks(70);
    check(
        &snap,
        &policy(DEMOTE),
        "a: held: 70% of the metadata of the pool pool is in use: nothing is demoted from 70% on until below 60% (p.toml)",
    );
}

#[test]
fn a_round_ends_at_the_pools_mark() {
    // 690 of 1,000 blocks: 10 more until 70 %, 640 KiB, 160 pages of 4 KiB. Two cgroups share them: 160, then none.
    let mut snap = with_areas(vec![virtual_area(690)]).with(6, CgroupView { cold: cold(300), ..fresh("b") });
    check(
        &snap,
        &policy(DEMOTE),
        "a: write back 160 pages older than 10m (300 pages in zswap for 10m or longer, the oldest for 1h; bounded by what the pool takes until its mark; p.toml)
         b: held: the pool takes 0 B (on disk) until its mark `marks.demote` (p.toml)",
    );
    snap.host.areas = vec![virtual_area(0)];
    assert_eq!(plan(&snap, &policy(DEMOTE)).steps.len(), 2);
}

#[test]
fn what_rounds_under_way_may_still_write_is_taken_off_the_pools_room() {
    // 160 pages are left until the mark, as above; 100 of them belong to a round that has not ended.
    let snap = with_areas(vec![virtual_area(690)]).with(6, CgroupView { cold: cold(300), ..fresh("b") });
    let mut history = History::default();
    history.begun(CgroupId(6), Pages(100));
    let plan = plan_with(&snap, &policy(DEMOTE), &mut history);
    let actions: Vec<String> = plan.steps.iter().map(|step| step.action.to_string()).collect();
    assert_eq!(actions, ["write back 60 pages older than 10m"]);
}

#[test]
fn a_pool_of_unknown_fill_opens_and_moves_nothing() {
    let mut snap = with_areas(vec![AreaView { pool: None, ..virtual_area(0) }]);
    let view = snap.cgroups.get_mut(&CgroupId(5)).unwrap();
    view.settings.set(Knob::ZswapWriteback, Setting::from(false));
    check(
        &snap,
        &policy(DEMOTE),
        ": held: how full the pool of vswap is is unknown (the swap areas)
         a: held: how full the pool of vswap is is unknown (p.toml)",
    );
}

#[test]
fn a_stopped_pool_lowers_every_limit_right_below_the_root_and_none_further_down() {
    // 4,000 pages of swap are 15.6 MiB. `max` is lowered to that; a limit of 16 MiB is within an eighth and 1 MiB of it.
    let limit = |mib| Some(Limit::Bytes(Bytes(mib * MIB)));
    let mut snap = with_areas(vec![virtual_area(950)])
        .with(6, CgroupView { settings: Settings::fresh().read(Knob::SwapMax, limit(16)), ..fresh("b") })
        .with(7, fresh("a/c"));
    set_root(&mut snap, false);
    let none = policies(&[("p.toml", "[match]\ncgroup = [\"a/c\"]\n[tiers]\nuse = [\"zswap\"]")]);
    check(
        &snap,
        &none,
        "a: memory.swap.max = 15.6 MiB (is max, wanted 15.6 MiB: 95% of the pool pool is in use: nothing more is swapped out; the swap areas)
         a/c: memory.zswap.writeback = 0 (is 1: `tiers.use` leaves `disk` out; p.toml)",
    );
}

#[test]
fn without_zswap_a_closed_valve_holds_nothing_back_so_closing_means_stopping() {
    let mut snap = with_areas(vec![virtual_area(820)]);
    snap.host.zswap_enabled = false;
    let plan = plan(&snap, &policies(&[("p.toml", "[match]\ncgroup = [\"x\"]\n")])).describe(&snap);
    assert!(plan.contains("a: memory.swap.max = 15.6 MiB"), "{plan}");
}

#[test]
fn a_pool_that_refuses_writes_is_stopped_at_any_fill() {
    let mut snap = with_areas(vec![virtual_area(10)]);
    snap.host.areas[0].pool.as_mut().unwrap().refuses = true;
    let mut history = History::default();
    let events = history.watch(&snap);
    let crossed = events.iter().find_map(|event| match event {
        Event::Mark { to, .. } => Some(*to),
        _ => None,
    });
    assert_eq!(crossed, Some(Level::Stopped));
    assert!(events.contains(&Event::PoolRefuses { pool: "pool".to_owned() }), "{events:?}");
    let told_again = history.watch(&snap);
    assert!(!told_again.iter().any(|event| matches!(event, Event::PoolRefuses { .. })), "{told_again:?}");
    snap.host.areas[0].pool.as_mut().unwrap().refuses = false;
    let events = history.watch(&snap);
    assert!(events.contains(&Event::PoolTakes { pool: "pool".to_owned() }), "{events:?}");
}

#[test]
fn a_pool_that_failed_altogether_is_full() {
    let mut snap = with_areas(vec![virtual_area(10)]);
    let pool = snap.host.areas[0].pool.as_mut().unwrap();
    let none = Fill { used: Blocks(0), total: Blocks(0) };
    (pool.data, pool.metadata, pool.refuses) = (none, none, true);
    let mut history = History::default();
    let plan = plan_with(&snap, &policies(&[]), &mut history);
    let wanted = |id, knob| match plan.wants.get(id, knob) {
        Some(Wanted::This(want)) if want.by == Asker::Areas => Some(want.to),
        _ => None,
    };
    assert_eq!(wanted(CgroupId::ROOT, Knob::ZswapWriteback), Some(Setting::Valve(false)));
    let what_is_out = Limit::Bytes(Bytes(4_000 * 4096));
    assert_eq!(wanted(CgroupId(5), Knob::SwapMax), Some(Setting::Limit(what_is_out)));
}

#[test]
fn commands_are_refused_for_the_same_reasons() {
    let why = |areas| {
        let snap = with_areas(areas);
        let mut history = History::default();
        history.watch(&snap);
        refusal(&snap, &history).map(|hold| hold.to_string())
    };
    assert_eq!(why(vec![virtual_area(0)]), None);
    assert!(why(vec![ghost(1)]).unwrap().starts_with("nothing may be written"));
    assert!(why(vec![virtual_area(750)]).unwrap().starts_with("75% of the data of the pool pool"));
}

#[test]
fn shares_of_blocks_are_rounded_up_and_nothing_is_full() {
    let share = |used, total| Fill { used: Blocks(used), total: Blocks(total) }.share();
    // 1/3 is 333,333.3 parts: 333,334. No block at all takes no block.
    assert_eq!((share(1, 3), share(0, 0), share(5, 4)), (Share(333_334), Share(1_000_000), Share(1_000_000)));
}
