//! What a finding is about. In JSON and on a terminal it is a word or two.

use std::fmt;

use serde::{Serialize, Serializer};

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The kernel and its pages.
    Kernel,
    /// cgroup v2 as a whole.
    Cgroup,
    /// Single cgroups that cannot be looked at.
    Cgroups,
    /// `memory.zswap.writeback`.
    Valve,
    /// zswap.
    Zswap,
    /// Whether cgroups are charged for what they have in zswap.
    Accounting,
    /// zswap's own shrinker.
    Shrinker,
    /// zswap's counters.
    Debugfs,
    /// The swap areas that are on.
    Swap,
    /// A swap area that is memory too.
    Zram,
    /// Which area a cgroup swaps to.
    Areas,
    /// The ways to write back.
    WriteBack,
    /// `memory.reclaim`.
    Reclaim,
    /// The probes and their map.
    Probes,
    /// What this process may do.
    Rights,
    /// Whether areas without storage can be had.
    GhostAreas,
    /// The same over zram.
    ZramGhosts,
    /// Whether areas far larger than their disk can be had.
    VirtualAreas,
    /// The agent, and what it lacks.
    Agent,
    /// `swaptier.toml` and the policies.
    Configuration,
    /// What is changed and not given back.
    UndoLog,
    /// What zswap has of the settings.
    Settings,
    /// What the swap areas make of policies, and pools past a mark.
    SwapAreas,
    /// What an empty slot costs.
    SlotCost,
}

impl About {
    /// Its words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            About::Kernel => "kernel",
            About::Cgroup => "cgroup",
            About::Cgroups => "cgroups",
            About::Valve => "valve",
            About::Zswap => "zswap",
            About::Accounting => "accounting",
            About::Shrinker => "shrinker",
            About::Debugfs => "debugfs",
            About::Swap => "swap",
            About::Zram => "zram",
            About::Areas => "areas",
            About::WriteBack => "write-back",
            About::Reclaim => "reclaim",
            About::Probes => "probes",
            About::Rights => "rights",
            About::GhostAreas => "ghost areas",
            About::ZramGhosts => "zram ghosts",
            About::VirtualAreas => "virtual areas",
            About::Agent => "agent",
            About::Configuration => "configuration",
            About::UndoLog => "undo log",
            About::Settings => "settings",
            About::SwapAreas => "swap areas",
            About::SlotCost => "slot cost",
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

impl Serialize for About {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.words())
    }
}
