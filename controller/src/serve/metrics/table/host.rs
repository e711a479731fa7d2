//! Metrics of the host, of its swap areas, and of what rounds of write-back did there.

use super::{
    Kind::{Counter, Gauge},
    Labels, Metric, durations, each, one,
};
use crate::serve::status::{AreaStatus, Durations, PressureStatus, Status};

/// The rows.
pub(super) const ROWS: &[Metric] = &[
    // The host.
    one("host_memory", "bytes", Gauge, |s| Some(s.host.ram_bytes as f64), "RAM."),
    one(
        "host_available_memory",
        "bytes",
        Gauge,
        |s| s.host.available_bytes.map(|it| it as f64),
        "MemAvailable of /proc/meminfo.",
    ),
    one(
        "zswap_enabled",
        "",
        Gauge,
        |s| s.host.zswap_enabled.map(|it| f64::from(u8::from(it))),
        "1 while zswap takes pages.",
    ),
    one(
        "zswap_original",
        "bytes",
        Gauge,
        |s| s.host.zswap_original_bytes.map(|it| it as f64),
        "Original bytes in zswap.",
    ),
    one(
        "zswap_compressed",
        "bytes",
        Gauge,
        |s| s.host.zswap_compressed_bytes.map(|it| it as f64),
        "Compressed bytes in zswap's pool.",
    ),
    one(
        "zswap_pool_limit",
        "bytes",
        Gauge,
        |s| s.host.pool_limit_bytes.map(|it| it as f64),
        "Compressed bytes that zswap's pool may have.",
    ),
    each(
        "zswap_refused_stores",
        "",
        Counter,
        &["reason"],
        refused,
        "Stores that zswap refused since it was first enabled.",
    ),
    one(
        "disk_original",
        "bytes",
        Gauge,
        |s| s.host.disk_original_bytes.map(|it| it as f64),
        "Original bytes of pages on swap devices, by the shadow map.",
    ),
    durations(
        "swap_in_duration",
        &["tier"],
        swap_ins,
        "How long swap-ins took by the tier their page was in, while they were timed.",
    ),
    each(
        "area_size",
        "bytes",
        Gauge,
        &["area", "kind"],
        |s| areas(s, |area| area.size_bytes as f64),
        "Size of a swap area.",
    ),
    each(
        "area_used",
        "bytes",
        Gauge,
        &["area", "kind"],
        |s| areas(s, |area| area.used_bytes as f64),
        "Slots of a swap area in use, wherever the pages are.",
    ),
    each(
        "area_priority",
        "",
        Gauge,
        &["area", "kind"],
        |s| areas(s, |area| f64::from(area.priority)),
        "Priority of a swap area; higher is used first.",
    ),
    each(
        "pressure",
        "seconds",
        Counter,
        &["resource", "kind"],
        pressure,
        "Time in which some task, or all of them, waited for memory or I/O.",
    ),
    // Write-back.
    one("writeback_rounds", "", Counter, |s| Some(s.totals.rounds as f64), "Rounds of write-back."),
    one(
        "writeback_rounds_failed",
        "",
        Counter,
        |s| Some(s.totals.rounds_failed as f64),
        "Rounds of write-back that the kernel refused or that could not be carried out.",
    ),
    one(
        "writeback_asked",
        "bytes",
        Counter,
        |s| pages(s, s.totals.asked_pages),
        "Original bytes that rounds were asked to write back.",
    ),
    one(
        "writeback_written",
        "bytes",
        Counter,
        |s| pages(s, s.totals.written_pages),
        "Original bytes that rounds wrote back.",
    ),
    one(
        "writeback_overshoot",
        "bytes",
        Counter,
        |s| pages(s, s.totals.overshoot_pages),
        "Original bytes that rounds wrote back beyond what was asked.",
    ),
    one(
        "writeback_sibling",
        "bytes",
        Counter,
        |s| pages(s, s.totals.sibling_pages),
        "Original bytes of other cgroups that were written back during rounds.",
    ),
    one(
        "writeback_refused_stores",
        "",
        Counter,
        |s| Some(s.totals.refused_stores as f64),
        "Stores of the host that zswap refused during rounds.",
    ),
    one("writeback_round", "seconds", Counter, |s| Some(s.totals.round_seconds), "Time that rounds took."),
];

fn pages(status: &Status, pages: u64) -> Option<f64> {
    Some(pages as f64 * status.host.page_bytes as f64)
}

fn refused(status: &Status) -> Vec<(Labels, f64)> {
    let refused = status.host.refused_stores.unwrap_or_default();
    let sample =
        |reason: &str, stores: Option<u64>| Some((vec![("reason", reason.to_owned())], stores? as f64));
    let all = [
        sample("pool_limit", refused.pool_limit),
        sample("no_memory", refused.no_memory),
        sample("incompressible", refused.incompressible),
        sample("compressor_failed", refused.compressor_failed),
        sample("reclaim_failed", refused.reclaim_failed),
    ];
    all.into_iter().flatten().collect()
}

fn swap_ins(status: &Status) -> Vec<(Labels, &Durations)> {
    let of = |tier: &str, durations| (vec![("tier", tier.to_owned())], durations);
    let swap_ins = status.host.swap_ins.iter();
    swap_ins.flat_map(|it| [of("zswap", &it.zswap), of("disk", &it.disk)]).collect()
}

fn areas(status: &Status, value: fn(&AreaStatus) -> f64) -> Vec<(Labels, f64)> {
    let labels = |path: &String, kind: &String| vec![("area", path.clone()), ("kind", kind.clone())];
    status.areas.iter().map(|area| (labels(&area.path, &area.kind), value(area))).collect()
}

fn pressure(status: &Status) -> Vec<(Labels, f64)> {
    let of = |resource: &'static str, pressure: Option<PressureStatus>| {
        let labels = |kind: &str| vec![("resource", resource.to_owned()), ("kind", kind.to_owned())];
        let some = pressure.map(|it| (labels("some"), it.some_seconds));
        let full = pressure.and_then(|it| it.full_seconds).map(|seconds| (labels("full"), seconds));
        [some, full].into_iter().flatten()
    };
    of("memory", status.host.memory_pressure).chain(of("io", status.host.io_pressure)).collect()
}
