//! What each swap area holds: a walk of its own through the frames of one area after the other. The walk by owner goes
//! through the frames as they lie in memory, where those of all areas are mixed.

use std::collections::BTreeMap;

use swaptier_common::{CHUNK_FRAMES, FRAME_SLOTS};

use super::{OwnerScan, Scan, ShadowMap, now};

impl ShadowMap {
    /// What every area holds, by its number.
    pub fn by_area(&self) -> BTreeMap<u32, OwnerScan> {
        let scan = |area| {
            // One row for all owners.
            let mut scan = Scan::new(0, now(), |_| None);
            for number in self.clusters(&area) {
                let Some(frame) = (number as usize).checked_sub(1) else { continue };
                let Some(chunk) = self.chunks.get(frame / CHUNK_FRAMES) else { continue };
                scan.words(chunk.words(frame % CHUNK_FRAMES * FRAME_SLOTS, FRAME_SLOTS));
            }
            scan.total()
        };
        self.areas().into_iter().map(|(number, area)| (number, scan(area))).collect()
    }
}
