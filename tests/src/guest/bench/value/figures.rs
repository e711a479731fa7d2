//! What a turn is judged by: the kernel's counters before and after it, and what the workloads say of themselves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::ground::slice;
use crate::guest::cgroup::Cgroup;
use crate::guest::{kernel, process};
use crate::workload::Report;

/// Processes that manage memory for others, by the beginning of their names. The kernel's workers compress, write back and
/// reclaim; what they do for others is the same for all contenders.
const OWN: [&str; 1] = ["swaptier"];
const KERNEL: [&str; 2] = ["kworker", "kswapd"];
/// A workload's name begins like the agent's.
const NOT_OWN: [&str; 2] = ["swaptier-guest", "swaptier-workl"];

/// Counters of the kernel at one moment.
pub(super) struct Counters {
    zswapped_out: u64,
    written_back: u64,
    pages_written: u64,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
    memory_stall: u64,
    io_stall: u64,
    quiet_disk_pages: u64,
    own_ticks: u64,
    kernel_ticks: u64,
}

impl Counters {
    pub(super) fn read(disk: &Path, quiet: &[Cgroup]) -> Result<Counters> {
        let vmstat = kernel::stats("/proc/vmstat")?;
        let of = |key: &str| vmstat.get(key).copied().with_context(|| format!("/proc/vmstat has no {key}"));
        let name = disk.file_name().context("a disk has a name")?.to_string_lossy();
        // Documentation/block/stat.rst: sectors of 512 bytes, read third and written seventh.
        let stat = kernel::read(format!("/sys/block/{name}/stat"))?;
        let sectors = |nth: usize| -> Result<u64> {
            stat.split_whitespace().nth(nth).and_then(|field| field.parse().ok()).context("the disk's stat")
        };
        let (own_ticks, kernel_ticks) = processors()?;
        Ok(Counters {
            zswapped_out: of("zswpout")?,
            written_back: of("zswpwb")?,
            pages_written: of("pswpout")?,
            disk_read_bytes: sectors(2)? * 512,
            disk_written_bytes: sectors(6)? * 512,
            memory_stall: stall("memory.pressure")?,
            io_stall: stall("io.pressure")?,
            quiet_disk_pages: quiet.iter().map(|cgroup| cgroup.stat("pswpin")).sum::<Result<u64>>()?,
            own_ticks,
            kernel_ticks,
        })
    }
}

/// Microseconds in which some task of the slice stood still.
fn stall(file: &str) -> Result<u64> {
    let text = kernel::read(slice(file))?;
    let total =
        text.lines().find_map(|line| line.strip_prefix("some ")?.rsplit_once("total=")?.1.parse().ok());
    total.with_context(|| format!("{file} says `{text}`"))
}

/// Clock ticks that our own processes have had, and the kernel's.
fn processors() -> Result<(u64, u64)> {
    let (mut own, mut others) = (0, 0);
    for entry in fs::read_dir("/proc").context("/proc")?.flatten() {
        // One that has ended meanwhile has no say.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, ticks)) = process::ticks(&stat) else { continue };
        let begins = |with: &[&str]| with.iter().any(|word| name.starts_with(word));
        if begins(&OWN) && !begins(&NOT_OWN) {
            own += ticks;
        } else if begins(&KERNEL) {
            others += ticks;
        }
    }
    Ok((own, others))
}

