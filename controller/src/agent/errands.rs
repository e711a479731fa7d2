//! What clients of the control socket have the agent do: rounds by hand, the policies read anew, a recording. Whoever may
//! not act never comes this far: that is `serve/server`'s. Caller: the agent's loop, one errand after the other.

use std::sync::Arc;

use swaptier_policies::{Pages, PolicySet, Seconds, SourceFile};

use super::{Agent, rounds, start::load_policies, unix_seconds};
use crate::{
    cli::Exit,
    serve::{
        events::{EventKind, News},
        protocol::{Answer, Ask},
        server::refused,
        status::ActionStatus,
    },
};

impl Agent {
    /// Does it.
    pub(super) async fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Reload { dry_run } => self.reload(dry_run),
            Ask::Close { cgroup, dry_run } => self.close(&cgroup, dry_run),
            Ask::Open { cgroup, dry_run } => self.open(&cgroup, dry_run),
            Ask::Status
            | Ask::Detail { .. }
            | Ask::Subscribe { .. }
            | Ask::Events { .. }
            | Ask::Describe
            | Ask::Metrics => refused(1, "what is published is not asked of the loop".to_owned()),
            Ask::Record { seconds } => self.tape.answer(seconds),
            Ask::Writeback { cgroup, older_than, pages, dialect, dry_run } => {
                if let Some(hold) = self.refusal.clone() {
                    return refused(Exit::Failed as u8, format!("{cgroup}: {hold}"));
                }
                if let Some(closed) = self.closed_at_or_above(cgroup.trim_matches('/')) {
                    let text = format!(
                        "the way to disk of {closed} was closed by hand: `swaptier open {closed}` opens it"
                    );
                    return refused(Exit::Failed as u8, text);
                }
                let Self { rounds, probes, cgroups, tree, root, options, .. } = self;
                if let Ok(fresh) = tree.read(root) {
                    *cgroups = fresh;
                }
                let wish = rounds::Wish { cgroup, older_than: Seconds(older_than), pages, dialect, dry_run };
                let asked = (wish.cgroup.trim_matches('/').to_owned(), wish.dry_run || options.dry_run);
                self.board.begin(format!("{}: write back {}, asked for by hand", asked.0, Pages(pages)));
                let answer = rounds.wish(wish, options.dry_run, probes, cgroups).await;
                self.note_wish(&asked.0, older_than, pages, asked.1, &answer);
                answer
            }
        }
    }

    /// A round that a command asked for stands in the past of its cgroup like one of a policy.
    fn note_wish(&mut self, path: &str, older_than: u64, pages: u64, is_dry: bool, answer: &Answer) {
        let (outcome, is_trouble) = match answer {
            Answer::Round { report } => {
                let written = report["written_pages"].as_u64().unwrap_or_default();
                (format!("{} written back, ended by {}", Pages(written), report["ended"]), false)
            }
            Answer::Refused { message, .. } => (message.clone(), true),
            _ => return,
        };
        if is_dry {
            return;
        }
        let action = format!("write back {} older than {}", Pages(pages), Seconds(older_than));
        let by = "command writeback".to_owned();
        self.tell(News {
            kind: EventKind::Round,
            is_trouble,
            cgroup: Some(path.to_owned()),
            by: Some(by.clone()),
            text: format!("{action}: {outcome}"),
            reason: None,
        });
        if let Some(cgroup) = self.cgroups.iter().find(|cgroup| cgroup.path == path) {
            let reason = "asked for by hand".to_owned();
            let unix_seconds = unix_seconds();
            self.past.note(cgroup.id, ActionStatus { unix_seconds, action, by, reason, outcome, is_trouble });
        }
    }

    /// Reads the policies anew; the next tick decides by them. Faults leave everything as it is.
    pub(super) fn reload(&mut self, dry_run: bool) -> Answer {
        match load_policies(&self.root, &self.config) {
            Ok((policies, _)) if dry_run => {
                let writes = vec![format!("{} policies would be in force", policies.len())];
                Answer::Would { writes }
            }
            Ok((policies, files)) => {
                let message = format!("{} policies in force", policies.len());
                self.put_in_force(policies, files);
                self.tell(News::of(EventKind::Reload, message.clone()));
                Answer::Done { message }
            }
            Err(faults) => {
                let message = format!("the new policies are not used:\n{faults}");
                if !dry_run {
                    self.tell(News { is_trouble: true, ..News::of(EventKind::Reload, message.clone()) });
                }
                refused(Exit::Invalid as u8, message)
            }
        }
    }

    /// These are the policies from now on.
    pub(super) fn put_in_force(&mut self, policies: PolicySet, files: Vec<SourceFile>) {
        self.tape.reloaded(&files);
        self.policies = Arc::new(policies);
        self.files = files;
        self.is_due = true;
    }
}
