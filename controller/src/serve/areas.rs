//! The rows of swap areas in a status. Pure: with what the map counted, or without it.
//!
//! Callers: the agent; `without_agent` for when none is running.

use std::collections::BTreeMap;

use swaptier_common::slot::State;
use swaptier_policies::{AreaView, Level, PoolView};

use super::shown;
use super::status::{AreaStatus, PoolStatus};
use crate::map::OwnerScan;
use crate::sense::SwapArea;

/// One row for each area that is on. `scans` is what the map counted, by the kernel's numbers; `level` how far the pool
/// of this name has come.
pub fn rows(
    swaps: &[SwapArea],
    views: &[AreaView],
    scans: &BTreeMap<u32, OwnerScan>,
    level: impl Fn(&str) -> Level,
    page: u64,
) -> Vec<AreaStatus> {
    let scan = |view: &AreaView| view.number.and_then(|number| scans.get(&number));
    let row = |(swap, view): (&SwapArea, &AreaView)| {
        let counted = scan(view);
        let zswap_pages = counted.map(|scan| scan.slots(State::Zswap));
        AreaStatus {
            name: view.name.clone(),
            storage: Some(view.kind),
            zswap_pages,
            phys_pages: counted.map(|scan| scan.slots(State::Phys)),
            pinned_pages: if view.kind.pins_disk() { zswap_pages } else { Some(0) },
            pool: view.pool.as_ref().map(|of| pool(of, level(&of.name), on_disk(of, views, &scan), page)),
            ..shown::area(swap, page)
        }
    };
    swaps.iter().zip(views).map(row).collect()
}

/// Pages on disk of all areas that share the pool; `None` when one of them was not counted.
fn on_disk<'m>(
    pool: &PoolView,
    views: &[AreaView],
    scan: &impl Fn(&AreaView) -> Option<&'m OwnerScan>,
) -> Option<u64> {
    let shares = |view: &&AreaView| view.pool.as_ref().is_some_and(|other| other.name == pool.name);
    views.iter().filter(shares).map(|view| scan(view).map(|scan| scan.slots(State::Phys))).sum()
}

fn pool(pool: &PoolView, level: Level, on_disk: Option<u64>, page: u64) -> PoolStatus {
    let bytes = |blocks: u64| blocks.saturating_mul(pool.block.0);
    let used_bytes = bytes(pool.data.used.0);
    let original = on_disk.map(|pages| pages.saturating_mul(page)).filter(|bytes| *bytes > 0);
    PoolStatus {
        used_bytes,
        total_bytes: bytes(pool.data.total.0),
        headroom_bytes: pool.until(pool.marks.demote).0,
        used_blocks: pool.data.used.0,
        used_metadata_blocks: pool.metadata.used.0,
        total_metadata_blocks: pool.metadata.total.0,
        level,
        amplification: original.map(|original| used_bytes as f64 / original as f64),
    }
}

#[cfg(test)]
mod tests {
    use swaptier_policies::{AreaKind, Blocks, Bytes, Fill, Marks, Pages};

    use super::*;

    fn view(name: &str, kind: AreaKind, number: u32) -> AreaView {
        let fill = |used, total| Fill { used: Blocks(used), total: Blocks(total) };
        let pool = PoolView {
            name: "main".into(),
            block: Bytes(65_536),
            data: fill(100, 1_000),
            metadata: fill(1, 10),
            marks: Marks::default(),
            refuses: false,
        };
        AreaView {
            name: name.into(),
            path: format!("/dev/{name}"),
            number: Some(number),
            kind,
            priority: 0,
            slots: Pages(1_000),
            used: Pages(10),
            pool: (kind == AreaKind::Virtual).then_some(pool),
        }
    }

    fn scan(zswap: u64, phys: u64) -> OwnerScan {
        OwnerScan { slots: [0, 0, zswap, 0, phys, 0], ..OwnerScan::default() }
    }

    fn rows_of(views: &[AreaView], scans: &[(u32, OwnerScan)]) -> Vec<AreaStatus> {
        let swap = |view: &AreaView| SwapArea {
            path: view.path.clone().into(),
            identity: None,
            kind: "partition".into(),
            size: Bytes(view.slots.0 * 4096),
            used: Bytes(view.used.0 * 4096),
            priority: view.priority,
        };
        let swaps: Vec<SwapArea> = views.iter().map(swap).collect();
        rows(&swaps, views, &scans.iter().cloned().collect(), |_| Level::Free, 4096)
    }

    #[test]
    fn a_page_in_zswap_pins_the_disk_on_a_plain_area_only() {
        let views = [
            view("disk", AreaKind::Plain, 0),
            view("g", AreaKind::GhostDm, 1),
            view("v", AreaKind::Virtual, 2),
        ];
        let scans = [(0, scan(7, 3)), (1, scan(5, 0)), (2, scan(4, 6))];
        let rows = rows_of(&views, &scans);
        assert_eq!(rows.iter().map(|row| row.pinned_pages).collect::<Vec<_>>(), [Some(7), Some(0), Some(0)]);
        assert_eq!(rows.iter().map(|row| row.zswap_pages).collect::<Vec<_>>(), [Some(7), Some(5), Some(4)]);
        // Without the map it is not known how many are in zswap; that none pins anything on a ghost is.
        let rows = rows_of(&views, &[]);
        assert_eq!(rows.iter().map(|row| row.pinned_pages).collect::<Vec<_>>(), [None, Some(0), Some(0)]);
    }

    #[test]
    fn amplification_is_of_all_parts_that_share_the_pool() {
        let views = [view("main", AreaKind::Virtual, 3), view("main/1", AreaKind::Virtual, 4)];
        // 100 blocks of 64 KiB are 1,600 pages; 500 + 780 = 1,280 pages are on them: 1.25.
        let rows = rows_of(&views, &[(3, scan(0, 500)), (4, scan(0, 780))]);
        let pool = rows[1].pool.clone().unwrap();
        assert_eq!(
            (pool.amplification, pool.used_bytes, rows[0].pool.clone()),
            (Some(1.25), 6_553_600, Some(pool.clone()))
        );
        // 70 % of 1,000 blocks less 100: 600 blocks.
        assert_eq!(pool.headroom_bytes, 600 * 65_536);
        assert_eq!(rows_of(&views, &[(3, scan(0, 500))])[0].pool.clone().unwrap().amplification, None);
    }
}
