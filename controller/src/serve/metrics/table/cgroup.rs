//! Metrics of each cgroup, its subtree included.

use super::{
    Kind::{Counter, Gauge},
    Metric, of_cgroup, one,
};

/// The rows.
pub(super) const ROWS: &[Metric] = &[
    // Cgroups, their subtrees included.
    one(
        "cgroups",
        "",
        Gauge,
        |s| Some(s.cgroups.len() as f64),
        "Cgroups with a policy or with anything in swap.",
    ),
    of_cgroup(
        "cgroup_memory",
        "bytes",
        Gauge,
        |c, _| c.memory_current_bytes.map(|it| it as f64),
        "memory.current.",
    ),
    of_cgroup(
        "cgroup_zswap_original",
        "bytes",
        Gauge,
        |c, page| c.zswap_pages.map(|it| it as f64 * page),
        "Original bytes in zswap.",
    ),
    of_cgroup(
        "cgroup_zswap_compressed",
        "bytes",
        Gauge,
        |c, _| c.zswap_compressed_bytes.map(|it| it as f64),
        "Compressed bytes in zswap.",
    ),
    of_cgroup(
        "cgroup_disk_original",
        "bytes",
        Gauge,
        |c, page| c.phys_pages.map(|it| it as f64 * page),
        "Original bytes on swap devices.",
    ),
    of_cgroup(
        "cgroup_zero_original",
        "bytes",
        Gauge,
        |c, page| c.zero_pages.map(|it| it as f64 * page),
        "Original bytes of pages of zeroes, stored nowhere.",
    ),
    of_cgroup(
        "cgroup_unknown_original",
        "bytes",
        Gauge,
        |c, page| c.unknown_pages.map(|it| it as f64 * page),
        "Original bytes in swap of which nothing more is known.",
    ),
    of_cgroup(
        "cgroup_cold_original",
        "bytes",
        Gauge,
        |c, page| c.cold_pages.map(|it| it as f64 * page),
        "Original bytes in zswap for as long as the policy asks, or longer.",
    ),
    of_cgroup(
        "cgroup_cold_age",
        "seconds",
        Gauge,
        |c, _| c.older_than_seconds.map(|it| it as f64),
        "The age that the policy asks for.",
    ),
    of_cgroup(
        "cgroup_oldest",
        "seconds",
        Gauge,
        |c, _| c.oldest_seconds.map(|it| it as f64),
        "How long the oldest page has been in zswap.",
    ),
    of_cgroup(
        "cgroup_stored",
        "bytes",
        Counter,
        |c, page| c.stored_pages.map(|it| it as f64 * page),
        "Original bytes stored in zswap.",
    ),
    of_cgroup(
        "cgroup_loaded",
        "bytes",
        Counter,
        |c, page| c.loaded_pages.map(|it| it as f64 * page),
        "Original bytes read out of zswap.",
    ),
    of_cgroup(
        "cgroup_written_back",
        "bytes",
        Counter,
        |c, page| c.written_back_pages.map(|it| it as f64 * page),
        "Original bytes written back from zswap to a device.",
    ),
    of_cgroup(
        "cgroup_direct",
        "bytes",
        Counter,
        |c, page| c.direct_pages.map(|it| it as f64 * page),
        "Original bytes written to a device without zswap.",
    ),
    of_cgroup(
        "cgroup_read",
        "bytes",
        Counter,
        |c, page| c.read_pages.map(|it| it as f64 * page),
        "Original bytes read from a device.",
    ),
    of_cgroup(
        "cgroup_regret",
        "bytes",
        Counter,
        |c, page| c.regret_pages.map(|it| it as f64 * page),
        "Original bytes read from a device that write-back had put there.",
    ),
    of_cgroup(
        "cgroup_memory_pressure",
        "seconds",
        Counter,
        |c, _| c.memory_pressure.map(|it| it.some_seconds),
        "Time in which some task of the cgroup waited for memory.",
    ),
];
