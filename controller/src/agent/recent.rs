//! What the agent did, for people: the last actions of each cgroup, the totals, and one event and one line of the log
//! for each action with its reason. The journal of ticks, from which it can be decided again, is `journal/`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem::{Discriminant, discriminant},
};

use swaptier_policies::{Action, Asker, CgroupId, CgroupPath, Held, Knob, Outcome, Plan, Snapshot, Step};

use super::Agent;
use crate::serve::{
    board::Board,
    detail::ACTIONS,
    events::{EventKind, News},
    status::ActionStatus,
};

/// A trouble that was told and lasts.
struct Trouble {
    kind: Discriminant<Outcome>,
    /// Of the step whose trouble it is.
    by: Asker,
    action: String,
    path: Option<String>,
}

/// What was done to the cgroups that live.
#[derive(Default)]
pub(super) struct Recent {
    /// What was told when it began and is told again when it is over; not at each decision between.
    /// By the file that a step writes, or none: its pages, by a round.
    troubles: BTreeMap<(CgroupId, Option<Knob>), Trouble>,
    /// What a dry run would do, and said so: told again when it is something else.
    would: BTreeMap<(CgroupId, Option<Knob>), Action>,
    actions: BTreeMap<CgroupId, VecDeque<ActionStatus>>,
    /// Steps that were carried out, or needed no change.
    pub(super) steps: u64,
    /// Steps that could not be carried out.
    pub(super) in_trouble: u64,
}

/// What of a cgroup a step is about: a file, or its pages.
fn place(step: &Step) -> (CgroupId, Option<Knob>) {
    (step.action.cgroup(), step.action.knob())
}

impl Recent {
    /// Notes a step and what came of it; returns the news of it, if it is any.
    pub(super) fn step(
        &mut self,
        unix: u64,
        step: &Step,
        outcome: &Outcome,
        path: Option<&CgroupPath>,
    ) -> Option<News> {
        let cgroup = step.action.cgroup();
        let is_trouble = outcome.is_trouble();
        *if is_trouble { &mut self.in_trouble } else { &mut self.steps } += 1;
        let is_told = match outcome {
            Outcome::Would { .. } => self.would.insert(place(step), step.action) == Some(step.action),
            _ => is_trouble && self.is_told(step, outcome, path),
        };
        if is_told {
            return None;
        }
        let (action, reason) = (step.action.to_string(), step.reason.to_string());
        // Whose outcome it is stands before it already.
        let outcome = match path.is_some_and(|path| outcome.is_about(path)) {
            true => outcome.said().to_string(),
            false => outcome.to_string(),
        };
        let news = News {
            kind: EventKind::Step,
            is_trouble,
            cgroup: path.map(ToString::to_string),
            by: Some(step.by.to_string()),
            text: format!("{action}: {outcome}"),
            reason: Some(reason.clone()),
        };
        self.note(
            cgroup,
            ActionStatus { unix_seconds: unix, action, by: step.by.to_string(), reason, outcome, is_trouble },
        );
        Some(news)
    }

    /// Whether this trouble was told when it began; from now on it is.
    fn is_told(&mut self, step: &Step, outcome: &Outcome, path: Option<&CgroupPath>) -> bool {
        let trouble = Trouble {
            kind: discriminant(outcome),
            by: step.by.clone(),
            action: step.action.to_string(),
            path: path.map(ToString::to_string),
        };
        let kind = trouble.kind;
        self.troubles.insert(place(step), trouble).is_some_and(|told| told.kind == kind)
    }

