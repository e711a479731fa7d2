//! zswap's shrinker, called through debugfs: so many entries of one cgroup's list on one node
//! (Documentation/admin-guide/mm/shrinker_debugfs.rst). It scans exactly the lists it is told; but while it is switched on,
//! pressure anywhere calls it too, so everybody else's valve is closed.

use super::{super::pump::wire::Stroke, Aimed, Dialect, Facts, Preparation};
use crate::{journal::Change, sense::zswap::PARAMETERS};

pub(super) struct Shrinker;

impl Dialect for Shrinker {
    fn name(&self) -> &'static str {
        "shrinker"
    }

    fn probe(&self, facts: &Facts) -> Result<(), String> {
        facts.needs()?;
        exists(facts)?;
        match facts.means.scans.is_empty() {
            true => {
                Err("zswap's shrinker is not in /sys/kernel/debug/shrinker (CONFIG_SHRINKER_DEBUG)"
                    .to_owned())
            }
            false => Ok(()),
        }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn prepare(&self, facts: &Facts, aimed: Aimed<'_>) -> Preparation {
        let nodes = &facts.means.nodes;
        let lists = aimed.ids.iter().flat_map(|id| nodes.iter().map(move |node| format!("{id} {node}")));
        Preparation {
            held: switched_on(facts, aimed.why),
            flicked: Vec::new(),
            stroke: Stroke::Scan { files: facts.means.scans.clone(), lists: lists.collect() },
        }
    }
}

/// Whether zswap has one.
pub(super) fn exists(facts: &Facts) -> Result<(), String> {
    match facts.zswap.shrinker_enabled {
        Some(_) => Ok(()),
        None => Err("this kernel's zswap has no shrinker".to_owned()),
    }
}

/// The change that switches it on for a round; none where it is on.
pub(super) fn switched_on(facts: &Facts, why: &str) -> Vec<Change> {
    let switch = || Change::round(format!("{PARAMETERS}/shrinker_enabled"), None, "N", "Y", why);
    (facts.zswap.shrinker_enabled == Some(false)).then(switch).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{AIMED, facts},
        *,
    };

    #[test]
    fn every_list_of_the_cgroup_and_those_below_it_is_scanned() {
        let round = Shrinker.prepare(&facts(1), AIMED);
        let Stroke::Scan { files, lists } = round.stroke else { panic!("{round:?}") };
        assert_eq!(files, ["sys/kernel/debug/shrinker/mm-zswap-41/scan"]);
        assert_eq!(lists, ["7 0", "7 1", "8 0", "8 1"]);
        assert_eq!(round.held.iter().map(|change| change.new.as_str()).collect::<Vec<_>>(), ["Y"]);
    }

    #[test]
    fn it_needs_a_kernel_that_shows_its_shrinkers() {
        let mut facts = facts(1);
        assert_eq!(Shrinker.probe(&facts), Ok(()));
        facts.means.scans.clear();
        assert!(Shrinker.probe(&facts).is_err_and(|why| why.contains("CONFIG_SHRINKER_DEBUG")));
    }
}
