//! Writes `memory.zswap.writeback`: whether pages of a cgroup may go from zswap to disk. Caller: `act::apply`.
//!
//! The kernel looks at every cgroup up to the root: an ancestor's 0 closes it too.

use super::{Hands, Outcome, Target};

/// The kernel's file (6.8 on).
pub const FILE: &str = "memory.zswap.writeback";

/// Opens (`true`) or closes the way to disk.
pub async fn set(hands: &Hands, target: Target, to: bool, why: String) -> Outcome {
    hands.set(target, FILE, u8::from(to).to_string(), why).await
}
