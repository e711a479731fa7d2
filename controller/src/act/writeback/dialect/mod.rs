//! The ways to make zswap write back, best first: what each needs of the host, and how it is made ready. One file a
//! dialect; `facts` looks at the host. Pure but for that; the pump does the work.

mod facts;
mod gate;
mod key;
mod shrinker;
mod worker;

pub use facts::{Facts, Means};

use super::pump::wire::Stroke;
use crate::journal::Change;

/// What a round does to the whole host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preparation {
    /// Changes for the length of the round.
    pub(super) held: Vec<Change>,
    /// Changes that the pump makes for moments.
    pub(super) flicked: Vec<Change>,
    /// What the pump does.
    pub(super) stroke: Stroke,
}

/// What a round is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimed<'a> {
    /// The cgroup's path.
    pub(super) path: &'a [u8],
    /// Ids of the cgroup and all below it.
    pub(super) ids: &'a [u64],
    /// The policy or command that asks.
    pub(super) why: &'a str,
}

/// A way to make zswap write back.
pub(super) trait Dialect: Sync {
    /// Its name, as in configuration and reports.
    fn name(&self) -> &'static str;

    /// Whether it can be used now.
    ///
    /// # Errors
    /// The reason why not, for `doctor`, `status` and the journal.
    fn probe(&self, facts: &Facts) -> Result<(), String>;

    /// Whether it spares what it is not meant for, so that it may be used without being named.
    ///
    /// # Errors
    /// What it would do beside its work.
    fn spares(&self, _facts: &Facts) -> Result<(), String> {
        Ok(())
    }

    /// How many pages it works on at once: of an order for fewer it may write more than was asked for.
    fn grain(&self) -> u64 {
        1
    }

    /// Whether it writes no page beyond what it is told, however few.
    fn is_exact(&self) -> bool {
        false
    }

    /// Whether the kernel itself aims it at one cgroup: then no other cgroup's valve has to be closed.
    fn is_aimed(&self) -> bool {
        false
    }

    /// What a round of it needs.
    fn prepare(&self, facts: &Facts, aimed: Aimed<'_>) -> Preparation;
}

/// All of them, best first.
pub(super) const DIALECTS: [&dyn Dialect; 4] = [&key::Key, &shrinker::Shrinker, &worker::Worker, &gate::Gate];

#[cfg(test)]
mod tests {
    use swaptier_policies::Bytes;

    use super::*;
    use crate::sense::ZswapParameters;

    /// A host of 1,000 MiB with a pool limit of 20 % (200 MiB), accepting again at 90 % of it (180 MiB).
    pub(super) fn facts(pool_mib: u64) -> Facts {
        Facts {
            zswap: ZswapParameters {
                enabled: Some(true),
                max_pool_percent: Some(20),
                accept_threshold_percent: Some(90),
                shrinker_enabled: Some(false),
                compressor: None,
            },
            ram: Bytes(1000 << 20),
            pool: Some(Bytes(pool_mib << 20)),
            has_swap: true,
            means: Means {
                key: Ok("source=zswap"),
                takes_swappiness_max: true,
                anonymous: Some("swappiness=max"),
                scans: vec!["sys/kernel/debug/shrinker/mm-zswap-41/scan".into()],
                nodes: vec![0, 1],
            },
        }
    }

    pub(super) const AIMED: Aimed<'_> = Aimed { path: b"a", ids: &[7, 8], why: "test" };

    #[test]
    fn no_dialect_without_zswap_or_swap() {
        let mut off = facts(1);
        off.zswap.enabled = Some(false);
        for facts in [off, Facts { has_swap: false, ..facts(1) }] {
            assert!(DIALECTS.iter().all(|dialect| dialect.probe(&facts).is_err()));
        }
    }

    #[test]
    fn each_dialect_follows_where_the_better_one_cannot_be_used() {
        let mut facts = facts(1);
        let first = |facts: &Facts| DIALECTS.iter().find(|it| it.probe(facts).is_ok()).map(|it| it.name());
        assert_eq!(first(&facts), Some("key"));
        facts.means.key = Err("none".into());
        assert_eq!(first(&facts), Some("shrinker"));
        facts.means.scans.clear();
        assert_eq!(first(&facts), Some("worker"));
        facts.pool = None;
        assert_eq!(first(&facts), Some("gate"));
        facts.zswap.shrinker_enabled = None;
        assert_eq!(first(&facts), None);
    }

    #[test]
    fn only_the_kernels_own_key_leaves_the_valves_of_others_alone() {
        let aimed = DIALECTS.iter().filter(|dialect| dialect.is_aimed()).map(|dialect| dialect.name());
        assert_eq!(aimed.collect::<Vec<_>>(), ["key"]);
    }
}
