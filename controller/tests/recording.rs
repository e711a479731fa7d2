//! The law of replay for any host at all: what was recorded decides again to the same plans, whatever was seen and written.
//!
//! The hosts are those of the fuzz target `decide`. That damaged recordings are read as far as they can be is told beside
//! the reader and by the fuzz target `recording`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../tests/fuzz/bodies/dice.rs"]
#[expect(unreachable_pub, reason = "the bodies are a library of their own for libFuzzer")]
mod dice;

use proptest::prelude::*;
use swaptier::act::Outcome;
use swaptier::recording::replay::Replay;
use swaptier::recording::{Decision, Frame, Limits, Recorder, Recording, Terms};
use swaptier_policies::{Action, History, Pages, Snapshot, decide};

const POLICIES: [(&str, &str); 3] = [
    (
        "all.toml",
        "schema = 1\n[match]\ncgroup = [\"**\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"25%\"\n[demote]\n\
         older_than = \"5s\"\nbudget = { round = \"1M\", day = \"2M\" }\n",
    ),
    (
        "demo.toml",
        "schema = 1\n[match]\ncgroup = [\"demo.slice/*\", \"a/**\"]\npriority = 2\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
         overflow = \"keep\"\n[demote]\nolder_than = \"10m\"\nkeep_free = \"10%\"\nbudget = { rate = \"100K/s\" }\n",
    ),
    ("batch.toml", "schema = 1\n[match]\ncgroup = [\"batch.slice\"]\npriority = 3\n[tiers]\nuse = []\n"),
];

fn terms() -> Terms {
    let policies = POLICIES.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    Terms { by: "agent".to_owned(), policies, ..Terms::default() }
}

/// What an agent makes of these hosts: every `interval`th tick decides, and of each round `part` is written.
fn frames(
    hosts: &[Snapshot],
    interval: usize,
    part: u64,
    mut wants_key: impl FnMut(&Frame) -> bool,
) -> Vec<Frame> {
    let (policies, mut history) = (terms().policy_set().unwrap(), History::default());
    let mut frames = Vec::new();
    for (n, snapshot) in hosts.iter().enumerate() {
        let before = history.clone();
        let decision = n.is_multiple_of(interval).then(|| {
            let plan = decide(snapshot, &policies, &mut history);
            let outcome = |step: &swaptier_policies::Step| match step.action {
                Action::Writeback { pages, .. } => Outcome::WroteBack {
                    path: "x".to_owned(),
                    asked: pages,
                    written: Pages(pages.0 / part),
                    report: serde_json::Value::Null,
                },
                _ => Outcome::Gone { path: "x".to_owned() },
            };
            let decision = Decision { outcomes: plan.steps.iter().map(outcome).collect(), plan };
            decision.book(&mut history, snapshot);
            decision
        });
        let mut frame = Frame {
            tick: n as u64,
            unix_ms: 1_000 * n as u64,
            snapshot: snapshot.clone(),
            decision,
            history: Some(before),
            status: None,
            ages: Default::default(),
            moved: Default::default(),
            events: Vec::new(),
        };
        if !wants_key(&frame) {
            frame.history = None;
        }
        frames.push(frame);
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_recording_decides_again_to_the_same_plans(
        seed in prop::collection::vec(any::<u8>(), 0..4000),
        ticks in 1_usize..80,
        interval in 1_usize..4,
        part in 1_u64..4,
    ) {
        let dice = &mut dice::Dice(&seed);
        let hosts: Vec<Snapshot> = (0..ticks).map(|_| dice.snapshot()).collect();
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { folder: dir.path().to_path_buf(), file_size: 1 << 30, files: 2 };
        let mut recorder = Recorder::start(limits, terms()).unwrap();
        let made = frames(&hosts, interval, part, |frame| frame.tick.is_multiple_of(30));
        for (n, frame) in made.iter().enumerate() {
            recorder.take(frame.clone());
            while recorder.written().0 + recorder.dropped() <= n as u64 {
                std::thread::yield_now();
            }
        }
        prop_assert_eq!(recorder.close().dropped, 0);
        let mut recording = Recording::open(dir.path()).unwrap();
        prop_assert_eq!(recording.losses(), &[]);
        let policies = terms().policy_set().unwrap();
        let mut replay = Replay::new(Some(&policies));
        for (n, made) in made.iter().enumerate() {
            let (frame, terms) = recording.frame_and_terms(n).unwrap();
            prop_assert_eq!(&frame, made);
            replay.frame(n, &frame, terms);
        }
        let report = replay.finish();
        prop_assert_eq!(report.same, ticks.div_ceil(interval) as u64, "{:?}", report.differences);
        prop_assert_eq!((report.different, report.histories, report.unproven), (0, 0, 0));
        let other = report.other.unwrap();
        prop_assert_eq!(other.same_steps, other.decisions, "the same policies do the same");
    }
}