/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What came of a turn. Pages are of 4,096 *original* bytes where the kernel counts pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Touches of pages in a second, of those whose work is measured.
    pub(super) work: f64,
    /// Of the touches whose delay is felt, in nanoseconds.
    pub(super) p50_ns: f64,
    pub(super) p99_ns: f64,
    /// Bytes that the disk has read and written, in MiB.
    pub(super) disk_read_mib: f64,
    pub(super) disk_written_mib: f64,
    /// Pages that cgroups which should be left in peace had to read from the disk.
    pub(super) quiet_disk_pages: f64,
    /// Pages that went to the disk past zswap, and all that were swapped out.
    pub(super) straight_pages: f64,
    pub(super) swapped_out_pages: f64,
    pub(super) written_back_pages: f64,
    /// Mean of the slice's `memory.current`, in MiB.
    pub(super) memory_mib: f64,
    /// Share of the time in which some task of the slice waited for memory, and for a disk, in percent.
    pub(super) memory_stall_percent: f64,
    pub(super) io_stall_percent: f64,
    /// Processor time of agent and pump, and of the kernel's workers and kswapd.
    pub(super) own_seconds: f64,
    pub(super) kernel_seconds: f64,
}

impl Figures {
    pub(super) fn between(before: &Counters, after: &Counters, took: Duration, memory: &[u64]) -> Figures {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        // Of a process that has ended, the ticks are gone.
        let grown = |of: fn(&Counters) -> u64| of(after).saturating_sub(of(before));
        let share = |micros: u64| micros as f64 / took.as_micros() as f64 * 100.0;
        let written_back = grown(|it| it.written_back);
        let straight = grown(|it| it.pages_written).saturating_sub(written_back);
        Figures {
            disk_read_mib: mib(grown(|it| it.disk_read_bytes)),
            disk_written_mib: mib(grown(|it| it.disk_written_bytes)),
            quiet_disk_pages: grown(|it| it.quiet_disk_pages) as f64,
            straight_pages: straight as f64,
            swapped_out_pages: (grown(|it| it.zswapped_out) + straight) as f64,
            written_back_pages: written_back as f64,
            memory_mib: mib(memory.iter().sum::<u64>() / memory.len().max(1) as u64),
            memory_stall_percent: share(grown(|it| it.memory_stall)),
            io_stall_percent: share(grown(|it| it.io_stall)),
            own_seconds: grown(|it| it.own_ticks) as f64 / TICKS,
            kernel_seconds: grown(|it| it.kernel_ticks) as f64 / TICKS,
            ..Figures::default()
        }
    }

    /// With the work of this one.
    #[must_use]
    pub(super) fn of_work(self, report: &Report) -> Figures {
        let touches = report.hot.touches + report.warm.touches;
        Figures { work: touches as f64 / report.seconds.max(1.0), ..self }
    }

    /// With the delays of the pages these touch now and then: the longest of each.
    #[must_use]
    pub(super) fn felt_by(self, reports: &[&Report]) -> Figures {
        let longest =
            |of: fn(&Report) -> u64| reports.iter().map(|report| of(report)).max().unwrap_or(0) as f64;
        Figures {
            p50_ns: longest(|report| report.warm.p50_ns),
            p99_ns: longest(|report| report.warm.p99_ns),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(at: u64) -> Counters {
        Counters {
            zswapped_out: 10 * at,
            written_back: 5 * at,
            pages_written: 7 * at,
            disk_read_bytes: at << 20,
            disk_written_bytes: (2 * at) << 20,
            memory_stall: 10_000 * at,
            io_stall: 20_000 * at,
            quiet_disk_pages: 3 * at,
            own_ticks: 100 * at,
            kernel_ticks: 50 * at,
        }
    }

    #[test]
    fn what_is_written_past_zswap_is_what_is_not_written_back() {
        let figures =
            Figures::between(&counters(1), &counters(2), Duration::from_secs(1), &[1 << 20, 3 << 20]);
        assert_eq!(
            (figures.straight_pages, figures.swapped_out_pages, figures.written_back_pages),
            (2.0, 12.0, 5.0)
        );
        assert_eq!((figures.disk_read_mib, figures.disk_written_mib, figures.memory_mib), (1.0, 2.0, 2.0));
        assert_eq!((figures.memory_stall_percent, figures.io_stall_percent), (1.0, 2.0));
        assert_eq!((figures.own_seconds, figures.kernel_seconds), (1.0, 0.5));
    }
}
