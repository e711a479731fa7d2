//! Which valves (`memory.zswap.writeback`) a round must move so that only one cgroup's pages can be written back.
//!
//! The valve is hierarchical: a cgroup is open when it and all above it say 1. So it is enough to close the siblings
//! along the path from the root to the cgroup, however many cgroups there are below them.

use swaptier_policies::{CgroupId, CgroupPath};

use crate::{
    journal::Change,
    root::{CgroupDir, FilePath, Root, RootError, cgroup_path},
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
    Gone(CgroupPath),
    /// It has no such file: the root cgroup, a kernel before 6.8, or no memory controller there.
    #[error("{0} has no {FILE}: the memory controller is not enabled there, or this kernel has none")]
    None(CgroupPath),
    /// Write-back is closed above it, and not by us.
    #[error("write-back is closed above it, in {0}: whoever wrote 0 into its {FILE} must open it")]
    ClosedAbove(CgroupPath),
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] RootError),
}

impl Valves {
    /// Looks at the valves along the path to `cgroup`. `is_ours` tells whether a cgroup above was closed by us.
    ///
    /// A sibling whose valve cannot be read is no sibling without one: its pages could be written, so there is no round.
    pub(super) fn survey(
        root: &Root,
        cgroup: &CgroupPath,
        id: CgroupId,
        why: &str,
        is_ours: impl Fn(&Change) -> bool,
    ) -> Result<Self, ValveError> {
        let Some(own) = valve(root, cgroup, why)? else { return Err(ValveError::None(cgroup.clone())) };
        if own.cgroup != Some(id.0) {
            return Err(ValveError::Gone(cgroup.clone()));
        }
        let (mut close, mut open) = (Vec::new(), Vec::new());
        let on_the_way = std::iter::once(cgroup.clone()).chain(cgroup.above());
        for path in on_the_way.filter(|path| !path.is_root()) {
            let parent = path.parent().unwrap_or_default();
            close.extend(siblings(root, &path, &parent, why)?);
            if parent.is_root() {
                continue;
            }
            if let Some(mut above) = valve(root, &parent, why)?
                && above.old == "0"
            {
                if !is_ours(&above) {
                    return Err(ValveError::ClosedAbove(parent));
                }
                "1".clone_into(&mut above.new);
                open.push(above);
            }
        }
        Ok(Self { close, open, own })
    }

