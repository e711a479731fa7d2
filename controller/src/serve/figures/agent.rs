//! Numbers of the agent itself and of its shadow map.

use super::{
    Figure,
    Unit::{Bytes, Milliseconds, Pages, Seconds, Things},
    counter, gauge, maybe, sure,
};
use crate::serve::status::Status;

const STEPS: &str = "Steps of plans carried out, by what came of them.";

/// The rows.
pub const ROWS: &[Figure<Status>] = &[
    counter("agent.tick", Things, |s: &Status| sure(s.agent.tick), "Ticks since it started.")
        .metric("agent_ticks", "Ticks since the agent started."),
    gauge("agent.tick_ms", Milliseconds, |s: &Status| Some(s.agent.tick_ms), "How long the last tick took."),
    gauge("agent.tick_interval_seconds", Seconds, |s: &Status| sure(s.agent.tick_interval_seconds), "From one tick to the next."),
    gauge("agent.rounds_waiting", Things, |s: &Status| sure(s.agent.rounds_waiting), "Rounds of write-back that wait until the one that runs has ended."),
    counter("agent.blind_ticks", Things, |s: &Status| sure(s.agent.blind_ticks), "Ticks that could not see the host.")
        .metric("agent_blind_ticks", "Ticks that could not see the host and did nothing."),
    gauge("unix_seconds", Seconds, |s: &Status| Some(s.unix_seconds), "When it was published, since 1970.")
        .metric("agent_last_tick_timestamp", "When the last tick ended, in seconds since 1970."),
    gauge("agent.cost.tick_cpu_ms", Milliseconds, |s: &Status| Some(s.agent.cost.tick_cpu_ms), "Processor time of the last tick."),
    gauge("agent.cost.longest_answer_cpu_ms", Milliseconds, |s: &Status| Some(s.agent.cost.longest_answer_cpu_ms), "Most processor time of the loop from a command to its answer."),
    counter("agent.cost.ticks_seconds", Seconds, |s: &Status| Some(s.agent.cost.ticks_seconds), "Time that all ticks took.")
        .metric("agent_tick_wall", "Time that all ticks took, waiting for write-back included."),
    counter("agent.cost.ticks_cpu_seconds", Seconds, |s: &Status| Some(s.agent.cost.ticks_cpu_seconds), "Processor time that all ticks took.")
        .metric("agent_tick_cpu", "Processor time that all ticks took."),
    counter("agent.cost.cpu_seconds", Seconds, |s: &Status| Some(s.agent.cost.cpu_seconds), "Processor time of the whole process.")
        .metric("agent_cpu", "Processor time of the whole agent, its socket and journal included."),
    gauge("agent.cost.resident_bytes", Bytes, |s: &Status| maybe(s.agent.cost.resident_bytes), "Its own memory in RAM.")
        .metric("agent_resident_memory", "The agent's own memory in RAM."),
    gauge("agent.policies", Things, |s: &Status| sure(s.agent.policies as u64), "Policies in force.")
        .metric("agent_policies", "Policies in force."),
    counter("agent.journal_dropped", Things, |s: &Status| sure(s.agent.journal_dropped), "Lines of the journal that were lost.")
        .metric("agent_journal_dropped", "Ticks missing from the journal: the disk was slow, full or gone."),
    counter("totals.steps", Things, |s: &Status| sure(s.totals.steps), "Steps that were carried out, or needed no change.")
        .series("agent_steps", &[("outcome", "done")], STEPS),
    counter("totals.steps_in_trouble", Things, |s: &Status| sure(s.totals.steps_in_trouble), "Steps that could not be carried out.")
        .series("agent_steps", &[("outcome", "trouble")], STEPS),
    // The shadow map.
    gauge("map.chunks", Things, |s: &Status| sure(s.map.chunks), "Chunks of 256 KiB in use."),
    gauge("map.locked_bytes", Bytes, |s: &Status| sure(s.map.locked_bytes), "Kernel memory it holds.")
        .metric("map_memory", "Kernel memory that the shadow map holds."),
    gauge("map.used_bytes", Bytes, |s: &Status| sure(s.map.used_bytes), "Of that, frames that swap slots use.")
        .metric("map_used", "Memory of the shadow map's frames that swap slots use."),
    gauge("map.age_seconds", Seconds, |s: &Status| maybe(s.map.age_seconds), "Since its slots were walked: pages by tier and age are of then.")
        .metric("map_age", "Since the map's slots were walked: pages by tier and age are of then."),
    gauge("map.drift_pages", Pages, |s: &Status| Some(s.map.drift_pages as f64), "Pages in zswap by the map less those by the kernel.")
        .metric("map_drift", "Original bytes in zswap by the map less those by the kernel."),
    counter("map.repaired_pages", Pages, |s: &Status| sure(s.map.repaired_pages), "Slots that were wrong and were put right.")
        .times("map_repaired_slots", "Slots that were wrong in the map and were put right."),
    counter("map.missed_events", Things, |s: &Status| sure(s.map.missed_events), "Events that the map had no room for.")
        .metric("map_missed_events", "Events that the map had no room for."),
    counter("map.recursion_misses", Things, |s: &Status| sure(s.map.recursion_misses), "Runs of the probes that the kernel skipped.")
        .metric("map_recursion_misses", "Runs of the probes that the kernel skipped."),
    counter("map.found_stores", Pages, |s: &Status| sure(s.map.found_stores), "Pages stored in skipped runs, found in zswap and entered.")
        .times("map_found_stores", "Pages stored in skipped runs, found in zswap and entered."),
];
