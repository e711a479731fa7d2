//! The law of replay, where it ends, and what another policy is said to have done.

use swaptier_policies::{Action, Bytes, Cold, Pages, Seconds, SourceFile, Tiers};

use super::super::tests::{World, record, terms};
use super::super::{Limits, Recording};
use super::*;

fn recorded(ticks: u64, damage: impl FnOnce(&std::path::Path)) -> (tempfile::TempDir, Recording) {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { folder: dir.path().to_path_buf(), file_size: 1 << 20, files: 3 };
    record(limits, &mut World::of(3), ticks);
    damage(&super::super::tests::only_file(dir.path()));
    let recording = Recording::open(dir.path()).unwrap();
    (dir, recording)
}

fn replayed(recording: &mut Recording, other: Option<&PolicySet>) -> Report {
    let mut replay = Replay::new(other);
    for n in 0..recording.len() {
        let (frame, terms) = recording.frame_and_terms(n).unwrap();
        replay.frame(n, &frame, terms);
    }
    replay.finish()
}

fn policies(demote: &str) -> PolicySet {
    let text = format!(
        "schema = 1\n[match]\ncgroup = [\"*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\n{demote}\n"
    );
    PolicySet::load(&[SourceFile::text("other.toml", text)]).unwrap()
}

#[test]
fn a_recording_decides_again_to_the_same_plans() {
    let (_dir, mut recording) = recorded(100, |_| {});
    let report = replayed(&mut recording, None);
    // Every other tick decides.
    assert_eq!((report.frames, report.decisions, report.same, report.unproven), (100, 50, 50, 0));
    assert_eq!((report.different, report.histories), (0, 0));
    // Rounds were among it, and budgets.
    let plans = (0..100).filter_map(|n| recording.frame(n).unwrap().decision).map(|decision| decision.plan);
    assert!(plans.flat_map(|plan| plan.steps).any(|step| matches!(step.action, Action::Writeback { .. })));
}

