//! The ways to make zswap write back, best first: what each needs of the host, and how it is made ready. Pure but for
//! the reading of facts; the pump does the work.

use swaptier_policies::Bytes;

use super::pump::wire::{Flick, Stroke};
use crate::{
    act::reclaim::{self, Swappiness},
    journal::Change,
    root::{Root, cgroup_file},
    sense::{self, ZswapParameters, zswap::PARAMETERS},
};

/// What the host offers for a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// zswap's parameters.
    pub zswap: ZswapParameters,
    /// RAM of the host.
    pub ram: Bytes,
    /// *Compressed* bytes in the pool, with its overhead (`Zswap:` of /proc/meminfo).
    pub pool: Option<Bytes>,
    /// Whether a swap area is on.
    pub has_swap: bool,
    /// Whether `memory.reclaim` takes `swappiness=max`; `None` until it was tried.
    pub takes_swappiness_max: Option<bool>,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// /proc/meminfo or /proc/swaps cannot be read.
    pub fn read(root: &Root) -> Result<Self, sense::SenseError> {
        let memory = sense::procfs::read_meminfo(root)?;
        Ok(Self {
            zswap: sense::read_parameters(root),
            ram: memory.total,
            pool: memory.zswap,
            has_swap: !sense::procfs::read_swaps(root)?.is_empty(),
            takes_swappiness_max: None,
        })
    }

    /// The same out of what a tick has seen.
    pub fn of(sensed: &sense::Sensed) -> Self {
        Self {
            zswap: sensed.zswap.clone(),
            ram: sensed.memory.total,
            pool: sensed.memory.zswap,
            has_swap: !sensed.swaps.is_empty(),
            takes_swappiness_max: None,
        }
    }

    /// Bytes the pool may have.
    pub fn pool_limit(&self) -> Option<Bytes> {
        percent(self.ram, self.zswap.max_pool_percent?)
    }

    /// Bytes of the pool under which the kernel accepts stores again once the limit was met.
    pub fn accept_limit(&self) -> Option<Bytes> {
        percent(self.pool_limit()?, self.zswap.accept_threshold_percent?)
    }

    fn needs(&self) -> Result<(), String> {
        if self.zswap.enabled != Some(true) {
            return Err("zswap is off: nothing is stored, and the pump's page cannot be refused".to_owned());
        }
        if !self.has_swap {
            return Err("no swap area is on: there is nowhere to write to".to_owned());
        }
        Ok(())
    }
}

fn percent(whole: Bytes, percent: u8) -> Option<Bytes> {
    Some(Bytes(whole.0.checked_mul(u64::from(percent))? / 100))
}

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

/// A way to make zswap write back.
pub(super) trait Dialect: Sync {
    /// Its name, as in configuration and reports.
    fn name(&self) -> &'static str;

    /// Whether it can be used now.
    ///
    /// # Errors
    /// The reason why not, for `doctor`, `status` and the journal.
    fn probe(&self, facts: &Facts) -> Result<(), String>;

    /// What a round of it needs.
    fn prepare(&self, facts: &Facts, cgroup: &str, why: &str) -> Preparation;
}

/// All of them, best first.
pub(super) const DIALECTS: [&dyn Dialect; 2] = [&Worker, &Gate];

/// zswap's own shrink worker (mm/zswap.c `shrink_worker`), queued by one refused store.
struct Worker;

impl Dialect for Worker {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn probe(&self, facts: &Facts) -> Result<(), String> {
        facts.needs()?;
        let (Some(pool), Some(accept)) = (facts.pool, facts.accept_limit()) else {
            return Err("zswap does not say how full its pool is, or how full it may be".to_owned());
        };
        // Above it, a store refused in the round would leave the kernel refusing stores after the round, until the pool
        // has shrunk below; and the worker is running there anyway.
        if pool >= accept {
            return Err(format!(
                "the pool is near its own limit: {pool} compressed, and the kernel accepts stores again below {accept}"
            ));
        }
        Ok(())
    }

