//! What the agent and the pump say to each other: one JSON object a line.

use serde::{Deserialize, Serialize};
use swaptier_policies::Ended;

use crate::root::FilePath;

/// A value to put back, where a file says what the round wrote; the path is relative to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Put {
    /// The file.
    pub(crate) path: FilePath,
    /// The value before the round: what is written.
    pub(crate) old: String,
    /// The value of the round: anything else is somebody's wish by now.
    pub(crate) new: String,
}

/// A value that is low for moments, and what it is at all other times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flick {
    /// The file.
    pub(crate) path: FilePath,
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
    /// More that the round changes, in its middle: what is put back after all else if the agent dies from here on.
    Also { undo: Vec<Put> },
    /// The job is to end now. Said when it has ended by itself, it is passed over.
    End,
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
        /// The switch of zswap's shrinker: on while the kernel may do the work. `None`: it has none, or it is on anyway.
        shrinker: Option<Flick>,
    },
    /// zswap's shrinker, called by reclaiming a little: `text` into `file`, over and over.
    Reclaim {
        /// `memory.reclaim` of the cgroup.
        file: FilePath,
        /// What is written there.
        text: String,
    },
    /// The kernel's own key: so many bytes with `key` into `file`, again and again.
    Key {
        /// `memory.reclaim` of the cgroup.
        file: FilePath,
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

/// Where the pages of a round are in RAM, and how they are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GiveUp {
    /// Directories of the cgroups of the round that have none below them.
    pub(crate) cgroups: Vec<FilePath>,
    /// The word of `memory.reclaim` by which anonymous memory is taken and no page cache.
    pub(crate) word: String,
}

/// One round, as the pump is told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// How.
    pub(crate) stroke: Stroke,
    /// The cgroup's directory.
    pub(crate) cgroup: FilePath,
    /// The cgroup's own `memory.zswap.writeback`: opened first, closed at the target.
    pub(crate) valve: FilePath,
    /// The root's valve, if it is open: closed while pages of others are written, see `brake`.
    pub(crate) brake: Option<FilePath>,
    /// What the round leaves in the swap cache and gives up at its end; `None`: the kernel has no way to ask for it.
    pub(crate) give_up: Option<GiveUp>,
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
    /// What somebody else wrote into the cgroup's own valve.
    pub(crate) theirs: Option<String>,
    /// Pages of the swap cache given up at the end; `None`: not tried.
    pub(crate) given_up: Option<u64>,
    /// Pages of other kinds that the round reclaimed, as far as it asked for them one by one.
    pub(crate) reclaimed: u64,
    /// Strokes made.
    pub(crate) strokes: u64,
    /// Age of what was written, in buckets.
    pub(crate) ages: Vec<u64>,
    /// Microseconds from the first stroke to the last page.
    pub(crate) micros: u64,
}
