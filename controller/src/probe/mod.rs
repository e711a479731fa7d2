//! What can this host do? The facts, and what they mean for the agent.
//!
//! `read` looks, `judge` decides from what was seen alone. A feature is asked for by its file or function, never by a
//! version. What the agent itself made of the host (its values, its configuration) is not here. Callers: `doctor`, and
//! the agent before it begins.

mod about;
mod capabilities;
mod judge;
mod read;

use serde::Serialize;
use swaptier_policies::Bytes;

use crate::sense::{Accounting, SwapArea, ZswapParameters};

pub use about::About;
pub use judge::judge;
pub use read::read;

/// What was seen of the host. Nothing here is a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `/proc/sys/kernel/osrelease`: shown, and never compared.
    pub release: Option<String>,
    /// What this program was built for.
    pub arch: &'static str,
    /// The page size.
    pub page_size: Bytes,
    /// What `/sys/kernel/security/lockdown` has in brackets.
    pub lockdown: Option<String>,
    /// Whether memory is run by cgroup v2, or why not.
    pub cgroups: Result<(), String>,
    /// There is `memory.zswap.writeback`.
    pub has_valve: bool,
    /// There is `memory.reclaim`.
    pub has_reclaim: bool,
    /// There is `memory.swap.tiers.max`.
    pub has_tiers_max: bool,
    /// There is `/sys/module/zswap/parameters`.
    pub has_zswap: bool,
    /// zswap's parameters.
    pub zswap: ZswapParameters,
    /// debugfs is mounted on `/sys/kernel/debug`.
    pub has_debugfs: bool,
    /// Whether cgroups are charged for what they have in zswap.
    pub accounting: Accounting,
    /// zswap's counters in debugfs can be read.
    pub has_zswap_counters: bool,
    /// The swap areas that are on, or why that is not known.
    pub swaps: Result<Vec<SwapArea>, String>,
    /// What the probes can be attached to.
    pub hooks: HookFacts,
    /// A bpffs is mounted on `/sys/fs/bpf`.
    pub has_bpffs: bool,
    /// Capabilities that the agent needs and this process lacks.
    pub capabilities_lacking: Vec<&'static str>,
    /// Every way to write back, best first, and why it cannot be used now where it cannot.
    pub dialects: Vec<(&'static str, Result<(), String>)>,
}

/// What the kernel offers to the probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookFacts {
    /// The root is a folder: its kernel is not the one that runs.
    NotLookedAt,
    /// The kernel's type information could not be read, or lacks something: why.
    Unreadable(String),
    /// Things that must be seen, and for which there is no function.
    Uncovered(Vec<String>),
    /// The map can be kept.
    Covered {
        /// How many programs fit.
        programs: usize,
        /// What will not be seen, one sentence each.
        lost: Vec<String>,
        /// `/proc/kallsyms` shows where zswap's list is.
        has_symbol: bool,
    },
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and something is worth a look.
    Warn,
    /// Something cannot be done; the rest can.
    Lost,
    /// The agent cannot do its job at all.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    #[serde(rename = "area")]
    pub about: About,
    /// How much it matters.
    pub level: Level,
    /// What was found, and what it costs: one sentence.
    pub says: String,
    /// What to change.
    pub fix: Option<String>,
}

impl Finding {
    /// A finding without a remedy.
    pub fn new(about: About, level: Level, says: impl Into<String>) -> Self {
        Self { about, level, says: says.into(), fix: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

#[cfg(test)]
mod tests;
