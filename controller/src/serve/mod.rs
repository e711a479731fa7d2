//! The agent's control socket and what goes over it: one JSON object a line, a request and its answer.
//!
//! `protocol` is the messages, `server` the agent's end, `client` the commands' end. What they show: `status` each tick,
//! `detail` of one cgroup, `events`; `describe` names the fields. `without_agent` makes a status of the kernel's files
//! alone.

pub mod client;
pub mod describe;
pub mod detail;
pub mod events;
pub mod protocol;
pub mod server;
pub mod status;
pub mod without_agent;

/// The socket, relative to the root.
pub const SOCKET: &str = "run/swaptier/swaptier.sock";
