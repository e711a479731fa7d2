//! A policy file, and, behind a first NUL, a host for it to decide about.

use swaptier_policies::{
    Action, CgroupId, History, Plan, PolicySet, Snapshot, SourceFile, Standing, decide, violations,
};

use super::dice::Dice;
use super::faults;

const SHIPPED: &str = include_str!("../../../policies/batch.toml");

/// Loads the text. What is refused has readable faults; what is taken governs, and decides by the laws.
pub fn try_one(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let text = String::from_utf8_lossy(&input[..cut]).into_owned();
    let host = input.get(cut + 1..).unwrap_or_default();
    let fuzzed = SourceFile { name: "fuzzed.toml".to_owned(), text };
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
    let shipped = SourceFile { name: "batch.toml".to_owned(), text: SHIPPED.to_owned() };
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
    let mut history = History::default();
    let plan = decide(snap, set, &mut history);
    assert_eq!(plan, decide(snap, set, &mut History::default()), "the same inputs, another plan");
    check_plan(&plan, snap);
    assert_eq!(violations(&plan, snap, set), [], "{}", plan.describe(snap));
    for step in &plan.steps {
        if let Action::Writeback { cgroup, pages, .. } = step.action {
            history.spent(cgroup, pages, snap.at);
        }
    }
    assert!(history.len() <= snap.cgroups.len());
    let after = plan.preview(snap);
    let again = decide(&after, set, &mut history);
    // At the end of time a pause has no end that could be told from now.
    let settles = again.steps.is_empty() || snap.at.0 > u64::MAX / 2;
    assert!(settles, "{}then:\n{}", plan.describe(snap), again.describe(&after));
    let text = serde_json::to_string(&history).expect("a history can be written");
    assert_eq!(serde_json::from_str::<History>(&text).expect("what was written is read"), history);
}

/// Any plan can be shown: one line for each step and hold, without control characters.
pub fn check_plan(plan: &Plan, snap: &Snapshot) {
    let shown = plan.describe(snap);
    assert_eq!(shown.lines().count(), plan.steps.len() + plan.held.len());
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    let _nowhere = snap.above(CgroupId::ROOT).count();
}
