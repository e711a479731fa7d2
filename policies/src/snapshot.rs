//! What one tick saw of the host: complete, immutable, with its own time. `None` is *unknown*, never zero.
//!
//! Filled by the controller's `sense`, journalled as it is, read by `decide` and by `Plan::preview`. Nothing here
//! reads anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::area::AreaView;
use crate::knob::Settings;
use crate::path::CgroupPath;
use crate::units::{Bytes, Limit, Pages, Seconds, Share};

/// A cgroup's identity: the kernfs inode of its directory. A path is only a label and can be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CgroupId(pub u64);

impl CgroupId {
    /// The root cgroup.
    pub const ROOT: CgroupId = CgroupId(1);
}

/// Everything one decision may rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken: seconds since the shadow map's epoch, monotonic.
    pub at: Seconds,
    /// Number of the day, for day budgets. Which midnight counts is the caller's choice.
    pub day: u32,
    /// The host's page size.
    pub page_size: Bytes,
    /// What belongs to no single cgroup.
    pub host: HostView,
    /// Every cgroup below and including the root, by identity.
    pub cgroups: BTreeMap<CgroupId, CgroupView>,
}

/// The host as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// `MemTotal` of /proc/meminfo.
    pub ram: Bytes,
    /// /sys/module/zswap/parameters/enabled.
    pub zswap_enabled: bool,
    /// `Zswap` of /proc/meminfo: *compressed* bytes in the pool.
    pub pool_compressed: Option<Bytes>,
    /// `Zswapped` of /proc/meminfo: *original* bytes in the pool.
    pub pool_original: Option<Bytes>,
    /// `max_pool_percent` of RAM, in *compressed* bytes.
    pub pool_limit: Option<Bytes>,
    /// `accept_threshold_percent`.
    pub accept_threshold: Option<Share>,
    /// `SwapTotal` of /proc/meminfo: zero when no area is on.
    pub swap_total: Bytes,
    /// `SwapFree` of /proc/meminfo.
    pub swap_free: Bytes,
    /// The swap areas that are on, in the order of /proc/swaps.
    #[serde(default)]
    pub areas: Vec<AreaView>,
    /// Which write-back dialect this host speaks.
    pub writeback: Writeback,
    /// Whether the shadow map can be trusted.
    pub map: MapHealth,
}

/// How this host writes back, if at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writeback {
    /// The name of the dialect that is ready.
    Ready(String),
    /// Why there is none.
    None(String),
    /// None can be aimed at a cgroup: the kernel charges what is in zswap to none.
    Uncharged,
}

/// The state of the shadow map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MapHealth {
    /// Its sums agree with the kernel's.
    Exact,
    /// There is none, or it cannot be trusted now: why.
    Absent(String),
}

/// One cgroup. Field names are the kernel's files with dots as underscores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CgroupView {
    /// Path below the cgroup root.
    pub path: CgroupPath,
    /// The parent's identity; `None` for the root.
    pub parent: Option<CgroupId>,
    /// `populated` of cgroup.events.
    pub populated: bool,
    /// `memory.current`.
    pub memory_current: Option<Bytes>,
    /// `memory.high`.
    pub memory_high: Option<Limit>,
    /// `memory.max`.
    pub memory_max: Option<Limit>,
    /// `memory.swap.current`.
    pub swap_current: Option<Bytes>,
    /// The files that policies set: its own, whatever those above it say.
    pub settings: Settings,
    /// `zswap` of memory.stat: *compressed* bytes, subtree.
    pub zswap_compressed: Option<Bytes>,
    /// `zswapped` of memory.stat: *original* bytes, subtree.
    pub zswap_original: Option<Bytes>,
    /// Totals of the shadow map, subtree.
    pub tiers: Option<Tiers>,
    /// Cold pages at the age its policy asks for, subtree.
    pub cold: Option<Cold>,
}

impl CgroupView {
    /// Whether the memory controller is enabled for it. Without, it has no `memory.*` file at all, and its pages are
    /// its parent's.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        let limits = [self.memory_high, self.memory_max];
        let amounts = [self.memory_current, self.swap_current, self.zswap_compressed, self.zswap_original];
        limits.iter().any(Option::is_some) || amounts.iter().any(Option::is_some) || !self.settings.is_empty()
    }
}

impl Snapshot {
    /// The path of a cgroup for people; of one that is not here its number.
    pub(crate) fn shown(&self, id: CgroupId) -> String {
        match self.cgroups.get(&id) {
            Some(view) => view.path.to_string(),
            None => format!("cgroup {}", id.0),
        }
    }

    /// The cgroups above `id`, the nearest first. A chain that leaves the snapshot, or turns in a circle, ends there.
    pub fn above(&self, id: CgroupId) -> impl Iterator<Item = (CgroupId, &CgroupView)> {
        let parent = |id: CgroupId| self.cgroups.get(&id).and_then(|view| view.parent);
        std::iter::successors(parent(id), move |id| parent(*id))
            .take(self.cgroups.len())
            .map_while(|id| self.cgroups.get(&id).map(|view| (id, view)))
    }
}

/// Where a cgroup's swapped pages are, by the shadow map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tiers {
    /// Pages in zswap.
    pub zswap: Pages,
    /// Their *compressed* bytes.
    pub zswap_compressed: Bytes,
    /// Pages on a swap device.
    pub phys: Pages,
    /// Pages of zeros, stored nowhere.
    pub zero: Pages,
    /// Pages in the swap cache only.
    pub folio: Pages,
    /// Slots that were in use before the map began.
    pub unknown: Pages,
}

impl Tiers {
    /// Slots in use, whatever they hold.
    #[must_use]
    pub fn slots(&self) -> Pages {
        Pages(self.zswap.0 + self.phys.0 + self.zero.0 + self.folio.0 + self.unknown.0)
    }
}

/// Pages that have been in zswap for at least `older_than`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cold {
    /// The age that was asked for: [`crate::Policy::older_than`].
    pub older_than: Seconds,
    /// How many pages are at least that old.
    pub pages: Pages,
    /// Their *compressed* bytes.
    pub compressed: Bytes,
    /// The age of the oldest of them.
    pub oldest: Seconds,
}
