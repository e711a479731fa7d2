//! Numbers of each cgroup, its subtree included.

use super::{
    Figure,
    Unit::{Bytes, Pages, PagesPerSecond, Percent, Seconds},
    counter, gauge, maybe, sure,
};
use crate::serve::status::CgroupStatus as Cgroup;

/// What is charged to it in RAM.
pub const RAM: Figure<Cgroup> = gauge("memory_current_bytes", Bytes, |c: &Cgroup| maybe(c.memory_current_bytes), "memory.current: in RAM.")
    .metric("cgroup_memory", "memory.current.")
    .column("ram", "RAM", "memory.current: what the cgroup and all below it have in RAM");
/// What it has in zswap.
pub const ZSWAP: Figure<Cgroup> = gauge("zswap_pages", Pages, |c: &Cgroup| maybe(c.zswap_pages), "In zswap.")
    .metric("cgroup_zswap_original", "Original bytes in zswap.")
    .column("zswap", "ZSWAP", "original bytes of its pages in zswap");
/// What that takes.
pub const COMPRESSED: Figure<Cgroup> = gauge("zswap_compressed_bytes", Bytes, |c: &Cgroup| maybe(c.zswap_compressed_bytes), "Compressed bytes of them.")
    .metric("cgroup_zswap_compressed", "Compressed bytes in zswap.")
    .column("compressed", "COMPR", "compressed bytes that these take in the pool, which is RAM");
/// What it has on a device.
pub const DISK: Figure<Cgroup> = gauge("phys_pages", Pages, |c: &Cgroup| maybe(c.phys_pages), "On a device.")
    .metric("cgroup_disk_original", "Original bytes on swap devices.")
    .column("disk", "DISK", "original bytes of its pages on a swap device");
/// What it has that is stored nowhere.
pub const ZERO: Figure<Cgroup> = gauge("zero_pages", Pages, |c: &Cgroup| maybe(c.zero_pages), "Of zeroes, stored nowhere.")
    .metric("cgroup_zero_original", "Original bytes of pages of zeroes, stored nowhere.")
    .column("zero", "ZERO", "original bytes of its pages of zeros, which are stored nowhere");
/// What it has somewhere in swap.
pub const UNKNOWN: Figure<Cgroup> = gauge("unknown_pages", Pages, |c: &Cgroup| maybe(c.unknown_pages), "In swap; no more is known.")
    .metric("cgroup_unknown_original", "Original bytes in swap of which nothing more is known.")
    .column("unknown", "UNKN", "original bytes of its slots from before the map, of which no more is known");
/// Since when it has pages in zswap.
pub const OLDEST: Figure<Cgroup> = gauge("oldest_seconds", Seconds, |c: &Cgroup| maybe(c.oldest_seconds), "How long the oldest page has been in zswap.")
    .metric("cgroup_oldest", "How long the oldest page has been in zswap.")
    .column("oldest", "OLDEST", "for how long its oldest page has been in zswap");
/// What is written back now.
pub const WRITTEN_BACK: Figure<Cgroup> = gauge("rates.written_back", PagesPerSecond, |c: &Cgroup| c.rates?.written_back, "Written back from zswap to a device.")
    .column("written_back", "WB/s", "original bytes written back: from zswap to disk");
/// How it waits for memory.
pub const PRESSURE: Figure<Cgroup> = gauge("memory_pressure.some_avg10", Percent, |c: &Cgroup| Some(c.memory_pressure?.some_avg10), "Time in which some task waited for memory, of the last 10 s.")
    .column("psi", "PSI", "memory.pressure: share of the last 10 s in which some task waited for memory");

/// The rows.
pub const ROWS: &[Figure<Cgroup>] = &[
    RAM, ZSWAP, COMPRESSED, DISK, ZERO, UNKNOWN,
    gauge("swap_current_bytes", Bytes, |c: &Cgroup| maybe(c.swap_current_bytes), "memory.swap.current: original bytes of all its slots."),
    gauge("folio_pages", Pages, |c: &Cgroup| maybe(c.folio_pages), "In the swap cache alone."),
    gauge("drift_pages", Pages, |c: &Cgroup| Some(c.drift_pages? as f64), "In zswap by the map less those by the kernel."),
    gauge("cold_pages", Pages, |c: &Cgroup| maybe(c.cold_pages), "In zswap for as long as the policy asks, or longer.")
        .metric("cgroup_cold_original", "Original bytes in zswap for as long as the policy asks, or longer."),
    gauge("cold_compressed_bytes", Bytes, |c: &Cgroup| maybe(c.cold_compressed_bytes), "Compressed bytes of them."),
    gauge("older_than_seconds", Seconds, |c: &Cgroup| maybe(c.older_than_seconds), "The age the policy asks for.")
        .metric("cgroup_cold_age", "The age that the policy asks for."),
    OLDEST,
    counter("stored_pages", Pages, |c: &Cgroup| maybe(c.stored_pages), "Stored in zswap since the map was made.")
        .metric("cgroup_stored", "Original bytes stored in zswap."),
    counter("loaded_pages", Pages, |c: &Cgroup| maybe(c.loaded_pages), "Read out of zswap.")
        .metric("cgroup_loaded", "Original bytes read out of zswap."),
    counter("written_back_pages", Pages, |c: &Cgroup| maybe(c.written_back_pages), "Written back from zswap to a device.")
        .metric("cgroup_written_back", "Original bytes written back from zswap to a device."),
    counter("direct_pages", Pages, |c: &Cgroup| maybe(c.direct_pages), "Written to a device without zswap.")
        .metric("cgroup_direct", "Original bytes written to a device without zswap."),
    counter("read_pages", Pages, |c: &Cgroup| maybe(c.read_pages), "Read from a device.")
        .metric("cgroup_read", "Original bytes read from a device."),
    counter("regret_pages", Pages, |c: &Cgroup| maybe(c.regret_pages), "Read from a device where write-back had put them.")
        .metric("cgroup_regret", "Original bytes read from a device that write-back had put there."),
    gauge("rates.stored", PagesPerSecond, |c: &Cgroup| c.rates?.stored, "Stored in zswap."),
    gauge("rates.loaded", PagesPerSecond, |c: &Cgroup| c.rates?.loaded, "Read out of zswap."),
    WRITTEN_BACK,
    gauge("rates.direct", PagesPerSecond, |c: &Cgroup| c.rates?.direct, "Written to a device without zswap."),
    gauge("rates.read", PagesPerSecond, |c: &Cgroup| c.rates?.read, "Read from a device."),
    PRESSURE,
    gauge("memory_pressure.some_avg60", Percent, |c: &Cgroup| Some(c.memory_pressure?.some_avg60), "The same of the last 60 s."),
    counter("memory_pressure.some_seconds", Seconds, |c: &Cgroup| Some(c.memory_pressure?.some_seconds), "The same since the cgroup was made.")
        .metric("cgroup_memory_pressure", "Time in which some task of the cgroup waited for memory."),
    gauge("memory_pressure.full_avg10", Percent, |c: &Cgroup| c.memory_pressure?.full_avg10, "Time in which all tasks waited, of the last 10 s."),
    gauge("memory_pressure.full_avg60", Percent, |c: &Cgroup| c.memory_pressure?.full_avg60, "The same of the last 60 s."),
    counter("memory_pressure.full_seconds", Seconds, |c: &Cgroup| c.memory_pressure?.full_seconds, "The same since the cgroup was made."),
    gauge("last.unix_seconds", Seconds, |c: &Cgroup| sure(c.last.as_ref()?.unix_seconds), "When something was done to it last, since 1970."),
];
