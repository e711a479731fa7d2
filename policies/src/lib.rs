//! Policy files and the pure decision of swaptier.
//!
//! What lives here: quantities ([`units`]), what a tick saw ([`snapshot`]), what is to be done ([`plan`]), the
//! policy files and the decision between them. What does not: any IO, clock, thread, environment or float. The
//! wall is `clippy.toml` of this crate; a violation fails `cargo clippy -p swaptier-policies -- -D warnings`.
//! Called by the controller's `agent`, `check` and `explain`, and by replay.

#![forbid(unsafe_code)]

pub mod decide;
mod file;
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

pub use decide::decide;
pub use file::fault::{Fault, Faults, SourceFile};
pub use guard::{Violation, violations};
pub use history::History;
pub use layer::layer;
pub use plan::{Action, Held, Hold, Plan, Reason, Step};
pub use policy::{Policy, PolicySet, Standing};
pub use snapshot::{CgroupId, CgroupView, Cold, HostView, MapHealth, Snapshot, Tiers, Writeback};
pub use units::{ByteRate, Bytes, Limit, Pages, Seconds, Share, ShareRate};

#[cfg(test)]
mod tests;
