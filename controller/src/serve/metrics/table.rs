//! Every metric there is, a row each: name, unit, kind, meaning, and where in the status it is found. `docs/metrics.md`
//! is held against this table by a test, and so are the dashboard and the alert rules.
//!
//! Names follow Prometheus: one prefix, base units, `_total` behind a counter. Pages are shown as *original* bytes.

use crate::serve::status::{CgroupStatus, PressureStatus, Status};

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Whether a metric can fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It rises and falls.
    Gauge,
    /// It only rises, until the agent starts anew or the cgroup goes.
    Counter,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Without prefix, unit and `_total`.
    pub name: &'static str,
    /// `bytes`, `seconds` or nothing.
    pub unit: &'static str,
    /// What kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
    pub(super) of: Of,
}

/// Where the values come from. `None` is unknown: then there is no sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// One value of the host or the agent.
    Host(fn(&Status) -> Option<f64>),
    /// Several, by label.
    Each(fn(&Status) -> Vec<(Labels, f64)>),
    /// One of each cgroup; the second argument is the size of a page.
    Cgroup(fn(&CgroupStatus, f64) -> Option<f64>),
}

impl Metric {
    /// The name of its samples.
    #[must_use]
    pub fn full_name(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}_{}{unit}{end}", super::PREFIX, self.name)
    }
}

const fn host(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    value: fn(&Status) -> Option<f64>,
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels: &[], help, of: Of::Host(value) }
}

const fn each(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    values: fn(&Status) -> Vec<(Labels, f64)>,
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels, help, of: Of::Each(values) }
}

const fn cgroup(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    value: fn(&CgroupStatus, f64) -> Option<f64>,
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels: &["cgroup", "policy"], help, of: Of::Cgroup(value) }
}

use Kind::{Counter, Gauge};

