//! Whose value stands in the kernel files that policies set: remembered from decision to decision.
//!
//! A value is written when a policy begins to ask for it, and when it asks for another one. From then on the file is only
//! watched. Whoever changes it has the last word: their value stays until it says again what the policy asks, or the policy
//! asks for something else. Called by `decide::tiers`; told what came of its steps by [`History::stood`] and
//! [`History::refused`].
//!
//! One change is not somebody's: Linux 7.3 sets a cgroup's files back to their defaults when its memory controller is
//! switched off and on above (`css_reset`), and nobody wrote. Nothing tells that from somebody who writes the default. So a
//! default that stands where ours stood is put right, three times in an hour; after that it is somebody's.
//!
//! Properties, each with a case in `tests/stand.rs`: a value that differs from ours is never written over, but for a
//! default within that bound; what was never seen to stand is asked for again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::knob::{Knob, Setting};
use crate::plan::Action;
use crate::rules::Amount;
use crate::snapshot::CgroupId;
use crate::units::Seconds;

/// How often a default is put right within [`SPAN`]. A controller is switched by an administrator or by systemd as it
/// starts a service below: a few times in a row, and seldom.
pub(crate) const MOST_RETURNS: u32 = 3;
const SPAN: Seconds = Seconds(3_600);

/// What a policy says of a file, as it says it: a share is the same wish whatever it is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// The file's tier is not used.
    TierUnused,
    /// A limit.
    Amount(Amount),
    /// A valve.
    Valve(bool),
}

/// What is remembered of the files of one cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Stands(BTreeMap<Knob, Stand>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stand {
    ask: Ask,
    whose: Whose,
    /// Defaults put right since `since`.
    returns: u32,
    since: Seconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Whose {
    /// Asked for, and not seen to stand yet.
    Asked,
    /// Ours, and this value.
    Ours(Setting),
    /// Somebody's.
    Foreign,
}

/// One file at one decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) ask: Ask,
    /// What that comes to now.
    pub(crate) own: Setting,
    /// What it is to be for now: otherwise than `own` where the swap areas allow no more.
    pub(crate) wanted: Setting,
    /// What the file says.
    pub(crate) now: Setting,
}

/// What follows for the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It says what is wanted.
    Right,
    /// What is wanted is to be written.
    Write,
    /// The same: it went back to the kernel's default, for this time within the hour.
    Returned(u32),
    /// Somebody changed it.
    Foreign,
}

impl Stand {
    fn judge(&mut self, knob: Knob, look: Look, at: Seconds) -> Verdict {
        let Look { own, wanted, now, .. } = look;
        let is_ours = match self.whose {
            Whose::Asked if now != wanted => return Verdict::Write,
            Whose::Asked => true,
            Whose::Ours(ours) => now == ours || now == own,
            Whose::Foreign => now == own,
        };
        match (is_ours, self.whose) {
            (true, _) => {
                self.whose = Whose::Ours(now);
                if now == wanted { Verdict::Right } else { Verdict::Write }
            }
            (false, Whose::Ours(_)) if now == knob.fresh() => match self.another_return(at) {
                Some(times) => Verdict::Returned(times),
                None => self.is_foreign(),
            },
            (false, _) => self.is_foreign(),
        }
    }

    fn is_foreign(&mut self) -> Verdict {
        self.whose = Whose::Foreign;
        Verdict::Foreign
    }

    /// Counts one more return to the default; `None`: there were too many.
    fn another_return(&mut self, at: Seconds) -> Option<u32> {
        // A clock that began anew begins a span of its own.
        if at < self.since || at.0 - self.since.0 >= SPAN.0 {
            (self.since, self.returns) = (at, 0);
        }
        self.returns = self.returns.saturating_add(1);
        (self.returns <= MOST_RETURNS).then_some(self.returns)
    }
}

impl History {
    /// Judges one file that a policy sets.
    pub(crate) fn judge(&mut self, cgroup: CgroupId, knob: Knob, look: Look, at: Seconds) -> Verdict {
        let fresh = Stand { ask: look.ask, whose: Whose::Asked, returns: 0, since: at };
        let stand = self.stands.entry(cgroup).or_default().0.entry(knob).or_insert(fresh);
        if stand.ask != look.ask {
            *stand = fresh;
        }
        stand.judge(knob, look, at)
    }

    /// No policy asks anything of this file now: whoever does next begins anew.
    pub(crate) fn leave(&mut self, cgroup: CgroupId, knob: Knob) {
        if let Some(stands) = self.stands.get_mut(&cgroup) {
            stands.0.remove(&knob);
        }
    }

    /// Whether somebody's value stands in a file that a policy sets.
    pub(crate) fn is_foreign(&self, cgroup: CgroupId, knob: Knob) -> bool {
        let stand = self.stands.get(&cgroup).and_then(|stands| stands.0.get(&knob));
        stand.is_some_and(|stand| stand.whose == Whose::Foreign)
    }

    /// A step was carried out: what it asked for stands in the file now.
    pub(crate) fn stood(&mut self, action: &Action) {
        if let Action::Set { cgroup, knob, to } = *action {
            self.is_now(cgroup, knob, Whose::Ours(to));
        }
    }

    /// A step was not carried out because somebody's value stands in the file.
    pub(crate) fn refused(&mut self, action: &Action) {
        if let Action::Set { cgroup, knob, .. } = *action {
            self.is_now(cgroup, knob, Whose::Foreign);
        }
    }

    fn is_now(&mut self, cgroup: CgroupId, knob: Knob, whose: Whose) {
        if let Some(stand) = self.stands.get_mut(&cgroup).and_then(|stands| stands.0.get_mut(&knob)) {
            stand.whose = whose;
        }
    }
}
