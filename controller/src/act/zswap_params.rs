//! Writes `/sys/module/zswap/parameters`: zswap of the whole host, from the `[zswap]` table of the configuration.
//!
//! Applied when the agent starts and given back by the undo log. The write-back engine's moments of another limit are
//! its own (`writeback/`). Caller: the agent.

use serde::{Deserialize, Serialize};

use super::{Hands, Outcome, Target};
use crate::{fault, sense::zswap::PARAMETERS};

/// What the host's zswap is to be. `None`: as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZswapSettings {
    /// The compression algorithm.
    pub compressor: Option<String>,
    /// The pool's limit, as a percentage of RAM.
    pub max_pool_percent: Option<u8>,
    /// Once the limit was met, pages are taken again below this percentage of it.
    pub accept_threshold_percent: Option<u8>,
    /// Whether the kernel's shrinker writes back by itself.
    pub shrinker_enabled: Option<bool>,
    /// Whether pages go into zswap.
    pub enabled: Option<bool>,
}

impl ZswapSettings {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == ZswapSettings::default()
    }

    /// The parameters to write, in the order in which they are written: the switch comes last, when everything else
    /// is as it should be.
    fn values(&self) -> Vec<(&'static str, String)> {
        let ZswapSettings {
            compressor,
            max_pool_percent,
            accept_threshold_percent,
            shrinker_enabled,
            enabled,
        } = self;
        let switch = |on: &bool| if *on { "Y" } else { "N" }.to_owned();
        [
            ("compressor", compressor.clone()),
            ("max_pool_percent", max_pool_percent.map(|p| p.to_string())),
            ("accept_threshold_percent", accept_threshold_percent.map(|p| p.to_string())),
            ("shrinker_enabled", shrinker_enabled.as_ref().map(switch)),
            ("enabled", enabled.as_ref().map(switch)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// Makes zswap what the settings say; one outcome per parameter.
pub async fn apply(hands: &Hands, settings: &ZswapSettings, why: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (name, value) in settings.values() {
        outcomes.push(hands.set(Target::Host(PARAMETERS), name, value, why.to_owned()).await);
        fault::point("params.between");
    }
    outcomes
}
