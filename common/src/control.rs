//! The one block of words through which the agent and the probes talk to each other.

/// Single element of the `CONTROL` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Next entry of the ring of free frames to hand out; advanced by the probes.
    pub ring_head: u64,
    /// One past the last entry of the ring; advanced by the agent.
    pub ring_tail: u64,
    /// The probes wake the agent when fewer free frames than this are left.
    pub ring_low: u64,
    /// Events lost because no frame was free.
    pub missed_frames: u64,
    /// Events lost because the area is unknown or larger than the directory.
    pub missed_areas: u64,
    /// Events whose cgroup has no counters yet.
    pub missed_cgroups: u64,
    /// Pages written back, all cgroups.
    pub written_back_pages: u64,
    /// Entries zswap's write-back looked at and left where they are, all cgroups: given a second chance, in use, or
    /// not writable now.
    pub passed_over: u64,
    /// Runs of zswap's shrink worker that have begun.
    pub worker_begun: u64,
    /// Runs of it that have ended. One work item: at most one run is under way.
    pub worker_ended: u64,
    /// Pages written back that had been in zswap for `cold_after` seconds or longer, all cgroups.
    pub written_back_cold: u64,
    /// The age a round asks for, in seconds; set before each round.
    pub cold_after: u64,
    /// While not 0: stores are counted in the next two, but those of the process with this id.
    pub watch_stores: u64,
    /// Stores that zswap took while watched: calls, a large folio is one.
    pub stores_taken: u64,
    /// Stores that zswap refused while watched: calls, a large folio is one.
    pub stores_refused: u64,
    /// When `written_back_pages` reaches this, the agent is woken once; 0 means never.
    pub written_back_alarm: u64,
    /// Pages that were found in zswap at the end of their swap-out: the program that sees them stored had been skipped.
    pub stores_found: u64,
    /// Pages that were in zswap before the probes, entered from its own trees.
    pub found_before: u64,
}

#[cfg(feature = "user")]
// SAFETY: plain words, every bit pattern valid, no padding.
unsafe impl aya::Pod for Control {}
