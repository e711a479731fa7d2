//! What happened lately: a bounded ring of numbered events, filled by the agent, read by any number of clients.
//!
//! The journal of ticks keeps what was seen and decided; this is what a person wants to read. Losing the oldest is no
//! error: a reader sees by the numbers that some are missing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Events kept: an hour of a host on which something happens every seven seconds.
pub const KEPT: usize = 512;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1, without gaps, since the agent started.
    pub seq: u64,
    /// When: seconds since 1970.
    pub unix_seconds: u64,
    /// What kind.
    pub kind: EventKind,
    /// It wants somebody's attention.
    #[serde(default)]
    pub is_trouble: bool,
    /// The cgroup's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The policy's file name, or the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What, in one line.
    pub text: String,
    /// Why, with the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The agent began to work.
    Started,
    /// A step of a plan was carried out, or tried.
    Step,
    /// A round of write-back that a command asked for.
    Round,
    /// Policies were read anew, or refused.
    Reload,
    /// A value was given back.
    GivenBack,
    /// Slots of the map were wrong and were put right.
    Repaired,
    /// A swap area came or went, a mark of a pool was crossed, the gate closed or was opened.
    Area,
    /// A cgroup's way to disk was closed, or opened again, by hand.
    Valve,
    /// A tick saw nothing, or something else went wrong.
    Trouble,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl EventKind {
    /// Its name, as in the JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Step => "step",
            Self::Round => "round",
            Self::Reload => "reload",
            Self::GivenBack => "given_back",
            Self::Repaired => "repaired",
            Self::Area => "area",
            Self::Valve => "valve",
            Self::Trouble => "trouble",
            Self::Other => "other",
        }
    }
}

/// An event before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// As in [`Event`].
    pub kind: EventKind,
    /// As in [`Event`].
    pub is_trouble: bool,
    /// As in [`Event`].
    pub cgroup: Option<String>,
    /// As in [`Event`].
    pub by: Option<String>,
    /// As in [`Event`].
    pub text: String,
    /// As in [`Event`].
    pub reason: Option<String>,
}

impl News {
    /// News of this kind that says no more than this.
    #[must_use]
    pub fn of(kind: EventKind, text: impl Into<String>) -> News {
        News { kind, is_trouble: false, cgroup: None, by: None, text: text.into(), reason: None }
    }
}

/// The last [`KEPT`] events.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    kept: VecDeque<Event>,
    last: u64,
}

impl Ring {
    /// Adds one, at this second since 1970; the oldest makes room.
    pub fn push(&mut self, unix_seconds: u64, news: News) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.last += 1;
        let News { kind, is_trouble, cgroup, by, text, reason } = news;
        self.kept.push_back(Event {
            seq: self.last,
            unix_seconds,
            kind,
            is_trouble,
            cgroup,
            by,
            text,
            reason,
        });
    }

    /// Number of the newest; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Those with a number above `since`, oldest first.
    #[must_use]
    pub fn since(&self, since: u64) -> Vec<Event> {
        let new = usize::try_from(self.last.saturating_sub(since)).unwrap_or(usize::MAX);
        self.kept.iter().skip(self.kept.len().saturating_sub(new)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(events: u64) -> Ring {
        let mut ring = Ring::default();
        (1..=events).for_each(|n| ring.push(n, News::of(EventKind::Step, n.to_string())));
        ring
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_reader_gets_what_is_new_to_it_and_nothing_twice() {
        let ring = ring(5);
        assert_eq!(numbers(&ring.since(0)), [1, 2, 3, 4, 5]);
        assert_eq!(numbers(&ring.since(3)), [4, 5]);
        assert!(ring.since(5).is_empty());
        // An agent that started anew counts from 1 again.
        assert!(ring.since(900).is_empty());
    }

    #[test]
    fn the_oldest_make_room_and_the_gap_can_be_seen() {
        let ring = ring(KEPT as u64 + 3);
        let kept = numbers(&ring.since(1));
        assert_eq!((kept.len(), kept[0], ring.last()), (KEPT, 4, KEPT as u64 + 3));
    }

    #[test]
    fn a_kind_of_a_newer_agent_is_read_as_other() {
        let kind: EventKind = serde_json::from_str("\"area_grown\"").unwrap();
        assert_eq!(kind, EventKind::Other);
        assert_eq!(serde_json::to_string(&EventKind::GivenBack).unwrap(), "\"given_back\"");
    }
}
