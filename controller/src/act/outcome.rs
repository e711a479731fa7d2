//! What came of one step: for the journal, for the log line, for the screen. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use swaptier_policies::{Bytes, Pages};

/// What came of one step. Paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The file was changed.
    Set {
        /// The file.
        path: String,
        /// What it said before.
        from: String,
        /// What it says now, read back.
        to: String,
    },
    /// The file said so already: nothing was written.
    Already {
        /// The file.
        path: String,
        /// What it says.
        value: String,
    },
    /// A dry run: this would have been written.
    Would {
        /// The file.
        path: String,
        /// What it says.
        from: String,
        /// What would have been written.
        to: String,
    },
    /// Somebody else has changed the file since we wrote it: left alone.
    Foreign {
        /// The file.
        path: String,
        /// What we wrote last.
        ours: String,
        /// What it says now.
        found: String,
    },
    /// The cgroup is no longer there, or another one is at its place.
    Gone {
        /// The file or the cgroup.
        path: String,
    },
    /// The write did not return in time. It goes on; until it returns nothing else is written there.
    Overdue {
        /// The file.
        path: String,
        /// How long it was waited for, in milliseconds.
        after_ms: u64,
    },
    /// An earlier write to this cgroup has not returned yet: nothing was begun.
    Parked {
        /// The file.
        path: String,
    },
    /// `memory.reclaim` was asked.
    Reclaimed {
        /// The file.
        path: String,
        /// How much was asked for: bytes in RAM.
        asked: Bytes,
        /// Whether the kernel says that it reclaimed all of it.
        whole: bool,
    },
    /// A round of writing back.
    WroteBack {
        /// The cgroup.
        path: String,
        /// Pages asked for.
        asked: Pages,
        /// Pages written, by the meter.
        written: Pages,
        /// The engine's whole report.
        report: serde_json::Value,
    },
    /// A round that was decided when the tick began, and by its turn none of its pages was that old any more: nothing
    /// was done.
    Young {
        /// The cgroup.
        path: String,
        /// Pages that were to be written.
        planned: Pages,
    },
    /// It could not be done.
    Failed {
        /// The file or the cgroup.
        path: String,
        /// Why, with the path where the system said it.
        error: String,
    },
}

impl Outcome {
    /// Whether the host is other than before.
    pub fn is_change(&self) -> bool {
        matches!(self, Outcome::Set { .. } | Outcome::Reclaimed { .. } | Outcome::WroteBack { .. })
    }

    /// Whether somebody should hear of it: what was asked was not done, and not because the cgroup went away.
    pub fn is_trouble(&self) -> bool {
        match self {
            Outcome::Foreign { .. }
            | Outcome::Overdue { .. }
            | Outcome::Parked { .. }
            | Outcome::Failed { .. } => true,
            Outcome::Set { .. }
            | Outcome::Already { .. }
            | Outcome::Would { .. }
            | Outcome::Gone { .. }
            | Outcome::Reclaimed { .. }
            | Outcome::WroteBack { .. }
            | Outcome::Young { .. } => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Set { path, from, to } => write!(f, "/{path}: {from} -> {to}"),
            Outcome::Already { path, value } => write!(f, "/{path}: already {value}"),
            Outcome::Would { path, from, to } => write!(f, "/{path}: {from} -> {to} (dry run, not written)"),
            Outcome::Foreign { path, ours, found } => {
                write!(f, "/{path}: somebody wrote {found} over our {ours}; left alone")
            }
            Outcome::Gone { path } => write!(f, "/{path}: gone"),
            Outcome::Overdue { path, after_ms } => {
                write!(f, "/{path}: the write has not returned after {after_ms} ms")
            }
            Outcome::Parked { path } => write!(f, "/{path}: an earlier write has not returned yet"),
            Outcome::Reclaimed { path, asked, whole: true } => write!(f, "/{path}: {asked} reclaimed"),
            Outcome::Reclaimed { path, asked, whole: false } => {
                write!(f, "/{path}: less than {asked} reclaimed")
            }
            Outcome::WroteBack { path, asked, written, report: _ } => {
                write!(f, "/{path}: {written} written back of {asked} asked")
            }
            Outcome::Young { path, planned } => {
                write!(f, "/{path}: none of {planned} is as old as that any more")
            }
            Outcome::Failed { path, error } => write!(f, "/{path}: {error}"),
        }
    }
}
