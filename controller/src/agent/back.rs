//! Giving back while the agent lives: what no policy and no swap area asks for any more, and at its start and its end all
//! that is pending.
//!
//! Where a value may be written back is `journal::restore`'s to know. Caller: the agent.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use swaptier_policies::asks;

use super::{Agent, past, unix_seconds};
use crate::{
    act,
    journal::{self, Undo},
    leftovers,
    root::Root,
    serve::events::{EventKind, News},
};

impl Agent {
    /// A cgroup that no policy asks anything of any more gets its own values back.
    pub(super) fn give_back_what_no_policy_wants(&mut self) {
        let policies = &self.policies;
        let is_unwanted = |change: &journal::Change| {
            change.why.starts_with("policy ")
                && cgroup_of(&change.path)
                    .is_some_and(|path| policies.resolve(path).and_then(|policy| policy.tiers()).is_none())
        };
        let mut undo = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.options.dry_run && undo.pending().any(&is_unwanted) {
            let why = "no policy asks for it any more";
            for item in &journal::restore_where(&self.root, &mut undo, false, is_unwanted).items {
                let text = format!("/{}: {:?}", item.path, item.fate);
                let cgroup = cgroup_of(&item.path).map(str::to_owned);
                let news =
                    News { cgroup, reason: Some(why.to_owned()), ..News::of(EventKind::GivenBack, text) };
                past::tell(&self.board, unix_seconds(), news);
            }
        }
    }

    /// Once no area asks for a closed gate or a lower limit any more, these are given back.
    pub(super) fn give_back_what_no_area_wants(&self) {
        let asked = asks(&self.history);
        let is_unwanted = |change: &journal::Change| {
            let is_asked = if leftovers::is_gate(change) { asked.is_closed } else { asked.is_stopped };
            change.why == act::FOR_AREAS && !is_asked
        };
        // A pool whose state is unknown is no reason to open anything.
        let is_known = asked.is_known;
        let mut undo = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        if is_known && !self.options.dry_run && undo.pending().any(&is_unwanted) {
            report(
                &journal::restore_where(&self.root, &mut undo, false, is_unwanted),
                "no area asks for it any more",
            );
        }
    }
}

/// Gives back everything that is pending, and says what came of it; but for the closed gate while an area without storage
/// is on, which stays in the log.
pub(super) fn give_back_all(root: &Root, state: &Path, undo: &Mutex<Undo>, why: &str) {
    let mut undo = undo.lock().unwrap_or_else(PoisonError::into_inner);
    if undo.pending().next().is_some() {
        let keeps_gate = leftovers::keeps_gate(root, state);
        if keeps_gate {
            tracing::info!("the way to disk stays closed: an area without storage is on");
        }
        let is_chosen = |change: &journal::Change| !(keeps_gate && leftovers::is_gate(change));
        report(&journal::restore_where(root, &mut undo, false, is_chosen), why);
    }
}

fn report(report: &journal::Report, why: &str) {
    for item in &report.items {
        tracing::info!(path = item.path, fate = ?item.fate, why, "given back");
    }
}

/// The cgroup a file of the cgroup tree belongs to.
fn cgroup_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix("sys/fs/cgroup/")?.rsplit_once('/')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_of_a_file_is_its_folder_below_the_cgroup_root() {
        assert_eq!(cgroup_of("sys/fs/cgroup/a/b/memory.swap.max"), Some("a/b"));
        assert_eq!(cgroup_of("sys/fs/cgroup/memory.zswap.writeback"), None, "the root cgroup has no policy");
        assert_eq!(cgroup_of("sys/module/zswap/parameters/enabled"), None);
    }
}
