//! A policy file, and, behind a first NUL, a host for it to decide about.

use swaptier_policies::{
    Action, CgroupId, Decision, Ended, FilePath, History, Outcome, Pages, Plan, PolicySet, RoundReport,
    Session, Snapshot, SourceFile, Standing, Step, decide_afresh, violations,
};

use super::dice::Dice;
use super::faults;

const SHIPPED: &str = include_str!("../../../policies/batch.toml");

/// Loads the text. What is refused has readable faults; what is taken governs, and decides by the laws.
pub fn try_one(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let text = String::from_utf8_lossy(&input[..cut]).into_owned();
    let host = input.get(cut + 1..).unwrap_or_default();
    let fuzzed = SourceFile::text("fuzzed.toml", text);
    match PolicySet::load(std::slice::from_ref(&fuzzed)) {
        Err(found) => faults::check(&found, &fuzzed.text),
        Ok(alone) => {
            let snap = Dice(host).snapshot();
            let set =
                if host.last().is_some_and(|last| last & 1 == 1) { beside_another(fuzzed) } else { alone };
            check_who_wins(&set, &snap);
            check_laws(&set, &snap);
        }
    }
}

/// The same policy with a shipped one that contends with it.
fn beside_another(fuzzed: SourceFile) -> PolicySet {
    let shipped = SourceFile::text("batch.toml", SHIPPED);
    PolicySet::load(&[fuzzed, shipped]).expect("each of the two loads")
}

/// The policy in force is the first of the contenders, and the only one that wins.
fn check_who_wins(set: &PolicySet, snap: &Snapshot) {
    for view in snap.cgroups.values() {
        let contenders = set.contenders(&view.path);
        let won = |standing: &Standing| matches!(standing, Standing::Wins { .. });
        let winners: Vec<&str> = contenders
            .iter()
            .filter(|(_, standing)| won(standing))
            .map(|(policy, _)| policy.name())
            .collect();
        let in_force: Vec<&str> = set.resolve(&view.path).map(|policy| policy.name()).into_iter().collect();
        assert_eq!(winners, in_force, "of {:?}", view.path);
        for (_, standing) in contenders {
            assert!(!standing.to_string().is_empty());
        }
    }
}

/// The laws of a decision that hold on any host, however absurd. Shared with the target `journal`.
pub fn check_laws(set: &PolicySet, snap: &Snapshot) {
    let mut session = Session::default();
    let turn = session.turn(snap, &[]);
    let (plan, made) = session.decide(turn, snap, set);
    assert_eq!(plan, decide_afresh(snap, set), "the same inputs, another plan");
    check_plan(&plan, snap);
    assert_eq!(violations(&plan, snap, set), [], "{}", plan.describe(snap));
    let decision = wrote(plan, |pages| pages);
    session.done(made, &decision, snap.at);
    let (plan, history) = (decision.plan, session.history());
    assert!(history.len() <= snap.cgroups.len());
    let text = serde_json::to_string(history).expect("a history can be written");
    assert_eq!(serde_json::from_str::<History>(&text).expect("what was written is read"), *history);
    let after = plan.preview(snap);
    let turn = session.turn(&after, &[]);
    let (again, _made) = session.decide(turn, &after, set);
    // At the end of time a pause has no end that could be told from now.
    let settles = again.steps.is_empty() || snap.at.0 > u64::MAX / 2;
    assert!(settles, "{}then:\n{}", plan.describe(snap), again.describe(&after));
}

/// What came of a plan of whose rounds so many pages were written, and of which nothing else was done.
pub fn wrote(plan: Plan, mut written: impl FnMut(Pages) -> Pages) -> Decision {
    let mut outcome = |step: &Step| match step.action {
        Action::Writeback { pages, .. } => {
            let report = RoundReport { ended: Some(Ended::Target), ..RoundReport::default() };
            Outcome::WroteBack { path: FilePath::default(), asked: pages, written: written(pages), report }
        }
        Action::Set { .. } => Outcome::Parked { path: FilePath::default() },
    };
    Decision { outcomes: plan.steps.iter().map(&mut outcome).collect(), plan }
}

/// Any plan can be shown: one line for each step and hold, without control characters.
pub fn check_plan(plan: &Plan, snap: &Snapshot) {
    let shown = plan.describe(snap);
    assert_eq!(shown.lines().count(), plan.steps.len() + plan.held.len());
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    let _nowhere = snap.above(CgroupId::ROOT).count();
}
