//! Stories over several rounds: budgets, pauses, deaths, clocks that begin anew.

use super::*;
use crate::Action;

const A: CgroupId = CgroupId(5);

fn demoting(budget: &str) -> PolicySet {
    policy(&format!(
        "[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\nolder_than = \"10m\"\nbudget = {{ {budget} }}"
    ))
}

/// One cgroup that has always more cold pages than any budget here.
fn endless(at: u64, day: u32) -> Snapshot {
    let mut snap = host().with(A.0, CgroupView { cold: cold(1_000_000), ..fresh("a") });
    (snap.at, snap.day) = (Seconds(at), day);
    snap
}

/// Decides, writes all that was asked, and gives it; or the hold.
fn go(snap: &Snapshot, set: &PolicySet, history: &mut History) -> Result<u64, String> {
    let plan = plan_with(snap, set, history);
    match plan.steps.first().map(|step| step.action) {
        Some(Action::Writeback { cgroup, pages, .. }) => {
            history.spent(cgroup, pages, snap.at);
            Ok(pages.0)
        }
        _ => Err(plan.held[0].hold.to_string()),
    }
}

#[test]
fn the_day_ends_with_its_budget_and_begins_with_a_new_one() {
    // 8 MiB = 2 048 pages a round, 20 MiB = 5 120 pages a day: 2 048 + 2 048 + 1 024.
    let (set, mut history) = (demoting("round = \"8M\", day = \"20M\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
    assert_eq!(go(&endless(1_010, 7), &set, &mut history), Ok(2_048));
    assert_eq!(go(&endless(1_020, 7), &set, &mut history), Ok(1_024));
    assert_eq!(
        go(&endless(1_030, 7), &set, &mut history),
        Err("`budget.day` has 0 B (original) left, full again when the day changes".to_owned())
    );
    assert_eq!(go(&endless(1_040, 8), &set, &mut history), Ok(2_048));
}

#[test]
fn no_restart_and_no_clock_renews_a_day() {
    // 8 MiB = 2,048 pages a day, 4 MiB a round. The agent is started again after each round, three times.
    let set = demoting("round = \"4M\", day = \"8M\"");
    let mut written = 0;
    let mut book = None;
    for at in [1_000, 1_010, 1_020, 1_030] {
        let mut history = History::default();
        if let Some(book) = book {
            history.open_day(7, Some(book));
        }
        let snap = endless(at, 7);
        // What is on disk before the round begins is all that it may write.
        let plan = plan_with(&snap, &set, &mut history);
        let promised = plan.steps.iter().filter_map(|step| match step.action {
            Action::Writeback { cgroup, pages, .. } => Some((cgroup, pages)),
            _ => None,
        });
        book = history.day_book(promised);
        written += plan
            .steps
            .iter()
            .map(|step| match step.action {
                Action::Writeback { pages, .. } => pages.0,
                _ => 0,
            })
            .sum::<u64>();
    }
    assert_eq!(written, 2_048);
    // A day back and forth again: the same day.
    let mut history = History::default();
    history.open_day(7, book.clone());
    let over = Err("`budget.day` has 0 B (original) left, full again when the day changes".to_owned());
    for day in [7, 6, 7] {
        assert_eq!(go(&endless(2_000, day), &set, &mut history), over);
    }
    assert_eq!(go(&endless(2_010, 8), &set, &mut history), Ok(1_024));
    // A day of which it is not known what was spent is spent, until it is over.
    let mut history = History::default();
    history.open_day(7, None);
    assert_eq!(go(&endless(3_000, 7), &set, &mut history), over);
    assert_eq!(history.day_book(std::iter::empty()), None);
    assert_eq!(go(&endless(3_010, 8), &set, &mut history), Ok(1_024));
}

#[test]
fn what_is_left_of_a_day_below_a_round_s_least_is_kept() {
    // 64 KiB = 16 pages are left, below 32.
    let (set, mut history) = (demoting("round = \"1M\", day = \"1088K\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(256));
    assert_eq!(
        go(&endless(1_010, 7), &set, &mut history),
        Err("`budget.day` has 64.0 KiB (original) left, full again when the day changes".to_owned())
    );
}

#[test]
fn the_rate_holds_one_round_and_refills_by_the_second() {
    // A bucket of 8 MiB; 1 MiB a second refills it. After a full round 32 pages = 128 KiB come back in a second.
    let (set, mut history) = (demoting("round = \"8M\", rate = \"1M/s\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
    // Two seconds later 2 MiB = 512 pages.
    assert_eq!(go(&endless(1_002, 7), &set, &mut history), Ok(512));
    // A day of quiet gives no more than the bucket.
    assert_eq!(go(&endless(90_000, 7), &set, &mut history), Ok(2_048));
}

#[test]
fn an_empty_rate_says_when_it_is_enough_again() {
    // 64 KiB a second: the least of 32 pages = 128 KiB is there 2 s after the bucket was emptied. One has passed.
    let (set, mut history) = (demoting("round = \"8M\", rate = \"64K/s\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
    assert_eq!(
        go(&endless(1_001, 7), &set, &mut history),
        Err("`budget.rate` has 64.0 KiB (original) left, enough again in 1s".to_owned())
    );
    assert_eq!(go(&endless(1_002, 7), &set, &mut history), Ok(32));
}

#[test]
fn writing_more_than_was_asked_is_paid_back() {
    // Asked 2 048, written 2 148: the rate of 1 MiB/s = 256 pages/s first makes good the 100.
    let (set, mut history) = (demoting("round = \"8M\", rate = \"1M/s\""), History::default());
    history.turn(&endless(1_000, 7));
    history.spent(A, Pages(2_148), Seconds(1_000));
    assert_eq!(go(&endless(1_001, 7), &set, &mut history), Ok(256 - 100));
}

#[test]
fn budgets_are_bytes_whatever_the_page_size() {
    // Pages of 64 KiB: 8 MiB = 128 pages a round, 12 MiB = 192 pages a day.
    let (set, mut history) = (demoting("round = \"8M\", day = \"12M\""), History::default());
    let mut snap = endless(1_000, 7);
    snap.page_size = Bytes(65_536);
    assert_eq!(go(&snap, &set, &mut history), Ok(128));
    snap.at = Seconds(1_010);
    assert_eq!(go(&snap, &set, &mut history), Ok(64));
}

#[test]
fn there_is_one_round_in_one_second() {
    let (set, mut history) = (demoting("round = \"8M\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
    assert_eq!(
        go(&endless(1_000, 7), &set, &mut history),
        Err("the last round is recent, the next may come in 1s".to_owned())
    );
    assert_eq!(go(&endless(1_001, 7), &set, &mut history), Ok(2_048));
}

/// A round takes seconds, and decisions go on: the same pages must not be asked for twice, by nobody.
#[test]
fn while_a_round_is_under_way_none_is_asked_for_that_takes_the_same_pages() {
    let tree = |set_limit: bool| {
        let view = |path: &str| CgroupView {
            cold: cold(1_000),
            settings: Settings::fresh()
                .with(Knob::SwapMax, if set_limit { Limit::Bytes(Bytes(GIB)) } else { Limit::Max }),
            ..fresh(path)
        };
        host().with(5, view("a")).with(6, view("a/b")).with(7, view("c"))
    };
    let limits = "[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"max\"\n[demote]\nolder_than = \"10m\"";
    let of = |patterns: &str| policies(&[("p.toml", &format!("[match]\ncgroup = [{patterns}]\n{limits}"))]);
    let asked = |set: &PolicySet, history: &mut History, set_limit| {
        let plan = plan_with(&tree(set_limit), set, history);
        plan.steps.iter().map(|step| step.action.to_string()).collect::<Vec<_>>()
    };
    let mut history = History::default();
    let round = "write back 1000 pages older than 10m".to_owned();
    assert_eq!(asked(&of("\"a\", \"c\""), &mut history, false), [round.clone(), round.clone()]);
    history.begun(A, Pages(1_000));
    // Of `a` no second one; `c` is asked for as before.
    assert_eq!(asked(&of("\"a\", \"c\""), &mut history, false), std::slice::from_ref(&round));
    // Limits are set meanwhile, where nobody has written them since they were ours.
    let mut unseen = History::default();
    unseen.begun(A, Pages(1_000));
    assert_eq!(asked(&of("\"a\""), &mut unseen, true), ["memory.swap.max = max"]);
    // Policies were read anew: of a cgroup below it there is none either, and of one above one below.
    assert_eq!(asked(&of("\"a/b\""), &mut history, false), [""; 0]);
    history.called_off(A);
    history.begun(CgroupId(6), Pages(9));
    assert_eq!(asked(&of("\"a\""), &mut history, false), [""; 0]);
    assert_eq!(
        plan_with(&tree(false), &of("\"a\""), &mut history).held[0].hold,
        crate::Hold::RoundUnderWay(CgroupId(6))
    );
    // It ended: what it wrote is spent, and the pause begins.
    history.spent(CgroupId(6), Pages(9), Seconds(900));
    assert_eq!(asked(&of("\"a\""), &mut history, false), [round]);
}

#[test]
fn a_round_that_was_called_off_spent_nothing_and_is_not_waited_for() {
    let (set, mut history) = (demoting("round = \"8M\", day = \"8M\""), History::default());
    history.turn(&endless(1_000, 7));
    history.begun(A, Pages(2_048));
    history.called_off(A);
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
}

#[test]
fn rounds_that_write_nothing_come_ever_more_seldom() {
    let (set, mut history) = (demoting("round = \"8M\""), History::default());
    let waits: Vec<u64> = (0..11)
        .map(|_| {
            history.turn(&endless(1_000, 7));
            history.spent(A, Pages(0), Seconds(1_000));
            match plan_with(&endless(1_000, 7), &set, &mut history).held[0].hold {
                crate::Hold::Cooldown(Seconds(wait)) => wait,
                ref other => panic!("{other:?}"),
            }
        })
        .collect();
    // 2^1 … 2^8 seconds, then no longer.
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256]);
    // One page ends it.
    history.spent(A, Pages(1), Seconds(1_000));
    assert!(go(&endless(1_001, 7), &set, &mut history).is_ok());
}

/// One that strayed after 40 pages was tried again a second later, and cost others as much each time.
#[test]
fn rounds_that_fail_come_ever_more_seldom_whatever_they_wrote() {
    let (set, mut history) = (demoting("round = \"8M\", day = \"9M\""), History::default());
    let mut at = 1_000;
    for pause in [2, 4, 8, 16] {
        assert_eq!(plan_with(&endless(at, 7), &set, &mut history).steps.len(), 1);
        history.begun(A, Pages(2_048));
        history.failed(A, Pages(40), Seconds(at));
        // Not a second too soon.
        let early = go(&endless(at + pause - 1, 7), &set, &mut history);
        assert_eq!(early, Err("the last round is recent, the next may come in 1s".to_owned()));
        at += pause;
    }
    // What they wrote is spent: of 9 MiB = 2,304 pages 4 * 40 are gone, and one that goes well ends the pauses.
    assert_eq!(go(&endless(at, 7), &set, &mut history), Ok(2_048));
    assert_eq!(go(&endless(at + 1, 7), &set, &mut history), Ok(2_304 - 160 - 2_048));
}

#[test]
fn the_dead_are_forgotten_and_a_cgroup_of_the_same_path_begins_anew_but_for_its_day() {
    let (set, mut history) = (demoting("round = \"8M\", day = \"12M\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
    assert_eq!(history.len(), 1);
    let reborn = host().with(77, CgroupView { cold: cold(5_000), ..fresh("a") });
    // At once, but no more than the 4 MiB = 1,024 pages that are left of the day.
    assert_eq!(go(&reborn, &set, &mut history), Ok(1_024));
    assert_eq!(history.len(), 1);
    plan_with(&host(), &set, &mut history);
    assert!(history.is_empty());
}

#[test]
fn a_clock_that_begins_anew_neither_blocks_nor_forgives() {
    // The map's epoch is new after a boot: 1 000 s was before, 3 s is now. The debt stands, the pause is over soon.
    let (set, mut history) = (demoting("round = \"8M\", rate = \"1M/s\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(2_048));
    assert!(go(&endless(3, 7), &set, &mut history).is_err());
    // Credited from 3 s on: 2 MiB = 512 pages at 5 s.
    assert_eq!(go(&endless(5, 7), &set, &mut history), Ok(512));
}

#[test]
fn a_budget_smaller_than_the_least_round_is_its_own_least() {
    // 64 KiB = 16 pages.
    let (set, mut history) = (demoting("round = \"64K\""), History::default());
    assert_eq!(go(&endless(1_000, 7), &set, &mut history), Ok(16));
}

#[test]
fn a_budget_smaller_than_a_page_says_so() {
    let (set, mut history) = (demoting("round = 4095"), History::default());
    assert_eq!(
        go(&endless(1_000, 7), &set, &mut history),
        Err("`budget.round` of 4.0 KiB is less than one page".to_owned())
    );
}

#[test]
fn history_and_snapshot_survive_the_journal() {
    let (set, mut history) = (demoting("round = \"8M\", day = \"20M\", rate = \"1M/s\""), History::default());
    let snap = endless(1_000, 7);
    go(&snap, &set, &mut history).unwrap();
    let plan = plan_with(&snap, &set, &mut history);
    let text = serde_json::to_string(&(&snap, &plan, &history)).unwrap();
    let back: (Snapshot, Plan, History) = serde_json::from_str(&text).unwrap();
    assert_eq!(back, (snap, plan, history));
}
