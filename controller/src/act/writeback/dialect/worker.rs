//! zswap's own shrink worker (mm/zswap.c `shrink_worker`), queued by one refused store.

use super::{
    super::pump::wire::{Flick, Stroke},
    Aimed, Dialect, Facts, Preparation,
};
use swaptier_policies::Bytes;

use crate::{journal::Change, sense::zswap::PARAMETERS};

pub(super) struct Worker;

impl Dialect for Worker {
    fn name(&self) -> &'static str {
        "worker"
    }

    fn probe(&self, facts: &Facts) -> Result<(), String> {
        facts.needs()?;
        let (Some(pool), Some(accept)) = (facts.pool, facts.accept_limit()) else {
            return Err("zswap does not say how full its pool is, or how full it may be".to_owned());
        };
        let room = room(accept);
        // Above it, a store refused in the round would leave the kernel refusing stores after the round, until the pool
        // has shrunk below; and the worker is running there anyway.
        if pool.0 >= room {
            return Err(format!(
                "the pool is near its own limit: {pool} compressed, and the kernel accepts stores again below {accept}"
            ));
        }
        Ok(())
    }

    fn prepare(&self, facts: &Facts, aimed: Aimed<'_>) -> Preparation {
        let flick = |name: &str, low: &str, high: String| Flick {
            path: format!("{PARAMETERS}/{name}").into(),
            low: low.to_owned(),
            high,
        };
        let percent = |name, high: Option<u8>| flick(name, "0", high.unwrap_or_default().to_string());
        let limit = percent("max_pool_percent", facts.zswap.max_pool_percent);
        let accept = percent("accept_threshold_percent", facts.zswap.accept_threshold_percent);
        let is_off = facts.zswap.shrinker_enabled == Some(false);
        let shrinker = is_off.then(|| flick("shrinker_enabled", "Y", "N".to_owned()));
        // What is given back first is last: the limit.
        let flicked = shrinker.iter().chain([&accept, &limit]);
        let flicked = flicked.map(|at| Change::round(&at.path, None, &at.high, &at.low, aimed.why)).collect();
        let room = facts.accept_limit().map_or(0, room);
        Preparation { held: Vec::new(), flicked, stroke: Stroke::Worker { limit, accept, room, shrinker } }
    }
}

/// *Compressed* bytes the pool may have for a stroke: it may grow by a little until the next look.
fn room(accept: Bytes) -> u64 {
    accept.0 - accept.0 / 32
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{AIMED, facts},
        *,
    };

    #[test]
    fn it_keeps_away_from_the_pools_own_limit() {
        // 180 less 180 / 32 is 174.4.
        assert_eq!(Worker.probe(&facts(174)), Ok(()));
        assert!(Worker.probe(&facts(175)).is_err());
    }

    #[test]
    fn unknown_is_never_taken_for_room() {
        assert!(Worker.probe(&Facts { pool: None, ..facts(1) }).is_err());
        let mut blind = facts(1);
        blind.zswap.accept_threshold_percent = None;
        assert!(Worker.probe(&blind).is_err());
    }

    #[test]
    fn a_shrinker_that_is_on_anyway_is_left_alone() {
        let mut facts = facts(1);
        for is_on in [Some(true), None] {
            facts.zswap.shrinker_enabled = is_on;
            let round = Worker.prepare(&facts, AIMED);
            assert!(matches!(round.stroke, Stroke::Worker { shrinker: None, .. }));
            assert_eq!(round.flicked.len(), 2);
        }
    }

    #[test]
    fn of_what_it_flicks_the_limit_is_given_back_first() {
        let flicked = Worker.prepare(&facts(1), AIMED).flicked;
        let values = flicked.iter().map(|change| (change.old.as_str(), change.new.as_str()));
        assert_eq!(values.collect::<Vec<_>>(), [("N", "Y"), ("90", "0"), ("20", "0")]);
        assert!(flicked.last().is_some_and(|last| last.path.name() == b"max_pool_percent"));
    }
}
