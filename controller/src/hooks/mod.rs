//! The kernel side of the shadow map, seen from user space: which functions to watch on this kernel, where the
//! members of its structures are, loading, attaching, and how many events the kernel skipped.
//!
//! `facts` reads BTF (`btf` is its form), `symbols` addresses, `coverage` decides (pure), `load` acts, `links` keeps what is
//! attached for the next agent, `handover` gives it to the service manager meanwhile, `timer` times swap-ins while somebody
//! looks, `before` asks zswap's trees what was there when all this began. What the probes write is read by `map`.

#![expect(
    clippy::disallowed_methods,
    reason = "BTF, kallsyms and bpffs are the running kernel's: below another root there are no probes"
)]

mod before;
mod btf;
pub mod coverage;
pub mod facts;
pub mod handover;
mod links;
pub mod load;
mod misses;
mod preempt;
pub(crate) mod symbols;
mod timer;

use std::path::PathBuf;

pub use before::Trees;
pub use load::{Hooks, Loaded, Origin};
pub use preempt::{Preemption, preemption};
pub use timer::Timer;

/// Why the probes are not running. The agent then runs on cgroup files alone and says so.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The kernel's type information could not be read.
    #[error("{path}: {why}; the probes need the kernel's BTF (CONFIG_DEBUG_INFO_BTF)")]
    Btf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The kernel has no structure member the probes must read.
    #[error("this kernel's BTF has no `{0}`: it keeps swap in a way the probes do not know")]
    Member(String),
    /// A function without which the map would be wrong is missing.
    #[error("this kernel has no function to watch for: {0}")]
    Uncovered(String),
    /// The address of `zswap_list_lru` is hidden or missing.
    #[error(
        "/proc/kallsyms shows no address for zswap_list_lru: CAP_SYSLOG is missing, kernel.kptr_restrict is 2, or this kernel has no zswap"
    )]
    Symbol,
    /// The pin folder could not be used.
    #[error("{path}: {source}; is bpffs mounted on /sys/fs/bpf?")]
    PinFolder {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The object could not be loaded: a map was refused.
    #[error("loading the probes: {}", chain(.0))]
    Object(aya::EbpfError),
    /// A program was refused or could not be attached. The verifier's log is part of the text.
    #[error("{program} on {function}: {}", chain(.source))]
    Program {
        /// The program of `ebpf/`.
        program: &'static str,
        /// The kernel function.
        function: String,
        /// What aya said.
        source: aya::programs::ProgramError,
    },
    /// A map is missing from the object: it and the agent are of different builds.
    #[error("the probes' object has no map {0}: it is not of this build")]
    Map(&'static str),
    /// A map could not be used.
    #[error("map {map}: {source}")]
    MapUse {
        /// The map.
        map: &'static str,
        /// What aya said.
        source: aya::maps::MapError,
    },
}

/// An error with all its causes, in one line each.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
