//! Policy files and the pure decision of swaptier.
//!
//! What lives here: quantities ([`units`]), what a tick saw ([`snapshot`]), what is to be done ([`plan`]), the
//! policy files and the decision between them. What does not: any IO, clock, thread, environment or float. The
//! wall is `clippy.toml` of this crate; a violation fails `cargo clippy -p swaptier-policies -- -D warnings`.
//! Called by the controller's `agent`, `check` and `explain`, and by replay.

#![forbid(unsafe_code)]

pub mod area;
pub mod close;
pub mod decide;
mod event;
pub mod fate;
mod file;
pub mod growth;
pub mod guard;
pub mod history;
pub mod layer;
pub mod pattern;
pub mod plan;
pub mod policy;
mod preview;
pub mod rules;
pub mod snapshot;
pub mod units;

pub use area::{AreaKind, AreaView, Blocks, Fill, Level, Marks, Part, PoolView};
pub use decide::{Asked, HOST, asks, decide, is_due, refusal};
pub use event::Event;
pub use fate::{Fate, fate};
pub use file::fault::{Fault, Faults, SourceFile};
pub use guard::{Violation, violations};
pub use history::History;
pub use layer::layer;
pub use plan::{Action, Closed, Held, Hold, Plan, Reason, Step};
pub use policy::{Policy, PolicySet, Standing};
pub use snapshot::{CgroupId, CgroupView, Cold, HostView, MapHealth, Snapshot, Tiers, Writeback};
pub use units::{ByteRate, Bytes, Limit, Pages, Seconds, Share, ShareRate};

#[cfg(test)]
mod tests;
