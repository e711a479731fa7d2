//! What the agent did, for people: the last actions of each cgroup, the totals, and one event and one line of the log
//! for each action with its reason. The journal of ticks, from which it can be decided again, is `journal/`.

use std::collections::{BTreeMap, VecDeque};

use swaptier_policies::{CgroupId, Snapshot, Step};

use crate::{
    act::Outcome,
    serve::{
        board::Board,
        detail::ACTIONS,
        events::{EventKind, News},
        status::ActionStatus,
    },
};

/// What was done to the cgroups that live.
#[derive(Default)]
pub(super) struct Past {
    actions: BTreeMap<CgroupId, VecDeque<ActionStatus>>,
    /// Steps that were carried out, or needed no change.
    pub(super) steps: u64,
    /// Steps that could not be carried out.
    pub(super) in_trouble: u64,
}

impl Past {
    /// Notes a step and what came of it; returns the news of it.
    pub(super) fn step(&mut self, unix: u64, step: &Step, outcome: &Outcome, snapshot: &Snapshot) -> News {
        let cgroup = step.action.cgroup();
        let is_trouble = outcome.is_trouble();
        *if is_trouble { &mut self.in_trouble } else { &mut self.steps } += 1;
        let (action, reason) = (step.action.to_string(), step.reason.to_string());
        let path = snapshot.cgroups.get(&cgroup).map(|view| view.path.clone());
        // Whose outcome it is stands before it already.
        let outcome = outcome.to_string();
        let itself = path.as_ref().map(|path| format!("/{path}: ")).unwrap_or_default();
        let outcome = outcome.strip_prefix(&itself).unwrap_or(&outcome);
        let news = News {
            kind: EventKind::Step,
            is_trouble,
            cgroup: path,
            by: Some(step.policy.clone()),
            text: format!("{action}: {outcome}"),
            reason: Some(reason.clone()),
        };
        self.note(
            cgroup,
            ActionStatus {
                unix_seconds: unix,
                action,
                by: step.policy.clone(),
                reason,
                outcome: outcome.to_string(),
                is_trouble,
            },
        );
        news
    }

    /// Notes something that was done to a cgroup.
    pub(super) fn note(&mut self, cgroup: CgroupId, action: ActionStatus) {
        let actions = self.actions.entry(cgroup).or_default();
        if actions.len() == ACTIONS {
            actions.pop_front();
        }
        actions.push_back(action);
    }

    /// Forgets the cgroups that are gone.
    pub(super) fn forget_dead(&mut self, snapshot: &Snapshot) {
        self.actions.retain(|id, _| snapshot.cgroups.contains_key(id));
    }

    /// What was done last to a cgroup, oldest first.
    pub(super) fn of(&self, cgroup: CgroupId) -> impl Iterator<Item = &ActionStatus> {
        self.actions.get(&cgroup).into_iter().flatten()
    }
}

/// Pins the news on the board and says it in the log: one line, with its parts as fields of the journal.
pub(super) fn tell(board: &Board, unix: u64, news: News) {
    let (kind, cgroup, by, reason) = (
        news.kind.name(),
        news.cgroup.as_deref().map(tracing::field::display),
        news.by.as_deref().map(tracing::field::display),
        news.reason.as_deref().map(tracing::field::display),
    );
    if news.is_trouble {
        tracing::warn!(kind, cgroup, by, reason, "{}", news.text);
    } else {
        tracing::info!(kind, cgroup, by, reason, "{}", news.text);
    }
    board.tell(unix, news);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_keeps_its_last_actions_in_order() {
        let mut past = Past::default();
        for unix in 0..ACTIONS as u64 + 3 {
            past.note(CgroupId(7), ActionStatus { unix_seconds: unix, ..ActionStatus::default() });
        }
        let seen: Vec<u64> = past.of(CgroupId(7)).map(|action| action.unix_seconds).collect();
        assert_eq!(seen, (3..ACTIONS as u64 + 3).collect::<Vec<_>>());
        assert_eq!(past.of(CgroupId(8)).count(), 0);
    }
}
