//! Each step of a plan carried out.
//!
//! Lives here: the one match from an action to its hand. What came of it is an `Outcome` of `swaptier_policies`. Nothing here chooses: a step says all
//! that is to be done. The one way a kernel file is changed is `file.rs`; writing back is the caller's engine
//! (`writeback/`). Callers: the agent and the acting commands.

use std::future::Future;

use swaptier_policies::{
    Action, Asker, CgroupId, CgroupPath, Knob, Outcome, Pages, Seconds, Setting, Snapshot, Step,
};

use crate::journal;
pub use deadline::Busy;
pub use file::{Target, Writer};

mod deadline;
mod file;
pub mod reclaim;
pub mod writeback;
pub mod zswap_params;

#[cfg(test)]
mod tests;

/// What a write-back step asks of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The cgroup; its subtree is included.
    pub cgroup: CgroupId,
    /// Where it was when the plan was made.
    pub path: CgroupPath,
    /// Only pages that have been in zswap this long.
    pub older_than: Seconds,
    /// How many, at most.
    pub pages: Pages,
    /// Cgroups below it that keep their pages.
    pub spared: Vec<CgroupPath>,
    /// The policy, or the hand, that asks for it.
    pub by: Asker,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
}

impl Order {
    /// Who asks, in words: for the report, and for the undo log.
    pub fn why(&self) -> String {
        match &self.by {
            Asker::Hand => "command writeback".to_owned(),
            by => format!("a round of {}", journal::words(by)),
        }
    }
}

/// Makes one of the files that policies set say `to`.
pub async fn set(writer: &Writer, target: Target, knob: Knob, to: Setting, by: Asker) -> Outcome {
    writer.set(target, knob.file(), to.kernel_text(), by).await
}

/// Carries out one step. `write_back` is the engine.
///
/// Never fails as a whole: whatever happens is the outcome of this step, and the next one can go on.
pub async fn apply<F, Fut>(writer: &Writer, step: &Step, snapshot: &Snapshot, write_back: F) -> Outcome
where
    F: FnOnce(Order) -> Fut,
    Fut: Future<Output = Outcome>,
{
    let id = step.action.cgroup();
    let Some(view) = snapshot.cgroups.get(&id) else {
        return Outcome::Gone { path: format!("cgroup {}", id.0).into() };
    };
    let target = Target::cgroup(id, &view.path);
    let by = step.by.clone();
    match step.action {
        Action::Set { knob, to, cgroup: _ } => set(writer, target, knob, to, by).await,
        Action::Writeback { cgroup, older_than, pages } => {
            let (path, dry_run) = (view.path.clone(), writer.is_dry());
            let spared = Vec::new();
            write_back(Order { cgroup, path, older_than, pages, spared, by, dry_run }).await
        }
    }
}
