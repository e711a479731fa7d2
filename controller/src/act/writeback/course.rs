//! What a round under way and whoever started it say to each other: that it is called off, and which values are the
//! round's for now.
//!
//! A round moves valves of other cgroups and parameters of zswap, for seconds. Whoever reads the host meanwhile must not
//! take these for somebody's wish, and whoever writes a valve must not write under the round's hands: it would put the
//! wrong value back. Both ask here. Callers: the engine, the agent's loop.
//!
//! Properties
//! - From the moment it is handed over until all it needs is noted, a round holds every valve.
//! - After that it holds those it moves, until it has given them back.
//! - A valve that somebody else writes at the moment is not taken into a round.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use swaptier_policies::{CgroupId, Knob};

use super::valves;
use crate::{
    journal::{Change, is_same_value},
    root::{FilePath, cgroup_file},
    sense::{Sensed, zswap::PARAMETERS},
};

/// One round, as its two ends see it.
#[derive(Debug, Default)]
pub struct Course(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    called_off: Option<String>,
    /// What it moves; `None`: that is not known yet, so it may be anything.
    holds: Option<Vec<Change>>,
    /// Cgroups whose valve somebody else writes at the moment.
    written: BTreeSet<CgroupId>,
}

impl Course {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can break halfway through one of the changes below.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the round as soon as it can be, whatever is left of it. The first reason counts.
    pub fn call_off(&self, why: &str) {
        self.state().called_off.get_or_insert_with(|| why.to_owned());
    }

    /// Why it was called off.
    pub fn called_off(&self) -> Option<String> {
        self.state().called_off.clone()
    }

    /// The round moves these, and nothing else but what [`Course::take`] adds.
    pub(super) fn holds(&self, changes: &[Change]) {
        self.state().holds = Some(changes.to_vec());
    }

    /// Nothing is the round's any more.
    pub fn let_go(&self) {
        self.holds(&[]);
    }

    /// The round takes one more valve, as `read` finds it; or there is nothing to take.
    ///
    /// # Errors
    /// Somebody else writes there at the moment.
    pub(super) fn take(
        &self,
        cgroup: CgroupId,
        read: impl FnOnce() -> Option<Change>,
    ) -> Result<Option<Change>, Busy> {
        let mut state = self.state();
        if state.written.contains(&cgroup) {
            return Err(Busy);
        }
        let change = read();
        state.holds.get_or_insert_default().extend(change.clone());
        Ok(change)
    }

    /// The valve of this cgroup, for a write of somebody else; `None`: it is the round's for now.
    pub fn claim(&self, cgroup: CgroupId) -> Option<Claim<'_>> {
        let mut state = self.state();
        let is_held = match &state.holds {
            None => true,
            Some(holds) => holds.iter().any(|change| change.cgroup == Some(cgroup.0)),
        };
        (!is_held && state.written.insert(cgroup)).then(|| Claim { course: self, cgroup })
    }

    /// Whether this file is the round's for now.
    pub fn has(&self, file: &FilePath, cgroup: Option<u64>) -> bool {
        let state = self.state();
        let is_it = |change: &Change| change.path == *file && change.cgroup == cgroup;
        state.holds.as_ref().is_none_or(|holds| holds.iter().any(is_it))
    }

    /// What the round holds now.
    pub fn held(&self) -> Vec<Change> {
        self.state().holds.clone().unwrap_or_default()
    }
}

/// Puts into a reading of the host what was there before a round, wherever the round's own value was read.
pub fn see_through(held: &[Change], sensed: &mut Sensed) {
    for change in held {
        let Some(id) = change.cgroup else {
            see_through_parameter(change, sensed);
            continue;
        };
        let sample = sensed.cgroups.iter_mut().find(|sample| sample.id.0 == id);
        if let Some(sample) = sample.filter(|it| cgroup_file(&it.path, valves::FILE) == change.path)
            && sample.settings.get(Knob::ZswapWriteback) == Knob::ZswapWriteback.parse(&change.new)
        {
            sample.settings.set(Knob::ZswapWriteback, Knob::ZswapWriteback.parse(&change.old));
        }
    }
}

fn see_through_parameter(change: &Change, sensed: &mut Sensed) {
    if change.path.dir() != *PARAMETERS {
        return;
    }
    let is_ours = |now: String| is_same_value(&change.path, &now, &change.new);
    let percent = |value: &mut Option<u8>| {
        if value.is_some_and(|now| is_ours(now.to_string())) {
            *value = change.old.parse().ok();
        }
    };
    let zswap = &mut sensed.zswap;
    match change.path.name() {
        b"max_pool_percent" => percent(&mut zswap.max_pool_percent),
        b"accept_threshold_percent" => percent(&mut zswap.accept_threshold_percent),
        b"shrinker_enabled" if zswap.shrinker_enabled.is_some_and(|on| is_ours(flag(on).to_owned())) => {
            zswap.shrinker_enabled = Some(is_same_value(&change.path, &change.old, flag(true)));
        }
        _ => {}
    }
}