    /// Ends the troubles that these steps of a decision, with what came of them, do not have any more; returns the news of
    /// that. A round is asked for now and then: its trouble ends with one that has none. What a dry run would no longer do
    /// is no news, and would be one again.
    pub(super) fn over<'a>(&mut self, steps: impl Iterator<Item = (&'a Step, &'a Outcome)>) -> Vec<News> {
        let (mut lasting, mut would) = (BTreeSet::new(), BTreeSet::new());
        for (step, outcome) in steps {
            let is_would = matches!(outcome, Outcome::Would { .. });
            would.extend(is_would.then(|| place(step)));
            lasting.extend(outcome.is_trouble().then(|| place(step)));
        }
        self.would.retain(|place, _| would.contains(place));
        let is_over =
            |key: &(CgroupId, Option<Knob>), _: &mut Trouble| key.1.is_some() && !lasting.contains(key);
        let over: Vec<_> = self.troubles.extract_if(.., is_over).collect();
        over.into_iter().map(|(_, trouble)| trouble.over()).collect()
    }

    /// The same for a round that ended.
    pub(super) fn round_over(&mut self, step: &Step, outcome: &Outcome) -> Option<News> {
        let is_well = matches!(outcome, Outcome::WroteBack { .. }) && !outcome.is_trouble();
        let trouble = is_well.then(|| self.troubles.remove(&(step.action.cgroup(), None)))?;
        trouble.map(Trouble::over)
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
        self.troubles.retain(|(id, _), _| snapshot.cgroups.contains_key(id));
    }

    /// What was done last to a cgroup, oldest first.
    pub(super) fn of(&self, cgroup: CgroupId) -> impl Iterator<Item = &ActionStatus> {
        self.actions.get(&cgroup).into_iter().flatten()
    }
}

impl Trouble {
    fn over(self) -> News {
        News {
            cgroup: self.path,
            by: Some(self.by.to_string()),
            ..News::of(EventKind::Step, format!("{}: what was in its way is over", self.action))
        }
    }
}

impl Agent {
    /// Tells of values that others set: when they begin to stand there, and when they no longer do.
    pub(super) fn tell_foreign(&self, plan: &Plan, snapshot: &Snapshot) {
        let news = |held: &Held, text: String, is_trouble| News {
            is_trouble,
            cgroup: snapshot.cgroups.get(&held.cgroup).map(|view| view.path.to_string()),
            by: Some(held.by.to_string()),
            ..News::of(EventKind::Step, text)
        };
        for held in plan.newly_foreign(&self.plan) {
            self.tell(news(held, held.hold.to_string(), true));
        }
        for held in self.plan.newly_foreign(plan).filter(|held| !plan.is_foreign(held)) {
            self.tell(news(held, format!("no longer: {}", held.hold), false));
        }
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
    // `journalctl` prints the message alone: the reason is in it.
    let why = news.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    if news.is_trouble {
        tracing::warn!(kind, cgroup, by, reason, "{}{why}", news.text);
    } else {
        tracing::info!(kind, cgroup, by, reason, "{}{why}", news.text);
    }
    board.tell(unix, news);
}

#[cfg(test)]
mod tests {
    use swaptier_policies::{
        Action, Because, Ended, Limit, Pages, Reason, RoundReport, Seconds,
        plan::{Basis, Bound},
    };

    use super::*;

