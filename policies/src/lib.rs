//! Policy files and the pure decision of swaptier.
//!
//! What lives here: quantities ([`units`]), what a tick saw ([`snapshot`]), what is to be done ([`plan`]), the
//! policy files and the decision between them. What does not: any IO, clock, thread, environment or float. The
//! wall is `clippy.toml` of this crate; a violation fails `cargo clippy -p swaptier-policies -- -D warnings`.
//! Called by the controller's `agent`, `check` and `explain`, and by replay.

#![forbid(unsafe_code)]

pub mod plan;
pub mod snapshot;
pub mod units;

pub use plan::{Action, Held, Hold, Plan, Reason, Step};
pub use snapshot::{CgroupId, CgroupView, Cold, HostView, MapHealth, Snapshot, Tiers, Writeback};
pub use units::{ByteRate, Bytes, Limit, Pages, Seconds, Share, ShareRate};
