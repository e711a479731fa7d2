//! What the agent publishes each tick: the one value that every face shows. Pure data; the JSON is a versioned
//! interface. What is only wanted of one cgroup at a time is in `detail`, what happened in `events`; `describe` names
//! every field with its unit.

use serde::{Deserialize, Serialize};
use swaptier_policies::{AreaKind, Level};

/// Version of the JSON. What is not known is left out. A field may be added without a new version; none is removed or
/// changes its meaning.
pub const SCHEMA: u32 = 1;

/// Everything a face shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it was published: seconds since 1970, to the millisecond. 0 without an agent.
    #[serde(default)]
    pub unix_seconds: f64,
    /// The agent itself.
    pub agent: AgentStatus,
    /// The host.
    pub host: HostStatus,
    /// Swap areas in use, in the kernel's order.
    #[serde(default)]
    pub areas: Vec<AreaStatus>,
    /// The shadow map.
    pub map: MapStatus,
    /// Cgroups with a policy or with anything in swap, by path.
    pub cgroups: Vec<CgroupStatus>,
    /// Rounds of write-back since the agent started, oldest first; at most the last 100.
    pub rounds: Vec<serde_json::Value>,
    /// What was not done at the last decision, and why: one sentence each.
    pub held: Vec<HeldStatus>,
    /// Kernel files that say what swaptier wrote, and will be given back: by path.
    #[serde(default)]
    pub knobs: Vec<KnobStatus>,
    /// Sequence number of the newest event; 0 before the first.
    #[serde(default)]
    pub last_event: u64,
    /// What was done since the agent started.
    #[serde(default)]
    pub totals: TotalsStatus,
}

/// What was done since the agent started, by policies and by commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TotalsStatus {
    /// Steps of plans that were carried out, or needed no change.
    pub steps: u64,
    /// Steps that could not be carried out.
    pub steps_in_trouble: u64,
    /// Rounds of write-back, those that failed included.
    pub rounds: u64,
    /// Of these: refused by the kernel, or not possible.
    pub rounds_failed: u64,
    /// Pages that rounds were asked for.
    pub asked_pages: u64,
    /// Pages that rounds wrote back.
    pub written_pages: u64,
    /// Pages written beyond what was asked.
    pub overshoot_pages: u64,
    /// Pages of other cgroups that were written back meanwhile.
    pub sibling_pages: u64,
    /// Stores of the host that zswap refused meanwhile.
    pub refused_stores: u64,
    /// Seconds that rounds took.
    pub round_seconds: f64,
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
    /// It decides and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Seconds from one tick to the next.
    #[serde(default)]
    pub tick_interval_seconds: u64,
    /// What it costs.
    #[serde(default)]
    pub cost: CostStatus,
    /// Ticks that could not see the host.
    #[serde(default)]
    pub blind_ticks: u64,
    /// Lines of the journal of ticks that were lost: the disk was slow, full or gone.
    #[serde(default)]
    pub journal_dropped: u64,
}

/// What the agent itself costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostStatus {
    /// Milliseconds of processor time that the last tick took.
    pub tick_cpu_ms: f64,
    /// Seconds that all ticks took, by the clock on the wall.
    pub ticks_seconds: f64,
    /// Seconds of processor time that all ticks took.
    pub ticks_cpu_seconds: f64,
    /// Seconds of processor time of the whole process, its socket and journal included.
    pub cpu_seconds: f64,
    /// Bytes of its memory in RAM (`VmRSS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Whether its memory is locked: it cannot be swapped out itself.
    pub is_locked: bool,
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
    /// Bytes of a page.
    #[serde(default)]
    pub page_bytes: u64,
    /// `MemAvailable`, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// Bytes of kernel memory that an empty swap slot costs here; known where the agent had to measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_cost_bytes: Option<f64>,
    /// Whether zswap takes pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_enabled: Option<bool>,
    /// Once the pool's limit was met, pages are taken again below this share of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_threshold_percent: Option<u8>,
    /// *Original* bytes that take room on a device: slots in use less those in zswap, in the swap cache and of zeroes.
    /// Known with the map alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_original_bytes: Option<u64>,
    /// `/proc/pressure/memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<PressureStatus>,
    /// `/proc/pressure/io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_pressure: Option<PressureStatus>,
    /// Pages that move, by `/proc/vmstat`.
    #[serde(default)]
    pub rates: Rates,
    /// Stores that zswap refused, by why, since it was first enabled. `None` where its debugfs files cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_stores: Option<RefusedStores>,
}

/// Shares of time in which tasks waited, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PressureStatus {
    /// Some task, of the last 10 s.
    pub some_avg10: f64,
    /// Some task, of the last 60 s.
    pub some_avg60: f64,
    /// Seconds in which some task waited, since boot or since the cgroup was made.
    pub some_seconds: f64,
    /// All tasks at once, of the last 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_avg10: Option<f64>,
    /// All tasks at once, of the last 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_avg60: Option<f64>,
    /// Seconds in which all tasks waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_seconds: Option<f64>,
}

/// Pages a second, between the last two ticks. `None`: not known, as at the first tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Stored in zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<f64>,
    /// Read out of zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<f64>,
    /// Written back: zswap to a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_back: Option<f64>,
    /// Written to a device without zswap. Of the host: all that is written to a device, write-back included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<f64>,
    /// Read from a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<f64>,
}

/// Stores that zswap refused since it was first enabled: `/sys/kernel/debug/zswap/reject_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStores {
    /// The pool's limit was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_limit: Option<u64>,
    /// No memory was to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_memory: Option<u64>,
    /// The page does not compress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incompressible: Option<u64>,
    /// The compressor failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressor_failed: Option<u64>,
    /// Reclaim of the pool failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_failed: Option<u64>,
}

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
    /// What is under it: `ghost_native`, `ghost_dm`, `ghost_zram`, `virtual`, `zram`, `plain`.
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

/// A kernel file that swaptier changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnobStatus {
    /// The file, below `/`.
    pub path: String,
    /// kernfs id of its cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u64>,
    /// What it said before, and will say again.
    pub before: String,
    /// What was written.
    pub ours: String,
    /// Who asked for it: a policy's file name, a command, a table of the configuration.
    pub by: String,
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
