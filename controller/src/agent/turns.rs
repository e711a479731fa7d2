//! Rounds as the agent asks for them and hears of them: a step of a plan, or a command, becomes a round that waits; its turn
//! comes; it ends, and what came of it is booked, told and answered. What runs them is `rounds`. Caller: the loop.

use swaptier_policies::{Action, CgroupPath, Ended, Outcome, Pages, Policy, PolicySet, Settled, Step};

use super::{
    Agent,
    closing::closed_at_or_above,
    rounds::{self, Asker, Done, Task},
    unix_seconds,
};
use crate::{
    act::{
        Order,
        writeback::{Report, RoundError, Scope, ValveError, rehearse},
    },
    config::DialectChoice,
    exit::Exit,
    root::FilePath,
    sense::{Accounting, CgroupSample, cgroupfs},
    serve::{
        events::{EventKind, News},
        protocol::Answer,
        server::refused,
        status::ActionStatus,
    },
};

/// Why a round that waits is not begun.
enum Unbegun {
    /// Nobody is there any more who asked.
    GivenUp,
    /// What came of it instead.
    Outcome(Outcome),
    /// Nothing to do, or no way to do it: the exit code and why.
    Refused(Exit, String),
}

impl Agent {
    /// The round of a step: it waits for its turn. In a dry run it is only said what it would be.
    pub(super) fn order_round(&mut self, step: &Step, order: Order) -> Outcome {
        let path = FilePath::from(&order.path);
        if order.dry_run {
            return match self.ready_by_policy(&order) {
                Ok((order, _)) => {
                    Outcome::Would { path, from: "zswap".to_owned(), to: format!("{} on disk", order.pages) }
                }
                Err(outcome) => outcome,
            };
        }
        let asked = order.pages;
        let asker = Asker::Policy(Box::new(step.clone()));
        self.rounds.queue(Task { order, choice: None, asker });
        Outcome::Queued { path, asked }
    }

    /// What a command asks for, if it is to become a round that waits for its turn; else the answer.
    pub(super) fn order_by_hand(
        &mut self,
        wish: Order,
        choice: Option<DialectChoice>,
    ) -> Result<Order, Answer> {
        let say = |exit: Exit, text: String| refused(exit, text);
        if let Some(why) = against_rounds(&self.policies, self.refusal.as_deref(), &wish.path) {
            return Err(say(Exit::Failed, why));
        }
        if let Some(why) = Accounting::read(&self.root).loss() {
            return Err(say(Exit::Unsupported, why));
        }
        match self.tree.read(&self.root) {
            Ok(fresh) => self.cgroups = fresh,
            Err(error) => return Err(say(Exit::Failed, error.to_string())),
        }
        let path = &wish.path;
        let Some(cgroup) = self.cgroups.iter().find(|it| it.path == *path && !path.is_root()) else {
            return Err(say(Exit::Failed, cgroupfs::why_absent(&self.root, path)));
        };
        if let Some(why) = self.tree.unseen().within(path) {
            return Err(say(Exit::Failed, format!("{path}: {why}")));
        }
        let wish = Order { cgroup: cgroup.id, ..wish };
        let (order, scope) = self.ready_by_hand(&wish).map_err(|(exit, text)| say(exit, text))?;
        if !order.dry_run {
            return Ok(wish);
        }
        Err(match rehearse(&self.root, choice.unwrap_or(self.rounds.choice()), &order, &scope) {
            Ok(changes) => Answer::Would {
                writes: changes.iter().map(|c| format!("/{}: {} -> {}", c.path, c.old, c.new)).collect(),
            },
            Err(error) => say(exit_of(&error), error.to_string()),
        })
    }

    /// Begins the round whose turn it is, or says what came of it instead.
    pub(super) fn begin_round(&mut self) {
        let Some(task) = self.rounds.take_due() else { return };
        let (task, unbegun) = match self.ready(&task) {
            Ok((order, scope)) => {
                self.board.begin(task.doing());
                self.rounds.meter(self.probes.as_ref(), &scope);
                match self.rounds.begin(task, order, scope) {
                    Ok(()) => return,
                    Err(task) => {
                        let unbegun = broken(&task, "the rounds' thread is gone".to_owned());
                        (*task, unbegun)
                    }
                }
            }
            Err(unbegun) => (task, unbegun),
        };
        self.settle_unbegun(task, unbegun);
    }

