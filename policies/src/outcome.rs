//! What came of one step: for the journal, for the log line, for the screen. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::path::{CgroupPath, FilePath};
use crate::plan::{Action, Step};
use crate::report::RoundReport;
use crate::units::{Bytes, Pages, Seconds};

/// What came of one step. Paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The file was changed.
    Set {
        /// The file.
        path: FilePath,
        /// What it said before.
        from: String,
        /// What it says now, read back.
        to: String,
    },
    /// The file said so already: nothing was written.
    Already {
        /// The file.
        path: FilePath,
        /// What it says.
        value: String,
    },
    /// A dry run: this would have been written.
    Would {
        /// The file.
        path: FilePath,
        /// What it says.
        from: String,
        /// What would have been written.
        to: String,
    },
    /// Somebody else has changed the file since we wrote it: left alone.
    Foreign {
        /// The file.
        path: FilePath,
        /// What we wrote last.
        ours: String,
        /// What it says now.
        found: String,
    },
    /// The cgroup is no longer there, or another one is at its place.
    Gone {
        /// The file or the cgroup.
        path: FilePath,
    },
    /// The write did not return in time. It goes on; until it returns nothing else is written there.
    Overdue {
        /// The file.
        path: FilePath,
        /// How long it was waited for, in milliseconds.
        after_ms: u64,
    },
    /// An earlier write to this cgroup has not returned yet: nothing was begun.
    Parked {
        /// The file.
        path: FilePath,
    },
    /// `memory.reclaim` was asked.
    Reclaimed {
        /// The file.
        path: FilePath,
        /// How much was asked for: bytes in RAM.
        asked: Bytes,
        /// Whether the kernel says that it reclaimed all of it.
        whole: bool,
    },
    /// A round of writing back.
    WroteBack {
        /// The cgroup.
        path: FilePath,
        /// Pages asked for.
        asked: Pages,
        /// Pages written, by the meter.
        written: Pages,
        /// The engine's whole report.
        report: RoundReport,
    },
    /// A round that nobody reported the end of: its pump died.
    BrokenOff {
        /// The cgroup.
        path: FilePath,
        /// Pages that count as written: those the map saw go meanwhile; where it did not see it, all that were asked for.
        written: Pages,
        /// Why.
        error: String,
    },
    /// A round that was decided when the tick began, and by its turn none of its pages was that old any more: nothing
    /// was done.
    Young {
        /// The cgroup.
        path: FilePath,
        /// Pages that were to be written.
        planned: Pages,
    },
    /// A round that waits for its turn, or runs: what comes of it is told when it has ended.
    Queued {
        /// The cgroup.
        path: FilePath,
        /// Pages asked for.
        asked: Pages,
    },
    /// A round that was called off before it wrote anything.
    CalledOff {
        /// The cgroup.
        path: FilePath,
        /// Why.
        why: String,
    },
    /// Nothing was done now; it is decided again soon.
    Postponed {
        /// The file.
        path: FilePath,
        /// Why not now.
        why: String,
    },
    /// It could not be done.
    Failed {
        /// The file or the cgroup.
        path: FilePath,
        /// Why, with the path where the system said it.
        error: String,
    },
}

/// A step that goes on beside the decisions, and what came of it in the end: a round of write-back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// What was decided.
    pub step: Step,
    /// What came of it.
    pub outcome: Outcome,
}

impl Settled {
    /// Books it in the history at `at` of the map's clock, before the next decision.
    pub(crate) fn book(&self, history: &mut History, at: Seconds) {
        let Action::Writeback { cgroup, .. } = self.step.action else { return };
        match &self.outcome {
            Outcome::CalledOff { .. } => history.called_off(cgroup),
            Outcome::WroteBack { written, report, .. } if report.is_in_vain() => {
                history.failed(cgroup, *written, at);
            }
            Outcome::BrokenOff { written, .. } => history.failed(cgroup, *written, at),
            Outcome::WroteBack { written, .. } => history.spent(cgroup, *written, at),
            // Whatever else came of it, it wrote nothing.
            _ => history.spent(cgroup, Pages(0), at),
        }
    }
}

impl Outcome {
    /// The file or the cgroup that it is about.
    #[must_use]
    pub fn path(&self) -> &FilePath {
        match self {
            Outcome::Set { path, .. }
            | Outcome::Already { path, .. }
            | Outcome::Would { path, .. }
            | Outcome::Foreign { path, .. }
            | Outcome::Gone { path }
            | Outcome::Overdue { path, .. }
            | Outcome::Parked { path }
            | Outcome::Reclaimed { path, .. }
            | Outcome::WroteBack { path, .. }
            | Outcome::BrokenOff { path, .. }
            | Outcome::Young { path, .. }
            | Outcome::Queued { path, .. }
            | Outcome::CalledOff { path, .. }
            | Outcome::Postponed { path, .. }
            | Outcome::Failed { path, .. } => path,
        }
    }

    /// What came of it, without what it is about.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        Said(self)
    }

    /// Whether its path is the cgroup at `path` itself, and no file.
    #[must_use]
    pub fn is_about(&self, path: &CgroupPath) -> bool {
        *self.path() == FilePath::from(path)
    }

    /// Whether the host is other than before.
    pub fn is_change(&self) -> bool {
        matches!(
            self,
            Outcome::Set { .. }
                | Outcome::Reclaimed { .. }
                | Outcome::WroteBack { .. }
                | Outcome::BrokenOff { .. }
        )
    }

    /// Whether somebody should hear of it: what was asked was not done, and not because the cgroup went away.
    pub fn is_trouble(&self) -> bool {
        match self {
            Outcome::WroteBack { report, .. } => report.failure().is_some(),
            Outcome::Foreign { .. }
            | Outcome::Overdue { .. }
            | Outcome::Parked { .. }
            | Outcome::BrokenOff { .. }
            | Outcome::Failed { .. } => true,
            Outcome::Set { .. }
            | Outcome::Already { .. }
            | Outcome::Would { .. }
            | Outcome::Gone { .. }
            | Outcome::Reclaimed { .. }
            | Outcome::Young { .. }
            | Outcome::Queued { .. }
            | Outcome::CalledOff { .. }
            | Outcome::Postponed { .. } => false,
        }
    }
}

