//! What clients of the control socket have the agent do: rounds by hand, the policies read anew, a recording. Whoever may
//! not act never comes this far: that is `serve/server`'s. Caller: the agent's loop, one errand after the other.

use std::sync::Arc;

use swaptier_policies::{CgroupId, Pages, PolicySet, Seconds, SourceFile};
use tokio::sync::oneshot;

use super::{
    Agent,
    rounds::{Asker, Task},
    start::load_policies,
};
use crate::{
    act::Order,
    config::DialectChoice,
    exit::Exit,
    serve::{
        events::{EventKind, News},
        protocol::{Answer, Ask},
        server::{Errand, refused},
    },
};

impl Agent {
    /// Answers it, and notes what that took.
    pub(super) fn errand(&mut self, Errand { ask, read, client }: Errand) {
        if self.answer(ask, client) {
            self.self_cost.answered(read);
        }
    }

    /// Does it, and answers; `false`: not now. A round answers when it has ended. Whoever has gone meanwhile gets nothing
    /// done.
    pub(super) fn answer(&mut self, ask: Ask, client: oneshot::Sender<Answer>) -> bool {
        if client.is_closed() {
            tracing::debug!(?ask, "a client left before its turn came: nothing is done");
            return false;
        }
        let answer = match ask {
            Ask::Reload { dry_run } => self.reload(dry_run),
            Ask::Close { cgroup, dry_run } => self.close(&cgroup, dry_run),
            Ask::Open { cgroup, dry_run } => self.open(&cgroup, dry_run),
            Ask::Status
            | Ask::Detail { .. }
            | Ask::Subscribe { .. }
            | Ask::Events { .. }
            | Ask::Describe
            | Ask::Metrics => refused(Exit::Failed, "what is published is not asked of the loop".to_owned()),
            Ask::Record { seconds } => self.tape.answer(seconds),
            Ask::Writeback { cgroup, older_than, pages, dialect, dry_run } => {
                let choice = dialect.as_deref().map(DialectChoice::named);
                let wish = Order {
                    cgroup: CgroupId(0),
                    path: cgroup,
                    older_than: Seconds(older_than),
                    pages: Pages(pages),
                    spared: Vec::new(),
                    by: swaptier_policies::Asker::Hand,
                    dry_run: dry_run || self.options.dry_run,
                };
                match choice {
                    Some(None) => refused(Exit::Usage, "there is no such dialect".to_owned()),
                    choice => match self.order_by_hand(wish, choice.flatten()) {
                        Ok(order) => {
                            let choice = choice.flatten();
                            self.rounds.queue(Task { order, choice, asker: Asker::Hand(client) });
                            return false;
                        }
                        Err(answer) => answer,
                    },
                }
            }
        };
        let _client_left = client.send(answer);
        true
    }

    /// Reads the policies anew; the next tick decides by them. Faults leave everything as it is.
    pub(super) fn reload(&mut self, dry_run: bool) -> Answer {
        match load_policies(&self.root, &self.config) {
            Ok((policies, _)) if dry_run => {
                let writes = vec![format!("{} would be in force", counted(&policies))];
                Answer::Would { writes }
            }
            Ok((policies, files)) => {
                let message = format!("{} in force", counted(&policies));
                self.put_in_force(policies, files);
                self.tell(News::of(EventKind::Reload, message.clone()));
                Answer::Done { message }
            }
            Err(faults) => {
                let message = format!("the new policies are not used:\n{faults}");
                if !dry_run {
                    self.tell(News { is_trouble: true, ..News::of(EventKind::Reload, message.clone()) });
                }
                refused(Exit::Invalid, message)
            }
        }
    }

    /// These are the policies from now on.
    pub(super) fn put_in_force(&mut self, policies: PolicySet, files: Vec<SourceFile>) {
        self.tape.reloaded(&files);
        self.policies = Arc::new(policies);
        self.files = files;
        self.call_off_by_policies();
        self.is_due = true;
    }
}

/// How many, in words.
fn counted(policies: &PolicySet) -> String {
    match policies.len() {
        1 => "1 policy".to_owned(),
        many => format!("{many} policies"),
    }
}
