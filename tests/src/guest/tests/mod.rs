//! The guest tests: claims about swaptier on a real kernel, whose counters are the referee. One table, one file a subject.

mod workload;

use super::runner::Test;

/// Every guest test. A new one is a function in a file of its subject, and a row here.
pub(super) const TESTS: &[Test] = &[
    Test { name: "workload_survives_swapping", run: workload::survives_swapping },
    Test { name: "shared_memory_survives_swapping", run: workload::shared_memory_survives_swapping },
    Test {
        name: "a_forked_child_keeps_its_swapped_pages",
        run: workload::a_forked_child_keeps_its_swapped_pages,
    },
    Test { name: "freed_memory_leaves_zswap", run: workload::freed_memory_leaves_zswap },
    Test { name: "large_file_cache_is_file_memory_and_verified", run: workload::large_file_cache },
];

/// Fails the test unless `value` lies within `range`; `what` says what was measured.
pub(super) fn within(what: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> anyhow::Result<()> {
    anyhow::ensure!(range.contains(&value), "{what}: {value}, expected {} to {}", range.start(), range.end());
    Ok(())
}
