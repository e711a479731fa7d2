//! What a status says of one cgroup, and of what was done to it last. Pure data.

use serde::{Deserialize, Serialize};
use swaptier_policies::Settings;

use super::{PressureStatus, Rates};

/// One cgroup. Pages are counted with its whole subtree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CgroupStatus {
    /// Path below the cgroup root.
    pub path: String,
    /// kernfs id.
    pub id: u64,
    /// File name of its policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Pages in zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_pages: Option<u64>,
    /// *Compressed* bytes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_compressed_bytes: Option<u64>,
    /// Pages on a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phys_pages: Option<u64>,
    /// Pages of zeroes, stored nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_pages: Option<u64>,
    /// Slots whose only copy is in the swap cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folio_pages: Option<u64>,
    /// Slots of which nothing is known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_pages: Option<u64>,
    /// As the map's `drift_pages`, for this cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_pages: Option<i64>,
    /// Pages in zswap for at least `older_than_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_pages: Option<u64>,
    /// The age its policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_seconds: Option<u64>,
    /// How long the oldest page has been in zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<u64>,
    /// Pages stored in zswap since the agent started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_pages: Option<u64>,
    /// Pages read out of zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_pages: Option<u64>,
    /// Pages written back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_back_pages: Option<u64>,
    /// Pages written straight to a device. `None` also where some may have been sent to an area without storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_pages: Option<u64>,
    /// Pages read from a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_pages: Option<u64>,
    /// Of these, pages that write-back had put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regret_pages: Option<u64>,
    /// `memory.current`, bytes in RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_current_bytes: Option<u64>,
    /// The files that policies set, by their names: `swap_max`, `zswap_writeback` …
    #[serde(flatten)]
    pub settings: Settings,
    /// Its way to disk was closed by `swaptier close`, and `swaptier open` opens it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed_by_hand: bool,
    /// kernfs id of the cgroup above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// A process lives in it or below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub populated: Option<bool>,
    /// `memory.swap.current`: *original* bytes of all its slots, wherever the pages are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_current_bytes: Option<u64>,
    /// *Compressed* bytes of the cold pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_compressed_bytes: Option<u64>,
    /// Pages that move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// `memory.pressure`. Read only while somebody looks: the first status after a while has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<PressureStatus>,
    /// What was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ActionStatus>,
}

/// One thing that was done to a cgroup, or tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionStatus {
    /// When: seconds since 1970.
    pub unix_seconds: u64,
    /// What: `write back 512 pages older than 10m`.
    pub action: String,
    /// The policy's file name, or the command.
    pub by: String,
    /// Why, with the numbers.
    pub reason: String,
    /// What came of it.
    pub outcome: String,
    /// It was not done as asked.
    #[serde(default)]
    pub is_trouble: bool,
}
