//! What the cgroups of a day have spent of `budget.day`, by path: a service that is started again is another cgroup at the
//! same path, and wears the same disk. Kept by the controller in the state folder, so that no restart renews a day.
//!
//! Properties: a day that goes back renews nothing; what cannot be known is spent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::path::CgroupPath;
use crate::rules::Budget;
use crate::snapshot::{CgroupId, Snapshot};
use crate::units::{Bytes, Pages};

/// How many cgroups are remembered within a day. Whoever makes more has none of a day's budget for the rest.
const MOST: usize = 16_384;

/// What was spent in one day: *original* bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DayBook {
    /// Number of the day.
    pub day: u32,
    /// Of each cgroup, by path.
    pub spent: BTreeMap<CgroupPath, Bytes>,
}

/// The day as decisions remember it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Today {
    book: DayBook,
    /// What was spent before the agent began is not known: all of it.
    is_lost: bool,
    /// Cgroups that demote, by the path under which they spend. The dead among them until the day ends.
    paths: BTreeMap<CgroupId, CgroupPath>,
}

impl Today {
    /// Turns the day; one that goes back is a clock that was set, and the same day.
    pub(crate) fn turn(&mut self, snap: &Snapshot) {
        if snap.day > self.book.day {
            self.book = DayBook { day: snap.day, spent: BTreeMap::new() };
            self.is_lost = false;
            self.paths.retain(|id, _| snap.cgroups.contains_key(id));
        }
        if self.paths.len() > MOST {
            self.paths.retain(|id, _| snap.cgroups.contains_key(id));
        }
    }

    pub(crate) fn spends_as(&mut self, cgroup: CgroupId, path: &CgroupPath) {
        if self.paths.get(&cgroup) != Some(path) {
            self.paths.insert(cgroup, path.clone());
        }
    }

    pub(crate) fn spend(&mut self, cgroup: CgroupId, bytes: Bytes) {
        if let Some(path) = self.paths.get(&cgroup).filter(|_| bytes > Bytes(0)) {
            self.book.add(path, bytes);
        }
    }

    /// Left of `budget.day`.
    pub(crate) fn left(&self, path: &CgroupPath, budget: &Budget) -> Option<Bytes> {
        let day = budget.day?;
        match self.book.spent.get(path) {
            _ if self.is_lost => Some(Bytes(0)),
            Some(spent) => Some(day.saturating_sub(*spent)),
            None if self.book.spent.len() >= MOST => Some(Bytes(0)),
            None => Some(day),
        }
    }
}

impl DayBook {
    fn add(&mut self, path: &CgroupPath, bytes: Bytes) {
        if self.spent.len() < MOST || self.spent.contains_key(path) {
            let spent = self.spent.entry(path.clone()).or_default();
            *spent = spent.saturating_add(bytes);
        }
    }
}

impl History {
    /// Goes on with a day of which this was spent before; `None`: it is not known what.
    pub fn open_day(&mut self, day: u32, book: Option<DayBook>) {
        let is_lost = book.is_none();
        let book = book.unwrap_or(DayBook { day, spent: BTreeMap::new() });
        self.today = Today { book, is_lost, paths: BTreeMap::new() };
    }

    /// What of this day is spent once these rounds, and those under way, have written all that they may; `None`: it is not known what
    /// was spent before.
    #[must_use]
    pub fn day_book(&self, promised: impl Iterator<Item = (CgroupId, Pages)>) -> Option<DayBook> {
        if self.today.is_lost {
            return None;
        }
        let mut book = self.today.book.clone();
        for (cgroup, pages) in self.under_way().chain(promised) {
            if let Some(path) = self.today.paths.get(&cgroup) {
                book.add(path, pages.bytes(self.page_size()));
            }
        }
        Some(book)
    }
}
