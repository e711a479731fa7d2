//! Policy files and the pure decision of swaptier.
//!
//! What lives here: quantities ([`units`]), what a tick saw ([`snapshot`]), what is to be done ([`plan`]) and what
//! came of it ([`Outcome`]), the policy files and the decision between them. What does not: any IO, clock, thread, environment or float. The
//! wall is `clippy.toml` of this crate; a violation fails `cargo clippy -p swaptier-policies -- -D warnings`.
//! Called by the controller's `agent`, `check` and `explain`, and by replay.

#![forbid(unsafe_code)]

pub mod area;
mod asker;
pub mod close;
mod days;
mod decide;
mod event;
pub mod fate;
mod file;
pub mod growth;
pub mod guard;
pub mod history;
pub mod knob;
pub mod layer;
mod lift;
mod outcome;
pub mod path;
pub mod pattern;
pub mod plan;
pub mod policy;
mod preview;
mod report;
pub mod rules;
mod session;
pub mod snapshot;
pub mod stand;
pub mod units;
pub mod want;

pub use area::{AreaKind, AreaView, Blocks, Fill, Level, Marks, Part, PoolView};
pub use asker::Asker;
pub use days::DayBook;
pub use event::Event;
pub use fate::{Fate, fate};
pub use file::fault::{Fault, Faults, Place, SourceFile};
pub use guard::{Violation, violations};
pub use history::History;
pub use knob::{Knob, Setting, Settings};
pub use layer::layer;
pub use lift::{Lift, lifts};
pub use outcome::{Outcome, Said, Settled};
pub use path::{CgroupPath, FilePath};
pub use plan::{Action, Closed, Held, Hold, Plan, Reason, Step};
pub use policy::{Policy, PolicySet, Standing};
pub use report::{Ended, RoundReport};
pub use session::{Decision, Made, Session, Turn, decide_afresh};
pub use snapshot::{CgroupId, CgroupView, Cold, HostView, MapHealth, Snapshot, Tiers, Writeback};
pub use units::{ByteRate, Bytes, Limit, Pages, Seconds, Share, ShareRate};
pub use want::{Because, Want, Wanted, Wants};

#[cfg(test)]
mod tests;
