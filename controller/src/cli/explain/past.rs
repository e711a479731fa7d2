//! What was done for a cgroup, by the journal of ticks.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use swaptier_policies::{CgroupId, Hold, Outcome, Snapshot};

use crate::journal;

/// How many steps are remembered.
const STEPS: usize = 8;

/// One step that was taken.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Done {
    /// Seconds since 1970.
    pub(super) unix: u64,
    /// How many seconds ago.
    pub(super) ago_seconds: u64,
    /// What was to be done.
    pub(super) action: String,
    /// Why.
    pub(super) reason: String,
    /// What came of it.
    pub(super) outcome: String,
}

/// What the journal knows of one cgroup.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Oldest first.
    pub(super) steps: Vec<Done>,
    /// How many seconds ago it was last decided, and what was held back then.
    pub(super) held: Option<(u64, Vec<String>)>,
}

/// Reads the journal in the state folder `dir`.
pub(super) fn read(dir: &Path, id: CgroupId) -> io::Result<Past> {
    // A clock before 1970 says that all of it has just happened.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut steps, mut held) = (VecDeque::new(), None);
    for entry in journal::entries(dir)? {
        let ago_seconds = now.saturating_sub(entry.unix);
        let noted = |n| entry.outcomes.get(n);
        let done = entry.plan.steps.iter().enumerate().map(|(n, step)| (step, noted(n)));
        // Of a round the end is told, and not that it waited.
        let done = done.filter(|(_, outcome)| !matches!(outcome, Some(Outcome::Queued { .. })));
        let ended = entry.ended.iter().map(|ended| (&ended.step, Some(&ended.outcome)));
        for (step, outcome) in ended.chain(done).filter(|(step, _)| step.action.cgroup() == id) {
            let outcome = outcome.map_or("nothing was noted".to_owned(), ToString::to_string);
            if steps.len() == STEPS {
                steps.pop_front();
            }
            steps.push_back(Done {
                unix: entry.unix,
                ago_seconds,
                action: step.action.to_string(),
                reason: step.reason.to_string(),
                outcome,
            });
        }
        if entry.snapshot.cgroups.contains_key(&id) {
            let own = entry.plan.held.iter().filter(|held| held.cgroup == id);
            held = Some((ago_seconds, own.map(|held| hold(&held.hold, &entry.snapshot)).collect()));
        }
    }
    Ok(Past { steps: steps.into(), held })
}

/// A hold, with the path of the cgroup it names.
pub(super) fn hold(hold: &Hold, snapshot: &Snapshot) -> String {
    match hold {
        Hold::LeftToBelow(id) | Hold::ClosedAbove(id) | Hold::RoundUnderWay(id) => {
            let path = snapshot
                .cgroups
                .get(id)
                .map_or_else(|| "gone by now".to_owned(), |view| view.path.to_string());
            format!("{hold}; cgroup {} is {path}", id.0)
        }
        _ => hold.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::FakeRoot,
        journal::Journal,
        sense::{self, CgroupTree, assemble},
    };
    use swaptier_policies::{
        Action, Asker, Because, Bytes, Held, Knob, Limit, Plan, Reason, Seconds, Step, plan::Basis,
    };

    #[test]
    fn steps_of_this_cgroup_are_told_with_what_came_of_them() {
        let fake = FakeRoot::host();
        let (a, b) = (CgroupId(fake.cgroup("a")), CgroupId(fake.cgroup("b")));
        let dir = fake.path("state");
        std::fs::create_dir(&dir).unwrap();
        let sensed = sense::collect(fake.root(), &mut CgroupTree::default()).unwrap();
        let snapshot =
            assemble(sensed, super::super::beside(crate::serve::absence::Absence::NotRunning, Vec::new()));
        let (from, to) = (Limit::Max, Limit::Bytes(Bytes(8192)));
        let step = |cgroup| Step {
            action: Action::Set { cgroup, knob: Knob::SwapMax, to: to.into() },
            by: Asker::Policy("p.toml".into()),
            reason: Reason::Differs {
                from: from.into(),
                to: to.into(),
                because: Because::Limit(Basis::Given),
            },
        };
        let hold = Hold::NothingCold { older_than: Seconds(600) };
        let plan = Plan {
            steps: vec![step(b), step(a)],
            held: vec![Held { cgroup: a, by: Asker::Policy("p.toml".into()), hold }],
            ..Plan::default()
        };
        let outcomes = [
            Outcome::Gone { path: "b".into() },
            Outcome::Set { path: "a".into(), from: "max".into(), to: "8192".into() },
        ];
        let mut journal = Journal::start(&dir, Bytes(1 << 20)).unwrap();
        journal.append(1_000, &snapshot, &plan, &outcomes, &[], &[]);
        drop(journal);
        let past = read(&dir, a).unwrap();
        let told: Vec<(u64, &str, &str)> =
            past.steps.iter().map(|done| (done.unix, done.action.as_str(), done.outcome.as_str())).collect();
        assert_eq!(told, [(1_000, "memory.swap.max = 8.0 KiB", "/a: max -> 8192")]);
        assert_eq!(past.held.unwrap().1, ["no page has been in zswap for 10m"]);
        assert!(read(&dir, CgroupId(1 << 60)).unwrap().steps.is_empty());
    }
}