    /// Closes these cgroups below as well: a round takes the whole subtree but for them.
    pub(super) fn spare(&mut self, root: &Root, cgroups: &[CgroupPath], why: &str) -> Result<(), ValveError> {
        for cgroup in cgroups {
            match valve(root, cgroup, why) {
                Ok(Some(change)) => self.close.extend(closing(change)),
                // Not charged by itself, or gone by now.
                Ok(None) | Err(ValveError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The open valves in `parent` beside that of `path`, as changes that close them.
fn siblings(
    root: &Root,
    path: &CgroupPath,
    parent: &CgroupPath,
    why: &str,
) -> Result<Vec<Change>, ValveError> {
    let (dir, mut open) = (root.cgroup(parent)?, Vec::new());
    for name in dir.children()?.into_iter().filter(|name| name != path.name()) {
        let found = dir.child(&name).and_then(|sibling| read(&sibling, why));
        match found {
            Ok(change) => open.extend(change.and_then(closing)),
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(open)
}

/// The change that closes a valve, if it is not closed. One that says anything else is taken for open.
pub(super) fn closing(valve: Change) -> Option<Change> {
    (valve.old != "0").then(|| Change { new: "0".to_owned(), ..valve })
}

/// The root's valve, above all others, if it is open: closed by the pump while pages of others are written.
pub(super) fn brake(root: &Root, why: &str) -> Result<Option<Change>, ValveError> {
    match valve(root, &CgroupPath::default(), why) {
        Ok(found) => Ok(found.filter(|change| change.old == "1")),
        Err(ValveError::Gone(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directories of the cgroup, or of those below it that have none below them. None at all where there are more than
/// this, or one cannot be looked into.
pub(super) fn leaves(root: &Root, cgroup: &CgroupPath, most: usize) -> Vec<FilePath> {
    let (mut leaves, mut open, mut seen) = (Vec::new(), vec![cgroup.clone()], 0);
    while let Some(path) = open.pop() {
        let children = match root.cgroup(&path).and_then(|dir| dir.children()) {
            Ok(children) => children,
            Err(error) if error.is_gone() => continue,
            Err(_) => return Vec::new(),
        };
        seen += 1;
        if seen > most {
            return Vec::new();
        }
        if children.is_empty() {
            leaves.push(cgroup_path(&path));
        } else {
            open.extend(children.iter().map(|name| path.join(name)));
        }
    }
    leaves.sort_unstable();
    leaves
}

/// The valve of a cgroup as it is; its new value is the other one.
fn valve(root: &Root, cgroup: &CgroupPath, why: &str) -> Result<Option<Change>, ValveError> {
    match root.cgroup(cgroup) {
        Ok(dir) => Ok(read(&dir, why)?),
        Err(error) if error.is_gone() => Err(ValveError::Gone(cgroup.clone())),
        Err(error) => Err(error.into()),
    }
}

/// `None`: it has none, since the memory controller is off there, or is gone by now.
pub(super) fn read(dir: &CgroupDir, why: &str) -> Result<Option<Change>, RootError> {
    match dir.read_value(FILE) {
        Ok(old) => {
            let new = if old == "1" { "0" } else { "1" };
            Ok(Some(Change::round(dir.rel(FILE), Some(dir.id()), old, new, why)))
        }
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

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
        Valves::survey(root, &cgroup.into(), id, "test", |_| is_ours)
    }

    fn paths(changes: &[Change]) -> Vec<String> {
        changes.iter().map(|change| change.path.to_string()).collect()
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
    fn the_leaves_of_a_cgroup_are_those_without_any_below() {
        let fake = crate::fake::FakeRoot::host();
        for cgroup in ["a", "a/x", "a/x/1", "a/x/2", "a/y", "b"] {
            fake.cgroup(cgroup);
        }
        let leaves = |cgroup: &str, most| leaves(fake.root(), &cgroup.into(), most);
        assert_eq!(leaves("a", 10), ["a/x/1", "a/x/2", "a/y"].map(cgroup_path));
        assert_eq!(leaves("b", 10), [cgroup_path("b")]);
        assert!(leaves("a", 4).is_empty(), "five are more than four");
        assert!(brake(fake.root(), "test").unwrap().is_some_and(|change| change.new == "0"));
        fake.write("sys/fs/cgroup/memory.zswap.writeback", "0");
        assert_eq!(brake(fake.root(), "test").unwrap(), None);
    }

    #[test]
    fn spared_cgroups_below_are_closed_too_if_they_are_open() {
        let (_dir, root) = world();
        let mut valves = survey(&root, "a", false).expect("aimed");
        // c is closed already, d has no valve, and the last is gone.
        let spared = ["a/x", "c", "d", "gone"].map(CgroupPath::from);
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
        let other = Valves::survey(&root, &"b".into(), CgroupId(1), "test", |_| false);
        assert!(matches!(other, Err(ValveError::Gone(_))));
    }

    #[test]
    fn a_sibling_is_closed_whatever_its_name_is_made_of() {
        let (dir, root) = world();
        for name in [&b"caf\xe9.scope"[..], b"\x1b[31m", b"two\nlines", br"caf\xe9.scope"] {
            let path = dir.path().join("sys/fs/cgroup/a").join(OsStr::from_bytes(name));
            std::fs::create_dir(&path).expect("a cgroup");
            std::fs::write(path.join(FILE), "1\n").expect("a valve");
            let valves = survey(&root, "a/x", false).expect("aimed");
            let closed = CgroupPath::from("a").join(name);
            assert!(
                valves.close.iter().any(|change| change.path.cgroup().as_ref() == Some(&closed)),
                "{closed}"
            );
        }
    }

    #[test]
    fn a_sibling_that_cannot_be_read_is_not_left_open() {
        let (dir, root) = world();
        let valve = dir.path().join("sys/fs/cgroup/b").join(FILE);
        std::fs::remove_file(&valve).expect("removed");
        // Reading a directory fails, and not because it is gone.
        std::fs::create_dir(&valve).expect("a folder where a file should be");
        assert!(matches!(survey(&root, "a/x", false), Err(ValveError::Read(_))));
    }
}
