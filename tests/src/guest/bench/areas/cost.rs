//! What an empty area costs the kernel for each slot: memory before and after it is switched on.

use std::time::Duration;

use anyhow::Result;

use super::Outcome;
use super::ground::Area;
use crate::guest::kernel::{self, meminfo, page_size};

/// Sizes that are measured: GiB.
const SIZES: [(u64, &str); 3] = [(8, "8G"), (64, "64G"), (1024, "1T")];
/// Bytes a slot costs at most on the kernels we know: more than memory has is not tried.
const MOST: u64 = 4;

/// How often the smaller ones are measured.
const TIMES: usize = 5;

/// 8 GiB, 64 GiB and 1 TiB, as far as memory goes.
pub(super) fn of_empty_areas(outcome: &mut Outcome) -> Result<()> {
    for (gib, size) in SIZES {
        let slots = (gib << 30) / page_size();
        if slots * MOST > meminfo("MemAvailable")? / 2 {
            outcome.count(&format!("not_tried_{size}_with_bytes_available"), meminfo("MemAvailable")?);
            continue;
        }
        // Others take and give back memory meanwhile: the middle of some counts, of the largest one.
        let times = if gib < 1024 { TIMES } else { 1 };
        let mut costs = (0..times).map(|_| of_one(size)).collect::<Result<Vec<u64>>>()?;
        costs.sort_unstable();
        let cost = costs[costs.len() / 2];
        outcome.count(&format!("bytes_{size}"), cost);
        outcome.figure(&format!("bytes_per_slot_{size}"), cost as f64 / slots as f64);
    }
    Ok(())
}

/// Memory that is free no more while an area of this size is on.
fn of_one(size: &str) -> Result<u64> {
    let before = free()?;
    let _area = Area::create("ghost", "cost", &["--size", size])?;
    Ok(before.saturating_sub(free()?))
}

/// Free memory once nothing moves any more: the best of some looks. What processors keep for their next allocations is free.
pub(super) fn free() -> Result<u64> {
    let mut best = 0;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        let zones = kernel::read("/proc/zoneinfo")?;
        let of = |word: &str| {
            let lines =
                zones.lines().filter_map(|line| line.trim().strip_prefix(word)?.trim().parse::<u64>().ok());
            lines.sum::<u64>()
        };
        best = best.max((of("nr_free_pages ") + of("count:")) * page_size());
    }
    Ok(best)
}
