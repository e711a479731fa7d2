//! The kernel read into one value, once per tick.
//!
//! Lives here: reading the cgroup tree and the host's files (`collect`), and laying beside them what others know
//! (`assemble`): the shadow map's numbers, the swap areas with what was noted of them. The map itself is `map/`, the areas
//! are `vswap/`'s. A tick either gives all of it or an error: a decision never sees half a
//! host. Callers: the agent, `status`, `explain`.

use std::path::PathBuf;

pub use accounting::Accounting;
pub use assemble::{Beside, assemble};
pub use cgroupfs::{CgroupSample, CgroupTree, Unseen};
pub use counters::{MemoryStat, VmStat};
pub use pressure::{Pressure, Stall};
pub use procfs::{HostMemory, HostPressure};
pub use swaps::SwapArea;
pub use zswap::{ZswapCounters, ZswapParameters, read_counters, read_parameters};

use crate::root::{Root, RootError};

mod accounting;
mod assemble;
pub mod cgroupfs;
mod counters;
mod pressure;
pub mod procfs;
pub mod swap_errors;
pub mod swaps;
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
#[derive(Debug, Clone, PartialEq)]
pub struct Sensed {
    /// `/proc/meminfo`.
    pub memory: HostMemory,
    /// `/proc/swaps`.
    pub swaps: Vec<SwapArea>,
    /// `/proc/vmstat`.
    pub vmstat: VmStat,
    /// `/proc/pressure`.
    pub pressure: HostPressure,
    /// `/sys/module/zswap/parameters`.
    pub zswap: ZswapParameters,
    /// Whether cgroups are charged for what they have in zswap.
    pub accounting: Accounting,
    /// Every cgroup, parents before children.
    pub cgroups: Vec<CgroupSample>,
    /// What could not be looked at.
    pub unseen: Unseen,
}

/// Reads the host.
pub fn collect(root: &Root, tree: &mut CgroupTree) -> Result<Sensed, SenseError> {
    let memory = procfs::read_meminfo(root)?;
    let mut cgroups = tree.read(root)?;
    let accounting = Accounting::read(root);
    accounting.forget(&mut cgroups);
    count_root_pages(&mut cgroups, &memory);
    Ok(Sensed {
        memory,
        swaps: swaps::read(root)?,
        vmstat: procfs::read_vmstat(root)?,
        pressure: procfs::read_pressure(root),
        zswap: zswap::read_parameters(root),
        accounting,
        cgroups,
        unseen: tree.unseen().clone(),
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
