//! The hands: each step of a plan carried out, and what came of it.
//!
//! Lives here: what an outcome is, and the one match from an action to its hand. Nothing here chooses: a step says all
//! that is to be done. The one way a kernel file is changed is `file.rs`; writing back is the caller's engine
//! (`writeback/`). Callers: the agent and the acting commands.

use std::future::Future;

use swaptier_policies::{Action, CgroupId, HOST, Pages, Seconds, Snapshot, Step};

pub use deadline::Busy;
pub use file::{Hands, Target};
pub use outcome::Outcome;

mod deadline;
mod file;
mod outcome;
pub mod reclaim;
pub mod swap_max;
pub mod writeback;
pub mod zswap_max;
pub mod zswap_params;
pub mod zswap_writeback;

#[cfg(test)]
mod tests;

/// What the undo log says of changes that the host's swap areas ask for.
pub const FOR_AREAS: &str = "the swap areas";

/// What a write-back step asks of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The cgroup; its subtree is included.
    pub cgroup: CgroupId,
    /// Where it was when the plan was made.
    pub path: String,
    /// Only pages that have been in zswap this long.
    pub older_than: Seconds,
    /// How many, at most.
    pub pages: Pages,
    /// Cgroups below it that keep their pages: paths.
    pub spared: Vec<String>,
    /// The policy or command that asks for it.
    pub why: String,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
}

/// Carries out one step. `write_back` is the engine.
///
/// Never fails as a whole: whatever happens is the outcome of this step, and the next one can go on.
pub async fn apply<F, Fut>(hands: &Hands, step: &Step, snapshot: &Snapshot, write_back: F) -> Outcome
where
    F: FnOnce(Order) -> Fut,
    Fut: Future<Output = Outcome>,
{
    let id = step.action.cgroup();
    let Some(view) = snapshot.cgroups.get(&id) else {
        return Outcome::Gone { path: format!("cgroup {}", id.0) };
    };
    let target = Target::cgroup(id, &view.path);
    let why = match step.policy.as_str() {
        HOST => FOR_AREAS.to_owned(),
        policy => format!("policy {policy}"),
    };
    match step.action {
        Action::SetSwapMax { to, cgroup: _ } => swap_max::set(hands, target, to, why).await,
        Action::SetZswapMax { to, cgroup: _ } => zswap_max::set(hands, target, to, why).await,
        Action::SetZswapWriteback { to, cgroup: _ } => zswap_writeback::set(hands, target, to, why).await,
        Action::Writeback { cgroup, older_than, pages } => {
            let (path, dry_run) = (view.path.clone(), hands.is_dry());
            let spared = Vec::new();
            write_back(Order { cgroup, path, older_than, pages, spared, why, dry_run }).await
        }
    }
}
