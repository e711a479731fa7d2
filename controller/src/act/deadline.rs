//! No write may hold up the tick: each runs on a blocking thread of its own, under a deadline.
//!
//! Lives here: the deadline, and who is busy. A write to a cgroup can block for seconds while its memory is reclaimed;
//! it cannot be called back. So an overdue one is left to finish by itself, and until it has, its place is *parked*:
//! nothing else is begun there. Callers: `file.rs`, `reclaim.rs`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swaptier_policies::Outcome;

use crate::root::FilePath;

/// The places with a write under way. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Busy {
    places: Arc<Mutex<BTreeSet<FilePath>>>,
}

impl Busy {
    /// The places whose write has not returned.
    pub fn places(&self) -> Vec<FilePath> {
        self.list().iter().cloned().collect()
    }

    /// Runs `work` for the file at `path`. All files of one directory are one place: one write at a time.
    pub(super) async fn run<W>(&self, path: &FilePath, deadline: Duration, work: W) -> Outcome
    where
        W: FnOnce() -> Outcome + Send + 'static,
    {
        let Some(claim) = self.claim(path) else { return Outcome::Parked { path: path.clone() } };
        let blocking = tokio::task::spawn_blocking(move || {
            // Given up when the write returns, however late, and also when it panics.
            let _claim = claim;
            work()
        });
        match tokio::time::timeout(deadline, blocking).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(join)) => Outcome::Failed { path: path.clone(), error: join.to_string() },
            Err(_) => Outcome::Overdue { path: path.clone(), after_ms: deadline.as_millis() as u64 },
        }
    }

    fn claim(&self, path: &FilePath) -> Option<Claim> {
        let place = path.dir();
        self.list().insert(place.clone()).then(|| Claim { busy: self.clone(), place })
    }

    fn list(&self) -> MutexGuard<'_, BTreeSet<FilePath>> {
        // Nothing can break halfway through an insert or a removal.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write at one place.
struct Claim {
    busy: Busy,
    place: FilePath,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.busy.list().remove(&self.place);
    }
}
