//! Which valves (`memory.zswap.writeback`) a round must move so that only one cgroup's pages can be written back.
//!
//! The valve is hierarchical: a cgroup is open when it and all above it say 1. So it is enough to close the siblings
//! along the path from the root to the cgroup, however many cgroups there are below them.

use swaptier_policies::CgroupId;

use crate::{
    journal::Change,
    root::{Root, RootError, cgroup_file, cgroup_path},
};

/// The kernel's file (6.8 on).
pub(super) const FILE: &str = "memory.zswap.writeback";

/// The valves of a round.
#[derive(Debug)]
pub(super) struct Valves {
    /// Siblings along the path, and cgroups below that keep their pages, that are open and must be closed.
    pub(super) close: Vec<Change>,
    /// Cgroups above that are closed and must be opened.
    pub(super) open: Vec<Change>,
    /// The cgroup's own valve, which the pump moves.
    pub(super) own: Change,
}

/// Why a round cannot be aimed.
#[derive(Debug, thiserror::Error)]
pub enum ValveError {
    /// The cgroup is gone, or another one is at its path.
    #[error("cgroup {0} is gone")]
    Gone(String),
    /// It has no such file: the root cgroup, a kernel before 6.8, or no memory controller there.
    #[error("{0} has no {FILE}: the memory controller is not enabled there, or this kernel has none")]
    None(String),
    /// Write-back is closed above it, and not by us.
    #[error("write-back is closed above it, in {0}: whoever wrote 0 into its {FILE} must open it")]
    ClosedAbove(String),
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] RootError),
}

impl Valves {
    /// Looks at the valves along the path to `cgroup`. `is_ours` tells whether a cgroup above was closed by us.
    pub(super) fn survey(
        root: &Root,
        cgroup: &str,
        id: CgroupId,
        why: &str,
        is_ours: impl Fn(&Change) -> bool,
    ) -> Result<Self, ValveError> {
        let Some(own) = valve(root, cgroup, why)? else { return Err(ValveError::None(cgroup.to_owned())) };
        if own.cgroup != Some(id.0) {
            return Err(ValveError::Gone(cgroup.to_owned()));
        }
        let (mut close, mut open) = (Vec::new(), Vec::new());
        let mut path = cgroup;
        while !path.is_empty() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            for sibling in root.list(&cgroup_path(parent))? {
                let child = if parent.is_empty() { sibling.clone() } else { format!("{parent}/{sibling}") };
                // What is no cgroup, has no memory controller or is gone by now has no valve.
                if sibling != name
                    && let Ok(Some(mut change)) = valve(root, &child, why)
                    && change.old == "1"
                {
                    "0".clone_into(&mut change.new);
                    close.push(change);
                }
            }
            if let Some(mut above) =
                (!parent.is_empty()).then(|| valve(root, parent, why)).transpose()?.flatten()
                && above.old == "0"
            {
                if !is_ours(&above) {
                    return Err(ValveError::ClosedAbove(parent.to_owned()));
                }
                "1".clone_into(&mut above.new);
                open.push(above);
            }
            path = parent;
        }
        Ok(Self { close, open, own })
    }

    /// Closes these cgroups below as well: a round takes the whole subtree but for them.
    pub(super) fn spare(&mut self, root: &Root, cgroups: &[String], why: &str) -> Result<(), ValveError> {
        for cgroup in cgroups {
            match valve(root, cgroup, why) {
                Ok(Some(change)) if change.old == "1" => self.close.push(change),
                // Closed by somebody, not charged by itself, or gone by now.
                Ok(_) | Err(ValveError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The valve of a cgroup as it is; its new value is the other one.
fn valve(root: &Root, cgroup: &str, why: &str) -> Result<Option<Change>, ValveError> {
    let dir = match root.cgroup(cgroup) {
        Ok(dir) => dir,
        Err(error) if error.is_gone() => return Err(ValveError::Gone(cgroup.to_owned())),
        Err(error) => return Err(error.into()),
    };
    match dir.read_value(FILE) {
        Ok(old) => {
            let new = if old == "1" { "0" } else { "1" };
            Ok(Some(Change::file(cgroup_file(cgroup, FILE), Some(dir.id()), old, new, why)))
        }
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// root ─ a (open) ─ a/x (open), a/y (open); b (open); c (closed); d (no valve)
    fn world() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().expect("a folder");
        for (cgroup, value) in [
            ("a", Some("1")),
            ("a/x", Some("1")),
            ("a/y", Some("1")),
            ("b", Some("1")),
            ("c", Some("0")),
            ("d", None),
        ] {
            let path = dir.path().join("sys/fs/cgroup").join(cgroup);
            std::fs::create_dir_all(&path).expect("a cgroup");
            if let Some(value) = value {
                std::fs::write(path.join(FILE), format!("{value}\n")).expect("a valve");
            }
        }
        let root = Root::at(dir.path()).expect("a root");
        (dir, root)
    }

    fn survey(root: &Root, cgroup: &str, is_ours: bool) -> Result<Valves, ValveError> {
        let id = CgroupId(root.cgroup_id(cgroup).expect("is there"));
        Valves::survey(root, cgroup, id, "test", |_| is_ours)
    }

    fn paths(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.path.as_str()).collect()
    }

    #[test]
    fn only_open_siblings_along_the_path_are_closed() {
        let (_dir, root) = world();
        let valves = survey(&root, "a/x", false).expect("aimed");
        assert_eq!(
            paths(&valves.close),
            ["sys/fs/cgroup/a/y/memory.zswap.writeback", "sys/fs/cgroup/b/memory.zswap.writeback"]
        );
        assert!(valves.close.iter().all(|change| change.old == "1" && change.new == "0"));
        assert_eq!(valves.open, []);
    }

    #[test]
    fn spared_cgroups_below_are_closed_too_if_they_are_open() {
        let (_dir, root) = world();
        let mut valves = survey(&root, "a", false).expect("aimed");
        // c is closed already, d has no valve, and the last is gone.
        let spared = ["a/x", "c", "d", "gone"].map(str::to_owned);
        valves.spare(&root, &spared, "test").expect("all could be read");
        assert_eq!(
            paths(&valves.close),
            ["sys/fs/cgroup/b/memory.zswap.writeback", "sys/fs/cgroup/a/x/memory.zswap.writeback"]
        );
        assert!(valves.close.iter().all(|change| change.old == "1" && change.new == "0"));
    }

    #[test]
    fn a_valve_closed_above_is_opened_only_if_we_closed_it() {
        let (dir, root) = world();
        std::fs::write(dir.path().join("sys/fs/cgroup/a").join(FILE), "0\n").expect("closed");
        assert!(matches!(survey(&root, "a/x", false), Err(ValveError::ClosedAbove(above)) if above == "a"));
        let valves = survey(&root, "a/x", true).expect("aimed");
        assert_eq!(paths(&valves.open), ["sys/fs/cgroup/a/memory.zswap.writeback"]);
    }

    #[test]
    fn a_cgroup_without_a_valve_or_with_another_id_is_refused() {
        let (_dir, root) = world();
        assert!(matches!(survey(&root, "d", false), Err(ValveError::None(_))));
        let other = Valves::survey(&root, "b", CgroupId(1), "test", |_| false);
        assert!(matches!(other, Err(ValveError::Gone(_))));
    }
}
