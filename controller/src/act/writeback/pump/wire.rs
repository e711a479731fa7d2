//! What the agent and the pump say to each other: one JSON object a line.

use serde::{Deserialize, Serialize};

/// A value to put back, where a file says what the round wrote; the path is relative to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Put {
    /// The file.
    pub(crate) path: String,
    /// The value before the round: what is written.
    pub(crate) old: String,
    /// The value of the round: anything else is somebody's wish by now.
    pub(crate) new: String,
}

/// A value that is low for moments, and what it is at all other times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flick {
    /// The file.
    pub(crate) path: String,
    /// The value of the moment.
    pub(crate) low: String,
    /// The value at all other times.
    pub(crate) high: String,
}

/// What the agent says to the pump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Message {
    /// A round begins, and nothing of it is done: what the pump writes, in this order, if the agent dies from here on.
    Prepare { undo: Vec<Put> },
    /// The work of the round. It is answered by a [`Done`].
    Work(Box<Job>),
    /// The agent has given everything back itself.
    Over,
}

/// What a round is measured by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gauge {
    /// The map's counters with these indexes.
    Map(Vec<u16>),
    /// The kernel's own counters of the whole host.
    Files,
}

/// How zswap is made to write back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(crate) enum Stroke {
    /// zswap's own worker, queued by a store that is refused.
    Worker {
        /// The pool limit: while it is low every store of the host is refused.
        limit: Flick,
        /// The accept threshold: a worker that begins while it is low writes until the pool is empty.
        accept: Flick,
        /// Bytes the pool may have: above it a refused store would keep the kernel refusing.
        room: u64,
    },
    /// zswap's shrinker, called by reclaiming a little: `text` into `file`, over and over.
    Reclaim {
        /// `memory.reclaim` of the cgroup.
        file: String,
        /// What is written there.
        text: String,
    },
    /// The kernel's own key: so many bytes with `key` into `file`, again and again.
    Key {
        /// `memory.reclaim` of the cgroup.
        file: String,
        /// The word.
        key: String,
    },
    /// zswap's shrinker, called through debugfs: `LIST COUNT` into each of `files`, for each list, again and again.
    Scan {
        /// The shrinkers' `scan`.
        files: Vec<String>,
        /// A cgroup's id and a node.
        lists: Vec<String>,
    },
}

/// One round, as the pump is told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// How.
    pub(crate) stroke: Stroke,
    /// The cgroup's own `memory.zswap.writeback`: opened first, closed at the target.
    pub(crate) valve: String,
    /// What it is measured by.
    pub(crate) gauge: Gauge,
    /// Pages to write back.
    pub(crate) pages: u64,
    /// The age that counts as cold, in seconds.
    pub(crate) cold_after: u64,
    /// Pages these cgroups have in zswap: how many second chances there can be.
    pub(crate) candidates: u64,
    /// Milliseconds the round may take.
    pub(crate) deadline_ms: u64,
}

/// Why a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// What was asked for is written.
    Target,
    /// Nothing more comes: there were fewer pages that could be written.
    Exhausted,
    /// The time was over.
    Deadline,
    /// The pool came near its own limit.
    NearLimit,
    /// A swap disk could not be written: what was taken out of zswap is in RAM, or some of it.
    DiskFailed,
    /// zswap's worker did not end in time: the cgroup's valve stays closed until the agent gives it back.
    Unsettled,
    /// The cgroup went away, or the kernel refused a write.
    Refused,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) ended: Ended,
    /// The kernel's answer when it refused.
    pub(crate) error: Option<String>,
    /// Pages of the cgroup written back.
    pub(crate) written: u64,
    /// Pages of other cgroups written back meanwhile. This and the next two: `None` without the map.
    pub(crate) beside: Option<u64>,
    /// Of all these, as old as asked or older.
    pub(crate) cold: Option<u64>,
    /// Entries looked at and left alone.
    pub(crate) passed_over: Option<u64>,
    /// Stores of others refused meanwhile, on the whole host; `None`: the kernel does not say.
    pub(crate) refused: Option<u64>,
    /// Pages that zswap took meanwhile, on the whole host.
    pub(crate) stored: Option<u64>,
    /// Strokes made.
    pub(crate) strokes: u64,
    /// Age of what was written, in buckets.
    pub(crate) ages: Vec<u64>,
    /// Microseconds from the first stroke to the last page.
    pub(crate) micros: u64,
}
