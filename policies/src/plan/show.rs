//! Plans for people: one line a step, one line a hold, with paths, numbers and reasons.
//!
//! Limits are shown in IEC units; what is written into kernel files is never taken from these texts.

use std::fmt;

use super::{Action, Basis, Bound, Closed, Hold, Plan, Reason, Valve, Whole};
use crate::area::Level;
use crate::knob::Setting;
use crate::snapshot::Snapshot;

impl Plan {
    /// The whole plan with the paths of `snap`: steps first, then what is held.
    #[must_use]
    pub fn describe(&self, snap: &Snapshot) -> String {
        let steps = self.steps.iter().map(|step| {
            let path = snap.shown(step.action.cgroup());
            format!("{path}: {} ({}; {})", step.action, step.reason, step.by)
        });
        let held = self.held.iter().map(|held| {
            let path = snap.shown(held.cgroup);
            format!("{path}: held: {} ({})", held.hold, held.by)
        });
        steps.chain(held).map(|line| line + "\n").collect()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Set { knob, to, .. } => write!(f, "{} = {to}", knob.file()),
            Action::Writeback { older_than, pages, .. } => {
                write!(f, "write back {pages} older than {older_than}")
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Differs { from, to: to @ Setting::Limit(_), because } => {
                write!(f, "is {from}, wanted {to}: {because}")
            }
            Reason::Differs { from, to: Setting::Valve(_), because } => write!(f, "is {from}: {because}"),
            Reason::Returned { knob, to, times, most } => {
                let file = knob.file();
                write!(
                    f,
                    "{file} went back to the kernel's default, wanted {to}: put right, {times} of at most {most} times an hour"
                )
            }
            Reason::Reopened { because } => {
                write!(f, "somebody opened it again; closed again: {because}")
            }
            Reason::Cold { cold, oldest, older_than, bound } => {
                write!(f, "{cold} in zswap for {older_than} or longer, the oldest for {oldest}; {bound}")
            }
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Limit(limit) => limit.fmt(f),
            Setting::Valve(open) => write!(f, "{}", u8::from(*open)),
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Basis::TierUnused => f.write_str("`tiers.use` leaves the tier out"),
            Basis::Unlimited => f.write_str("the policy says `max`"),
            Basis::Given => f.write_str("the policy gives it"),
            Basis::ShareOf { share, of, whole } => write!(f, "{share} of {of} ({whole})"),
            Basis::PoolFull { pool, used } => {
                write!(f, "{used} of the pool {pool} is in use: nothing more is swapped out")
            }
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::OnlyGhosts { ghost } => {
                write!(f, "no swap area that is on has storage ({ghost} is a ghost)")
            }
            Closed::GhostFirst { ghost, disk } => {
                write!(f, "the ghost {ghost} is filled no later than {disk}, by their priorities")
            }
            Closed::GhostUsed { ghost, used } => write!(f, "the ghost {ghost} has {used}"),
            Closed::GhostNext { ghost, disk } => {
                write!(f, "{disk} is about full, and the ghost {ghost} comes next")
            }
            Closed::Pool { pool, part, used, level, below } => {
                let why = match level {
                    Level::Stopped => "nothing more is swapped out either",
                    _ => "what zswap refuses stays in RAM",
                };
                write!(f, "{used} of the {part} of the pool {pool} is in use: {why}, until below {below}")
            }
        }
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Whole::MemoryHigh => "memory.high",
            Whole::MemoryMax => "memory.max",
            Whole::Ram => "the host's RAM",
        })
    }
}

impl fmt::Display for Valve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Valve::DiskUsed => "`tiers.use` has `disk` alone",
            Valve::OverflowDisk => "`tiers.overflow = \"disk\"`",
            Valve::DiskUnused => "`tiers.use` leaves `disk` out",
            Valve::OverflowKeep => "`tiers.overflow = \"keep\"`: only demotion may write to disk",
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::AllCold => "all of them",
            Bound::Round => "bounded by `budget.round`",
            Bound::Day => "bounded by what is left of `budget.day`",
            Bound::Rate => "bounded by `budget.rate`",
            Bound::Pool => "bounded by what the pool takes until its mark",
        })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::NoController => f.write_str("the memory controller is not enabled for it"),
            Hold::Unknown(what) => write!(f, "{what} is unknown"),
            Hold::Budget { bound, left, wait } => {
                let name = match bound {
                    Bound::AllCold | Bound::Round => "budget.round",
                    Bound::Day => "budget.day",
                    Bound::Rate => "budget.rate",
                    Bound::Pool => "marks.demote",
                };
                match (bound, wait) {
                    (_, Some(wait)) => {
                        write!(f, "`{name}` has {left} (original) left, enough again in {wait}")
                    }
                    (Bound::Day, None) => {
                        write!(f, "`{name}` has {left} (original) left, full again when the day changes")
                    }
                    (Bound::Pool, None) => {
                        write!(f, "the pool takes {left} (on disk) until its mark `{name}`")
                    }
                    _ => write!(f, "`{name}` of {left} is less than one page"),
                }
            }
            Hold::NothingCold { older_than } => write!(f, "no page has been in zswap for {older_than}"),
            Hold::TooFew { cold, least } => write!(f, "{cold} cold, a round moves at least {least}"),
            Hold::KeepFree { compressed, mark } => {
                write!(f, "zswap keeps {compressed} (compressed), above the `keep_free` mark of {mark}")
            }
            Hold::PoolNearLimit { compressed, mark } => {
                write!(f, "the pool keeps {compressed} (compressed), above the `keep_free` mark of {mark}")
            }
            Hold::NoDialect(why) => write!(f, "no way to write back: {why}"),
            Hold::Uncharged => f.write_str(
                "the kernel charges zswap to no cgroup (`cgroup.memory=nokmem`): a write-back would take anybody's pages",
            ),
            Hold::NoMap(why) => write!(f, "page ages are unknown: {why}"),
            Hold::NoDisk => f.write_str("no swap area is on"),
            Hold::ZswapOff => f.write_str("zswap is off on this host"),
            Hold::Cooldown(wait) => write!(f, "the last round is recent, the next may come in {wait}"),
            Hold::RoundUnderWay(id) => write!(f, "a round of write-back is under way, of cgroup {}", id.0),
            Hold::LeftToBelow(id) => write!(f, "cgroup {} below has a policy of its own", id.0),
            Hold::Gate(because) => write!(f, "nothing may be written to the swap areas: {because}"),
            Hold::PoolMark { pool, part, used, mark, resume } => {
                let part_of = format_args!("{used} of the {part} of the pool {pool} is in use");
                write!(f, "{part_of}: nothing is demoted from {mark} on until below {resume}")
            }
            Hold::Foreign { knob, wanted, found } => {
                write!(f, "somebody set {} to {found}, the policy asks for {wanted}: left alone", knob.file())
            }
            Hold::ClosedHere => {
                f.write_str("somebody closed its way to disk (memory.zswap.writeback is 0), not its policy")
            }
            Hold::ClosedAbove(id) => {
                write!(
                    f,
                    "the way to disk is closed by cgroup {} above (memory.zswap.writeback is 0 there)",
                    id.0
                )
            }
        }
    }
}
