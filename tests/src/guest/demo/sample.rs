//! One look at everything the demo shows: the kernel's counters and, beside them, what swaptier says. No judgement.

use anyhow::{Context, Result};

use crate::guest::cgroup::Cgroup;
use crate::guest::status::{CgroupView, Status};
use crate::guest::{kernel, zswap};

/// Counters of one cgroup at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct CgroupSample {
    /// Path beneath the cgroup root.
    pub path: String,
    /// memory.stat `zswap`: compressed bytes.
    pub compressed: u64,
    /// memory.stat `zswapped`: original bytes.
    pub original: u64,
    /// memory.stat `zswpwb`: pages written back since the cgroup exists.
    pub written_back: u64,
    /// memory.pressure, `some`, average of 10 s, percent as printed.
    pub pressure: String,
    /// What swaptier says of it; all zero while no agent answers.
    pub view: CgroupView,
}

/// Counters of the host.
#[derive(Debug, Clone, Default)]
pub(super) struct HostSample {
    /// debugfs `pool_total_size`: bytes of frames the pool holds.
    pub pool: u64,
    /// debugfs `written_back_pages`, whole host.
    pub written_back: u64,
    /// /proc/vmstat `pswpout`: pages written to swap devices for whatever reason.
    pub swapped_out: u64,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// Seconds since the demo began.
    pub at: u64,
    pub cold: CgroupSample,
    pub hot: CgroupSample,
    pub host: HostSample,
    pub status: Status,
}

impl Sample {
    /// Looks now; the kernel's counters are read directly after swaptier's.
    pub(super) fn take(at: u64, cold: &Cgroup, hot: &Cgroup) -> Result<Sample> {
        let status = Status::read()?;
        let host = HostSample {
            pool: zswap::debug("pool_total_size")?,
            written_back: zswap::debug("written_back_pages")?,
            swapped_out: kernel::vmstat("pswpout")?,
        };
        Ok(Sample { at, cold: look(cold, &status)?, hot: look(hot, &status)?, host, status })
    }
}

fn look(cgroup: &Cgroup, status: &Status) -> Result<CgroupSample> {
    let stats = kernel::stats(cgroup.file("memory.stat"))?;
    let stat = |key: &str| stats.get(key).copied().with_context(|| format!("memory.stat has no `{key}`"));
    Ok(CgroupSample {
        path: cgroup.path().to_owned(),
        compressed: stat("zswap")?,
        original: stat("zswapped")?,
        written_back: stat("zswpwb")?,
        pressure: pressure(&cgroup.get("memory.pressure").unwrap_or_default()),
        view: status.cgroup(cgroup.path()),
    })
}

/// `avg10` of the `some` line, `?` without pressure accounting.
fn pressure(text: &str) -> String {
    let line = text.lines().find_map(|l| l.strip_prefix("some avg10="));
    line.and_then(|l| l.split(' ').next()).unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_the_ten_second_average_of_some() {
        assert_eq!(pressure("some avg10=1.25 avg60=0.30 avg300=0.00 total=3\nfull avg10=9.00 x"), "1.25");
        assert_eq!(pressure(""), "?");
    }
}