/// Flips a byte of the first block, which are the terms.
fn without_terms(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let place = super::super::block::HEADER + super::super::block::HEAD + 3;
    bytes[place] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn terms_that_another_file_has_too_are_not_lost() {
    let (damaged, _) = recorded(40, without_terms);
    let (whole, _) = recorded(40, |_| {});
    let paths = [&damaged, &whole].map(|dir| dir.path().to_path_buf());
    let mut recording = Recording::open_all(&paths).unwrap();
    assert_eq!(recording.losses().len(), 1);
    let report = replayed(&mut recording, None);
    assert_eq!((report.frames, report.same, report.different), (80, 40, 0));
}

#[test]
fn frames_whose_terms_are_lost_are_counted_and_the_next_key_goes_on() {
    let (_dir, mut recording) = recorded(70, |_| {});
    let mut replay = Replay::new(None);
    for n in 0..70 {
        let (frame, terms) = recording.frame_and_terms(n).unwrap();
        match n {
            0..45 => replay.without_terms(&frame),
            _ => replay.frame(n, &frame, terms),
        }
    }
    let report = replay.finish();
    // Every other tick decides, 35 in all. The keys are at 0, 30 and 60: of those from 46 to 58 the history is lost, too.
    assert_eq!((report.frames, report.decisions, report.same), (70, 35, 5));
    assert_eq!((report.unproven, report.different, report.histories), (30, 0, 0));
}

#[test]
fn a_decision_that_comes_out_otherwise_is_told_line_by_line() {
    let (_dir, mut recording) = recorded(5, |_| {});
    let mut replay = Replay::new(None);
    for n in 0..5 {
        let (mut frame, terms) = recording.frame_and_terms(n).unwrap();
        if n == 2 {
            frame.snapshot.host.swap_total = Bytes(0);
        }
        replay.frame(n, &frame, terms);
    }
    let report = replay.finish();
    assert_eq!((report.same, report.different), (2, 1));
    let [difference] = &report.differences[..] else { panic!("{report:?}") };
    assert_eq!(difference.frame, 2);
    assert!(difference.now.iter().any(|line| line.contains("no swap area is on")), "{difference:?}");
    assert!(!difference.recorded.is_empty());
}

#[test]
fn after_a_gap_nothing_is_called_the_same_until_the_next_key() {
    use super::super::block;
    let (_dir, mut recording) = recorded(70, |path| {
        // Frame 10, which decided.
        let mut bytes = std::fs::read(path).unwrap();
        let mut at = block::HEADER;
        for _block in 0..11 {
            at += block::head(&bytes[at..]).unwrap().len();
        }
        bytes[at + block::HEAD] ^= 1;
        std::fs::write(path, bytes).unwrap();
    });
    let report = replayed(&mut recording, None);
    // Keys are at 0, 30 and 60: 12 to 28 are nine decisions.
    assert_eq!((report.decisions, report.same, report.unproven), (34, 25, 9));
    assert_eq!((report.different, report.histories), (0, 0));
}

#[test]
fn the_same_policies_would_have_done_the_same() {
    let (_dir, mut recording) = recorded(40, |_| {});
    let same = terms().policy_set().unwrap();
    let other = replayed(&mut recording, Some(&same)).other.unwrap();
    assert_eq!((other.decisions, other.same_steps), (20, 20));
    for side in other.cgroups.values() {
        assert!(!side.is_at_least);
        assert_eq!(side.done.asked_pages, side.would.asked_pages);
        assert_eq!((side.done.rounds, &side.done.held), (side.would.rounds, &side.would.held));
        // The report of what was written is there only for what was done.
        assert!(side.would.written_pages.is_none());
    }
    assert!(other.cgroups.values().any(|side| side.done.written_pages > Some(0)));
}

#[test]
fn a_smaller_budget_would_have_asked_for_less() {
    let (_dir, mut recording) = recorded(40, |_| {});
    // 256 KiB are 64 pages of 4 KiB in all.
    let small = policies("older_than = \"1m\"\nbudget = { round = \"256K\", day = \"256K\" }");
    let other = replayed(&mut recording, Some(&small)).other.unwrap();
    assert_eq!(other.decisions, 20);
    for side in other.cgroups.values().filter(|side| side.would.rounds > 0) {
        assert!(side.would.asked_pages <= side.done.asked_pages, "{side:?}");
        assert!(side.would.held.contains_key("Budget"), "{side:?}");
        assert_eq!(side.would.policy.as_deref(), Some("other.toml"));
    }
    assert!(other.cgroups.values().any(|side| side.would.asked_pages < side.done.asked_pages));
}

#[test]
fn another_age_is_answered_by_whole_buckets() {
    let (_dir, mut recording) = recorded(1, |_| {});
    let (mut frame, terms) = recording.frame_and_terms(0).unwrap();
    let recorded = terms.policy_set().unwrap();
    let id = *frame.snapshot.cgroups.keys().nth(1).unwrap();
    let view = frame.snapshot.cgroups.get_mut(&id).unwrap();
    view.tiers = Some(Tiers { zswap: Pages(100), zswap_compressed: Bytes(50_000), ..Tiers::default() });
    // 45 pages are at least a minute old, by the recorded policy.
    view.cold.as_mut().unwrap().pages = Pages(45);
    // 10 pages of 0 s, 20 of 16 s to 31 s, 30 of 32 s to 63 s, 40 of 64 s to 127 s.
    frame.ages.insert(id, vec![10, 0, 0, 0, 0, 20, 30, 40]);
    let at = |age: &str| {
        let (snapshot, by_buckets) =
            cold::under(&frame, &recorded, &policies(&format!("older_than = \"{age}\"")));
        (snapshot.cgroups[&id].cold, by_buckets.contains(&id))
    };
    let cold = |seconds, pages, compressed| {
        let (pages, compressed) = (Pages(pages), Bytes(compressed));
        Some(Cold { older_than: Seconds(seconds), pages, compressed, oldest: Seconds(64) })
    };
    assert_eq!(at("16s"), (cold(16, 90, 45_000), true));
    // Of the pages of 32 s to 63 s nobody knows which are 40 s old; but 45 are older than that.
    assert_eq!(at("40s"), (cold(40, 45, 22_500), true));
    // Of the pages of 64 s to 127 s nobody knows which are 100 s old.
    assert_eq!(at("100s"), (cold(100, 0, 0), true));
    // The recorded policy's own age is known exactly.
    assert_eq!(at("1m"), (frame.snapshot.cgroups[&id].cold, false));
}