    fn prepare(&self, facts: &Facts, _cgroup: &str, why: &str) -> Preparation {
        let flick = |name: &str, high: Option<u8>| Flick {
            path: format!("{PARAMETERS}/{name}"),
            low: "0".to_owned(),
            high: high.unwrap_or_default().to_string(),
        };
        let limit = flick("max_pool_percent", facts.zswap.max_pool_percent);
        let accept = flick("accept_threshold_percent", facts.zswap.accept_threshold_percent);
        // What is given back first is last: the limit.
        let flicked =
            [&accept, &limit].map(|at| Change::file(&at.path, None, &at.high, &at.low, why)).to_vec();
        Preparation { held: Vec::new(), flicked, stroke: Stroke::Worker { limit, accept } }
    }
}

/// zswap's shrinker, called by a tiny `memory.reclaim`.
struct Gate;

impl Dialect for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn probe(&self, facts: &Facts) -> Result<(), String> {
        facts.needs()?;
        if facts.zswap.shrinker_enabled.is_none() {
            return Err("this kernel's zswap has no shrinker".to_owned());
        }
        Ok(())
    }

    fn prepare(&self, facts: &Facts, cgroup: &str, why: &str) -> Preparation {
        let shrinker = format!("{PARAMETERS}/shrinker_enabled");
        let is_off = facts.zswap.shrinker_enabled == Some(false);
        // Without `max` the kernel reclaims page cache beside what is wanted; with it only anonymous memory.
        let swappiness = match facts.takes_swappiness_max {
            Some(true) => Swappiness::Max,
            _ => Swappiness::Value(0),
        };
        let file = cgroup_file(cgroup, reclaim::FILE);
        Preparation {
            held: is_off.then(|| Change::file(shrinker, None, "N", "Y", why)).into_iter().collect(),
            flicked: Vec::new(),
            stroke: Stroke::Reclaim { file, text: reclaim::text(Bytes(4096), Some(swappiness)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host of 1,000 MiB with a pool limit of 20 % (200 MiB), accepting again at 90 % of it (180 MiB).
    fn facts(pool_mib: u64) -> Facts {
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
            takes_swappiness_max: Some(true),
        }
    }

    #[test]
    fn the_worker_keeps_away_from_the_pools_own_limit() {
        assert_eq!(Worker.probe(&facts(179)), Ok(()));
        assert!(Worker.probe(&facts(180)).is_err());
        assert_eq!(Gate.probe(&facts(180)), Ok(()), "the shrinker does not care");
    }

    #[test]
    fn unknown_is_never_taken_for_room() {
        assert!(Worker.probe(&Facts { pool: None, ..facts(1) }).is_err());
        let mut blind = facts(1);
        blind.zswap.accept_threshold_percent = None;
        assert!(Worker.probe(&blind).is_err());
    }

    #[test]
    fn no_dialect_without_zswap_or_swap() {
        let mut off = facts(1);
        off.zswap.enabled = Some(false);
        for facts in [off, Facts { has_swap: false, ..facts(1) }] {
            assert!(DIALECTS.iter().all(|dialect| dialect.probe(&facts).is_err()));
        }
    }

    #[test]
    fn the_gate_changes_the_shrinker_only_where_it_is_off() {
        let round = Gate.prepare(&facts(1), "a", "test");
        assert_eq!(round.held.iter().map(|change| change.new.as_str()).collect::<Vec<_>>(), ["Y"]);
        assert_eq!(
            round.stroke,
            Stroke::Reclaim {
                file: "sys/fs/cgroup/a/memory.reclaim".into(),
                text: "4096 swappiness=max".into()
            }
        );
        let mut on = facts(1);
        on.zswap.shrinker_enabled = Some(true);
        assert_eq!(Gate.prepare(&on, "a", "test").held, []);
    }

    #[test]
    fn of_what_the_worker_flicks_the_limit_is_given_back_first() {
        let flicked = Worker.prepare(&facts(1), "a", "test").flicked;
        let values = flicked.iter().map(|change| (change.old.as_str(), change.new.as_str()));
        assert_eq!(values.collect::<Vec<_>>(), [("90", "0"), ("20", "0")]);
        assert!(flicked.last().is_some_and(|last| last.path.ends_with("max_pool_percent")));
    }
}
