//! What the agent publishes each tick: the one value that every face shows. Pure data; the JSON is a versioned
//! interface. What is only wanted of one cgroup at a time is in `detail`, what happened in `events`; `describe` names
//! every field with its unit. The rows of cgroups and of areas, what is so of the host, and how long swap-ins took have a file
//! each.

mod area;
mod cgroup;
mod host;
mod swap_ins;

use serde::{Deserialize, Serialize};

pub use area::{AreaStatus, PoolStatus};
pub use cgroup::{ActionStatus, CgroupStatus};
pub use host::{HostRates, HostStatus, PressureStatus, Rates, RefusedStores};
pub use swap_ins::{Durations, SwapIns};

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
    /// Whether it says this itself; if not, all is as the kernel's files say.
    pub running: bool,
    /// Why nothing is heard of it, where that is so: none is running, it does not answer, or it may not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
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
    /// The round of write-back that runs now, beside the ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
    /// Rounds that wait for its end.
    #[serde(default)]
    pub rounds_waiting: u64,
    /// Seconds from one tick to the next.
    #[serde(default)]
    pub tick_interval_seconds: u64,
    /// What it costs.
    #[serde(default)]
    pub cost: CostStatus,
    /// Ticks that could not see the host.
    #[serde(default)]
    pub blind_ticks: u64,
    /// Why the last tick was one; what is shown is what the one before saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<String>,
    /// Lines of the journal of ticks that were lost: the disk was slow, full or gone.
    #[serde(default)]
    pub journal_dropped: u64,
}

/// What the agent itself costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostStatus {
    /// Milliseconds of processor time that the last tick took.
    pub tick_cpu_ms: f64,
    /// Milliseconds of processor time of the loop from the reading of a command to its answer, at most since the agent
    /// began: the answer itself, and the work under way before its turn. Rounds of write-back answer when they end, and do
    /// not count.
    #[serde(default)]
    pub longest_answer_cpu_ms: f64,
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

/// How the shadow map stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapState {
    /// It says what the kernel's own counts say.
    Exact,
    /// Much was in swap before the probes were there.
    Behind,
    /// There is none.
    Absent,
    /// It is not said, or in the word of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

impl MapState {
    /// As it stands in the JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            MapState::Exact => "exact",
            MapState::Behind => "behind",
            MapState::Absent => "absent",
            MapState::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for MapState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// The shadow map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MapStatus {
    /// How it stands.
    pub state: MapState,
    /// Why it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds since its slots were walked: pages by tier and age are of then. Each tick while somebody looks, or records;
    /// else when a decision is due. `None`: there is no map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
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
    /// Pages of such runs that were found in zswap, at the end of their swap-out.
    #[serde(default)]
    pub found_stores: u64,
    /// Events lost: no frame free, unknown area, no counters.
    pub missed_events: u64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_map_stands_is_one_word_also_of_another_version() {
        for state in [MapState::Exact, MapState::Behind, MapState::Absent] {
            let word = serde_json::to_string(&state).unwrap();
            assert_eq!(word, format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<MapState>(&word).unwrap(), state);
        }
        assert_eq!(serde_json::from_str::<MapState>("\"mending\"").unwrap(), MapState::Unknown);
    }
}
