//! What a status says of one swap area, and of the disk under a virtual one. Pure data.

use serde::{Deserialize, Serialize};
use swaptier_policies::{AreaKind, Level};

/// One swap area.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AreaStatus {
    /// The device or file.
    pub path: String,
    /// `partition` or `file`.
    pub kind: String,
    /// Higher is used first.
    pub priority: i32,
    /// Its slots, in bytes.
    pub size_bytes: u64,
    /// Bytes of slots in use, wherever the pages are.
    pub used_bytes: u64,
    /// Its slots: pages it can hold.
    pub slots: u64,
    /// Slots in use.
    pub used_slots: u64,
    /// What it was named when it was made; the path of one that swaptier did not make.
    #[serde(default)]
    pub name: String,
    /// What is under it: `ghost_native`, `ghost_dm`, `ghost_zram`, `virtual`, `zram`, `plain`,
    /// or `unseen`: that could not be told, and it counts as one without storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<AreaKind>,
    /// Pages of it in zswap, by the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_pages: Option<u64>,
    /// Pages of it on the device, by the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phys_pages: Option<u64>,
    /// Pages that keep a place on the disk busy while they are in zswap: all of those of a plain area, none of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_pages: Option<u64>,
    /// The disk under a virtual area; parts of one area have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolStatus>,
}

/// The pool of a virtual area.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Bytes *on disk* that blocks in use take.
    pub used_bytes: u64,
    /// Bytes *on disk* there are.
    pub total_bytes: u64,
    /// Bytes *on disk* that can be written until demotion stops.
    pub headroom_bytes: u64,
    /// Blocks of data in use.
    pub used_blocks: u64,
    /// Blocks of metadata in use.
    pub used_metadata_blocks: u64,
    /// Blocks of metadata there are.
    pub total_metadata_blocks: u64,
    /// How far it has come: what is done about it.
    pub level: Level,
    /// Bytes *on disk* for each *original* byte that is on disk, all parts of the area together; 1 where every block
    /// holds nothing but pages. `None`: none is there, or the map is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplification: Option<f64>,
}
