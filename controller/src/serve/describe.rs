//! What each field of the status and the detail is: one table, from which `describe` answers. A test holds it against
//! the types themselves.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Where it is in the JSON of the status, `[]` for each element of a list: `cgroups[].zswap_pages`. Fields that only
    /// a detail has begin with `detail.`.
    pub name: Cow<'static, str>,
    /// `pages`, `bytes` (which bytes is in the help), `seconds`, `milliseconds`, `percent`, `pages/s`, or empty.
    pub unit: Cow<'static, str>,
    /// `gauge`, `counter`, `histogram`, `text`, `flag` or `id`.
    pub kind: Cow<'static, str>,
    /// What it means, in a sentence.
    pub help: Cow<'static, str>,
}

/// All fields.
#[must_use]
pub fn fields() -> Vec<Field> {
    let field = |(name, unit, kind, help): &Row| Field {
        name: (*name).into(),
        unit: (*unit).into(),
        kind: (*kind).into(),
        help: (*help).into(),
    };
    FIELDS.iter().map(field).collect()
}

type Row = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const FIELDS: &[Row] = &[
    ("schema", "", "id", "Version of this shape."),
    ("unix_seconds", "seconds", "gauge", "When it was published, since 1970."),
    ("last_event", "", "id", "Number of the newest event."),
    ("agent.running", "", "flag", "Whether an agent is running."),
    ("agent.pid", "", "id", "Its process."),
    ("agent.tick", "", "counter", "Ticks since it started."),
    ("agent.tick_ms", "milliseconds", "gauge", "How long the last tick took, waiting for write-back included."),
    ("agent.tick_interval_seconds", "seconds", "gauge", "From one tick to the next."),
    ("agent.doing", "", "text", "What it does now that the next tick waits for: a round of write-back."),
    ("agent.blind_ticks", "", "counter", "Ticks that could not see the host."),
    ("agent.policies", "", "gauge", "Policies in force."),
    ("agent.dialect", "", "text", "How it would be written back now."),
    ("agent.no_dialect", "", "text", "Why it cannot be written back."),
    ("agent.lost", "", "text", "What this host lacks and what that costs."),
    ("agent.dry_run", "", "flag", "It decides and changes nothing."),
    ("agent.journal_dropped", "", "counter", "Lines of the journal that were lost."),
    ("agent.cost.tick_cpu_ms", "milliseconds", "gauge", "Processor time of the last tick."),
    ("agent.cost.ticks_seconds", "seconds", "counter", "Time that all ticks took."),
    ("agent.cost.ticks_cpu_seconds", "seconds", "counter", "Processor time that all ticks took."),
    ("agent.cost.cpu_seconds", "seconds", "counter", "Processor time of the whole process."),
    ("agent.cost.resident_bytes", "bytes", "gauge", "Its own memory in RAM."),
    ("agent.cost.is_locked", "", "flag", "Its memory cannot be swapped out."),
    ("host.ram_bytes", "bytes", "gauge", "RAM."),
    ("host.available_bytes", "bytes", "gauge", "MemAvailable."),
    ("host.page_bytes", "bytes", "gauge", "Bytes of a page."),
    ("host.zswap_enabled", "", "flag", "Whether zswap takes pages."),
    ("host.zswap_compressed_bytes", "bytes", "gauge", "Compressed bytes in zswap's pool."),
    ("host.zswap_original_bytes", "bytes", "gauge", "Original bytes in zswap's pool."),
    ("host.pool_limit_bytes", "bytes", "gauge", "Compressed bytes the pool may have."),
    ("host.accept_threshold_percent", "percent", "gauge", "Of the pool's limit: below it pages are taken again once it was met."),
    ("host.swap_total_bytes", "bytes", "gauge", "Slots of all swap areas."),
    ("host.swap_free_bytes", "bytes", "gauge", "Slots in no use."),
    ("host.slot_cost_bytes", "bytes", "gauge", "Kernel memory of an empty swap slot, where it was measured."),
    ("host.disk_original_bytes", "bytes", "gauge", "Original bytes of pages on swap devices, by the map."),
    ("host.memory_pressure.some_avg10", "percent", "gauge", "Time in which some task waited, of the last 10 s."),
    ("host.memory_pressure.some_avg60", "percent", "gauge", "The same of the last 60 s."),
    ("host.memory_pressure.some_seconds", "seconds", "counter", "The same since boot."),
    ("host.memory_pressure.full_avg10", "percent", "gauge", "Time in which all tasks waited, of the last 10 s."),
    ("host.memory_pressure.full_avg60", "percent", "gauge", "The same of the last 60 s."),
    ("host.memory_pressure.full_seconds", "seconds", "counter", "The same since boot."),
    ("host.io_pressure.some_avg10", "percent", "gauge", "As memory_pressure, of I/O."),
    ("host.io_pressure.some_avg60", "percent", "gauge", "As memory_pressure, of I/O."),
    ("host.io_pressure.some_seconds", "seconds", "counter", "As memory_pressure, of I/O."),
    ("host.io_pressure.full_avg10", "percent", "gauge", "As memory_pressure, of I/O."),
    ("host.io_pressure.full_avg60", "percent", "gauge", "As memory_pressure, of I/O."),
    ("host.io_pressure.full_seconds", "seconds", "counter", "As memory_pressure, of I/O."),
    ("host.rates.stored", "pages/s", "gauge", "Stored in zswap."),
    ("host.rates.loaded", "pages/s", "gauge", "Read out of zswap."),
    ("host.rates.written_back", "pages/s", "gauge", "Written back from zswap to a device."),
    ("host.rates.direct", "pages/s", "gauge", "Written to a device, write-back included."),
    ("host.rates.read", "pages/s", "gauge", "Read from a device."),
    ("host.refused_stores.pool_limit", "", "counter", "Stores refused: the pool's limit was met."),
    ("host.refused_stores.no_memory", "", "counter", "Stores refused: no memory was to be had."),
    ("host.refused_stores.incompressible", "", "counter", "Stores refused: the page does not compress."),
    ("host.refused_stores.compressor_failed", "", "counter", "Stores refused: the compressor failed."),
    ("host.refused_stores.reclaim_failed", "", "counter", "Stores refused: reclaim of the pool failed."),
    ("host.swap_ins.is_timed", "", "flag", "Swap-ins are timed now."),
    ("host.swap_ins.zswap.sum_seconds", "seconds", "counter", "How long swap-ins from zswap took together, while they were timed."),
    ("host.swap_ins.zswap.swap_ins", "", "histogram", "These, by microseconds: bucket 0 below 1, bucket n from 2^(n-1)."),
    ("host.swap_ins.disk.sum_seconds", "seconds", "counter", "How long swap-ins from a device took together, while they were timed."),
    ("host.swap_ins.disk.swap_ins", "", "histogram", "These, by microseconds."),
    ("areas[].path", "", "text", "The device or file."),
    ("areas[].kind", "", "text", "partition or file."),
    ("areas[].priority", "", "gauge", "Higher is used first."),
    ("areas[].size_bytes", "bytes", "gauge", "Its slots."),
    ("areas[].used_bytes", "bytes", "gauge", "Slots in use, wherever the pages are."),
    ("areas[].slots", "pages", "gauge", "Pages it can hold."),
    ("areas[].used_slots", "pages", "gauge", "Slots in use."),
    ("areas[].name", "", "text", "What it was named; the path of one that swaptier did not make."),
    ("areas[].storage", "", "text", "ghost_native, ghost_dm, ghost_zram, virtual, zram or plain."),
    ("areas[].zswap_pages", "pages", "gauge", "Its pages in zswap, by the map."),
    ("areas[].phys_pages", "pages", "gauge", "Its pages on the device, by the map."),
    ("areas[].pinned_pages", "pages", "gauge", "Pages whose place on the disk is kept while they are in zswap."),
    ("areas[].pool.used_bytes", "bytes", "gauge", "Bytes on disk that blocks in use take."),
    ("areas[].pool.total_bytes", "bytes", "gauge", "Bytes on disk there are."),
    ("areas[].pool.headroom_bytes", "bytes", "gauge", "Bytes on disk that can be written until demotion stops."),
    ("areas[].pool.used_blocks", "", "gauge", "Blocks of data in use."),
    ("areas[].pool.used_metadata_blocks", "", "gauge", "Blocks of metadata in use."),
    ("areas[].pool.total_metadata_blocks", "", "gauge", "Blocks of metadata there are."),
    ("areas[].pool.level", "", "text", "free, no_demotion, closed or stopped."),
    ("areas[].pool.amplification", "", "gauge", "Bytes on disk for each original byte on disk."),
    ("map.state", "", "text", "exact, behind or absent."),
    ("map.reason", "", "text", "Why it is absent."),
    ("map.chunks", "", "gauge", "Chunks of 256 KiB in use."),
    ("map.locked_bytes", "bytes", "gauge", "Kernel memory it holds."),
    ("map.used_bytes", "bytes", "gauge", "Of that, frames that swap slots use."),
    ("map.drift_pages", "pages", "gauge", "Pages in zswap by the map less those by the kernel."),
    ("map.repaired_pages", "pages", "counter", "Slots that were wrong and were put right."),
    ("map.recursion_misses", "", "counter", "Runs of the probes that the kernel skipped."),
    ("map.found_stores", "pages", "counter", "Pages stored in skipped runs, found in zswap and entered."),
    ("map.missed_events", "", "counter", "Events that the map had no room for."),
    ("cgroups[].path", "", "text", "Path below the cgroup root; the root is the empty text."),
    ("cgroups[].id", "", "id", "kernfs id: what it is known by."),
    ("cgroups[].parent", "", "id", "kernfs id of the cgroup above."),
    ("cgroups[].policy", "", "text", "File name of its policy."),
    ("cgroups[].populated", "", "flag", "A process lives in it or below."),
    ("cgroups[].memory_current_bytes", "bytes", "gauge", "memory.current: in RAM."),
    ("cgroups[].swap_current_bytes", "bytes", "gauge", "memory.swap.current: original bytes of all its slots."),
    ("cgroups[].zswap_pages", "pages", "gauge", "In zswap."),
    ("cgroups[].zswap_compressed_bytes", "bytes", "gauge", "Compressed bytes of them."),
    ("cgroups[].phys_pages", "pages", "gauge", "On a device."),
    ("cgroups[].zero_pages", "pages", "gauge", "Of zeroes, stored nowhere."),
    ("cgroups[].folio_pages", "pages", "gauge", "In the swap cache alone."),
    ("cgroups[].unknown_pages", "pages", "gauge", "In swap; no more is known."),
    ("cgroups[].drift_pages", "pages", "gauge", "In zswap by the map less those by the kernel."),
    ("cgroups[].cold_pages", "pages", "gauge", "In zswap for as long as the policy asks, or longer."),
    ("cgroups[].cold_compressed_bytes", "bytes", "gauge", "Compressed bytes of them."),
    ("cgroups[].older_than_seconds", "seconds", "gauge", "The age the policy asks for."),
    ("cgroups[].oldest_seconds", "seconds", "gauge", "How long the oldest page has been in zswap."),
    ("cgroups[].stored_pages", "pages", "counter", "Stored in zswap since the map was made."),
    ("cgroups[].loaded_pages", "pages", "counter", "Read out of zswap."),
    ("cgroups[].written_back_pages", "pages", "counter", "Written back from zswap to a device."),
    ("cgroups[].direct_pages", "pages", "counter", "Written to a device without zswap."),
    ("cgroups[].read_pages", "pages", "counter", "Read from a device."),
    ("cgroups[].regret_pages", "pages", "counter", "Read from a device where write-back had put them."),
    ("cgroups[].rates.stored", "pages/s", "gauge", "Stored in zswap."),
    ("cgroups[].rates.loaded", "pages/s", "gauge", "Read out of zswap."),
    ("cgroups[].rates.written_back", "pages/s", "gauge", "Written back from zswap to a device."),
    ("cgroups[].rates.direct", "pages/s", "gauge", "Written to a device without zswap."),
    ("cgroups[].rates.read", "pages/s", "gauge", "Read from a device."),
    ("cgroups[].memory_pressure.some_avg10", "percent", "gauge", "Time in which some task waited for memory, of the last 10 s."),
    ("cgroups[].memory_pressure.some_avg60", "percent", "gauge", "The same of the last 60 s."),
    ("cgroups[].memory_pressure.some_seconds", "seconds", "counter", "The same since the cgroup was made."),
    ("cgroups[].memory_pressure.full_avg10", "percent", "gauge", "Time in which all tasks waited, of the last 10 s."),
    ("cgroups[].memory_pressure.full_avg60", "percent", "gauge", "The same of the last 60 s."),
    ("cgroups[].memory_pressure.full_seconds", "seconds", "counter", "The same since the cgroup was made."),
    ("cgroups[].swap_max", "", "text", "memory.swap.max: bytes, or max."),
    ("cgroups[].zswap_max", "", "text", "memory.zswap.max: compressed bytes, or max."),
    ("cgroups[].closed_by_hand", "", "flag", "Its way to disk was closed by `swaptier close`; left out where it was not."),
    ("cgroups[].zswap_writeback", "", "flag", "memory.zswap.writeback: the way to disk is open."),
    ("cgroups[].last.unix_seconds", "seconds", "gauge", "When something was done to it last, since 1970."),
    ("cgroups[].last.action", "", "text", "What."),
    ("cgroups[].last.by", "", "text", "The policy's file name, or the command."),
    ("cgroups[].last.reason", "", "text", "Why, with the numbers."),
    ("cgroups[].last.outcome", "", "text", "What came of it."),
    ("cgroups[].last.is_trouble", "", "flag", "It was not done as asked."),
    ("rounds", "", "text", "Reports of rounds of write-back, oldest first: docs/writeback.md."),
    ("held[].cgroup", "", "text", "Path of a cgroup to which something was not done at the last decision."),
    ("held[].policy", "", "text", "File name of its policy."),
    ("held[].reason", "", "text", "Why not."),
    ("knobs[].path", "", "text", "A kernel file that holds a value of swaptier's."),
    ("knobs[].cgroup", "", "id", "kernfs id of its cgroup."),
    ("knobs[].before", "", "text", "What it said before, and will say again."),
    ("knobs[].ours", "", "text", "What was written."),
    ("knobs[].by", "", "text", "Who asked for it."),
    ("totals.steps", "", "counter", "Steps that were carried out, or needed no change."),
    ("totals.steps_in_trouble", "", "counter", "Steps that could not be carried out."),
    ("totals.rounds", "", "counter", "Rounds of write-back."),
    ("totals.rounds_failed", "", "counter", "Of these, refused or not possible."),
    ("totals.asked_pages", "pages", "counter", "That rounds were asked for."),
    ("totals.written_pages", "pages", "counter", "That rounds wrote back."),
    ("totals.overshoot_pages", "pages", "counter", "Beyond what was asked."),
    ("totals.sibling_pages", "pages", "counter", "Of other cgroups, written back meanwhile."),
    ("totals.refused_stores", "", "counter", "Stores that zswap refused meanwhile."),
    ("totals.round_seconds", "seconds", "counter", "Time that rounds took."),
    ("detail.ages.zswap_pages", "pages", "histogram", "In zswap now, by seconds there: bucket 0 below 1, bucket n from 2^(n-1)."),
    ("detail.ages.loaded_pages", "pages", "histogram", "Read out of zswap, by seconds there."),
    ("detail.ages.written_back_pages", "pages", "histogram", "Written back, by seconds in zswap."),
    ("detail.swap_ins.is_timed", "", "flag", "Swap-ins are timed now."),
    ("detail.swap_ins.zswap.sum_seconds", "seconds", "counter", "How long swap-ins from zswap took together, while they were timed."),
    ("detail.swap_ins.zswap.swap_ins", "", "histogram", "These, by microseconds: bucket 0 below 1, bucket n from 2^(n-1)."),
    ("detail.swap_ins.disk.sum_seconds", "seconds", "counter", "How long swap-ins from a device took together, while they were timed."),
    ("detail.swap_ins.disk.swap_ins", "", "histogram", "These, by microseconds."),
    ("detail.actions", "", "text", "The last things done to it, oldest first; each as cgroups[].last."),
    ("detail.contenders[].policy", "", "text", "A policy that names it, the winner first."),
    ("detail.contenders[].standing", "", "text", "Why that policy wins, loses or does not apply."),
    ("detail.fate.says", "", "text", "What the swap areas make of its policy."),
    ("detail.fate.can_work", "", "flag", "Whether the policy gets what it asks for."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::serve::{
        detail::{Ages, Contender, Detail, FateStatus},
        status::*,
    };

    /// Every place of a value in which something stands, lists by their first element.
    fn places(at: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let dot = if at.is_empty() { "" } else { "." };
                    places(&format!("{at}{dot}{name}"), value, found);
                }
            }
            Value::Array(list) if list.first().is_some_and(Value::is_object) => {
                places(&format!("{at}[]"), &list[0], found);
            }
            _ => {
                found.insert(at.to_owned());
            }
        }
    }

    /// A status in which nothing is left out. Written out, so that a new field does not compile until it is here.
    fn full() -> Status {
        let pressure = || {
            let known = Some(1.0);
            let (full_avg10, full_avg60, full_seconds) = (known, known, known);
            PressureStatus { full_avg10, full_avg60, full_seconds, ..PressureStatus::default() }
        };
        let known = Some(1.0);
        let rates = Rates { stored: known, loaded: known, written_back: known, direct: known, read: known };
        let text = || Some("x".to_owned());
        Status {
            schema: 1,
            unix_seconds: 1.0,
            agent: AgentStatus {
                pid: Some(1),
                dialect: text(),
                doing: text(),
                no_dialect: text(),
                ..agent()
            },
            host: HostStatus {
                ram_bytes: 1,
                zswap_compressed_bytes: Some(1),
                zswap_original_bytes: Some(1),
                pool_limit_bytes: Some(1),
                swap_total_bytes: 1,
                swap_free_bytes: 1,
                page_bytes: 1,
                available_bytes: Some(1),
                slot_cost_bytes: Some(1.0),
                zswap_enabled: Some(true),
                accept_threshold_percent: Some(1),
                disk_original_bytes: Some(1),
                memory_pressure: Some(pressure()),
                io_pressure: Some(pressure()),
                rates,
                swap_ins: Some(SwapIns::default()),
                refused_stores: Some(RefusedStores {
                    pool_limit: Some(1),
                    no_memory: Some(1),
                    incompressible: Some(1),
                    compressor_failed: Some(1),
                    reclaim_failed: Some(1),
                }),
            },
            areas: vec![AreaStatus {
                storage: Some(swaptier_policies::AreaKind::Virtual),
                zswap_pages: Some(1),
                phys_pages: Some(1),
                pinned_pages: Some(1),
                pool: Some(PoolStatus { amplification: known, ..PoolStatus::default() }),
                ..AreaStatus::default()
            }],
            map: MapStatus { reason: text(), ..MapStatus::default() },
            cgroups: vec![CgroupStatus {
                path: String::new(),
                id: 1,
                policy: text(),
                zswap_pages: Some(1),
                zswap_compressed_bytes: Some(1),
                phys_pages: Some(1),
                zero_pages: Some(1),
                folio_pages: Some(1),
                unknown_pages: Some(1),
                drift_pages: Some(1),
                cold_pages: Some(1),
                older_than_seconds: Some(1),
                oldest_seconds: Some(1),
                stored_pages: Some(1),
                loaded_pages: Some(1),
                written_back_pages: Some(1),
                direct_pages: Some(1),
                read_pages: Some(1),
                regret_pages: Some(1),
                memory_current_bytes: Some(1),
                swap_max: text(),
                zswap_max: text(),
                closed_by_hand: true,
                zswap_writeback: Some(true),
                parent: Some(1),
                populated: Some(true),
                swap_current_bytes: Some(1),
                cold_compressed_bytes: Some(1),
                rates: Some(rates),
                memory_pressure: Some(pressure()),
                last: Some(ActionStatus::default()),
            }],
            rounds: Vec::new(),
            held: vec![HeldStatus { cgroup: String::new(), policy: String::new(), reason: String::new() }],
            knobs: vec![KnobStatus { cgroup: Some(1), ..KnobStatus::default() }],
            last_event: 1,
            totals: TotalsStatus::default(),
        }
    }

    fn agent() -> AgentStatus {
        AgentStatus {
            cost: CostStatus { resident_bytes: Some(1), ..CostStatus::default() },
            ..AgentStatus::default()
        }
    }

    #[test]
    fn every_field_is_described_and_nothing_else_is() {
        let mut there = BTreeSet::new();
        places("", &serde_json::to_value(full()).unwrap(), &mut there);
        let detail = Detail {
            ages: Some(Ages::default()),
            swap_ins: Some(SwapIns::default()),
            contenders: vec![Contender::default()],
            fate: Some(FateStatus::default()),
            ..Detail::default()
        };
        let detail = serde_json::to_value(detail).unwrap();
        // Its other fields are those of the status under the same names.
        for only in ["ages", "swap_ins", "actions", "contenders", "fate"] {
            places(&format!("detail.{only}"), &detail[only], &mut there);
        }
        let described: BTreeSet<String> = FIELDS.iter().map(|row| row.0.to_owned()).collect();
        assert_eq!(described, there);
        assert_eq!(described.len(), FIELDS.len(), "a field is described twice");
    }

    #[test]
    fn every_description_says_what_it_counts() {
        let units = ["", "pages", "bytes", "seconds", "milliseconds", "percent", "pages/s"];
        let kinds = ["gauge", "counter", "histogram", "text", "flag", "id"];
        for (name, unit, kind, help) in FIELDS {
            assert!(units.contains(unit) && kinds.contains(kind) && help.ends_with('.'), "{name}");
            let says = |word: &str| name.ends_with(word);
            assert!(!says("_bytes") || *unit == "bytes", "{name}");
            assert!(!says("_pages") || *unit == "pages", "{name}");
            assert!(!says("_seconds") || *unit == "seconds", "{name}");
        }
    }
}
