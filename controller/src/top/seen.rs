//! One look at the host, and the course of its rates over many. Pure.
//!
//! Where a look comes from is `source/`'s; what of it is shown, and how, is `columns`' and `view/`'s.

use std::collections::{BTreeMap, VecDeque};

use crate::serve::{
    detail::Detail,
    events::Event,
    rates::direct,
    status::{CgroupStatus, HostRates, Rates, Status},
};

/// How many looks back the course of rates goes.
pub const COURSE: usize = 120;

/// How a look follows the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follows {
    /// It is the next.
    #[default]
    Next,
    /// It is the same moment, with other details.
    Again,
    /// It is from elsewhere in a recording: what was noted of those before has nothing to do with it.
    Elsewhere,
}

/// What was seen at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What the agent published, what files say, or what was recorded.
    pub status: Status,
    /// Of the cgroup that was asked about.
    pub detail: Option<Detail>,
    /// What happened since the last look, oldest first; for one from elsewhere, what happened before it.
    pub events: Vec<Event>,
    /// How it follows the one before.
    pub follows: Follows,
    /// For how many seconds the agent has published nothing else.
    pub age_seconds: u64,
}

impl Seen {
    /// Bytes of a page. Somebody who does not say is on this host.
    pub fn page(&self) -> u64 {
        match self.status.host.page_bytes {
            0 => rustix::param::page_size() as u64,
            page => page,
        }
    }
}

/// A cgroup as a row of the table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// What was seen of it.
    pub cgroup: CgroupStatus,
    /// Bytes of a page.
    pub page: u64,
}

impl Row {
    /// *Original* bytes of pages.
    pub fn bytes(&self, pages: Option<u64>) -> Option<u64> {
        pages.map(|pages| pages.saturating_mul(self.page))
    }

    /// What moves.
    pub fn flow(&self) -> Flow {
        self.cgroup.rates.map(|rates| Flow::of_cgroup(&rates, self.page)).unwrap_or_default()
    }
}

/// *Original* bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Came back: read out of zswap and from a device.
    pub back: Option<u64>,
    /// Went out: stored in zswap and written to a device without it.
    pub out: Option<u64>,
    /// Written back from zswap to a device.
    pub written_back: Option<u64>,
    /// Read from a device.
    pub read: Option<u64>,
}

impl Flow {
    /// Of a cgroup's rates.
    pub fn of_cgroup(rates: &Rates, page: u64) -> Flow {
        // Saturating, and nothing for what is not a number: the casts say so.
        let bytes = |pages: Option<f64>| pages.map(|pages| (pages * page as f64).round() as u64);
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        Flow {
            back: sum(bytes(rates.loaded), bytes(rates.read)),
            out: sum(bytes(rates.stored), bytes(rates.direct)),
            written_back: bytes(rates.written_back),
            read: bytes(rates.read),
        }
    }

    /// Of the host's.
    pub fn of_host(rates: &HostRates, page: u64) -> Flow {
        let HostRates { stored, loaded, written_back, written, read } = *rates;
        let direct = direct(written, written_back);
        Flow::of_cgroup(&Rates { stored, loaded, written_back, direct, read }, page)
    }
}

/// The flows of the last looks, by cgroup id; only of cgroups that still are there.
#[derive(Clone, Debug, Default)]
pub struct Courses {
    courses: BTreeMap<u64, VecDeque<[Option<u32>; 3]>>,
}

impl Courses {
    /// One more look.
    pub fn note(&mut self, rows: &[Row]) {
        let mut courses = BTreeMap::new();
        for row in rows {
            let mut course = self.courses.remove(&row.cgroup.id).unwrap_or_default();
            if course.len() == COURSE {
                course.pop_front();
            }
            let flow = row.flow();
            // In KiB: a course is a picture, and there are thousands of them.
            let small =
                |bytes: Option<u64>| bytes.map(|bytes| u32::try_from(bytes / 1024).unwrap_or(u32::MAX));
            course.push_back([small(flow.back), small(flow.out), small(flow.written_back)]);
            courses.insert(row.cgroup.id, course);
        }
        self.courses = courses;
    }

    /// Bytes per second of one cgroup, oldest first: `which` is 0 for what came back, 1 for what went out, 2 for what was
    /// written back. `None` where that is not known.
    pub fn of(&self, id: u64, which: usize) -> impl DoubleEndedIterator<Item = Option<u64>> {
        self.courses
            .get(&id)
            .into_iter()
            .flatten()
            .map(move |flow| flow[which].map(|kib| u64::from(kib) * 1024))
    }
}

/// The rows of a look.
pub fn rows(seen: &Seen) -> Vec<Row> {
    let page = seen.page();
    seen.status.cgroups.iter().map(|cgroup| Row { cgroup: cgroup.clone(), page }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_writes_without_zswap_is_what_it_writes_less_what_is_written_back() {
        let (written, written_back, stored) = (Some(10.0), Some(4.0), Some(1.0));
        let rates = HostRates { written, written_back, stored, ..HostRates::default() };
        // 1 page stored and 10 - 4 = 6 written straight: 7 pages.
        assert_eq!(Flow::of_host(&rates, 4096).out, Some(7 * 4096));
        assert_eq!(Flow::of_host(&rates, 4096).back, None);
    }

    #[test]
    fn the_dead_leave_no_course() {
        let row = |id| Row { cgroup: CgroupStatus { id, ..CgroupStatus::default() }, page: 4096 };
        let mut courses = Courses::default();
        courses.note(&[row(1), row(2)]);
        courses.note(&[row(2)]);
        assert_eq!((courses.of(1, 0).count(), courses.of(2, 0).count()), (0, 2));
    }
}
