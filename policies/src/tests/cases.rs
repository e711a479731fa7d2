//! Stories about limits and demotion: one world, one policy, the plan. The sums stand above the numbers.

use super::*;

const DEMOTE: &str = "[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\nolder_than = \"10m\"\n";

#[test]
fn a_policy_without_tiers_changes_nothing() {
    check(&host().with(5, fresh("a")), &policy(""), "");
}

#[test]
fn a_cgroup_without_a_policy_gets_nothing() {
    let set = policies(&[("p.toml", "[match]\ncgroup = [\"b/**\"]\n[tiers]\nuse = []")]);
    check(&host().with(5, fresh("a")), &set, "");
}

#[test]
fn no_swap_closes_swap_and_leaves_zswap_alone() {
    check(
        &host().with(5, fresh("a")),
        &policy("[tiers]\nuse = []"),
        "a: memory.swap.max = 0 B (is max, wanted 0 B: `tiers.use` leaves the tier out; p.toml)",
    );
}

#[test]
fn zswap_alone_closes_the_way_to_disk_first() {
    // 25 % of memory.max = 2 GiB is 512 MiB; memory.high is max, the host's 8 GiB are more.
    let view = CgroupView { memory_max: Some(Limit::Bytes(Bytes(2 * GIB))), ..fresh("a") };
    check(
        &host().with(5, view),
        &policy("[tiers]\nuse = [\"zswap\"]\nswap_max = \"8G\"\nzswap_max = \"25%\""),
        "a: memory.zswap.writeback = 0 (is 1: `tiers.use` leaves `disk` out; p.toml)
         a: memory.zswap.max = 512.0 MiB (is max, wanted 512.0 MiB: 25% of memory.max (2.0 GiB); p.toml)
         a: memory.swap.max = 8.0 GiB (is max, wanted 8.0 GiB: the policy gives it; p.toml)",
    );
}

#[test]
fn disk_alone_opens_the_way_to_disk_last() {
    let view = CgroupView {
        settings: Settings::fresh().with(Knob::ZswapWriteback, false).with(Knob::SwapMax, Limit::ZERO),
        ..fresh("a")
    };
    check(
        &host().with(5, view),
        &policy("[tiers]\nuse = [\"disk\"]\nswap_max = \"max\""),
        "a: memory.zswap.max = 0 B (is max, wanted 0 B: `tiers.use` leaves the tier out; p.toml)
         a: memory.swap.max = max (is 0 B, wanted max: the policy says `max`; p.toml)
         a: memory.zswap.writeback = 1 (is 0: `tiers.use` has `disk` alone; p.toml)",
    );
}

#[test]
fn both_tiers_with_overflow_keep_open_the_disk_only_for_demotion() {
    check(
        &host().with(5, fresh("a")),
        &policy("[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"keep\""),
        "a: memory.zswap.writeback = 0 (is 1: `tiers.overflow = \"keep\"`: only demotion may write to disk; p.toml)",
    );
    check(&host().with(5, fresh("a")), &policy("[tiers]\nuse = [\"zswap\", \"disk\"]"), "");
}

#[test]
fn a_share_is_of_the_tightest_known_limit_and_rounded_down_to_the_page() {
    // 0.1 % of memory.high = 100 MiB = 104 857 600 B is 104 857 B = 25.6 pages: 25 pages = 102 400 B = 100.0 KiB.
    let view = CgroupView {
        memory_high: Some(Limit::Bytes(Bytes(100 * MIB))),
        memory_max: Some(Limit::Bytes(Bytes(200 * MIB))),
        ..fresh("a")
    };
    let plan = plan(&host().with(5, view), &policy("[tiers]\nuse = [\"disk\"]\nswap_max = \"0.1%\""));
    let swap_max = plan.steps.iter().find_map(|step| match step.action {
        crate::Action::Set { knob: Knob::SwapMax, to, .. } => Some(to),
        _ => None,
    });
    assert_eq!(swap_max, Some(Setting::Limit(Limit::Bytes(Bytes(102_400)))));
}

#[test]
fn a_share_of_a_limit_above_the_hosts_ram_is_of_the_ram() {
    // 50 % of 8 GiB, not of 1 TiB.
    let view = CgroupView { memory_max: Some(Limit::Bytes(Bytes(1024 * GIB))), ..fresh("a") };
    check(
        &host().with(5, view),
        &policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"50%\""),
        "a: memory.swap.max = 4.0 GiB (is max, wanted 4.0 GiB: 50% of the host's RAM (8.0 GiB); p.toml)",
    );
}