/// Every metric.
pub const METRICS: &[Metric] = &[
    each("build_info", "", Gauge, &["version"], build, "Always 1; the version of swaptier is its label."),
    // The agent.
    host("agent_ticks", "", Counter, |s| Some(s.agent.tick as f64), "Ticks since the agent started."),
    host(
        "agent_blind_ticks",
        "",
        Counter,
        |s| Some(s.agent.blind_ticks as f64),
        "Ticks that could not see the host and did nothing.",
    ),
    host(
        "agent_last_tick_timestamp",
        "seconds",
        Gauge,
        |s| Some(s.unix_seconds),
        "When the last tick ended, in seconds since 1970.",
    ),
    host(
        "agent_tick_wall",
        "seconds",
        Counter,
        |s| Some(s.agent.cost.ticks_seconds),
        "Time that all ticks took, waiting for write-back included.",
    ),
    host(
        "agent_tick_cpu",
        "seconds",
        Counter,
        |s| Some(s.agent.cost.ticks_cpu_seconds),
        "Processor time that all ticks took.",
    ),
    host(
        "agent_cpu",
        "seconds",
        Counter,
        |s| Some(s.agent.cost.cpu_seconds),
        "Processor time of the whole agent, its socket and journal included.",
    ),
    host(
        "agent_resident_memory",
        "bytes",
        Gauge,
        |s| s.agent.cost.resident_bytes.map(|it| it as f64),
        "The agent's own memory in RAM.",
    ),
    host("agent_policies", "", Gauge, |s| Some(s.agent.policies as f64), "Policies in force."),
    host(
        "agent_dry_run",
        "",
        Gauge,
        |s| Some(f64::from(u8::from(s.agent.dry_run))),
        "1 while the agent decides and changes nothing.",
    ),
    host(
        "agent_journal_dropped",
        "",
        Counter,
        |s| Some(s.agent.journal_dropped as f64),
        "Ticks missing from the journal: the disk was slow, full or gone.",
    ),
    host(
        "agent_changed_files",
        "",
        Gauge,
        |s| Some(s.knobs.len() as f64),
        "Kernel files that hold a value of swaptier's and will be given back.",
    ),
    host(
        "agent_losses",
        "",
        Gauge,
        |s| Some(s.agent.lost.len() as f64),
        "Things this host lacks that cost a part of what swaptier can do.",
    ),
    each(
        "agent_dialect_info",
        "",
        Gauge,
        &["dialect"],
        dialect,
        "Always 1; the way write-back would be done now is its label. Missing where there is none.",
    ),
    each(
        "agent_steps",
        "",
        Counter,
        &["outcome"],
        steps,
        "Steps of plans carried out, by what came of them.",
    ),
    host(
        "agent_holds",
        "",
        Gauge,
        |s| Some(s.held.len() as f64),
        "Things the last decision did not do, and said why.",
    ),
    // The shadow map.
    each(
        "map_state",
        "",
        Gauge,
        &["state"],
        map_state,
        "Always 1; whether the map agrees with the kernel is its label: exact, behind or absent.",
    ),
    host(
        "map_memory",
        "bytes",
        Gauge,
        |s| Some(s.map.locked_bytes as f64),
        "Kernel memory that the shadow map holds.",
    ),
    host(
        "map_used",
        "bytes",
        Gauge,
        |s| Some(s.map.used_bytes as f64),
        "Memory of the shadow map's frames that swap slots use.",
    ),
    host(
        "map_drift",
        "bytes",
        Gauge,
        |s| Some(s.map.drift_pages as f64 * s.host.page_bytes as f64),
        "Original bytes in zswap by the map less those by the kernel.",
    ),
    host(
        "map_repaired_slots",
        "",
        Counter,
        |s| Some(s.map.repaired_pages as f64),
        "Slots that were wrong in the map and were put right.",
    ),
    host(
        "map_missed_events",
        "",
        Counter,
        |s| Some(s.map.missed_events as f64),
        "Events that the map had no room for.",
    ),
    host(
        "map_recursion_misses",
        "",
        Counter,
        |s| Some(s.map.recursion_misses as f64),
        "Runs of the probes that the kernel skipped.",
    ),
    // The host.
    host("host_memory", "bytes", Gauge, |s| Some(s.host.ram_bytes as f64), "RAM."),
    host(
        "host_available_memory",
        "bytes",
        Gauge,
        |s| s.host.available_bytes.map(|it| it as f64),
        "MemAvailable of /proc/meminfo.",
    ),
    host(
        "zswap_enabled",
        "",
        Gauge,
        |s| s.host.zswap_enabled.map(|it| f64::from(u8::from(it))),
        "1 while zswap takes pages.",
    ),
    host(
        "zswap_original",
        "bytes",
        Gauge,
        |s| s.host.zswap_original_bytes.map(|it| it as f64),
        "Original bytes in zswap.",
    ),
    host(
        "zswap_compressed",
        "bytes",
        Gauge,
        |s| s.host.zswap_compressed_bytes.map(|it| it as f64),
        "Compressed bytes in zswap's pool.",
    ),
    host(
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
    host(
        "disk_original",
        "bytes",
        Gauge,
        |s| s.host.disk_original_bytes.map(|it| it as f64),
        "Original bytes of pages on swap devices, by the shadow map.",
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
    host("writeback_rounds", "", Counter, |s| Some(s.totals.rounds as f64), "Rounds of write-back."),
    host(
        "writeback_rounds_failed",
        "",
        Counter,
        |s| Some(s.totals.rounds_failed as f64),
        "Rounds of write-back that the kernel refused or that could not be carried out.",
    ),
    host(
        "writeback_asked",
        "bytes",
        Counter,
        |s| pages(s, s.totals.asked_pages),
        "Original bytes that rounds were asked to write back.",
    ),
    host(
        "writeback_written",
        "bytes",
        Counter,
        |s| pages(s, s.totals.written_pages),
        "Original bytes that rounds wrote back.",
    ),
    host(
        "writeback_overshoot",
        "bytes",
        Counter,
        |s| pages(s, s.totals.overshoot_pages),
        "Original bytes that rounds wrote back beyond what was asked.",
    ),
    host(
        "writeback_sibling",
        "bytes",
        Counter,
        |s| pages(s, s.totals.sibling_pages),
        "Original bytes of other cgroups that were written back during rounds.",
    ),
    host(
        "writeback_refused_stores",
        "",
        Counter,
        |s| Some(s.totals.refused_stores as f64),
        "Stores of the host that zswap refused during rounds.",
    ),
    host("writeback_round", "seconds", Counter, |s| Some(s.totals.round_seconds), "Time that rounds took."),
    // Cgroups, their subtrees included.
    host(
        "cgroups",
        "",
        Gauge,
        |s| Some(s.cgroups.len() as f64),
        "Cgroups with a policy or with anything in swap.",
    ),
    cgroup(
        "cgroup_memory",
        "bytes",
        Gauge,
        |c, _| c.memory_current_bytes.map(|it| it as f64),
        "memory.current.",
    ),
    cgroup(
        "cgroup_zswap_original",
        "bytes",
        Gauge,
        |c, page| c.zswap_pages.map(|it| it as f64 * page),
        "Original bytes in zswap.",
    ),
    cgroup(
        "cgroup_zswap_compressed",
        "bytes",
        Gauge,
        |c, _| c.zswap_compressed_bytes.map(|it| it as f64),
        "Compressed bytes in zswap.",
    ),
    cgroup(
        "cgroup_disk_original",
        "bytes",
        Gauge,
        |c, page| c.phys_pages.map(|it| it as f64 * page),
        "Original bytes on swap devices.",
    ),
    cgroup(
        "cgroup_zero_original",
        "bytes",
        Gauge,
        |c, page| c.zero_pages.map(|it| it as f64 * page),
        "Original bytes of pages of zeroes, stored nowhere.",
    ),
    cgroup(
        "cgroup_unknown_original",
        "bytes",
        Gauge,
        |c, page| c.unknown_pages.map(|it| it as f64 * page),
        "Original bytes in swap of which nothing more is known.",
    ),
    cgroup(
        "cgroup_cold_original",
        "bytes",
        Gauge,
        |c, page| c.cold_pages.map(|it| it as f64 * page),
        "Original bytes in zswap for as long as the policy asks, or longer.",
    ),
    cgroup(
        "cgroup_cold_age",
        "seconds",
        Gauge,
        |c, _| c.older_than_seconds.map(|it| it as f64),
        "The age that the policy asks for.",
    ),
    cgroup(
        "cgroup_oldest",
        "seconds",
        Gauge,
        |c, _| c.oldest_seconds.map(|it| it as f64),
        "How long the oldest page has been in zswap.",
    ),
    cgroup(
        "cgroup_stored",
        "bytes",
        Counter,
        |c, page| c.stored_pages.map(|it| it as f64 * page),
        "Original bytes stored in zswap.",
    ),
    cgroup(
        "cgroup_loaded",
        "bytes",
        Counter,
        |c, page| c.loaded_pages.map(|it| it as f64 * page),
        "Original bytes read out of zswap.",
    ),
    cgroup(
        "cgroup_written_back",
        "bytes",
        Counter,
        |c, page| c.written_back_pages.map(|it| it as f64 * page),
        "Original bytes written back from zswap to a device.",
    ),
    cgroup(
        "cgroup_direct",
        "bytes",
        Counter,
        |c, page| c.direct_pages.map(|it| it as f64 * page),
        "Original bytes written to a device without zswap.",
    ),
    cgroup(
        "cgroup_read",
        "bytes",
        Counter,
        |c, page| c.read_pages.map(|it| it as f64 * page),
        "Original bytes read from a device.",
    ),
    cgroup(
        "cgroup_regret",
        "bytes",
        Counter,
        |c, page| c.regret_pages.map(|it| it as f64 * page),
        "Original bytes read from a device that write-back had put there.",
    ),
    cgroup(
        "cgroup_memory_pressure",
        "seconds",
        Counter,
        |c, _| c.memory_pressure.map(|it| it.some_seconds),
        "Time in which some task of the cgroup waited for memory.",
    ),
];

fn pages(status: &Status, pages: u64) -> Option<f64> {
    Some(pages as f64 * status.host.page_bytes as f64)
}

fn build(_: &Status) -> Vec<(Labels, f64)> {
    vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)]
}

fn dialect(status: &Status) -> Vec<(Labels, f64)> {
    status.agent.dialect.iter().map(|dialect| (vec![("dialect", dialect.clone())], 1.0)).collect()
}

fn map_state(status: &Status) -> Vec<(Labels, f64)> {
    vec![(vec![("state", status.map.state.clone())], 1.0)]
}

fn steps(status: &Status) -> Vec<(Labels, f64)> {
    let totals = &status.totals;
    let sample = |outcome: &str, steps: u64| (vec![("outcome", outcome.to_owned())], steps as f64);
    vec![sample("done", totals.steps), sample("trouble", totals.steps_in_trouble)]
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

fn areas(status: &Status, value: fn(&crate::serve::status::AreaStatus) -> f64) -> Vec<(Labels, f64)> {
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
