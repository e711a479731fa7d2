//! `[zswap]`: the parameters of the host's zswap. Which of them the kernel has is `act/zswap_params.rs`'s to say, which writes
//! them.

use super::read::{Reader, Table};

/// `[zswap]`: what the host's zswap is to be. `None`: as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

pub(super) fn zswap(reader: &mut Reader<'_>, top: &Table<'_>) -> ZswapSettings {
    let known = ["enabled", "max_pool_percent", "accept_threshold_percent", "shrinker_enabled", "compressor"];
    let Some(table) = reader.table(top, "zswap", &known) else { return ZswapSettings::default() };
    let mut percent =
        |key| reader.integer(&table, key, 1..=100).and_then(|percent| u8::try_from(percent).ok());
    ZswapSettings {
        max_pool_percent: percent("max_pool_percent"),
        accept_threshold_percent: percent("accept_threshold_percent"),
        compressor: reader.text(
            &table,
            "compressor",
            "the name of a compressor such as \"lz4\"",
            is_plain_name,
        ),
        shrinker_enabled: reader.flag(&table, "shrinker_enabled"),
        enabled: reader.flag(&table, "enabled"),
    }
}

fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() < 32 && name.chars().all(is_plain)
}