#[test]
fn a_limit_that_reads_right_is_not_written_again() {
    // The kernel keeps 10 000 B as two pages, 8 192 B, and shows that.
    let set = policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = 10000");
    let view = CgroupView {
        settings: Settings::fresh().with(Knob::SwapMax, Limit::Bytes(Bytes(8_192))),
        ..fresh("a")
    };
    check(&host().with(5, view), &set, "");
    // An amount beyond what a page counter holds reads back as `max`.
    let set = policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"9000P\"");
    check(&host().with(5, fresh("a")), &set, "");
}

#[test]
fn swap_high_is_set_beside_the_limit_and_left_where_swap_is_not_used() {
    // A half of memory.max = 1 GiB; the limit stays, since no key gives one.
    let view = CgroupView { memory_max: Some(Limit::Bytes(Bytes(GIB))), ..fresh("a") };
    let snap = host().with(5, view);
    check(
        &snap,
        &policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_high = \"50%\""),
        "a: memory.swap.high = 512.0 MiB (is max, wanted 512.0 MiB: 50% of memory.max (1.0 GiB); p.toml)",
    );
    let nothing = plan(&snap, &policy("[tiers]\nuse = []"));
    assert!(nothing.steps.iter().all(|step| step.action.knob() == Some(Knob::SwapMax)), "{nothing:?}");
}

#[test]
fn unknown_swap_is_never_treated_as_zero() {
    let set = policy("[tiers]\nuse = []");
    let view = CgroupView { settings: Settings::fresh().without(Knob::SwapMax), ..fresh("a") };
    check(&host().with(5, view), &set, "a: held: memory.swap.max is unknown (p.toml)");
}

#[test]
fn a_share_of_an_unknown_limit_is_held() {
    let set = policy("[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"25%\"\nswap_max = \"1G\"");
    let view = CgroupView {
        memory_high: None,
        settings: Settings::fresh().without(Knob::ZswapWriteback),
        ..fresh("a")
    };
    check(
        &host().with(5, view),
        &set,
        "a: memory.swap.max = 1.0 GiB (is max, wanted 1.0 GiB: the policy gives it; p.toml)
         a: held: memory.high is unknown (p.toml)",
    );
}

#[test]
fn a_cgroup_without_the_memory_controller_is_held_once() {
    let view = CgroupView { path: "a".into(), ..blank() };
    check(
        &host().with(5, view),
        &policy(DEMOTE),
        "a: held: the memory controller is not enabled for it (p.toml)",
    );
}

#[test]
fn all_cold_pages_go_when_the_round_holds_them() {
    // A default round of 64 MiB holds 16 384 pages.
    let view = CgroupView { cold: cold(3_000), ..fresh("a") };
    check(
        &host().with(5, view),
        &policy(DEMOTE),
        "a: write back 3000 pages older than 10m (3000 pages in zswap for 10m or longer, the oldest for 1h; all of them; p.toml)",
    );
}

#[test]
fn the_round_bounds_the_pages() {
    // 8 MiB / 4 KiB = 2 048 pages.
    let view = CgroupView { cold: cold(3_000), ..fresh("a") };
    check(
        &host().with(5, view),
        &policy(&format!("{DEMOTE}budget = {{ round = \"8M\" }}")),
        "a: write back 2048 pages older than 10m (3000 pages in zswap for 10m or longer, the oldest for 1h; bounded by `budget.round`; p.toml)",
    );
}

#[test]
fn a_small_day_makes_the_default_round_small() {
    let round = |budget: &str| {
        let set = policy(&format!("{DEMOTE}{budget}"));
        set.iter().next().unwrap().demote().unwrap().budget.round
    };
    assert_eq!(round(""), Bytes(64 * MIB));
    assert_eq!(round("budget = { day = \"4M\" }"), Bytes(4 * MIB));
    assert_eq!(round("budget = { day = \"4G\" }"), Bytes(64 * MIB));
}

#[test]
fn nothing_cold_and_too_few_are_told_apart() {
    let held = |pages| {
        let view = CgroupView { cold: cold(pages), ..fresh("a") };
        let snap = host().with(5, view);
        plan(&snap, &policy(DEMOTE)).describe(&snap)
    };
    same(&held(0), "a: held: no page has been in zswap for 10m (p.toml)");
    same(&held(31), "a: held: 31 pages cold, a round moves at least 32 pages (p.toml)");
    assert!(held(32).starts_with("a: write back 32 pages"));
}

#[test]
fn pages_counted_at_another_age_are_unknown() {
    let other = cold(3_000).map(|cold| Cold { older_than: Seconds(300), ..cold });
    for cold in [other, None] {
        let view = CgroupView { cold, ..fresh("a") };
        check(
            &host().with(5, view),
            &policy(DEMOTE),
            "a: held: number of pages older than 10m is unknown (p.toml)",
        );
    }
}

