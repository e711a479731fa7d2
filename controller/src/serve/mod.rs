//! The agent's control socket and what goes over it: one JSON object a line, a request and its answer.
//!
//! `protocol` is the messages, `server` the agent's end, `lock` makes it the only one, `crowd` lets clients in, `seats` how
//! many at a time, `peer` who may ask for what, `client` the commands' end, `absence` why nobody answers them. The
//! agent pins what it publishes on the `board`. What that is: `status` each tick, `detail` of one cgroup, `events`;
//! `figures` has a row for each number of it; `describe` names the fields, `metrics` are the same for scrapers.
//! `without_agent` makes a status of the kernel's files alone, `shown` has the words both use, `rates` what moves a second,
//! `histogram` the buckets.

pub mod absence;
pub mod areas;
pub mod board;
pub mod client;
mod crowd;
pub mod describe;
pub mod detail;
pub mod events;
pub mod figures;
pub mod histogram;
pub mod lock;
pub mod metrics;
pub mod peer;
pub mod protocol;
pub mod rates;
mod seats;
pub mod server;
pub mod shown;
pub mod status;
pub mod without_agent;

/// The socket, relative to the root.
pub const SOCKET: &str = "run/swaptier/swaptier.sock";