/// With what it is about.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: {}", self.path(), self.said())
    }
}

/// An outcome in words, without what it is about.
#[derive(Debug)]
pub struct Said<'a>(&'a Outcome);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Set { from, to, .. } => write!(f, "{from} -> {to}"),
            Outcome::Already { value, .. } => write!(f, "already {value}"),
            Outcome::Would { from, to, .. } => write!(f, "{from} -> {to} (dry run, not written)"),
            Outcome::Foreign { ours, found, .. } => {
                write!(f, "somebody wrote {found} over our {ours}; left alone")
            }
            Outcome::Gone { .. } => f.write_str("gone"),
            Outcome::Overdue { after_ms, .. } => {
                write!(f, "the write has not returned after {after_ms} ms")
            }
            Outcome::Parked { .. } => f.write_str("an earlier write has not returned yet"),
            Outcome::Reclaimed { asked, whole: true, .. } => write!(f, "{asked} reclaimed"),
            Outcome::Reclaimed { asked, whole: false, .. } => write!(f, "less than {asked} reclaimed"),
            Outcome::WroteBack { asked, written, report, .. } => {
                write!(f, "{written} written back of {asked} asked")?;
                match report.failure() {
                    Some(why) => write!(f, ", and it failed: {why}"),
                    None => Ok(()),
                }
            }
            Outcome::BrokenOff { written, error, .. } => {
                write!(f, "broken off, {written} count as written back: {error}")
            }
            Outcome::Young { planned, .. } => write!(f, "none of {planned} is as old as that any more"),
            Outcome::Queued { asked, .. } => write!(f, "{asked} to be written back, in its turn"),
            Outcome::CalledOff { why, .. } => write!(f, "called off: {why}"),
            Outcome::Postponed { why, .. } => write!(f, "not now: {why}"),
            Outcome::Failed { error, .. } => f.write_str(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asker::Asker;
    use crate::plan::{Bound, Reason};
    use crate::report::Ended;
    use crate::snapshot::CgroupId;

    /// A round of 40 pages that wrote all of them, or some, and what the history has of it.
    fn booked(outcome: Outcome) -> History {
        let (cgroup, older_than, pages) = (CgroupId(5), Seconds(60), Pages(40));
        let step = Step {
            action: Action::Writeback { cgroup, older_than, pages },
            by: Asker::Policy("a.toml".to_owned()),
            reason: Reason::Cold { cold: pages, oldest: Seconds(90), older_than, bound: Bound::AllCold },
        };
        let mut history = History::default();
        history.begun(cgroup, pages);
        Settled { step, outcome }.book(&mut history, Seconds(1_000));
        history
    }

    #[test]
    fn a_round_that_failed_is_booked_as_one_whatever_it_wrote() {
        let (cgroup, at, written) = (CgroupId(5), Seconds(1_000), Pages(9));
        let (mut well, mut badly) = (History::default(), History::default());
        well.spent(cgroup, written, at);
        badly.failed(cgroup, written, at);
        assert_ne!(well, badly);
        let of = |report| booked(Outcome::WroteBack { path: "a".into(), asked: Pages(40), written, report });
        for ended in [Ended::Strayed, Ended::Crowded, Ended::Foreign, Ended::Stopped, Ended::Unsettled] {
            assert_eq!(of(ended.into()), badly, "{ended}");
        }
        for ended in [Ended::Target, Ended::Exhausted, Ended::Deadline, Ended::NearLimit, Ended::CalledOff] {
            assert_eq!(of(ended.into()), well, "{ended}");
        }
        // The pump died.
        let error = "Broken pipe".to_owned();
        assert_eq!(booked(Outcome::BrokenOff { path: "a".into(), written, error: error.clone() }), badly);
        let mut unbegun = History::default();
        unbegun.failed(cgroup, Pages(0), at);
        assert_eq!(booked(Outcome::Failed { path: "a".into(), error }), unbegun);
    }

    #[test]
    fn a_round_is_trouble_where_its_end_is_a_failure_and_says_why() {
        for one in Ended::ALL {
            let outcome = Outcome::WroteBack {
                path: "a".into(),
                asked: Pages(9),
                written: Pages(5),
                report: one.into(),
            };
            assert_eq!(outcome.is_trouble(), one.failure().is_some(), "{outcome}");
            assert!(one.failure().is_none_or(|why| outcome.to_string().contains(why)), "{outcome}");
        }
    }

    #[test]
    fn what_came_of_it_is_said_with_or_without_its_path() {
        let outcome = Outcome::Gone { path: "a/b".into() };
        assert_eq!(
            (outcome.to_string().as_str(), outcome.said().to_string().as_str()),
            ("/a/b: gone", "gone")
        );
        assert!(outcome.is_about(&"a/b".into()) && !outcome.is_about(&"a".into()));
        let set = Outcome::Set { path: "sys/fs/cgroup/a/b".into(), from: "1".into(), to: "0".into() };
        assert_eq!(set.to_string(), "/sys/fs/cgroup/a/b: 1 -> 0");
        assert!(!set.is_about(&"a/b".into()), "a file of it");
    }
}
