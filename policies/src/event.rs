//! What happened to the swap areas between two looks: areas that came or went, marks that were crossed, pools that take no
//! writes, disks that failed, a gate that somebody opened. Pure; the agent logs and journals them, and reads of failed disks in the
//! kernel's log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::area::{AreaKind, Level, Part};
use crate::decide::{look, pools};
use crate::history::{AreaMemory, History};
use crate::plan::Closed;
use crate::snapshot::{CgroupId, Snapshot};
use crate::units::{Pages, Share};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A swap area is on that was not, or was not known.
    AreaOn {
        /// Its name.
        area: String,
        /// What is under it.
        kind: AreaKind,
        /// Slots it has.
        slots: Pages,
        /// Higher is used first.
        priority: i32,
    },
    /// A swap area is no longer on.
    AreaOff {
        /// Its name.
        area: String,
    },
    /// A pool crossed a mark.
    Mark {
        /// The pool.
        pool: String,
        /// The fuller part of it.
        part: Part,
        /// How much of that is in use.
        used: Share,
        /// How far it had come.
        from: Level,
        /// How far it has come.
        to: Level,
    },
    /// The kernel has switched a pool to take no writes: it is full, or its metadata is full or damaged, or it failed.
    PoolRefuses {
        /// The pool.
        pool: String,
    },
    /// A pool takes writes again.
    PoolTakes {
        /// The pool.
        pool: String,
    },
    /// The kernel could not read or write pages of an area. It says so a few times in some seconds only, so these are
    /// the least there were.
    AreaErrors {
        /// Its name.
        area: String,
        /// Pages that could not be read, at least.
        reads: u64,
        /// Pages that could not be written, at least.
        writes: u64,
    },
    /// From now on nothing may be written to the swap areas.
    GateClosed {
        /// Why.
        because: Closed,
    },
    /// Somebody opened the closed gate.
    GateOpenedByOthers {
        /// Why it is closed again.
        because: Closed,
    },
    /// What made the gate close is over.
    GateFree,
}

impl Event {
    /// Whether an operator should hear of it even if they listen for trouble only.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self {
            Event::GateOpenedByOthers { .. } | Event::PoolRefuses { .. } | Event::AreaErrors { .. } => true,
            Event::Mark { from, to, .. } => to > from,
            Event::AreaOn { .. } | Event::AreaOff { .. } | Event::PoolTakes { .. } => false,
            Event::GateClosed { .. } | Event::GateFree => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::AreaOn { area, kind, slots, priority } => {
                write!(f, "the swap area {area} is on: {kind}, {} slots, priority {priority}", slots.0)
            }
            Event::AreaOff { area } => write!(f, "the swap area {area} is off"),
            Event::Mark { pool, part, used, from, to } => {
                write!(f, "{used} of the {part} of the pool {pool} is in use: {from} -> {to}")
            }
            Event::PoolRefuses { pool } => {
                write!(f, "the pool {pool} takes no writes any more: what is to go there stays in memory")
            }
            Event::PoolTakes { pool } => write!(f, "the pool {pool} takes writes again"),
            Event::AreaErrors { area, reads, writes } => write!(
                f,
                "the disk under the swap area {area} failed: at least {writes} pages could not be written and \
                 stay in memory, at least {reads} could not be read and are lost"
            ),
            Event::GateClosed { because } => {
                write!(f, "nothing may be written to the swap areas: {because}")
            }
            Event::GateOpenedByOthers { because } => {
                write!(f, "somebody opened the way to disk, and it is closed again: {because}")
            }
            Event::GateFree => f.write_str("pages may be written to the swap areas again"),
        }
    }
}

impl History {
    /// Looks at the areas of one tick, and tells what happened to them since the last one. At the first look every
    /// area comes. Looking twice at the same tick tells nothing new but a gate that is still open.
    pub(crate) fn watch(&mut self, snap: &Snapshot) -> Vec<Event> {
        let before = self.areas.clone();
        look(snap, self);
        let (areas, mut events) = (&snap.host.areas, Vec::new());
        for area in areas.iter().filter(|area| !before.empty_since.contains_key(&area.name)) {
            let (name, kind, slots, priority) = (area.name.clone(), area.kind, area.slots, area.priority);
            events.push(Event::AreaOn { area: name, kind, slots, priority });
        }
        for name in before.empty_since.keys().filter(|name| !self.areas.empty_since.contains_key(*name)) {
            events.push(Event::AreaOff { area: name.clone() });
        }
        for (name, to) in &self.areas.levels {
            let from = before.levels.get(name).copied().unwrap_or_default();
            let pool = pools(areas).find(|pool| pool.name == *name);
            if let Some(pool) = pool.filter(|_| from != *to) {
                let (part, used) = pool.fullest();
                events.push(Event::Mark { pool: name.clone(), part, used, from, to: *to });
            }
        }
        let refused = |pool: &String, memory: &AreaMemory| memory.refusing.contains(pool);
        for pool in self.areas.refusing.iter().filter(|pool| !refused(pool, &before)) {
            events.push(Event::PoolRefuses { pool: pool.clone() });
        }
        // One that is gone takes none.
        let is_there = |name: &String| pools(areas).any(|pool| pool.name == *name);
        for pool in before.refusing.iter().filter(|pool| is_there(pool) && !refused(pool, &self.areas)) {
            events.push(Event::PoolTakes { pool: pool.clone() });
        }
        let is_open = snap.cgroups.get(&CgroupId::ROOT).and_then(|root| root.settings.valve()) == Some(true);
        match (&before.closed, self.areas.closed.clone()) {
            (None, Some(because)) => events.push(Event::GateClosed { because }),
            (Some(_), Some(because)) if before.was_shut && is_open => {
                events.push(Event::GateOpenedByOthers { because });
            }
            (Some(_), None) => events.push(Event::GateFree),
            _ => {}
        }
        events
    }
}