    /// Some thousands of lines a day for one value that somebody else holds, before.
    #[test]
    fn a_trouble_is_told_when_it_begins_and_when_it_is_over() {
        let mut recent = Recent::default();
        let (from, to) = (Limit::Max, Limit::ZERO);
        let step = |id, to: Limit| Step {
            action: Action::Set { cgroup: CgroupId(id), knob: Knob::ZswapMax, to: to.into() },
            by: Asker::Policy("a.toml".to_owned()),
            reason: Reason::Differs {
                from: from.into(),
                to: to.into(),
                because: Because::Limit(Basis::Given),
            },
        };
        let foreign =
            |found: &str| Outcome::Foreign { path: "x".into(), ours: "0".into(), found: found.into() };
        let told = |recent: &mut Recent, step: &Step, outcome: &Outcome| {
            recent.step(1, step, outcome, Some(&"x".into()))
        };
        let one = step(5, to);
        assert!(told(&mut recent, &one, &foreign("7")).is_some_and(|news| news.is_trouble));
        assert!(recent.over([(&one, &foreign("7"))].into_iter()).is_empty());
        // Whoever holds it writes another value each time: it is the same trouble. Another cgroup's is its own.
        assert!(told(&mut recent, &one, &foreign("8")).is_none());
        assert!(told(&mut recent, &step(6, to), &foreign("8")).is_some());
        assert_eq!(recent.in_trouble, 3, "counted it is");
        assert_eq!(recent.of(CgroupId(5)).count(), 1);
        // Another kind of trouble is news, and its end.
        let failed = Outcome::Failed { path: "x".into(), error: "no room".into() };
        assert!(told(&mut recent, &one, &failed).is_some());
        let set = Outcome::Set { path: "x".into(), from: "8".into(), to: "0".into() };
        assert!(told(&mut recent, &one, &set).is_some());
        let over = recent.over([(&one, &set)].into_iter());
        assert_eq!(over.len(), 2, "the other cgroup's step is not asked for any more");
        assert!(over.iter().all(|news| !news.is_trouble && news.text.ends_with("is over")));
        assert!(recent.over(std::iter::empty()).is_empty());
        assert!(told(&mut recent, &one, &foreign("7")).is_some(), "it begins anew");
    }

    /// Each was told as over in the moment it was told, before.
    #[test]
    fn a_round_that_strayed_is_no_end_of_its_trouble() {
        let (older_than, pages) = (Seconds(5), Pages(40));
        let step = Step {
            action: Action::Writeback { cgroup: CgroupId(5), older_than, pages },
            by: Asker::Policy("a.toml".to_owned()),
            reason: Reason::Cold { cold: pages, oldest: Seconds(9), older_than, bound: Bound::AllCold },
        };
        let round = |ended: Ended| Outcome::WroteBack {
            path: "x".into(),
            asked: pages,
            written: Pages(9),
            report: RoundReport::from(ended),
        };
        let mut recent = Recent::default();
        for is_new in [true, false] {
            let strayed = round(Ended::Strayed);
            assert_eq!(recent.step(1, &step, &strayed, Some(&"x".into())).is_some(), is_new);
            assert!(recent.round_over(&step, &strayed).is_none());
        }
        assert!(
            recent
                .step(2, &step, &round(Ended::Target), Some(&"x".into()))
                .is_some_and(|news| !news.is_trouble)
        );
        assert!(recent.round_over(&step, &round(Ended::Target)).is_some(), "now it is over");
    }

    #[test]
    fn whose_outcome_it_is_is_said_once_and_which_file_always() {
        let step = Step {
            action: Action::Set { cgroup: CgroupId(5), knob: Knob::ZswapMax, to: Limit::ZERO.into() },
            by: Asker::Policy("a.toml".to_owned()),
            reason: Reason::Differs {
                from: Limit::Max.into(),
                to: Limit::ZERO.into(),
                because: Because::Limit(Basis::Given),
            },
        };
        let told = |path: &str| {
            let outcome = Outcome::Gone { path: path.into() };
            Recent::default().step(1, &step, &outcome, Some(&"a/b".into())).map(|news| news.text)
        };
        let text = |said: &str| Some(format!("{}: {said}", step.action));
        assert_eq!(told("a/b"), text("gone"));
        assert_eq!(
            told("sys/fs/cgroup/a/b/memory.zswap.max"),
            text("/sys/fs/cgroup/a/b/memory.zswap.max: gone")
        );
    }

    #[test]
    fn a_cgroup_keeps_its_last_actions_in_order() {
        let mut recent = Recent::default();
        for unix in 0..ACTIONS as u64 + 3 {
            recent.note(CgroupId(7), ActionStatus { unix_seconds: unix, ..ActionStatus::default() });
        }
        let seen: Vec<u64> = recent.of(CgroupId(7)).map(|action| action.unix_seconds).collect();
        assert_eq!(seen, (3..ACTIONS as u64 + 3).collect::<Vec<_>>());
        assert_eq!(recent.of(CgroupId(8)).count(), 0);
    }
}
