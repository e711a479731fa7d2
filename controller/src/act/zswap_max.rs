//! Writes `memory.zswap.max`: how much a cgroup may have in zswap: *compressed* bytes. Caller: `act::apply`.
//!
//! A limit below what is there writes nothing back: it only refuses what comes next.

use swaptier_policies::Limit;

use super::swap_max::text;
use super::{Hands, Outcome, Target};

/// The kernel's file.
pub const FILE: &str = "memory.zswap.max";

/// Makes the limit `to`.
pub async fn set(hands: &Hands, target: Target, to: Limit, why: String) -> Outcome {
    hands.set(target, FILE, text(to), why).await
}
