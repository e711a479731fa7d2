//! Giving back while the agent lives: what nobody asks for any more, and at its start and its end all that is pending.
//!
//! Where a value may be written back is `journal::restore`'s to know. Caller: the agent.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
};

use swaptier_policies::{Asker, CgroupId, Knob, Snapshot, Wants};

use super::Agent;
use crate::{
    journal::{self, Undo},
    leftovers,
    root::Root,
    serve::events::{EventKind, News},
};

impl Agent {
    /// A file that was changed, and of which nobody asks anything any more, gets its own value back.
    pub(super) fn give_back_what_nobody_wants(&self, wants: &Wants, snapshot: &Snapshot) {
        let is_unwanted = |change: &journal::Change| {
            let (Some(id), Some(knob)) = (change.cgroup.map(CgroupId), Knob::of_file(change.path.name()))
            else {
                return false;
            };
            let is_ours = matches!(change.by, Asker::Policy(_) | Asker::Areas);
            // What a round moved it gives back itself. Of a cgroup that was not seen nothing is known.
            is_ours
                && !self.rounds.has(change)
                && snapshot.cgroups.contains_key(&id)
                && wants.get(id, knob).is_none()
        };
        // While a round notes its own, on whatever disk, this waits for the next decision.
        let Some(mut undo) = at_once(&self.undo) else { return };
        if self.options.dry_run || !undo.pending().any(&is_unwanted) {
            return;
        }
        let why = "nobody asks for it any more";
        for item in &journal::restore_where(&self.root, &mut undo, false, is_unwanted).items {
            let (text, is_trouble) = (told(item), matches!(item.fate, journal::Undone::Failed { .. }));
            let cgroup = item.path.cgroup().map(|cgroup| cgroup.to_string());
            let reason = Some(why.to_owned());
            self.tell(News { cgroup, is_trouble, reason, ..News::of(EventKind::GivenBack, text) });
        }
    }
}

/// The log, if nobody is at it.
fn at_once(undo: &Mutex<Undo>) -> Option<MutexGuard<'_, Undo>> {
    match undo.try_lock() {
        Ok(undo) => Some(undo),
        Err(TryLockError::Poisoned(undo)) => Some(undo.into_inner()),
        Err(TryLockError::WouldBlock) => None,
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
        if matches!(item.fate, journal::Undone::Failed { .. }) {
            tracing::warn!(path = %item.path, why, "{}; {why}", told(item));
        } else {
            tracing::info!(path = %item.path, why, "{}; {why}", told(item));
        }
    }
}

/// What became of one value, as a sentence.
fn told(item: &journal::Item) -> String {
    let journal::Item { path, old, new, current, fate } = item;
    let current = current.as_deref().unwrap_or("what it said");
    match fate {
        // What was made and not written: the pump's cgroup.
        journal::Undone::Restored | journal::Undone::Already if old.is_empty() => {
            format!("/{path}: removed again")
        }
        journal::Undone::Restored => format!("/{path}: {current} -> {old}, as before us"),
        journal::Undone::Already => format!("/{path}: {old}, as before us, already"),
        journal::Undone::Foreign => {
            format!("/{path}: {current}, which somebody wrote over our {new}; left alone")
        }
        journal::Undone::Gone => format!("/{path}: gone"),
        journal::Undone::Failed { error } => format!("/{path}: {old} could not be given back: {error}"),
    }
}
