//! The kernel's own way: a key of `memory.reclaim` that writes back from zswap and does nothing else. Proposed for the
//! kernel under two names; used where one is taken. It walks the cgroup and all below it, and nobody else.

use super::{super::pump::wire::Stroke, Aimed, Dialect, Facts, Preparation};
use crate::{act::reclaim, root::cgroup_file};

/// Entries of a list that the kernel looks at in one go (`SHRINK_BATCH`, `SWAP_CLUSTER_MAX` twice).
const GRAIN: u64 = 64;

pub(super) struct Key;

impl Dialect for Key {
    fn name(&self) -> &'static str {
        "key"
    }

    fn probe(&self, facts: &Facts) -> Result<(), String> {
        facts.needs()?;
        facts.means.key.clone().map(drop)
    }

    fn grain(&self) -> u64 {
        GRAIN
    }

    fn is_aimed(&self) -> bool {
        true
    }

    fn prepare(&self, facts: &Facts, aimed: Aimed<'_>) -> Preparation {
        let file = cgroup_file(aimed.path, reclaim::FILE);
        let key = facts.means.key.clone().unwrap_or_default().to_owned();
        Preparation { held: Vec::new(), flicked: Vec::new(), stroke: Stroke::Key { file, key } }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{AIMED, facts},
        *,
    };

    #[test]
    fn it_changes_nothing_of_the_host() {
        let round = Key.prepare(&facts(1), AIMED);
        assert_eq!((round.held, round.flicked), (Vec::new(), Vec::new()));
        let file = "sys/fs/cgroup/a/memory.reclaim".into();
        assert_eq!(round.stroke, Stroke::Key { file, key: "source=zswap".into() });
    }
}
