//! Which living cgroup answers for the pages of one that was removed: the nearest above it, where the kernel counts
//! them too. Pure: fed with the cgroups of each tick.

use std::collections::{BTreeMap, BTreeSet};

use swaptier_policies::CgroupId;

use crate::sense::CgroupSample;

/// Parents of the cgroups that live, and of those that are gone but still named by the map.
#[derive(Default)]
pub(super) struct Heirs {
    parents: BTreeMap<CgroupId, CgroupId>,
    living: BTreeSet<CgroupId>,
}

impl Heirs {
    /// Takes the cgroups of one tick. `named` are those the map has counters of: of the gone ones, only what leads up
    /// from these is kept.
    pub(super) fn look(&mut self, cgroups: &[CgroupSample], named: impl Iterator<Item = CgroupId>) {
        self.take(cgroups.iter().map(|cgroup| (cgroup.id, cgroup.parent)), named);
    }

    fn take(
        &mut self,
        cgroups: impl Iterator<Item = (CgroupId, Option<CgroupId>)>,
        named: impl Iterator<Item = CgroupId>,
    ) {
        self.living.clear();
        for (id, parent) in cgroups {
            self.living.insert(id);
            self.parents.extend(parent.map(|parent| (id, parent)));
        }
        let mut kept = self.living.clone();
        for id in named {
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| kept.insert(*id)) {
                next = self.parents.get(&id).copied();
            }
        }
        self.parents.retain(|id, _| kept.contains(id));
    }

    /// The cgroup itself, or the nearest above it that lives; itself when none is known.
    pub(super) fn home(&self, id: CgroupId) -> CgroupId {
        let mut home = id;
        while !self.living.contains(&home) {
            match self.parents.get(&home) {
                Some(parent) => home = *parent,
                None => return id,
            }
        }
        home
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: (u64, Option<u64>) = (1, None);

    fn look(heirs: &mut Heirs, cgroups: &[(u64, Option<u64>)], named: &[u64]) {
        let cgroups = cgroups.iter().map(|(id, parent)| (CgroupId(*id), parent.map(CgroupId)));
        heirs.take(cgroups, named.iter().copied().map(CgroupId));
    }

    #[test]
    fn pages_of_removed_cgroups_go_up_to_the_first_that_lives() {
        let mut heirs = Heirs::default();
        look(&mut heirs, &[ROOT, (2, Some(1)), (3, Some(2)), (4, Some(3))], &[4]);
        assert_eq!(heirs.home(CgroupId(4)), CgroupId(4));
        look(&mut heirs, &[ROOT, (2, Some(1)), (3, Some(2))], &[4]);
        assert_eq!(heirs.home(CgroupId(4)), CgroupId(3));
        look(&mut heirs, &[ROOT, (2, Some(1))], &[4]);
        assert_eq!(heirs.home(CgroupId(4)), CgroupId(2));
    }

    #[test]
    fn what_the_map_names_no_more_is_forgotten() {
        let mut heirs = Heirs::default();
        look(&mut heirs, &[ROOT, (2, Some(1)), (3, Some(2))], &[3]);
        look(&mut heirs, &[ROOT], &[3]);
        assert_eq!(heirs.parents.len(), 2, "the removed one, and the one between it and the root");
        look(&mut heirs, &[ROOT], &[]);
        assert!(heirs.parents.is_empty());
        assert_eq!(heirs.home(CgroupId(3)), CgroupId(3));
    }
}
