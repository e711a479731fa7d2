//! What the kernel's files say, in the words of the status. Pure. Callers: the agent, and `status` where none runs.

use swaptier_policies::Share;

use super::status::{AreaStatus, HostStatus, PressureStatus};
use crate::sense::{Pressure, Sensed, SwapArea};

/// The host as far as its files say; what only the map, a tick before or debugfs knows is left unknown.
#[must_use]
pub fn host(sensed: &Sensed, page: u64) -> HostStatus {
    let (memory, zswap) = (&sensed.memory, &sensed.zswap);
    // A percentage is 10,000 parts per million.
    let limit = |percent: u8| Share(u32::from(percent) * 10_000).of(memory.total).0;
    HostStatus {
        ram_bytes: memory.total.0,
        zswap_compressed_bytes: memory.zswap.map(|bytes| bytes.0),
        zswap_original_bytes: memory.zswapped.map(|bytes| bytes.0),
        pool_limit_bytes: zswap.max_pool_percent.map(limit),
        swap_total_bytes: memory.swap_total.0,
        swap_free_bytes: memory.swap_free.0,
        page_bytes: page,
        available_bytes: memory.available.map(|bytes| bytes.0),
        zswap_enabled: zswap.enabled,
        accept_threshold_percent: zswap.accept_threshold_percent,
        memory_pressure: sensed.pressure.memory.map(pressure),
        io_pressure: sensed.pressure.io.map(pressure),
        ..HostStatus::default()
    }
}

/// A swap area as `/proc/swaps` has it; what was noted of it and what the map counted is left unknown.
#[must_use]
pub fn area(area: &SwapArea, page: u64) -> AreaStatus {
    AreaStatus {
        path: area.shown(),
        kind: area.kind.clone(),
        priority: area.priority,
        size_bytes: area.size.0,
        used_bytes: area.used.0,
        slots: area.size.0 / page,
        used_slots: area.used.0 / page,
        ..AreaStatus::default()
    }
}

/// A `pressure` file, in percent and seconds.
#[must_use]
pub fn pressure(pressure: Pressure) -> PressureStatus {
    // Parts per million, of which 10,000 are a percent: two digits, as the kernel prints them.
    let percent = |share: Share| f64::from(share.0) / 1e4;
    let seconds = |micros: u64| micros as f64 / 1e6;
    PressureStatus {
        some_avg10: percent(pressure.some.avg10),
        some_avg60: percent(pressure.some.avg60),
        some_seconds: seconds(pressure.some.total),
        full_avg10: pressure.full.map(|full| percent(full.avg10)),
        full_avg60: pressure.full.map(|full| percent(full.avg60)),
        full_seconds: pressure.full.map(|full| seconds(full.total)),
    }
}
