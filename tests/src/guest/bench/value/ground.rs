//! What a turn stands on: a swap area on a disk that takes its time, and zswap before it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::figures::{Counters, Figures};
use crate::guest::cgroup::{Cgroup, ROOT};
use crate::guest::dm::Device;
use crate::guest::kernel;
use crate::guest::preamble::SWAP_DISK;
use crate::guest::swap::SwapArea;
use crate::guest::workload::Workload;
use crate::guest::zswap::Zswap;

/// The cgroup above all others of a turn: its pressure and memory are the turn's.
pub(super) const SLICE: &str = "value.slice";

/// A file of the slice.
pub(super) fn slice(file: &str) -> String {
    format!("{ROOT}/{SLICE}/{file}")
}

/// How long a read and a write take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub(super) name: &'static str,
    latency: Duration,
}

/// An emulated processor is some ten times slower than a real one; so is its SSD.
pub(super) const SSD: Disk = Disk { name: "ssd", latency: Duration::from_millis(1) };
/// Ten times slower again: a disk of a cloud, or one that turns.
pub(super) const SLOW: Disk = Disk { name: "slow", latency: Duration::from_millis(10) };

/// How long the work goes on, on the slow disk, before it is counted: a manager that looks at ages has none of them at first,
/// and what went to the disk while memory was filled has to come back once.
const SETTLE: u64 = 60;

/// Fields drop in order: the area is emptied, by a quick disk, before zswap is set back.
pub(super) struct Ground {
    _area: SwapArea,
    _zswap: Zswap,
    device: Device,
    disk: Disk,
    seconds: u64,
}

impl Ground {
    pub(super) fn set(disk: Disk, pool_percent: u32, seconds: u64) -> Result<Ground> {
        let device = Device::over(SWAP_DISK, "value")?;
        let zswap = Zswap::set_up(pool_percent)?;
        let area = SwapArea::set_up(&device.path(), None, 10)?;
        Ok(Ground { _area: area, _zswap: zswap, device, disk, seconds })
    }

    /// Has all of them work on the slow disk, first until things have settled, then counted. Filling before and verifying
    /// afterwards are no part of the turn: then the disk is quick.
    /// `quiet` are the cgroups that should be left in peace.
    pub(super) fn measure(&self, workloads: &mut [&mut Workload], quiet: &[Cgroup]) -> Result<Figures> {
        self.device.slow(self.disk.latency, self.disk.latency)?;
        self.work(workloads, SETTLE)?;
        let (begun, before) = (Instant::now(), Counters::read(&self.device.path(), quiet)?);
        let memory = self.work(workloads, self.seconds)?;
        let after = Counters::read(&self.device.path(), quiet)?;
        let took = begun.elapsed();
        self.device.linear()?;
        Ok(Figures::between(&before, &after, took, &memory))
    }

    /// All work for so many seconds; `memory.current` of the slice at each second.
    fn work(&self, workloads: &mut [&mut Workload], seconds: u64) -> Result<Vec<u64>> {
        let command = format!("work {seconds}");
        thread::scope(|scope| {
            let told = workloads.iter_mut().map(|workload| scope.spawn(|| workload.command(&command)));
            let told: Vec<_> = told.collect();
            let mut memory = Vec::new();
            while told.iter().any(|told| !told.is_finished()) {
                thread::sleep(Duration::from_secs(1));
                memory.push(kernel::read(slice("memory.current"))?.parse::<u64>().context("memory.current")?);
            }
            for told in told {
                told.join().map_err(|_| anyhow!("telling a workload"))??;
            }
            Ok(memory)
        })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.device.linear() {
            eprintln!("the disk stays slow: {error:#}");
        }
    }
}