#[test]
fn what_the_host_cannot_do_is_held_with_its_reason() {
    let set = policy(DEMOTE);
    let base = host().with(5, CgroupView { cold: cold(3_000), ..fresh("a") });

    let mut snap = base.clone();
    snap.host.writeback = Writeback::None("no shrinker, no reclaim key".to_owned());
    check(&snap, &set, "a: held: no way to write back: no shrinker, no reclaim key (p.toml)");

    let mut snap = base.clone();
    snap.host.writeback = Writeback::Uncharged;
    let expected = "a: held: the kernel charges zswap to no cgroup (`cgroup.memory=nokmem`): \
                    a write-back would take anybody's pages (p.toml)";
    check(&snap, &set, expected);

    let mut snap = base.clone();
    snap.host.map = MapHealth::Absent("BPF is locked down".to_owned());
    check(&snap, &set, "a: held: page ages are unknown: BPF is locked down (p.toml)");

    let mut snap = base.clone();
    snap.host.swap_total = Bytes(0);
    check(&snap, &set, "a: held: no swap area is on (p.toml)");

    let mut snap = base;
    snap.host.zswap_enabled = false;
    assert!(plan(&snap, &set).describe(&snap).contains("a: held: zswap is off on this host (p.toml)"));
}

#[test]
fn full_swap_does_not_stop_demotion() {
    // A page in zswap owns its slot already: writing it back takes no new one.
    let mut snap = host().with(5, CgroupView { cold: cold(3_000), ..fresh("a") });
    snap.host.swap_free = Bytes(0);
    assert_eq!(plan(&snap, &policy(DEMOTE)).steps.len(), 1);
}

#[test]
fn keep_free_is_reported_when_no_page_is_old_enough() {
    // zswap_max 4 MiB, a tenth kept free: the mark is 3.6 MiB = 3 774 873 B. 4 000 KiB = 4 096 000 B are above it.
    let set = policy(&DEMOTE.replace("[demote]", "zswap_max = \"4M\"\n[demote]\nkeep_free = \"10%\""));
    let limit = Some(Limit::Bytes(Bytes(4 * MIB)));
    let view =
        CgroupView { settings: Settings::fresh().read(Knob::ZswapMax, limit), cold: cold(0), ..fresh("a") };
    check(
        &host().with(5, view),
        &set,
        "a: held: no page has been in zswap for 10m (p.toml)
         a: held: zswap keeps 3.9 MiB (compressed), above the `keep_free` mark of 3.6 MiB (p.toml)",
    );
    // A round of 400 pages of 1 KiB frees 409 600 B: 3 686 400 B are below the mark.
    let view =
        CgroupView { settings: Settings::fresh().read(Knob::ZswapMax, limit), cold: cold(400), ..fresh("a") };
    assert_eq!(plan(&host().with(5, view), &set).held, []);
    // 300 pages free 307 200 B: 3 788 800 B are still above it.
    let view =
        CgroupView { settings: Settings::fresh().read(Knob::ZswapMax, limit), cold: cold(300), ..fresh("a") };
    assert_eq!(plan(&host().with(5, view), &set).held.len(), 1);
}

#[test]
fn without_a_limit_keep_free_is_of_the_hosts_pool() {
    // The pool's limit is 1 600 MiB, its mark at 70 % free is 480 MiB; 512 MiB are in it.
    let set = policy(&format!("{DEMOTE}keep_free = \"70%\""));
    let mut snap = host().with(5, CgroupView { cold: cold(0), ..fresh("a") });
    check(
        &snap,
        &set,
        "a: held: no page has been in zswap for 10m (p.toml)
         a: held: the pool keeps 512.0 MiB (compressed), above the `keep_free` mark of 480.0 MiB (p.toml)",
    );
    snap.host.pool_limit = None;
    check(
        &snap,
        &set,
        "a: held: no page has been in zswap for 10m (p.toml)
         a: held: size or limit of the zswap pool is unknown (p.toml)",
    );
}

#[test]
fn a_cgroup_is_left_to_those_below_it_that_have_a_policy() {
    let snap = host()
        .with(5, CgroupView { cold: cold(3_000), ..fresh("a") })
        .with(6, CgroupView { cold: cold(2_000), ..fresh("a/b") })
        .with(7, CgroupView { cold: cold(0), ..fresh("a/c") });
    check(
        &snap,
        &policy(DEMOTE),
        "a/b: write back 2000 pages older than 10m (2000 pages in zswap for 10m or longer, the oldest for 1h; all of them; p.toml)
         a: held: cgroup 6 below has a policy of its own (p.toml)
         a/c: held: no page has been in zswap for 10m (p.toml)",
    );
}

