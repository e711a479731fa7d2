//! Metrics of the agent itself and of its shadow map.

use super::{
    Kind::{Counter, Gauge},
    Labels, Metric, each, one,
};
use crate::serve::status::Status;

/// The rows.
pub(super) const ROWS: &[Metric] = &[
    each("build_info", "", Gauge, &["version"], build, "Always 1; the version of swaptier is its label."),
    // The agent.
    one("agent_ticks", "", Counter, |s| Some(s.agent.tick as f64), "Ticks since the agent started."),
    one(
        "agent_blind_ticks",
        "",
        Counter,
        |s| Some(s.agent.blind_ticks as f64),
        "Ticks that could not see the host and did nothing.",
    ),
    one(
        "agent_last_tick_timestamp",
        "seconds",
        Gauge,
        |s| Some(s.unix_seconds),
        "When the last tick ended, in seconds since 1970.",
    ),
    one(
        "agent_tick_wall",
        "seconds",
        Counter,
        |s| Some(s.agent.cost.ticks_seconds),
        "Time that all ticks took, waiting for write-back included.",
    ),
    one(
        "agent_tick_cpu",
        "seconds",
        Counter,
        |s| Some(s.agent.cost.ticks_cpu_seconds),
        "Processor time that all ticks took.",
    ),
    one(
        "agent_cpu",
        "seconds",
        Counter,
        |s| Some(s.agent.cost.cpu_seconds),
        "Processor time of the whole agent, its socket and journal included.",
    ),
    one(
        "agent_resident_memory",
        "bytes",
        Gauge,
        |s| s.agent.cost.resident_bytes.map(|it| it as f64),
        "The agent's own memory in RAM.",
    ),
    one("agent_policies", "", Gauge, |s| Some(s.agent.policies as f64), "Policies in force."),
    one(
        "agent_dry_run",
        "",
        Gauge,
        |s| Some(f64::from(u8::from(s.agent.dry_run))),
        "1 while the agent decides and changes nothing.",
    ),
    one(
        "agent_journal_dropped",
        "",
        Counter,
        |s| Some(s.agent.journal_dropped as f64),
        "Ticks missing from the journal: the disk was slow, full or gone.",
    ),
    one(
        "agent_changed_files",
        "",
        Gauge,
        |s| Some(s.knobs.len() as f64),
        "Kernel files that hold a value of swaptier's and will be given back.",
    ),
    one(
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
    one(
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
    one(
        "map_memory",
        "bytes",
        Gauge,
        |s| Some(s.map.locked_bytes as f64),
        "Kernel memory that the shadow map holds.",
    ),
    one(
        "map_used",
        "bytes",
        Gauge,
        |s| Some(s.map.used_bytes as f64),
        "Memory of the shadow map's frames that swap slots use.",
    ),
    one(
        "map_drift",
        "bytes",
        Gauge,
        |s| Some(s.map.drift_pages as f64 * s.host.page_bytes as f64),
        "Original bytes in zswap by the map less those by the kernel.",
    ),
    one(
        "map_repaired_slots",
        "",
        Counter,
        |s| Some(s.map.repaired_pages as f64),
        "Slots that were wrong in the map and were put right.",
    ),
    one(
        "map_missed_events",
        "",
        Counter,
        |s| Some(s.map.missed_events as f64),
        "Events that the map had no room for.",
    ),
    one(
        "map_recursion_misses",
        "",
        Counter,
        |s| Some(s.map.recursion_misses as f64),
        "Runs of the probes that the kernel skipped.",
    ),
    one(
        "map_found_stores",
        "",
        Counter,
        |s| Some(s.map.found_stores as f64),
        "Pages stored in skipped runs, found in zswap and entered.",
    ),
];

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
