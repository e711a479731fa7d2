//! The programs that time swap-ins (`ebpf/src/latency.rs`): loaded when somebody looks for the first time, attached as long
//! as somebody does. They are not pinned: they end with the agent, and so do their histograms.
//!
//! They read the shadow map and never change it. Caller: the agent's `timing`.

use std::collections::BTreeMap;

use aya::{Btf, Ebpf, maps::HashMap, programs::links::FdLink};
use swaptier_common::{
    latency::{Latency, TIMED_CGROUPS, TIMED_FAULTS},
    notes::ALONE,
};

use super::{
    HookError, Hooks,
    coverage::{Attach, timing},
    facts,
    load::{attach_program, load_program},
    symbols,
};

/// Where the programs leave their histograms.
const LATENCY: &str = "LATENCY";

/// The programs, loaded.
pub struct Timer {
    ebpf: Ebpf,
    attach: Vec<Attach>,
    /// Those that are attached; dropping one detaches it.
    links: Vec<FdLink>,
}

impl Hooks {
    /// Loads the programs, attached to nothing, on the maps that are pinned: the probes run. Takes a second under emulation,
    /// most of it reading BTF.
    ///
    /// # Errors
    /// What the kernel lacks or refuses.
    pub fn timer(&self) -> Result<Timer, HookError> {
        let facts = facts::running()?;
        let attach = timing(facts).ok_or_else(|| HookError::Uncovered("swap-ins of a fault".to_owned()))?;
        let btf = Btf::from_sys_fs().map_err(|source| HookError::Object(source.into()))?;
        let timed = [TIMED_FAULTS, TIMED_CGROUPS];
        let mut ebpf = self.object(facts, symbols::zswap()?, (ALONE, timed), &btf)?;
        attach.iter().try_for_each(|attach| load_program(&mut ebpf, attach, &btf))?;
        Ok(Timer { ebpf, attach, links: Vec::new() })
    }
}

impl Timer {
    /// Attaches the programs, or takes them off; nothing where it is so already.
    ///
    /// # Errors
    /// The kernel refuses a program; none is attached then.
    pub fn run(&mut self, is_wanted: bool) -> Result<(), HookError> {
        if !is_wanted {
            self.links.clear();
        } else if self.links.is_empty() {
            let Self { ebpf, attach, .. } = self;
            self.links =
                attach.iter().map(|attach| attach_program(ebpf, attach)).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// Whether swap-ins are timed now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.links.is_empty()
    }

    /// The histograms of every cgroup by itself of which a swap-in was timed: index → durations. A system call for each.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn read(&self) -> Result<BTreeMap<u16, Latency>, HookError> {
        let error = |source| HookError::MapUse { map: LATENCY, source };
        let map = self.ebpf.map(LATENCY).ok_or(HookError::Map(LATENCY))?;
        let map: HashMap<_, u32, Latency> = map.try_into().map_err(error)?;
        let found = map.iter().map(|found| found.map(|(owner, latency)| (owner as u16, latency)));
        found.collect::<Result<_, _>>().map_err(error)
    }
}
