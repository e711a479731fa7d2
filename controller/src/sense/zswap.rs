//! zswap as a whole: the module's parameters, and its debugfs counters where they can be read.
//!
//! Changing a parameter is `act/zswap_params.rs`. Callers: `sense::collect`, `doctor`, `status`.

use serde::{Deserialize, Serialize};

use crate::root::Root;

/// Where the parameters are, relative to the root.
pub const PARAMETERS: &str = "sys/module/zswap/parameters";
const DEBUGFS: &str = "sys/kernel/debug/zswap";

/// `/sys/module/zswap/parameters`. `None`: this kernel has no such parameter, or it cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZswapParameters {
    /// Whether pages go into zswap.
    pub enabled: Option<bool>,
    /// The pool's limit, as a percentage of RAM.
    pub max_pool_percent: Option<u8>,
    /// Once the limit was met, pages are taken again below this percentage of it.
    pub accept_threshold_percent: Option<u8>,
    /// Whether the kernel's shrinker writes back under memory pressure (6.8 on).
    pub shrinker_enabled: Option<bool>,
    /// The compression algorithm.
    pub compressor: Option<String>,
}

/// `/sys/kernel/debug/zswap`, since zswap was first enabled. `None`: not on this kernel, or not readable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZswapCounters {
    /// *Compressed* bytes in the pool.
    pub pool_total_size: Option<u64>,
    /// Pages in the pool.
    pub stored_pages: Option<u64>,
    /// Pages written back to disk.
    pub written_back_pages: Option<u64>,
    /// Stores that met the pool's limit.
    pub pool_limit_hit: Option<u64>,
    /// Stores refused because reclaim of the pool failed.
    pub reject_reclaim_fail: Option<u64>,
    /// Stores refused because no memory was to be had.
    pub reject_alloc_fail: Option<u64>,
    /// Stores refused because the page does not compress.
    pub reject_compress_poor: Option<u64>,
    /// Stores refused because the compressor failed (6.12 on).
    pub reject_compress_fail: Option<u64>,
    /// Pages kept although they do not compress (6.18 on).
    pub stored_incompressible_pages: Option<u64>,
}

/// Reads the parameters.
pub fn read_parameters(root: &Root) -> ZswapParameters {
    let value = |name: &str| root.read_value(&format!("{PARAMETERS}/{name}")).ok();
    let switch = |name: &str| match value(name)?.as_str() {
        "Y" | "1" => Some(true),
        "N" | "0" => Some(false),
        _ => None,
    };
    let percent = |name: &str| value(name)?.parse().ok();
    ZswapParameters {
        enabled: switch("enabled"),
        max_pool_percent: percent("max_pool_percent"),
        accept_threshold_percent: percent("accept_threshold_percent"),
        shrinker_enabled: switch("shrinker_enabled"),
        compressor: value("compressor").filter(|name| !name.is_empty()),
    }
}

/// Reads the debugfs counters; all unknown when debugfs is not mounted or may not be read.
pub fn read_counters(root: &Root) -> ZswapCounters {
    let count = |name: &str| root.read_value(&format!("{DEBUGFS}/{name}")).ok()?.parse().ok();
    ZswapCounters {
        pool_total_size: count("pool_total_size"),
        stored_pages: count("stored_pages"),
        written_back_pages: count("written_back_pages"),
        pool_limit_hit: count("pool_limit_hit"),
        reject_reclaim_fail: count("reject_reclaim_fail"),
        reject_alloc_fail: count("reject_alloc_fail"),
        reject_compress_poor: count("reject_compress_poor"),
        reject_compress_fail: count("reject_compress_fail"),
        stored_incompressible_pages: count("stored_incompressible_pages"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn each_parameter_is_read() {
        let fake = FakeRoot::host();
        let expected = ZswapParameters {
            enabled: Some(true),
            max_pool_percent: Some(20),
            accept_threshold_percent: Some(90),
            shrinker_enabled: Some(false),
            compressor: Some("lz4".into()),
        };
        assert_eq!(read_parameters(fake.root()), expected);
    }

    #[test]
    fn one_parameter_less_leaves_the_others_known() {
        for (name, is_unknown) in [
            ("enabled", (|p| p.enabled.is_none()) as fn(&ZswapParameters) -> bool),
            ("max_pool_percent", |p| p.max_pool_percent.is_none()),
            ("accept_threshold_percent", |p| p.accept_threshold_percent.is_none()),
            ("shrinker_enabled", |p| p.shrinker_enabled.is_none()),
            ("compressor", |p| p.compressor.is_none()),
        ] {
            let fake = FakeRoot::host();
            let whole = read_parameters(fake.root());
            fake.remove(&format!("{PARAMETERS}/{name}"));
            let parameters = read_parameters(fake.root());
            assert!(is_unknown(&parameters) && !is_unknown(&whole), "{name}");
        }
    }

    #[test]
    fn nonsense_in_a_parameter_is_unknown() {
        let fake = FakeRoot::host();
        fake.write(&format!("{PARAMETERS}/enabled"), "maybe\n");
        // 300 does not fit a percentage.
        fake.write(&format!("{PARAMETERS}/max_pool_percent"), "300\n");
        let parameters = read_parameters(fake.root());
        assert_eq!((parameters.enabled, parameters.max_pool_percent), (None, None));
    }

    #[test]
    fn counters_are_unknown_without_debugfs() {
        let fake = FakeRoot::host();
        assert_eq!(read_counters(fake.root()), ZswapCounters::default());
        fake.write("sys/kernel/debug/zswap/stored_pages", "3072\n");
        fake.write("sys/kernel/debug/zswap/pool_limit_hit", "2\n");
        let counters = read_counters(fake.root());
        assert_eq!((counters.stored_pages, counters.pool_limit_hit), (Some(3072), Some(2)));
    }
}
