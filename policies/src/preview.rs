//! What a snapshot would look like once a plan is carried out: for `--dry-run` and for the law of settling.
//!
//! The kernel may do less than asked; the next real snapshot says so. Nothing here acts.

use crate::plan::{Action, Plan};
use crate::snapshot::{CgroupId, CgroupView, Cold, Snapshot};
use crate::units::{Bytes, Pages};

impl Cold {
    /// The *compressed* bytes of `pages` of these, at their average.
    #[must_use]
    pub fn compressed_of(&self, pages: Pages) -> Bytes {
        let part = u128::from(self.compressed.0) * u128::from(pages.0.min(self.pages.0));
        let part = part / u128::from(self.pages.0.max(1));
        Bytes(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

impl Plan {
    /// `snap` as it would be at the same instant if every step did exactly what it says.
    #[must_use]
    pub fn preview(&self, snap: &Snapshot) -> Snapshot {
        let mut after = snap.clone();
        for step in &self.steps {
            match step.action {
                Action::Set { cgroup, knob, to } => {
                    change(&mut after, cgroup, |view| view.settings.set(knob, to));
                }
                Action::Writeback { cgroup, pages, .. } => write_back(&mut after, cgroup, pages),
            }
        }
        after
    }
}

fn change(snap: &mut Snapshot, cgroup: CgroupId, how: impl FnOnce(&mut CgroupView)) {
    if let Some(view) = snap.cgroups.get_mut(&cgroup) {
        how(view);
    }
}

/// Moves pages from zswap to disk, in the cgroup, in all above it, and on the host.
fn write_back(snap: &mut Snapshot, cgroup: CgroupId, pages: Pages) {
    let cold = snap.cgroups.get(&cgroup).and_then(|view| view.cold);
    let compressed = cold.map_or(Bytes(0), |cold| cold.compressed_of(pages));
    let original = pages.bytes(snap.page_size);
    let less = |value: &mut Option<Bytes>, by: Bytes| *value = value.map(|bytes| bytes.saturating_sub(by));
    let chain: Vec<CgroupId> = std::iter::once(cgroup).chain(snap.above(cgroup).map(|(id, _)| id)).collect();
    for id in chain {
        change(snap, id, |view| {
            less(&mut view.zswap_compressed, compressed);
            less(&mut view.zswap_original, original);
            if let Some(tiers) = &mut view.tiers {
                tiers.zswap = tiers.zswap.saturating_sub(pages);
                tiers.zswap_compressed = tiers.zswap_compressed.saturating_sub(compressed);
                tiers.phys = Pages(tiers.phys.0.saturating_add(pages.0));
            }
        });
    }
    change(snap, cgroup, |view| {
        if let Some(cold) = &mut view.cold {
            cold.pages = cold.pages.saturating_sub(pages);
            cold.compressed = cold.compressed.saturating_sub(compressed);
        }
    });
    // Which area a page is in is not known here: each pool may get all of them.
    for pool in snap.host.areas.iter_mut().filter_map(|area| area.pool.as_mut()) {
        let blocks = original.0.checked_div(pool.block.0).unwrap_or(0);
        pool.data.used.0 = pool.data.used.0.saturating_add(blocks).min(pool.data.total.0);
    }
    less(&mut snap.host.pool_compressed, compressed);
    less(&mut snap.host.pool_original, original);
}
