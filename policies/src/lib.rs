//! Policy files and the pure decision of swaptier.
//!
//! What lives here: quantities ([`units`]), what a tick saw ([`snapshot`]), what is to be done ([`plan`]), the
//! policy files and the decision between them. What does not: any IO, clock, thread, environment or float. The
//! wall is `clippy.toml` of this crate; a violation fails `cargo clippy -p swaptier-policies -- -D warnings`.
//! Called by the controller's `agent`, `check` and `explain`, and by replay.

#![forbid(unsafe_code)]

mod file;
pub mod layer;
pub mod pattern;
pub mod plan;
pub mod policy;
pub mod rules;
pub mod snapshot;
pub mod units;

pub use file::fault::{Fault, SourceFile};
pub use layer::layer;
pub use plan::{Action, Held, Hold, Plan, Reason, Step};
pub use policy::{Policy, PolicySet, Standing};
pub use snapshot::{CgroupId, CgroupView, Cold, HostView, MapHealth, Snapshot, Tiers, Writeback};
pub use units::{ByteRate, Bytes, Limit, Pages, Seconds, Share, ShareRate};
