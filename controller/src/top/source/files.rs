//! Looks without an agent: cgroup files and `/proc` alone. What only the shadow map knows stays unknown, and is said.

use std::time::{Duration, Instant, SystemTime};

use swaptier_policies::PolicySet;

use super::{Origin, Source, Want};
use crate::{
    root::Root,
    sense::{self, CgroupTree, Sensed, cgroupfs},
    serve::{
        absence::Absence,
        without_agent::{self, Rows},
    },
    top::seen::Seen,
    vswap::seen::unnoted,
};

/// The files of a host.
pub struct Files {
    root: Root,
    tree: CgroupTree,
    policies: PolicySet,
    lost: Vec<String>,
    /// Why it is files that are read.
    absence: Absence,
    rows: Rows,
    before: Option<(Sensed, Instant)>,
}

impl Files {
    /// Reads below this root. `lost` is what cannot be known beside what no files say, in sentences.
    pub fn new(root: Root, policies: PolicySet, lost: Vec<String>, rows: Rows) -> Files {
        let mut tree = CgroupTree::default();
        tree.with_pressure = true;
        Files { root, tree, policies, lost, absence: Absence::NotRunning, rows, before: None }
    }
}

impl Files {
    /// From now on they are read because of this.
    pub(super) fn because(&mut self, absence: Absence) -> &mut Self {
        self.absence = absence;
        self
    }

    /// Which cgroups have a row.
    pub fn rows(&self) -> Rows {
        self.rows
    }
}

impl Source for Files {
    fn origin(&self) -> Origin {
        Origin { label: "no agent: cgroup files".to_owned(), is_recorded: false, can_act: false }
    }

    fn look(&mut self, _want: &Want) -> Result<Option<Seen>, String> {
        cgroupfs::check(&self.root).map_err(|error| error.to_string())?;
        let sensed = sense::collect(&self.root, &mut self.tree).map_err(|error| error.to_string())?;
        let now = Instant::now();
        let before = self.before.as_ref().map(|(old, at)| (old, now.duration_since(*at)));
        let lost = std::iter::once(self.absence.costs()).chain(self.lost.clone()).collect();
        let areas = unnoted(&self.root, &sensed.swaps).views;
        let seen = (&sensed, &areas[..]);
        let mut status = without_agent::of(seen, before, &self.policies, (self.absence, lost), self.rows);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        status.unix_seconds = since_1970.unwrap_or(Duration::ZERO).as_secs_f64();
        self.before = Some((sensed, now));
        Ok(Some(Seen { status, ..Seen::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn the_second_look_knows_what_moves_and_none_knows_how_old_pages_are() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let faults = vec!["no policy is known".to_owned()];
        let mut files =
            Files::new(fake.root().clone(), PolicySet::default(), faults.clone(), Rows::Concerned);
        let first = files.look(&Want::default()).unwrap().unwrap();
        fake.write("sys/fs/cgroup/a/memory.stat", "zswapped 8192\nzswpwb 11\n");
        let second = files.look(&Want::default()).unwrap().unwrap();
        let row = |seen: &Seen| seen.status.cgroups.iter().find(|row| row.path == "a").cloned().unwrap();
        assert_eq!(row(&first).rates, None);
        // Ten pages more than the one before.
        assert!(row(&second).rates.unwrap().written_back.unwrap() > 0.0);
        let lost = [vec![Absence::NotRunning.costs()], faults].concat();
        assert_eq!((row(&second).oldest_seconds, second.status.agent.lost), (None, lost));
    }

    #[test]
    fn a_host_without_cgroup_v2_is_a_sentence() {
        let fake = FakeRoot::empty();
        let why = Files::new(fake.root().clone(), PolicySet::default(), vec![], Rows::All)
            .look(&Want::default())
            .unwrap_err();
        assert!(why.contains("no cgroup v2 hierarchy"), "{why}");
    }
}
