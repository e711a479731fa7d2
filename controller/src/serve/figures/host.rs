//! Numbers of the host, and of what rounds of write-back did there.

use super::{
    Figure,
    Unit::{Bytes, Pages, PagesPerSecond, Percent, Seconds, Things},
    counter, gauge, maybe, sure,
};
use crate::serve::status::{RefusedStores, Status, SwapIns};

const REFUSED: &str = "Stores that zswap refused since it was first enabled.";
const PRESSURE: &str = "Time in which some task, or all of them, waited for memory or I/O.";

/// The rows.
pub const ROWS: &[Figure<Status>] = &[
    gauge("host.ram_bytes", Bytes, |s: &Status| sure(s.host.ram_bytes), "RAM.").metric("host_memory", "RAM."),
    gauge("host.available_bytes", Bytes, |s: &Status| maybe(s.host.available_bytes), "MemAvailable.")
        .metric("host_available_memory", "MemAvailable of /proc/meminfo."),
    gauge("host.page_bytes", Bytes, |s: &Status| sure(s.host.page_bytes), "Bytes of a page."),
    gauge("host.zswap_original_bytes", Bytes, |s: &Status| maybe(s.host.zswap_original_bytes), "Original bytes in zswap's pool.")
        .metric("zswap_original", "Original bytes in zswap."),
    gauge("host.zswap_compressed_bytes", Bytes, |s: &Status| maybe(s.host.zswap_compressed_bytes), "Compressed bytes in zswap's pool.")
        .metric("zswap_compressed", "Compressed bytes in zswap's pool."),
    gauge("host.pool_limit_bytes", Bytes, |s: &Status| maybe(s.host.pool_limit_bytes), "Compressed bytes the pool may have.")
        .metric("zswap_pool_limit", "Compressed bytes that zswap's pool may have."),
    gauge("host.accept_threshold_percent", Percent, |s: &Status| s.host.accept_threshold_percent.map(f64::from), "Of the pool's limit: below it pages are taken again once it was met."),
    gauge("host.swap_total_bytes", Bytes, |s: &Status| sure(s.host.swap_total_bytes), "Slots of all swap areas."),
    gauge("host.swap_free_bytes", Bytes, |s: &Status| sure(s.host.swap_free_bytes), "Slots in no use."),
    gauge("host.slot_cost_bytes", Bytes, |s: &Status| s.host.slot_cost_bytes, "Kernel memory of an empty swap slot, where it was measured."),
    counter("host.refused_stores.pool_limit", Things, |s: &Status| refused(s, |it| it.pool_limit), "Stores refused: the pool's limit was met.")
        .series("zswap_refused_stores", &[("reason", "pool_limit")], REFUSED),
    counter("host.refused_stores.no_memory", Things, |s: &Status| refused(s, |it| it.no_memory), "Stores refused: no memory was to be had.")
        .series("zswap_refused_stores", &[("reason", "no_memory")], REFUSED),
    counter("host.refused_stores.incompressible", Things, |s: &Status| refused(s, |it| it.incompressible), "Stores refused: the page does not compress.")
        .series("zswap_refused_stores", &[("reason", "incompressible")], REFUSED),
    counter("host.refused_stores.compressor_failed", Things, |s: &Status| refused(s, |it| it.compressor_failed), "Stores refused: the compressor failed.")
        .series("zswap_refused_stores", &[("reason", "compressor_failed")], REFUSED),
    counter("host.refused_stores.reclaim_failed", Things, |s: &Status| refused(s, |it| it.reclaim_failed), "Stores refused: reclaim of the pool failed.")
        .series("zswap_refused_stores", &[("reason", "reclaim_failed")], REFUSED),
    gauge("host.disk_original_bytes", Bytes, |s: &Status| maybe(s.host.disk_original_bytes), "Original bytes of pages on swap devices, by the map.")
        .metric("disk_original", "Original bytes of pages on swap devices, by the shadow map."),
    counter("host.swap_ins.zswap.sum_seconds", Seconds, |s: &Status| swap_ins(s, |it| it.zswap.sum_seconds), "How long swap-ins from zswap took together, while they were timed."),
    counter("host.swap_ins.disk.sum_seconds", Seconds, |s: &Status| swap_ins(s, |it| it.disk.sum_seconds), "How long swap-ins from a device took together, while they were timed."),
    gauge("host.rates.stored", PagesPerSecond, |s: &Status| s.host.rates.stored, "Stored in zswap."),
    gauge("host.rates.loaded", PagesPerSecond, |s: &Status| s.host.rates.loaded, "Read out of zswap."),
    gauge("host.rates.written_back", PagesPerSecond, |s: &Status| s.host.rates.written_back, "Written back from zswap to a device."),
    gauge("host.rates.direct", PagesPerSecond, |s: &Status| s.host.rates.written, "Written to a device, write-back included."),
    gauge("host.rates.read", PagesPerSecond, |s: &Status| s.host.rates.read, "Read from a device."),
    gauge("host.memory_pressure.some_avg10", Percent, |s: &Status| Some(s.host.memory_pressure?.some_avg10), "Time in which some task waited, of the last 10 s."),
    gauge("host.memory_pressure.some_avg60", Percent, |s: &Status| Some(s.host.memory_pressure?.some_avg60), "The same of the last 60 s."),
    gauge("host.memory_pressure.full_avg10", Percent, |s: &Status| s.host.memory_pressure?.full_avg10, "Time in which all tasks waited, of the last 10 s."),
    gauge("host.memory_pressure.full_avg60", Percent, |s: &Status| s.host.memory_pressure?.full_avg60, "The same of the last 60 s."),
    gauge("host.io_pressure.some_avg10", Percent, |s: &Status| Some(s.host.io_pressure?.some_avg10), "As memory_pressure, of I/O."),
    gauge("host.io_pressure.some_avg60", Percent, |s: &Status| Some(s.host.io_pressure?.some_avg60), "As memory_pressure, of I/O."),
    gauge("host.io_pressure.full_avg10", Percent, |s: &Status| s.host.io_pressure?.full_avg10, "As memory_pressure, of I/O."),
    gauge("host.io_pressure.full_avg60", Percent, |s: &Status| s.host.io_pressure?.full_avg60, "As memory_pressure, of I/O."),
    counter("host.memory_pressure.some_seconds", Seconds, |s: &Status| Some(s.host.memory_pressure?.some_seconds), "The same since boot.")
        .series("pressure", &[("resource", "memory"), ("kind", "some")], PRESSURE),
    counter("host.memory_pressure.full_seconds", Seconds, |s: &Status| s.host.memory_pressure?.full_seconds, "The same since boot.")
        .series("pressure", &[("resource", "memory"), ("kind", "full")], PRESSURE),
    counter("host.io_pressure.some_seconds", Seconds, |s: &Status| Some(s.host.io_pressure?.some_seconds), "As memory_pressure, of I/O.")
        .series("pressure", &[("resource", "io"), ("kind", "some")], PRESSURE),
    counter("host.io_pressure.full_seconds", Seconds, |s: &Status| s.host.io_pressure?.full_seconds, "As memory_pressure, of I/O.")
        .series("pressure", &[("resource", "io"), ("kind", "full")], PRESSURE),
    // Write-back.
    counter("totals.rounds", Things, |s: &Status| sure(s.totals.rounds), "Rounds of write-back.")
        .metric("writeback_rounds", "Rounds of write-back."),
    counter("totals.rounds_failed", Things, |s: &Status| sure(s.totals.rounds_failed), "Of these, refused or not possible.")
        .metric("writeback_rounds_failed", "Rounds of write-back that the kernel refused or that could not be carried out."),
    counter("totals.asked_pages", Pages, |s: &Status| sure(s.totals.asked_pages), "That rounds were asked for.")
        .metric("writeback_asked", "Original bytes that rounds were asked to write back."),
    counter("totals.written_pages", Pages, |s: &Status| sure(s.totals.written_pages), "That rounds wrote back.")
        .metric("writeback_written", "Original bytes that rounds wrote back."),
    counter("totals.overshoot_pages", Pages, |s: &Status| sure(s.totals.overshoot_pages), "Beyond what was asked.")
        .metric("writeback_overshoot", "Original bytes that rounds wrote back beyond what was asked."),
    counter("totals.sibling_pages", Pages, |s: &Status| sure(s.totals.sibling_pages), "Of other cgroups, written back meanwhile.")
        .metric("writeback_sibling", "Original bytes of other cgroups that were written back during rounds."),
    counter("totals.refused_stores", Things, |s: &Status| sure(s.totals.refused_stores), "Stores that zswap refused meanwhile.")
        .metric("writeback_refused_stores", "Stores of the host that zswap refused during rounds."),
    counter("totals.round_seconds", Seconds, |s: &Status| Some(s.totals.round_seconds), "Time that rounds took.")
        .metric("writeback_round", "Time that rounds took."),
];

fn refused(status: &Status, stores: fn(&RefusedStores) -> Option<u64>) -> Option<f64> {
    maybe(stores(status.host.refused_stores.as_ref()?))
}

fn swap_ins(status: &Status, seconds: fn(&SwapIns) -> f64) -> Option<f64> {
    status.host.swap_ins.as_ref().map(seconds)
}
