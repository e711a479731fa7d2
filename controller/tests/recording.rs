//! The law of replay for any host at all: what was recorded decides again to the same plans, whatever was seen and written.
//!
//! The hosts are those of the fuzz target `decide`. That damaged recordings are read as far as they can be is told beside
//! the reader and by the fuzz target `recording`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../tests/fuzz/bodies/dice.rs"]
#[expect(unreachable_pub, reason = "the bodies are a library of their own for libFuzzer")]
mod dice;

use proptest::prelude::*;
use swaptier::recording::replay::Replay;
use swaptier::recording::{Frame, Limits, Recorder, Recording, Terms};
use swaptier_policies::{Action, Decision, Outcome, Pages, RoundReport, Session, Settled, Snapshot, Step};

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
    let (policies, mut session) = (terms().policy_set().unwrap(), Session::default());
    let (mut frames, mut running) = (Vec::new(), Vec::<(usize, Settled)>::new());
    for (n, snapshot) in hosts.iter().enumerate() {
        let before = session.history().clone();
        // Rounds run beside the ticks, and end one to three later.
        let is_over = |(end, _): &mut (usize, Settled)| *end <= n;
        let mut ended: Vec<Settled> = running.extract_if(.., is_over).map(|(_, ended)| ended).collect();
        let turn = session.turn(snapshot, &ended);
        let decision = n.is_multiple_of(interval).then(|| {
            let (plan, made) = session.decide(turn, snapshot, &policies);
            let path = || "x".into();
            let outcome = |step: &Step| match step.action {
                Action::Writeback { cgroup, pages, .. } => {
                    let report = RoundReport::default();
                    let written = Pages(pages.0 / part);
                    let outcome = match cgroup.0 % 4 {
                        0 => Outcome::CalledOff { path: path(), why: "closed by hand".to_owned() },
                        _ => Outcome::WroteBack { path: path(), asked: pages, written, report },
                    };
                    let end = n + 1 + cgroup.0 as usize % 3;
                    running.push((end, Settled { step: step.clone(), outcome }));
                    Outcome::Queued { path: path(), asked: pages }
                }
                _ => Outcome::Gone { path: path() },
            };
            let decision = Decision { outcomes: plan.steps.iter().map(outcome).collect(), plan };
            session.done(made, &decision, snapshot.at);
            decision
        });
        let mut frame = Frame {
            tick: n as u64,
            unix_ms: 1_000 * n as u64,
            snapshot: snapshot.clone(),
            ended: std::mem::take(&mut ended),
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
