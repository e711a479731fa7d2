//! Writes `memory.swap.max`: how much a cgroup may have in swap: *original* bytes of slots. Caller: `act::apply`.

use swaptier_policies::Limit;

use super::{Hands, Outcome, Target};

/// The kernel's file.
pub const FILE: &str = "memory.swap.max";

/// Makes the limit `to`.
pub async fn set(hands: &Hands, target: Target, to: Limit, why: String) -> Outcome {
    hands.set(target, FILE, text(to), why).await
}

/// The limit as the kernel takes it.
pub(super) fn text(limit: Limit) -> String {
    match limit {
        Limit::Max => "max".to_owned(),
        Limit::Bytes(bytes) => bytes.0.to_string(),
    }
}
