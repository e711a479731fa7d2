//! zswap's shrinker, called by a tiny `memory.reclaim`.

use swaptier_policies::Bytes;

use super::{super::pump::wire::Stroke, Aimed, Dialect, Facts, Preparation, shrinker};
use crate::{
    act::reclaim::{self, Swappiness},
    root::cgroup_file,
};

pub(super) struct Gate;

impl Dialect for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn probe(&self, facts: &Facts) -> Result<(), String> {
        facts.needs()?;
        shrinker::exists(facts)
    }

    fn spares(&self, facts: &Facts) -> Result<(), String> {
        match facts.means.takes_swappiness_max {
            true => Ok(()),
            false => Err(
                "memory.reclaim takes no swappiness=max: it would drop page cache of the cgroup, many times \
                          what it writes back; it must be chosen by name"
                    .to_owned(),
            ),
        }
    }

    fn prepare(&self, facts: &Facts, aimed: Aimed<'_>) -> Preparation {
        // Without `max` the kernel reclaims page cache beside what is wanted; with it only anonymous memory.
        let swappiness = match facts.means.takes_swappiness_max {
            true => Swappiness::Max,
            false => Swappiness::Value(0),
        };
        let file = cgroup_file(aimed.path, reclaim::FILE);
        let text = reclaim::text(Bytes(4096), Some(swappiness));
        Preparation {
            held: shrinker::switched_on(facts, aimed.why),
            flicked: Vec::new(),
            stroke: Stroke::Reclaim { file, text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{AIMED, facts},
        *,
    };

    #[test]
    fn it_changes_the_shrinker_only_where_it_is_off() {
        let round = Gate.prepare(&facts(1), AIMED);
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
        assert_eq!(Gate.prepare(&on, AIMED).held, []);
    }

    #[test]
    fn where_it_would_drop_page_cache_it_must_be_chosen_by_name() {
        let mut facts = facts(1);
        assert_eq!(Gate.spares(&facts), Ok(()));
        facts.means.takes_swappiness_max = false;
        assert!(Gate.spares(&facts).is_err_and(|why| why.contains("page cache")));
        assert_eq!(Gate.probe(&facts), Ok(()));
    }

    #[test]
    fn it_does_not_care_for_the_pools_limit() {
        assert_eq!(Gate.probe(&facts(180)), Ok(()));
    }
}
