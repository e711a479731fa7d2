//! Which dialect a round uses. Pure.

use super::dialect::{DIALECTS, Dialect, Facts};
use crate::config::DialectChoice;

/// Every dialect by name, best first, and why it is not used now without being chosen, where it is not.
pub fn dialects(facts: &Facts) -> Vec<(&'static str, Result<(), String>)> {
    let usable = |dialect: &&dyn Dialect| dialect.probe(facts).and_then(|()| dialect.spares(facts));
    DIALECTS.iter().map(|dialect| (dialect.name(), usable(dialect))).collect()
}

/// The first dialect that can be used, or the one that was chosen. For fewer pages than the first works on at once, one that is
/// exact goes before it.
pub(super) fn choose(
    choice: DialectChoice,
    facts: &Facts,
    pages: u64,
) -> Result<&'static dyn Dialect, String> {
    let mut reasons = Vec::new();
    let mut usable: Vec<&'static dyn Dialect> = Vec::new();
    let is_named = choice != DialectChoice::Auto;
    for dialect in DIALECTS.into_iter().filter(|dialect| choice.allows(dialect.name())) {
        match dialect.probe(facts).and_then(|()| if is_named { Ok(()) } else { dialect.spares(facts) }) {
            Ok(()) => usable.push(dialect),
            Err(reason) => reasons.push(format!("{}: {reason}", dialect.name())),
        }
    }
    let is_coarse = usable.first().is_some_and(|first| pages < first.grain());
    let exact = usable.iter().find(|dialect| is_coarse && dialect.is_exact());
    if let Some(dialect) = exact.or(usable.first()) {
        return Ok(*dialect);
    }
    reasons.dedup();
    Err(if reasons.is_empty() { "none is allowed".to_owned() } else { reasons.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::{super::Means, *};
    use crate::sense::ZswapParameters;
    use swaptier_policies::Bytes;

    #[test]
    fn a_few_pages_are_written_by_the_way_that_writes_no_more() {
        let parameters = ZswapParameters {
            enabled: Some(true),
            max_pool_percent: Some(20),
            accept_threshold_percent: Some(90),
            shrinker_enabled: Some(false),
            compressor: None,
        };
        let scans = vec!["sys/kernel/debug/shrinker/mm-zswap-41/scan".into()];
        let anonymous = Some("swappiness=max");
        let means =
            Means { key: Ok("source=zswap"), takes_swappiness_max: true, anonymous, scans, nodes: vec![0] };
        let (ram, pool) = (Bytes(1 << 30), Some(Bytes(1 << 20)));
        let facts = Facts { zswap: parameters, ram, pool, has_swap: true, means };
        let name = |facts: &Facts, choice, pages| choose(choice, facts, pages).map(Dialect::name);
        assert_eq!(name(&facts, DialectChoice::Auto, 64), Ok("key"));
        assert_eq!(name(&facts, DialectChoice::Auto, 63), Ok("shrinker"));
        let named = DialectChoice::named("key").unwrap();
        assert_eq!(name(&facts, named, 1), Ok("key"), "who names it gets it");
        let means = Means { scans: Vec::new(), ..facts.means.clone() };
        assert_eq!(
            name(&Facts { means, ..facts }, DialectChoice::Auto, 1),
            Ok("key"),
            "the worker is not exact"
        );
    }
}
