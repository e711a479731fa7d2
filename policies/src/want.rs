//! What is wanted of the kernel files: by whom, and why. `decide` makes it; steps are where a file says otherwise.
//!
//! Readers: `explain` prints it, the agent gives back what was changed and is not in it any more, a replay compares it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::asker::Asker;
use crate::knob::{Knob, Setting};
use crate::plan::{Basis, Closed, Hold, Reason, Valve};
use crate::snapshot::{CgroupId, Snapshot};

/// What is wanted of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// What it is to say.
    pub to: Setting,
    /// Who asks for that: the cgroup's policy, or the swap areas.
    pub by: Asker,
    /// Where that value comes from.
    pub because: Because,
}

/// Where a wanted value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Because {
    /// A limit.
    Limit(Basis),
    /// A valve as a policy says it.
    Valve(Valve),
    /// A valve that is closed because nothing may be written to the swap areas.
    Gate(Closed),
}

/// What is wanted of a file of which something is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// This.
    This(Want),
    /// A value that is missing decides: the file stays as it is.
    Unclear(Hold),
}

/// What is wanted of all files of which something is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wants(BTreeMap<CgroupId, BTreeMap<Knob, Wanted>>);

impl Wants {
    /// What is wanted of a file; `None`: nobody asks anything of it.
    #[must_use]
    pub fn get(&self, cgroup: CgroupId, knob: Knob) -> Option<&Wanted> {
        self.0.get(&cgroup)?.get(&knob)
    }

    /// All of them, by cgroup and file.
    pub fn iter(&self) -> impl Iterator<Item = (CgroupId, Knob, &Wanted)> {
        self.0.iter().flat_map(|(cgroup, files)| files.iter().map(|(knob, wanted)| (*cgroup, *knob, wanted)))
    }

    /// One line for each file, with the paths of `snap`.
    #[must_use]
    pub fn describe(&self, snap: &Snapshot) -> String {
        let line = |(cgroup, knob, wanted): (CgroupId, Knob, &Wanted)| {
            let (path, file) = (snap.shown(cgroup), knob.file());
            match wanted {
                Wanted::This(Want { to, by, because }) => {
                    format!("{path}: wanted: {file} = {to} ({because}; {by})\n")
                }
                Wanted::Unclear(hold) => format!("{path}: wanted: {file} as it is: {hold}\n"),
            }
        };
        self.iter().map(line).collect()
    }

    pub(crate) fn insert(&mut self, cgroup: CgroupId, knob: Knob, wanted: Wanted) {
        self.0.entry(cgroup).or_default().insert(knob, wanted);
    }
}

impl Want {
    /// Why a step makes the file say this instead of `from`.
    pub(crate) fn reason(&self, from: Setting) -> Reason {
        Reason::Differs { from, to: self.to, because: self.because.clone() }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Because::Limit(basis) => basis.fmt(f),
            Because::Valve(valve) => valve.fmt(f),
            Because::Gate(closed) => closed.fmt(f),
        }
    }
}
