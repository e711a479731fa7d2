//! The kernel's numbers, the shadow map's and the swap areas, laid together as the snapshot that a decision rests on. Pure.
//!
//! Lives here: the sums over subtrees and the arithmetic on the pool. Nothing is read here. Caller: the agent, after
//! `collect`.
//!
//! Properties
//! - The map counts each cgroup by itself; `tiers` of the snapshot counts its subtree, as the kernel's counters do.
//! - Counts of a cgroup that is no longer there go to the root: the kernel keeps its pages charged above it too.
//! - With an exact map a cgroup without a count has zero pages; without one it has an unknown number.

use std::collections::BTreeMap;

use swaptier_policies::{
    AreaView, Bytes, CgroupId, CgroupView, Cold, HostView, MapHealth, Pages, Seconds, Share, Snapshot, Tiers,
    Writeback,
};

use super::cgroupfs::CgroupSample;
use super::{Accounting, HostMemory, Sensed, ZswapParameters};

/// What a snapshot holds beside the kernel's files.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Seconds since the map's epoch.
    pub at: Seconds,
    /// The number of the day.
    pub day: u32,
    /// The swap areas that are on.
    pub areas: Vec<AreaView>,
    /// Which dialect is ready.
    pub writeback: Writeback,
    /// Whether the map can be trusted.
    pub health: MapHealth,
    /// The map's counts of each cgroup by itself.
    pub counts: BTreeMap<CgroupId, Tiers>,
    /// Cold pages of each cgroup whose policy asks for them, its subtree included.
    pub cold: BTreeMap<CgroupId, Cold>,
}

/// Makes the snapshot.
pub fn assemble(sensed: Sensed, beside: Beside) -> Snapshot {
    let Sensed { memory, swaps: _, vmstat: _, pressure: _, zswap, accounting, cgroups, unseen: _ } = sensed;
    let Beside { at, day, areas, writeback, health, counts, mut cold } = beside;
    let writeback = match (accounting, writeback) {
        (Accounting::Nokmem, _) => Writeback::Uncharged,
        (Accounting::Unknown(why), Writeback::Ready(_)) => Writeback::None(why),
        (_, writeback) => writeback,
    };
    let mut tiers = match health {
        MapHealth::Exact => Some(subtree_sums(&cgroups, counts)),
        MapHealth::Absent(_) => None,
    };
    let view = |sample: CgroupSample| {
        let id = sample.id;
        let tiers = tiers.as_mut().map(|sums| sums.remove(&id).unwrap_or_default());
        (id, view(sample, tiers, cold.remove(&id)))
    };
    let cgroups = cgroups.into_iter().map(view).collect();
    let page_size = Bytes(rustix::param::page_size() as u64);
    Snapshot { at, day, page_size, host: host(&memory, &zswap, areas, writeback, health), cgroups }
}

fn host(
    memory: &HostMemory,
    zswap: &ZswapParameters,
    areas: Vec<AreaView>,
    writeback: Writeback,
    map: MapHealth,
) -> HostView {
    HostView {
        ram: memory.total,
        zswap_enabled: zswap.enabled == Some(true),
        pool_compressed: memory.zswap,
        pool_original: memory.zswapped,
        pool_limit: zswap.max_pool_percent.map(|percent| share(percent).of(memory.total)),
        accept_threshold: zswap.accept_threshold_percent.map(share),
        swap_total: memory.swap_total,
        swap_free: memory.swap_free,
        areas,
        writeback,
        map,
    }
}

fn view(sample: CgroupSample, tiers: Option<Tiers>, cold: Option<Cold>) -> CgroupView {
    let CgroupSample {
        id: _,
        parent,
        path,
        populated,
        memory_current,
        memory_high,
        memory_max,
        swap_current,
        zswap_current,
        settings,
        stat,
        pressure: _,
    } = sample;
    CgroupView {
        path,
        parent,
        populated,
        memory_current,
        memory_high,
        memory_max,
        swap_current,
        settings,
        zswap_compressed: zswap_current,
        zswap_original: stat.zswapped.map(Bytes),
        tiers,
        cold,
    }
}

/// A percentage of the kernel's as a share: 1 % is 10,000 parts per million.
fn share(percent: u8) -> Share {
    Share(u32::from(percent) * 10_000)
}

/// Each cgroup's counts with those of all below it. `cgroups` has parents before children.
fn subtree_sums(cgroups: &[CgroupSample], counts: BTreeMap<CgroupId, Tiers>) -> BTreeMap<CgroupId, Tiers> {
    let mut sums: BTreeMap<CgroupId, Tiers> = cgroups.iter().map(|c| (c.id, Tiers::default())).collect();
    let root = cgroups.iter().find(|c| c.parent.is_none()).map(|c| c.id);
    for (id, own) in counts {
        let home = if sums.contains_key(&id) { Some(id) } else { root };
        add(&mut sums, home, own);
    }
    for cgroup in cgroups.iter().rev() {
        let own = sums.get(&cgroup.id).copied().unwrap_or_default();
        add(&mut sums, cgroup.parent, own);
    }
    sums
}

fn add(sums: &mut BTreeMap<CgroupId, Tiers>, to: Option<CgroupId>, more: Tiers) {
    let Some(sum) = to.and_then(|id| sums.get_mut(&id)) else { return };
    // Every field by name: a new one must be summed too.
    let Tiers { zswap, zswap_compressed, phys, zero, folio, unknown } = more;
    let pages = |a: Pages, b: Pages| Pages(a.0.saturating_add(b.0));
    *sum = Tiers {
        zswap: pages(sum.zswap, zswap),
        zswap_compressed: sum.zswap_compressed.saturating_add(zswap_compressed),
        phys: pages(sum.phys, phys),
        zero: pages(sum.zero, zero),
        folio: pages(sum.folio, folio),
        unknown: pages(sum.unknown, unknown),
    };
}
