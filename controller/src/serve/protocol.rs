//! The messages of the control socket. Pure data.

use serde::{Deserialize, Serialize};

use super::status::Status;

/// Version of the messages. Both ends say theirs and refuse another.
pub const VERSION: u32 = 1;

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
    /// One round of write-back.
    Writeback {
        /// The cgroup's path.
        cgroup: String,
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

/// The agent's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::Writeback`]: the report of the round.
    Round {
        /// As in [`Status::rounds`].
        report: serde_json::Value,
    },
    /// To [`Ask::Writeback`] as a dry run: the writes, as text.
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
