//! Writes `/sys/module/zswap/parameters`: zswap of the whole host, from the `[zswap]` table of the configuration; and says
//! which of it the kernel does not have.
//!
//! Applied when the agent starts and given back by the undo log. The write-back engine's moments of another limit are
//! its own (`writeback/`). Callers: the agent, `doctor`.

use std::fmt;

use swaptier_policies::{Asker, Outcome};

use super::{Target, Writer};
use crate::{
    config::ZswapSettings,
    fault,
    journal::{Change, is_same_value},
    sense::{ZswapParameters, zswap::PARAMETERS},
};

/// The parameters to write, in the order in which they are written: the switch comes last, when everything else is as it
/// should be.
fn values(settings: &ZswapSettings) -> Vec<(&'static str, String)> {
    let ZswapSettings { compressor, max_pool_percent, accept_threshold_percent, shrinker_enabled, enabled } =
        settings;
    let switch = |on: &bool| if *on { "Y" } else { "N" }.to_owned();
    [
        (COMPRESSOR, compressor.clone()),
        ("max_pool_percent", max_pool_percent.map(|p| p.to_string())),
        ("accept_threshold_percent", accept_threshold_percent.map(|p| p.to_string())),
        ("shrinker_enabled", shrinker_enabled.as_ref().map(switch)),
        ("enabled", enabled.as_ref().map(switch)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// The settings that zswap does not have, in the order in which they are written.
#[must_use]
pub fn untaken(settings: &ZswapSettings, now: &ZswapParameters) -> Vec<Untaken> {
    // What is read is a setting like another.
    let ZswapParameters { enabled, max_pool_percent, accept_threshold_percent, shrinker_enabled, compressor } =
        now.clone();
    let there = values(&ZswapSettings {
        enabled,
        max_pool_percent,
        accept_threshold_percent,
        shrinker_enabled,
        compressor,
    });
    let of = |(name, asked)| {
        let found = there.iter().find(|(other, _)| *other == name).map(|(_, found)| found.clone());
        Untaken { name, asked, found }
    };
    let all = values(settings).into_iter().map(of);
    all.filter(|setting| setting.found.as_ref() != Some(&setting.asked)).collect()
}

/// The parameter of which a kernel may have only some values.
pub const COMPRESSOR: &str = "compressor";

/// A setting that zswap does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untaken {
    /// The parameter.
    pub name: &'static str,
    /// What `[zswap]` asks for, as it is written.
    pub asked: String,
    /// What the kernel says. `None`: it has no such parameter, or it cannot be read.
    pub found: Option<String>,
}

impl Untaken {
    /// Whether one of `pending` changed it from what is asked for to what is found: a round does so for a moment.
    #[must_use]
    pub fn is_for_now(&self, pending: &[Change]) -> bool {
        let path = format!("{PARAMETERS}/{}", self.name);
        let is_it = |a: &str, b: &str| is_same_value(&path, a, b);
        pending.iter().any(|change| {
            change.path == *path
                && is_it(&change.old, &self.asked)
                && self.found.as_ref().is_some_and(|found| is_it(&change.new, found))
        })
    }
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Untaken { name, asked, found } = self;
        write!(f, "a setting of [zswap] did not take: swaptier.toml asks for {name} = {asked}, and ")?;
        match found {
            Some(found) => write!(f, "/{PARAMETERS}/{name} says {found}"),
            None => write!(f, "/{PARAMETERS}/{name} is not there, or cannot be read"),
        }
    }
}

/// Makes zswap what the settings say; one outcome per parameter.
pub async fn apply(writer: &Writer, settings: &ZswapSettings) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (name, value) in values(settings) {
        outcomes.push(writer.set(Target::Host(PARAMETERS), name, value, Asker::Settings).await);
        fault::point("params.between");
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZswapParameters {
        ZswapParameters {
            enabled: Some(true),
            max_pool_percent: Some(20),
            accept_threshold_percent: Some(90),
            shrinker_enabled: None,
            compressor: Some("lzo".into()),
        }
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_named_with_both_values() {
        assert_eq!(untaken(&ZswapSettings::default(), &now()), []);
        let asked = ZswapSettings {
            compressor: Some("nosuch".into()),
            max_pool_percent: Some(20),
            accept_threshold_percent: Some(80),
            shrinker_enabled: Some(true),
            enabled: Some(true),
        };
        let said: Vec<String> = untaken(&asked, &now()).iter().map(ToString::to_string).collect();
        let begin = "a setting of [zswap] did not take: swaptier.toml asks for";
        let at = "/sys/module/zswap/parameters";
        assert_eq!(
            said,
            [
                format!("{begin} compressor = nosuch, and {at}/compressor says lzo"),
                format!("{begin} accept_threshold_percent = 80, and {at}/accept_threshold_percent says 90"),
                format!(
                    "{begin} shrinker_enabled = Y, and {at}/shrinker_enabled is not there, or cannot be read"
                ),
            ]
        );
    }

    #[test]
    fn what_a_round_holds_for_a_moment_is_told_from_what_did_not_take() {
        let asked = ZswapSettings { max_pool_percent: Some(30), ..ZswapSettings::default() };
        let held = ZswapParameters { max_pool_percent: Some(0), ..now() };
        let [untaken] = &untaken(&asked, &held)[..] else { panic!() };
        let path = format!("{PARAMETERS}/max_pool_percent");
        let change = |old: &str, new: &str| Change::file(&path, None, old, new, &Asker::Settings);
        // The setting itself, and then the round's.
        assert!(untaken.is_for_now(&[change("20", "30"), change("30", "0")]));
        for pending in [&[change("20", "30")][..], &[change("20", "0")], &[change("30", "1")], &[]] {
            assert!(!untaken.is_for_now(pending), "{pending:?}");
        }
    }
}
