//! What the agent publishes each tick: the one value that `status` and later faces show. Pure data; the JSON is a
//! versioned interface.

use serde::{Deserialize, Serialize};

/// Version of the JSON. What is not known is left out. A field may be added without a new version; none is removed or changes its meaning.
pub const SCHEMA: u32 = 1;

/// Everything a face shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The agent itself.
    pub agent: AgentStatus,
    /// The host.
    pub host: HostStatus,
    /// The shadow map.
    pub map: MapStatus,
    /// Cgroups with a policy or with anything in swap, by path.
    pub cgroups: Vec<CgroupStatus>,
    /// Rounds of write-back since the agent started, oldest first; at most the last 1,000.
    pub rounds: Vec<serde_json::Value>,
    /// What was not done at the last decision, and why: one sentence each.
    pub held: Vec<HeldStatus>,
}

/// The agent's own state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Whether one is running.
    pub running: bool,
    /// Its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Ticks since it started.
    pub tick: u64,
    /// Milliseconds the last tick took.
    pub tick_ms: f64,
    /// Policies in force.
    pub policies: usize,
    /// The dialect that would write back now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_dialect: Option<String>,
    /// What this host lacks and what that costs, one sentence each.
    pub lost: Vec<String>,
}

/// The host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    /// RAM, in bytes.
    pub ram_bytes: u64,
    /// *Compressed* bytes in zswap's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_compressed_bytes: Option<u64>,
    /// *Original* bytes in zswap's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_original_bytes: Option<u64>,
    /// *Compressed* bytes the pool may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_limit_bytes: Option<u64>,
    /// Bytes of all swap areas.
    pub swap_total_bytes: u64,
    /// Bytes of them in no use.
    pub swap_free_bytes: u64,
}

/// The shadow map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MapStatus {
    /// `exact`; `behind` when much was in swap before the probes were there; `absent`.
    pub state: String,
    /// Why it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Chunks of 256 KiB in use.
    pub chunks: u64,
    /// Bytes of kernel memory it holds.
    pub locked_bytes: u64,
    /// Bytes of its frames that clusters of swap slots have: what it would hold without any reserve.
    #[serde(default)]
    pub used_bytes: u64,
    /// Pages in zswap by the map, less those by the kernel's own count (the root's `memory.stat`). Unknown pages may be
    /// in zswap, and each explains a difference of one.
    pub drift_pages: i64,
    /// Slots that were wrong in the map and were put right, since the agent started.
    #[serde(default)]
    pub repaired_pages: u64,
    /// Runs of the probes that the kernel skipped.
    pub recursion_misses: u64,
    /// Events lost: no frame free, unknown area, no counters.
    pub missed_events: u64,
}

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
    /// Pages written straight to a device.
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
    /// `memory.swap.max` as the kernel says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_max: Option<String>,
    /// `memory.zswap.max` as the kernel says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_max: Option<String>,
    /// `memory.zswap.writeback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_writeback: Option<bool>,
}

/// Something that was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldStatus {
    /// The cgroup's path.
    pub cgroup: String,
    /// The policy's file name.
    pub policy: String,
    /// Why.
    pub reason: String,
}