fn flag(is_on: bool) -> &'static str {
    if is_on { "Y" } else { "N" }
}

/// Somebody else writes there at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// The right to write one valve while a round is under way.
#[derive(Debug)]
pub struct Claim<'a> {
    course: &'a Course,
    cgroup: CgroupId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.course.state().written.remove(&self.cgroup);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::FakeRoot,
        sense::{self, CgroupTree},
    };

    fn valve(path: &str, id: u64, old: &str, new: &str) -> Change {
        Change::round(cgroup_file(path, valves::FILE), Some(id), old, new, "policy a.toml")
    }

    #[test]
    fn what_a_round_moved_is_read_as_it_was_before() {
        let fake = FakeRoot::host();
        let (own, sibling, foreign) = (fake.cgroup("a"), fake.cgroup("b"), fake.cgroup("c"));
        let limit = format!("{PARAMETERS}/max_pool_percent");
        let course = Course::default();
        course.holds(&[
            valve("a", own, "0", "1"),
            valve("b", sibling, "1", "0"),
            valve("c", foreign, "1", "0"),
            Change::round(&limit, None, "20", "0", "policy a.toml"),
            Change::round(format!("{PARAMETERS}/shrinker_enabled"), None, "N", "Y", "policy a.toml"),
        ]);
        // In the round: its own valve is open, the sibling's closed; the third was opened by somebody meanwhile.
        for (cgroup, value) in [("a", "1"), ("b", "0"), ("c", "1")] {
            fake.write(&cgroup_file(cgroup, valves::FILE), value);
        }
        fake.write(&limit, "0");
        fake.write(&format!("{PARAMETERS}/shrinker_enabled"), "Y");
        let mut sensed = sense::collect(fake.root(), &mut CgroupTree::default()).unwrap();
        see_through(&course.held(), &mut sensed);
        let of = |path: &str| sensed.cgroups.iter().find(|it| it.path == path).unwrap().settings.valve();
        assert_eq!((of("a"), of("b"), of("c")), (Some(false), Some(true), Some(true)));
        assert_eq!(sensed.zswap.max_pool_percent, Some(20));
        assert_eq!(sensed.zswap.shrinker_enabled, Some(false));
        // A limit that somebody set in the round is theirs.
        fake.write(&limit, "33");
        let mut sensed = sense::collect(fake.root(), &mut CgroupTree::default()).unwrap();
        see_through(&course.held(), &mut sensed);
        assert_eq!(sensed.zswap.max_pool_percent, Some(33));
    }

    #[test]
    fn nobody_writes_a_valve_under_the_rounds_hands() {
        let course = Course::default();
        let (a, b, new) = (CgroupId(5), CgroupId(6), CgroupId(7));
        assert!(course.claim(a).is_none() && course.claim(b).is_none(), "it is not known yet what it moves");
        assert!(
            course.claim(CgroupId::ROOT).is_none() && course.has(&cgroup_file("b", valves::FILE), Some(6))
        );
        course.holds(&[valve("a", 5, "1", "0")]);
        assert!(course.claim(a).is_none() && !course.has(&cgroup_file("b", valves::FILE), Some(6)));
        assert!(course.claim(CgroupId::ROOT).is_some(), "this one has no brake");
        let held = course.claim(b);
        assert!(held.is_some());
        // And the round takes none under theirs: what comes meanwhile waits for its next look.
        assert_eq!(course.take(b, || Some(valve("b", 6, "1", "0"))), Err(Busy));
        drop(held);
        assert!(course.take(b, || Some(valve("b", 6, "1", "0"))).is_ok_and(|taken| taken.is_some()));
        assert!(course.claim(b).is_none());
        assert_eq!(course.take(new, || None), Ok(None), "it was closed already");
        assert!(course.claim(new).is_some());
        // All is given back.
        course.holds(&[]);
        assert!(course.claim(a).is_some() && !course.has(&cgroup_file("a", valves::FILE), Some(5)));
    }

    #[test]
    fn the_first_reason_to_end_a_round_counts() {
        let course = Course::default();
        assert_eq!(course.called_off(), None);
        course.call_off("closed by hand");
        course.call_off("the agent stops");
        assert_eq!(course.called_off().as_deref(), Some("closed by hand"));
    }
}