    /// What the round is about now: that it was asked for may be long ago.
    fn ready(&self, task: &Task) -> Result<(Order, Scope), Unbegun> {
        if task.is_given_up() {
            return Err(Unbegun::GivenUp);
        }
        if let Some(why) = against_rounds(&self.policies, self.refusal.as_deref(), &task.order.path) {
            return Err(Unbegun::Refused(Exit::Failed, why));
        }
        if let Some(why) = Accounting::read(&self.root).loss() {
            return Err(Unbegun::Refused(Exit::Unsupported, why));
        }
        match (&task.asker, self.tree.unseen().within(&task.order.path)) {
            (Asker::Policy(_), Some(error)) => {
                Err(Unbegun::Outcome(Outcome::Failed { path: FilePath::from(&task.order.path), error }))
            }
            (Asker::Hand(_), Some(why)) => {
                Err(Unbegun::Refused(Exit::Failed, format!("{}: {why}", task.order.path)))
            }
            (Asker::Policy(_), None) => self.ready_by_policy(&task.order).map_err(Unbegun::Outcome),
            (Asker::Hand(_), None) => {
                self.ready_by_hand(&task.order).map_err(|(exit, text)| Unbegun::Refused(exit, text))
            }
        }
    }

    fn ready_by_policy(&self, order: &Order) -> Result<(Order, Scope), Outcome> {
        let (path, planned) = (FilePath::from(&order.path), order.pages);
        let mut order = order.clone();
        order.spared = spared(&self.policies, &self.cgroups, &order.path);
        let (scope, old) = rounds::scope(&self.probes, &self.cgroups, &order);
        if scope.known.is_none() {
            return Err(Outcome::Failed { path, error: "there is no shadow map".to_owned() });
        }
        order.pages = self.rounds.still(planned, old);
        if order.pages.0 == 0 { Err(Outcome::Young { path, planned }) } else { Ok((order, scope)) }
    }

    fn ready_by_hand(&self, order: &Order) -> Result<(Order, Scope), (Exit, String)> {
        let (mut order, path) = (order.clone(), &order.path);
        let (scope, most) = rounds::scope(&self.probes, &self.cgroups, &order);
        if scope.known.is_none() && order.older_than.0 > 0 {
            let text = "the agent has no shadow map, so it does not know what is old (see `swaptier doctor`); without \
                        --older-than it writes back what zswap has had longest";
            return Err((Exit::Unsupported, text.to_owned()));
        }
        order.pages = Pages(order.pages.0.min(most));
        if order.pages.0 == 0 {
            let age = match order.older_than.0 {
                0 => String::new(),
                _ => format!(" for {} or longer", order.older_than),
            };
            return Err((Exit::Nothing, format!("{path} has no page in zswap{age}")));
        }
        Ok((order, scope))
    }

    fn settle_unbegun(&mut self, task: Task, unbegun: Unbegun) {
        let Task { order, asker, .. } = task;
        match (asker, unbegun) {
            (Asker::Policy(step), Unbegun::Outcome(outcome)) => self.book_round(*step, &order, outcome),
            // It is decided again, and nobody saw it begin: that is no news.
            (Asker::Policy(step), Unbegun::Refused(_, why)) => {
                let outcome = Outcome::CalledOff { path: FilePath::from(&order.path), why };
                tracing::debug!(action = %step.action, %outcome, "a round is not begun");
                self.ended.push(Settled { step: *step, outcome });
            }
            (Asker::Hand(client), Unbegun::Refused(exit, text)) => {
                let _client_left = client.send(refused(exit, text));
            }
            (_, Unbegun::GivenUp | Unbegun::Outcome(_)) => {}
        }
    }

