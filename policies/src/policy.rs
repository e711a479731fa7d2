//! Policies in their order, and which of them a cgroup gets.
//!
//! One cgroup has one policy. Among those that match its path: the higher priority wins, then the longer literal
//! prefix of the pattern that matched, then the file name that sorts first. The root cgroup has none: its memory
//! has no knobs. Called by `decide`, by `explain` and by whoever fills `Snapshot`.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use crate::file;
use crate::file::fault::{Fault, SourceFile};
use crate::path::CgroupPath;
use crate::pattern::{Pattern, Subject};
use crate::rules::{DemoteRule, TierRule};
use crate::units::Seconds;

/// One policy file, compiled and checked.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    selector: Selector,
    tiers: Option<TierRule>,
    demote: Option<DemoteRule>,
    /// The cgroup that `swaptier close` wrote it for.
    closes: Option<CgroupPath>,
}

/// `[match]`.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) include: Vec<Pattern>,
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) priority: i32,
}

impl Policy {
    pub(crate) fn new(
        name: String,
        selector: Selector,
        tiers: Option<TierRule>,
        demote: Option<DemoteRule>,
    ) -> Policy {
        Policy { name, selector, tiers, demote, closes: None }
    }

    /// The same, written by `swaptier close` for the cgroup at this path.
    pub(crate) fn closing(self, closes: Option<CgroupPath>) -> Policy {
        Policy { closes, ..self }
    }

    /// The path of the cgroup whose way to disk `swaptier close` closed by this policy.
    #[must_use]
    pub fn closes(&self) -> Option<&CgroupPath> {
        self.closes.as_ref()
    }

    /// The file name, without folders.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `match.priority`, 0 if the file gives none.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.selector.priority
    }

    /// `[tiers]`; without it the policy changes no limit.
    #[must_use]
    pub fn tiers(&self) -> Option<&TierRule> {
        self.tiers.as_ref()
    }

    /// `[demote]`; without it nothing is demoted.
    #[must_use]
    pub fn demote(&self) -> Option<&DemoteRule> {
        self.demote.as_ref()
    }

    /// The age for which [`crate::CgroupView::cold`] is to be filled.
    #[must_use]
    pub fn older_than(&self) -> Option<Seconds> {
        self.demote.as_ref().map(|demote| demote.older_than)
    }

    /// The first exclude that matches.
    fn excluded_by(&self, path: &Subject<'_>) -> Option<&Pattern> {
        self.selector.exclude.iter().find(|pattern| pattern.matches(path))
    }

    /// The pattern with the longest literal prefix among those that match; of equal ones the first.
    fn matched_by(&self, path: &Subject<'_>) -> Option<&Pattern> {
        let matching = self.selector.include.iter().filter(|pattern| pattern.matches(path));
        matching.rev().max_by_key(|pattern| pattern.literal_prefix())
    }
}

/// All policies of a host.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

/// Why a policy is, or is not, the one of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It governs the cgroup, by this pattern.
    Wins {
        /// The pattern that matched.
        pattern: String,
    },
    /// The winner has the higher priority.
    LowerPriority {
        /// Its own.
        own: i32,
        /// The winner's.
        winner: i32,
    },
    /// Equal priority; the winner's pattern has the longer literal prefix.
    ShorterPrefix {
        /// Its own pattern.
        own: String,
        /// The winner's.
        winner: String,
    },
    /// Equal priority and prefix; the winner's file name sorts first.
    LaterName {
        /// The winner's name.
        winner: String,
    },
    /// It matches the path and excludes it again.
    Excluded {
        /// The pattern behind the `!`.
        pattern: String,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Wins { pattern } => write!(f, "wins by \"{pattern}\""),
            Standing::LowerPriority { own, winner } => {
                write!(f, "loses: priority {own}, the winner has {winner}")
            }
            Standing::ShorterPrefix { own, winner } => {
                write!(f, "loses: \"{own}\" has a shorter literal prefix than the winner's \"{winner}\"")
            }
            Standing::LaterName { winner } => write!(f, "loses: its file name sorts behind {winner}"),
            Standing::Excluded { pattern } => write!(f, "does not apply: excluded by \"!{pattern}\""),
        }
    }
}

/// The winner first.
fn rank((one, by): &(&Policy, &Pattern), (other, other_by): &(&Policy, &Pattern)) -> Ordering {
    let stronger = |p: &Policy, by: &Pattern| (p.priority(), by.literal_prefix());
    stronger(other, other_by).cmp(&stronger(one, by)).then_with(|| one.name.cmp(&other.name))
}

impl PolicySet {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// Every fault of every file, file by file in the given order, each file's in the order of its text.
    pub fn load(files: &[SourceFile]) -> Result<PolicySet, Vec<Fault>> {
        let (mut policies, mut faults) = (Vec::new(), Vec::new());
        for source in files {
            match file::read(source) {
                Ok(policy) => policies.push(policy),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(PolicySet { policies }) } else { Err(faults) }
    }

    /// The policy of the cgroup at `path` (below the cgroup root, no leading slash). The root has none.
    #[must_use]
    pub fn resolve(&self, path: &(impl AsRef<[u8]> + ?Sized)) -> Option<&Policy> {
        self.matching(&Subject::new(path.as_ref())).into_iter().min_by(rank).map(|(policy, _)| policy)
    }

    /// Every policy that names `path`, the winner first, then the losers in their rank, then those that exclude it.
    #[must_use]
    pub fn contenders(&self, path: &(impl AsRef<[u8]> + ?Sized)) -> Vec<(&Policy, Standing)> {
        let path = &Subject::new(path.as_ref());
        let mut matching = self.matching(path);
        matching.sort_by(rank);
        let Some(&(winner, winner_by)) = matching.first() else { return self.excluding(path) };
        let standing = |(policy, by): (&Policy, &Pattern)| {
            if policy.priority() < winner.priority() {
                Standing::LowerPriority { own: policy.priority(), winner: winner.priority() }
            } else if by.literal_prefix() < winner_by.literal_prefix() {
                Standing::ShorterPrefix { own: by.text().to_owned(), winner: winner_by.text().to_owned() }
            } else {
                Standing::LaterName { winner: winner.name.clone() }
            }
        };
        let first = (winner, Standing::Wins { pattern: winner_by.text().to_owned() });
        let losers = matching.iter().skip(1).map(|&(policy, by)| (policy, standing((policy, by))));
        std::iter::once(first).chain(losers).chain(self.excluding(path)).collect()
    }

    /// Every age at which some policy demotes.
    #[must_use]
    pub fn age_thresholds(&self) -> BTreeSet<Seconds> {
        self.policies.iter().filter_map(Policy::older_than).collect()
    }

    /// The policies in the order in which their files were given.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Policies that apply to `path`, with the pattern by which they do.
    fn matching(&self, path: &Subject<'_>) -> Vec<(&Policy, &Pattern)> {
        if path.is_root() {
            return Vec::new();
        }
        let applies = |policy: &&Policy| policy.excluded_by(path).is_none();
        self.policies.iter().filter(applies).filter_map(|p| p.matched_by(path).map(|by| (p, by))).collect()
    }

    /// Policies that would apply to `path` if they did not exclude it.
    fn excluding(&self, path: &Subject<'_>) -> Vec<(&Policy, Standing)> {
        let named = |policy: &&Policy| !path.is_root() && policy.matched_by(path).is_some();
        let excluded = |policy: &Policy| {
            policy.excluded_by(path).map(|by| Standing::Excluded { pattern: by.text().to_owned() })
        };
        self.policies.iter().filter(named).filter_map(|p| excluded(p).map(|why| (p, why))).collect()
    }
}
