//! The messages of the control socket. Pure data.
//!
//! Both ways a message is one line of JSON. A client sends any number of requests, one after the other, and gets one
//! answer to each; after [`Ask::Subscribe`] answers come by themselves until the client hangs up.

use serde::{Deserialize, Serialize};
use swaptier_policies::{CgroupPath, RoundReport};

use super::{describe::Field, detail::Detail, events::Event, status::Status};

/// Version of the messages. A client says which one it speaks, and is refused if it is another.
pub const VERSION: u32 = 2;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub v: u32,
    /// What.
    #[serde(flatten)]
    pub ask: Ask,
}

/// The things that can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The last published status.
    Status,
    /// One cgroup: histograms, its rounds, who set its files.
    Detail {
        /// The cgroup's path, as the status has it.
        cgroup: CgroupPath,
    },
    /// The status again and again: the newest each time, none twice. Events since the subscription, or the number it
    /// begins with, come between.
    Subscribe {
        /// At least so many milliseconds from one status to the next. The agent publishes one each tick.
        #[serde(default)]
        interval_ms: u64,
        /// With each status the detail of this cgroup.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<CgroupPath>,
        /// Events with a number above this.
        #[serde(default)]
        events_since: u64,
    },
    /// What happened lately.
    Events {
        /// Only events with a number above this.
        #[serde(default)]
        since: u64,
    },
    /// Every field of the status and the detail, with unit, kind and meaning.
    Describe,
    /// The metrics as OpenMetrics text.
    Metrics,
    /// Reads the policies anew. Acts.
    Reload {
        /// Only say what would be done.
        #[serde(default)]
        dry_run: bool,
    },
    /// Closes the way to disk of a cgroup until it is opened again. Acts.
    Close {
        /// The cgroup's path, as the status has it.
        cgroup: CgroupPath,
        /// Only say what would be done.
        #[serde(default)]
        dry_run: bool,
    },
    /// Opens it again. Acts.
    Open {
        /// The cgroup's path, as the status has it.
        cgroup: CgroupPath,
        /// Only say what would be done.
        #[serde(default)]
        dry_run: bool,
    },
    /// Record the ticks of the next seconds, beside what is recorded anyway; 0: no longer. Acts.
    Record {
        /// At most ten minutes: who wants more asks again.
        seconds: u64,
    },
    /// One round of write-back. Acts.
    Writeback {
        /// The cgroup's path, as the status has it.
        cgroup: CgroupPath,
        /// Only pages that have been in zswap for this many seconds.
        older_than: u64,
        /// Pages at most.
        pages: u64,
        /// Another dialect than the configured one.
        dialect: Option<String>,
        /// Only say what would be done.
        dry_run: bool,
    },
}

/// A message as the line it is sent as, its end included.
#[must_use]
pub fn line(message: &impl Serialize) -> String {
    let mut text = serde_json::to_string(message).expect("a message is plain data, with texts for keys");
    text.push('\n');
    text
}

impl Ask {
    /// Whether it changes anything: then only root may ask.
    #[must_use]
    pub fn is_act(&self) -> bool {
        match self {
            Ask::Writeback { .. }
            | Ask::Reload { .. }
            | Ask::Close { .. }
            | Ask::Open { .. }
            | Ask::Record { .. } => true,
            Ask::Status
            | Ask::Detail { .. }
            | Ask::Subscribe { .. }
            | Ask::Events { .. }
            | Ask::Describe
            | Ask::Metrics => false,
        }
    }
}

/// The agent's answer. The value is apart from the kind, and behind it: a long status is read in one go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Status`] and [`Ask::Subscribe`].
    Status(Box<Status>),
    /// To [`Ask::Detail`], and to a subscription that asked for it.
    Detail(Box<Detail>),
    /// To [`Ask::Events`], and to a subscription when something happened.
    Events {
        /// Oldest first. A gap to what was asked for means that older ones are forgotten.
        events: Vec<Event>,
        /// Number of the newest there is.
        last: u64,
    },
    /// To [`Ask::Describe`].
    Description {
        /// All fields.
        fields: Vec<Field>,
    },
    /// To [`Ask::Metrics`].
    Metrics {
        /// OpenMetrics text, `# EOF` included.
        text: String,
    },
    /// An act without a report was done.
    Done {
        /// What, in one line.
        message: String,
    },
    /// To [`Ask::Record`].
    Recording {
        /// The folder of its files.
        folder: String,
        /// Frames written since the recorder began.
        frames: u64,
        /// Their bytes on disk.
        bytes: u64,
        /// Frames lost: the disk was slow or full.
        dropped: u64,
    },
    /// To [`Ask::Writeback`]: the report of the round.
    Round {
        /// As in [`Status::rounds`].
        report: RoundReport,
    },
    /// To an act as a dry run: the writes, as text.
    Would {
        /// One line each.
        writes: Vec<String>,
    },
    /// It was not done.
    Refused {
        /// The exit code a command should end with.
        exit: u8,
        /// What, and what to do.
        message: String,
    },
}