    /// Takes in what came of the round that ran.
    pub(super) fn round_ended(&mut self, done: Done) {
        let Some((task, course)) = self.rounds.ended(&done) else { return };
        let Task { order, asker, .. } = task;
        let written = self.rounds.metered(self.probes.as_ref());
        match asker {
            Asker::Policy(step) => {
                let outcome = outcome(&order, done, course.called_off(), written);
                self.book_round(*step, &order, outcome);
            }
            Asker::Hand(client) => {
                let answer = match done {
                    Ok(report) => Answer::Round { report: report.told() },
                    Err(error) => refused(exit_of(&error), error.to_string()),
                };
                self.note_wish(&order, &answer);
                let _client_left = client.send(answer);
            }
        }
        // What the round's values were in the way of is looked at again.
        self.is_due |= std::mem::take(&mut self.is_postponed);
    }

    /// Ends what may not be any more: the round that runs soon, those that wait at once. Called each tick.
    pub(super) fn call_off_unwanted(&mut self) {
        let Self { rounds, policies, refusal, cgroups, .. } = self;
        let off = rounds.call_off(|task, is_running| {
            if task.is_given_up() {
                return Some("its client has gone".to_owned());
            }
            let path = &task.order.path;
            against_rounds(policies, refusal.as_deref(), path).or_else(|| {
                let has_grown =
                    || spared(policies, cgroups, path).iter().any(|it| !task.order.spared.contains(it));
                let is_short = is_running && !task.is_by_hand() && has_grown();
                is_short.then(|| "a cgroup below it has a policy of its own by now".to_owned())
            })
        });
        self.settle_off(off);
    }

    /// The policies are others: the round that runs ends if these do not ask for it, and what waits is decided anew.
    pub(super) fn call_off_by_policies(&mut self) {
        let Self { rounds, policies, refusal, .. } = self;
        let off = rounds.call_off(|task, is_running| {
            let path = &task.order.path;
            let Asker::Policy(step) = &task.asker else {
                return against_rounds(policies, refusal.as_deref(), path);
            };
            let asks = |policy: &Policy| {
                Some(policy.name()) == step.by.policy() && policy.older_than() == Some(task.order.older_than)
            };
            let is_asked = is_running && policies.resolve(path).is_some_and(asks);
            (!is_asked).then(|| "the policies are others by now".to_owned())
        });
        self.settle_off(off);
    }

    fn settle_off(&mut self, off: Vec<(Task, String)>) {
        for (task, why) in off {
            self.settle_unbegun(task, Unbegun::Refused(Exit::Failed, why));
        }
    }

    fn book_round(&mut self, step: Step, order: &Order, outcome: Outcome) {
        let news = self.recent.step(unix_seconds(), &step, &outcome, Some(&order.path));
        let over = self.recent.round_over(&step, &outcome);
        news.into_iter().chain(over).for_each(|news| self.tell(news));
        self.ended.push(Settled { step, outcome });
    }

    /// A round that a command asked for stands in the past of its cgroup like one of a policy.
    fn note_wish(&mut self, order: &Order, answer: &Answer) {
        let (outcome, is_trouble) = match answer {
            Answer::Round { report } => {
                let written = report.number("written_pages").unwrap_or_default();
                let done = format!("{} written back", Pages(written));
                match report.failure() {
                    Some(why) => (format!("{done}, and it failed: {why}"), true),
                    None => {
                        let ended = report.ended.map(|ended| format!(", ended by {ended}"));
                        (done + &ended.unwrap_or_default(), false)
                    }
                }
            }
            Answer::Refused { message, .. } => (message.clone(), true),
            _ => return,
        };
        let action =
            Action::Writeback { cgroup: order.cgroup, older_than: order.older_than, pages: order.pages }
                .to_string();
        let by = "command writeback".to_owned();
        self.tell(News {
            kind: EventKind::Round,
            is_trouble,
            cgroup: Some(order.path.to_string()),
            by: Some(by.clone()),
            text: format!("{action}: {outcome}"),
            reason: None,
        });
        let (unix_seconds, reason) = (unix_seconds(), "asked for by hand".to_owned());
        let done = ActionStatus { unix_seconds, action, by, reason, outcome, is_trouble };
        self.recent.note(order.cgroup, done);
    }
}