#[test]
fn a_policy_below_protects_its_pages_from_the_one_above() {
    let set = policies(&[
        ("all.toml", &format!("[match]\ncgroup = [\"a\"]\n{DEMOTE}")),
        ("hot.toml", "[match]\ncgroup = [\"a/hot\"]\n[tiers]\nuse = [\"zswap\"]"),
    ]);
    let hot = CgroupView { settings: Settings::fresh().with(Knob::ZswapWriteback, false), ..fresh("a/hot") };
    let snap = host().with(5, CgroupView { cold: cold(3_000), ..fresh("a") }).with(6, hot);
    check(&snap, &set, "a: held: cgroup 6 below has a policy of its own (all.toml)");
}

#[test]
fn cgroups_below_without_a_memory_controller_protect_nothing() {
    // A container that makes cgroups of its own does not escape its policy: their pages are the container's.
    let snap = host()
        .with(5, CgroupView { cold: cold(3_000), ..fresh("a") })
        .with(6, CgroupView { path: "a/init.scope".into(), ..blank() });
    let plan = plan(&snap, &policy(DEMOTE));
    assert_eq!(plan.steps.len(), 1, "{}", plan.describe(&snap));
}

#[test]
fn a_valve_closed_above_by_another_hand_is_respected() {
    let set = policies(&[("p.toml", &format!("[match]\ncgroup = [\"a/b\"]\n{DEMOTE}"))]);
    let snap = |writeback| {
        host()
            .with(
                5,
                CgroupView {
                    settings: Settings::fresh().read(Knob::ZswapWriteback, writeback),
                    ..fresh("a")
                },
            )
            .with(6, CgroupView { cold: cold(2_000), ..fresh("a/b") })
    };
    check(
        &snap(Some(false)),
        &set,
        "a/b: held: the way to disk is closed by cgroup 5 above (memory.zswap.writeback is 0 there) (p.toml)",
    );
    check(&snap(None), &set, "a/b: held: memory.zswap.writeback of a is unknown (p.toml)");
    assert_eq!(plan(&snap(Some(true)), &set).steps.len(), 1);
}

#[test]
fn a_valve_closed_above_by_a_policy_that_demotes_is_opened_for_the_round() {
    let set = policy(&DEMOTE.replace("[demote]", "overflow = \"keep\"\n[demote]"));
    let closed = |path| CgroupView {
        settings: Settings::fresh().with(Knob::ZswapWriteback, false),
        cold: cold(2_000),
        ..fresh(path)
    };
    check(
        &host().with(5, closed("a")).with(6, closed("a/b")),
        &set,
        "a/b: write back 2000 pages older than 10m (2000 pages in zswap for 10m or longer, the oldest for 1h; all of them; p.toml)
         a: held: cgroup 6 below has a policy of its own (p.toml)",
    );
}

#[test]
fn a_valve_that_this_plan_opens_above_counts_as_open() {
    let set = policies(&[
        (
            "above.toml",
            "[match]\ncgroup = [\"a\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"disk\"",
        ),
        ("below.toml", &format!("[match]\ncgroup = [\"a/b\"]\n{DEMOTE}")),
    ]);
    let snap = host()
        .with(5, CgroupView { settings: Settings::fresh().with(Knob::ZswapWriteback, false), ..fresh("a") })
        .with(6, CgroupView { cold: cold(2_000), ..fresh("a/b") });
    check(
        &snap,
        &set,
        "a: memory.zswap.writeback = 1 (is 0: `tiers.overflow = \"disk\"`; above.toml)
         a/b: write back 2000 pages older than 10m (2000 pages in zswap for 10m or longer, the oldest for 1h; all of them; below.toml)",
    );
}

#[test]
fn all_limits_come_before_any_round() {
    let snap = host()
        .with(5, CgroupView { cold: cold(2_000), ..fresh("a") })
        .with(6, CgroupView { settings: Settings::fresh().with(Knob::ZswapWriteback, false), ..fresh("b") });
    let opens = DEMOTE.replace("\n[demote]", "\noverflow = \"disk\"\n[demote]");
    let plan = plan(&snap, &policy(&opens));
    let files: Vec<String> = plan.steps.iter().map(|step| step.action.to_string()).collect();
    assert_eq!(files, ["memory.zswap.writeback = 1", "write back 2000 pages older than 10m"]);
}

#[test]
fn a_parent_chain_that_turns_in_a_circle_ends() {
    let mut snap = host().with(5, CgroupView { cold: cold(2_000), ..fresh("a") }).with(6, fresh("a/b"));
    snap.cgroups.get_mut(&CgroupId(5)).unwrap().parent = Some(CgroupId(6));
    decide(&snap, &policy(DEMOTE), &mut History::default());
}
