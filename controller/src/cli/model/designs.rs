//! What each design of swap's bookkeeping would cost for the slots of one host. Pure arithmetic; where every number is from
//! is in `docs/model.md`.

use serde::Serialize;
use swaptier_common::FRAME_SLOTS;
use swaptier_policies::path::is_below;

use crate::serve::status::{MapState, Status};

/// The slots of a host, by the map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Slots {
    /// All slots of all areas.
    pub(super) all: u64,
    /// Clusters of 512 slots in which at least one is in use: tables that are made when they are needed are made for
    /// these.
    pub(super) clusters: u64,
    /// In zswap.
    pub(super) zswap: u64,
    /// On a device.
    pub(super) phys: u64,
    /// Zeros, stored nowhere.
    pub(super) zero: u64,
    /// In the swap cache only.
    pub(super) folio: u64,
    /// In use, and no more is known.
    pub(super) unknown: u64,
}

impl Slots {
    /// Of what an agent published. `None`: it has no map.
    pub(super) fn of(status: &Status, page_size: u64) -> Option<Self> {
        if status.map.state == MapState::Absent {
            return None;
        }
        let root = status.cgroups.iter().find(|row| row.path.is_empty());
        // Without a row of the root, what is below it: subtrees beside each other.
        let rows: Vec<_> = match root {
            Some(root) => vec![root],
            None => status.cgroups.iter().filter(|row| !has_above(status, &row.path)).collect(),
        };
        let sum = |field: fn(&crate::serve::status::CgroupStatus) -> Option<u64>| {
            rows.iter().filter_map(|row| field(row)).sum()
        };
        Some(Self {
            all: status.host.swap_total_bytes / page_size.max(1),
            clusters: status.map.used_bytes / (FRAME_SLOTS as u64 * 8),
            zswap: sum(|row| row.zswap_pages),
            phys: sum(|row| row.phys_pages),
            zero: sum(|row| row.zero_pages),
            folio: sum(|row| row.folio_pages),
            unknown: sum(|row| row.unknown_pages),
        })
    }

    pub(super) fn used(&self) -> u64 {
        self.zswap + self.phys + self.zero + self.folio + self.unknown
    }
}

/// Whether some row is of a cgroup above this one.
fn has_above(status: &Status, path: &str) -> bool {
    status.cgroups.iter().any(|row| is_below(path, &row.path))
}

/// How a design keeps its books: bytes of kernel memory for each …
#[derive(Debug, Clone, Copy)]
pub(super) struct Design {
    pub(super) name: &'static str,
    /// … slot there is.
    all: u64,
    /// … slot of a cluster in use.
    used: u64,
    /// … page on a device, beside that.
    phys: u64,
    /// Whether a page that is in zswap, or all zeros, has a slot of the disk too.
    pins: bool,
}

/// The designs. `docs/model.md` has the source of each number.
pub(super) const DESIGNS: [Design; 5] = [
    Design { name: "kernel: static arrays and swap table", all: 3, used: 8, phys: 0, pins: true },
    Design { name: "virtual swap space, descriptors", all: 0, used: 24, phys: 8, pins: false },
    Design { name: "virtual swap space on swap tables", all: 0, used: 16, phys: 8, pins: false },
    Design { name: "swap table with redirection", all: 0, used: 8, phys: 4, pins: false },
    Design { name: "swaptier's shadow map", all: 0, used: 8, phys: 0, pins: true },
];

/// What a design would cost here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Cost {
    pub(super) design: &'static str,
    pub(super) bytes_per_slot: u64,
    pub(super) bytes_per_used_slot: u64,
    pub(super) bytes_per_page_on_disk: u64,
    /// Kernel memory for all slots, in use or not.
    pub(super) static_bytes: u64,
    /// Kernel memory for the clusters in use, and for the pages on disk.
    pub(super) dynamic_bytes: u64,
    /// Bytes on disk that pages hold which are not there.
    pub(super) pinned_disk_bytes: u64,
}

/// Prices one design.
pub(super) fn cost(design: &Design, slots: &Slots, page_size: u64) -> Cost {
    let in_clusters = slots.clusters.saturating_mul(FRAME_SLOTS as u64);
    let elsewhere = slots.zswap + slots.zero + slots.folio;
    Cost {
        design: design.name,
        bytes_per_slot: design.all,
        bytes_per_used_slot: design.used,
        bytes_per_page_on_disk: design.phys,
        static_bytes: slots.all.saturating_mul(design.all),
        dynamic_bytes: in_clusters.saturating_mul(design.used) + slots.phys.saturating_mul(design.phys),
        pinned_disk_bytes: if design.pins { elsewhere.saturating_mul(page_size) } else { 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::{CgroupStatus, HostStatus, MapStatus};

    fn row(path: &str, zswap: u64, phys: u64) -> CgroupStatus {
        CgroupStatus {
            path: path.into(),
            zswap_pages: Some(zswap),
            phys_pages: Some(phys),
            ..CgroupStatus::default()
        }
    }

    fn status(cgroups: Vec<CgroupStatus>) -> Status {
        Status {
            // 1 GiB of swap, 3 clusters in use.
            host: HostStatus { swap_total_bytes: 1 << 30, ..HostStatus::default() },
            map: MapStatus { state: MapState::Exact, used_bytes: 3 * 4096, ..MapStatus::default() },
            cgroups,
            ..Status::default()
        }
    }

    #[test]
    fn pages_are_counted_once_with_and_without_a_row_of_the_root() {
        let below = vec![row("a", 700, 90), row("a/b", 600, 80), row("b/c", 300, 10)];
        let of = |rows| Slots::of(&status(rows), 4096).unwrap();
        assert_eq!((of(below.clone()).zswap, of(below.clone()).phys), (1000, 100));
        let with_root = [vec![row("", 1001, 101)], below].concat();
        assert_eq!((of(with_root.clone()).zswap, of(with_root).phys), (1001, 101));
        let mut absent = status(Vec::new());
        absent.map.state = MapState::Absent;
        assert_eq!(Slots::of(&absent, 4096), None);
    }

    #[test]
    fn each_design_is_priced_by_the_slots_it_books() {
        let slots =
            Slots { all: 1 << 18, clusters: 3, zswap: 1000, phys: 100, zero: 20, folio: 5, unknown: 0 };
        let priced: Vec<_> = DESIGNS.iter().map(|design| cost(design, &slots, 4096)).collect();
        let sums: Vec<_> =
            priced.iter().map(|c| (c.static_bytes, c.dynamic_bytes, c.pinned_disk_bytes)).collect();
        // 3 clusters are 1,536 slots; 1,025 pages of 4,096 B are not on the disk.
        let pinned = 1025 * 4096;
        assert_eq!(
            sums,
            [
                (3 << 18, 1536 * 8, pinned),
                (0, 1536 * 24 + 100 * 8, 0),
                (0, 1536 * 16 + 100 * 8, 0),
                (0, 1536 * 8 + 100 * 4, 0),
                (0, 1536 * 8, pinned),
            ]
        );
    }
}