/// No round can be begun for now: one of a policy failed, and is not asked for again at once.
fn broken(task: &Task, error: String) -> Unbegun {
    match &task.asker {
        Asker::Policy(_) => {
            Unbegun::Outcome(Outcome::Failed { path: FilePath::from(&task.order.path), error })
        }
        Asker::Hand(_) => Unbegun::Refused(Exit::Failed, error),
    }
}

/// Why no round of this cgroup may be, whoever asks.
fn against_rounds(policies: &PolicySet, refusal: Option<&str>, path: &CgroupPath) -> Option<String> {
    if let Some(hold) = refusal {
        return Some(format!("{path}: {hold}"));
    }
    let closed = closed_at_or_above(policies, path)?;
    Some(format!("the way to disk of {closed} was closed by hand: `swaptier open {closed}` opens it"))
}

/// What came of a round of a policy. `off`: why it was called off, if it was. `written`: pages written meanwhile by the map,
/// for a pump that cannot say so any more; one of which that is not known may have written all.
fn outcome(order: &Order, done: Done, off: Option<String>, written: Option<Pages>) -> Outcome {
    let path = FilePath::from(&order.path);
    let is_begun = matches!(done, Err(RoundError::Pump(_) | RoundError::Root(_)));
    match done {
        // Nobody knows how many of the pages are on the disk: none is booked, and the next round waits.
        Ok(Report { ended: Ended::DiskFailed, error, .. }) => {
            Outcome::Failed { path, error: error.unwrap_or_default() }
        }
        Ok(Report { ended: Ended::CalledOff, written_pages: 0, .. }) => {
            Outcome::CalledOff { path, why: off.unwrap_or_default() }
        }
        Ok(Report { ended: Ended::Gone, written_pages: 0, .. })
        | Err(RoundError::Valves(ValveError::Gone(_))) => Outcome::Gone { path },
        Ok(report) => Outcome::WroteBack {
            path,
            asked: Pages(report.asked_pages),
            written: Pages(report.written_pages),
            report: report.told(),
        },
        Err(error) => {
            let (written, error) = (written.unwrap_or(order.pages), error.to_string());
            match (is_begun, written) {
                (false, _) | (true, Pages(0)) => Outcome::Failed { path, error },
                (true, written) => Outcome::BrokenOff { path, written, error },
            }
        }
    }
}

fn exit_of(error: &RoundError) -> Exit {
    match error {
        RoundError::NoDialect(_) => Exit::Unsupported,
        _ => Exit::Failed,
    }
}

/// Cgroups below this one that have a policy of their own, and so are nobody else's. Where one of them has `[tiers]` there
/// is no round from above at all.
fn spared(policies: &PolicySet, cgroups: &[CgroupSample], path: &CgroupPath) -> Vec<CgroupPath> {
    let own = cgroups
        .iter()
        .filter(|cgroup| cgroup.path.is_below(path) && policies.resolve(&cgroup.path).is_some());
    own.map(|cgroup| cgroup.path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use swaptier_policies::{Asker, CgroupId, Seconds};

    use super::*;

    /// A pump that died again and again wrote a day's budget anew each time: none of its pages was booked.
    #[test]
    fn what_a_dead_pump_wrote_is_what_the_map_saw_go_or_all_that_was_asked() {
        let order = Order {
            cgroup: CgroupId(5),
            path: "a".into(),
            older_than: Seconds(60),
            pages: Pages(40),
            spared: Vec::new(),
            by: Asker::Policy("a.toml".to_owned()),
            dry_run: false,
        };
        let ended = |error: RoundError, seen: Option<u64>| outcome(&order, Err(error), None, seen.map(Pages));
        let died = || RoundError::Pump(io::ErrorKind::BrokenPipe.into());
        let counted = |outcome: &Outcome| match outcome {
            Outcome::BrokenOff { written, .. } => Some(written.0),
            Outcome::Failed { .. } => Some(0),
            _ => None,
        };
        assert_eq!(counted(&ended(died(), Some(7))), Some(7));
        assert_eq!(counted(&ended(died(), None)), Some(40), "unknown is not none");
        assert_eq!(counted(&ended(died(), Some(0))), Some(0));
        // Nothing was begun: what went meanwhile is not its own.
        assert_eq!(counted(&ended(RoundError::NoDialect("none".to_owned()), Some(7))), Some(0));
    }
}
