//! The kernel read into one value, once per tick.
//!
//! Lives here: reading the cgroup tree and the host's files (`collect`), and laying the shadow map's numbers beside
//! them (`assemble`). The map itself is `map/`. A tick either gives all of it or an error: a decision never sees half a
//! host. Callers: the agent, `status`, `explain`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use swaptier_policies::{AreaView, Bytes, Marks};

pub use assemble::{Beside, assemble};
pub use cgroupfs::{CgroupSample, CgroupTree};
pub use counters::{MemoryStat, VmStat};
pub use pressure::{Pressure, Stall};
pub use procfs::{HostMemory, HostPressure, SwapArea};
pub use zswap::{ZswapCounters, ZswapParameters, read_counters, read_parameters};

use crate::root::{Root, RootError};

pub mod areas;
mod assemble;
pub mod cgroupfs;
mod counters;
mod pressure;
pub mod procfs;
pub mod swap_errors;
pub mod zswap;

#[cfg(test)]
mod tests;

/// Why there is no snapshot this tick.
#[derive(Debug, thiserror::Error)]
pub enum SenseError {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] RootError),
    /// A file does not say what it should.
    #[error("{}: {why}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The host does not run on cgroup v2 alone.
    #[error("{}: no cgroup v2 hierarchy is mounted here (boot with `systemd.unified_cgroup_hierarchy=1`)", path.display())]
    NoCgroup2 {
        /// Where it should be.
        path: PathBuf,
    },
    /// The memory controller is missing from the hierarchy.
    #[error("{}: the memory controller is off (`cgroup_disable=memory`, or in use by cgroup v1)", path.display())]
    NoMemoryController {
        /// The mount point.
        path: PathBuf,
    },
}

/// Everything the kernel's files said this tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensed {
    /// `/proc/meminfo`.
    pub memory: HostMemory,
    /// `/proc/swaps`.
    pub swaps: Vec<SwapArea>,
    /// The same with what was noted of them: the caller's, who knows the notes (`areas::views`). As it is read, nobody
    /// noted any.
    #[serde(default)]
    pub areas: Vec<AreaView>,
    /// `/proc/vmstat`.
    pub vmstat: VmStat,
    /// `/proc/pressure`.
    pub pressure: HostPressure,
    /// `/sys/module/zswap/parameters`.
    pub zswap: ZswapParameters,
    /// Every cgroup, parents before children.
    pub cgroups: Vec<CgroupSample>,
}

/// Reads the host.
pub fn collect(root: &Root, tree: &mut CgroupTree) -> Result<Sensed, SenseError> {
    let memory = procfs::read_meminfo(root)?;
    let mut cgroups = tree.read(root)?;
    count_root_pages(&mut cgroups, &memory);
    let swaps = procfs::read_swaps(root)?;
    let page = Bytes(rustix::param::page_size() as u64);
    Ok(Sensed {
        memory,
        areas: areas::views(&swaps, &[], |_| Marks::default(), page),
        swaps,
        vmstat: procfs::read_vmstat(root)?,
        pressure: procfs::read_pressure(root),
        zswap: zswap::read_parameters(root),
        cgroups,
    })
}

/// The root's `memory.stat` leaves out pages of the root cgroup itself, which the kernel charges to nobody;
/// `/proc/meminfo` counts all.
fn count_root_pages(cgroups: &mut [CgroupSample], memory: &HostMemory) {
    let root = cgroups.iter_mut().find(|cgroup| cgroup.parent.is_none());
    if let (Some(root), Some(all)) = (root, memory.zswapped) {
        root.stat.zswapped = Some(all.0);
    }
}
