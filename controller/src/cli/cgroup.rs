//! A cgroup as a person types it on the command line. Callers: the commands that take one.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use swaptier_policies::CgroupPath;

use crate::root::{CGROUP_ROOT, Root};

/// The path below the cgroup root, with `/sys/fs/cgroup` before it or without. The bytes are taken as they are; where there
/// is no such cgroup, but one that is shown so (`caf\xe9.scope`), that one is meant.
pub(super) fn typed(root: &Root, typed: &OsStr) -> CgroupPath {
    let literal = below(typed.as_bytes());
    if root.cgroup(&literal).is_ok() {
        return literal;
    }
    let text = std::str::from_utf8(literal.as_bytes());
    let meant = text.map(CgroupPath::from_shown).ok().filter(|meant| root.cgroup(meant).is_ok());
    meant.unwrap_or(literal)
}

fn below(typed: &[u8]) -> CgroupPath {
    let (path, top) = (CgroupPath::new(typed), CgroupPath::from(CGROUP_ROOT));
    match path.as_bytes().strip_prefix(top.as_bytes()) {
        Some(below) if path.is_in(&top) => CgroupPath::new(below),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    fn found(fake: &FakeRoot, bytes: &[u8]) -> CgroupPath {
        typed(fake.root(), OsStr::from_bytes(bytes))
    }

    #[test]
    fn a_path_is_understood_however_it_is_typed() {
        let fake = FakeRoot::host();
        for typed in ["a/b", "/a/b", "/sys/fs/cgroup/a/b", "sys/fs/cgroup/a/b/", "a/b/"] {
            assert_eq!(found(&fake, typed.as_bytes()), "a/b", "{typed}");
        }
        assert!(found(&fake, b"/sys/fs/cgroup").is_root() && found(&fake, b"/").is_root());
        assert_eq!(found(&fake, b"sys/fs/cgroups"), "sys/fs/cgroups");
    }

    #[test]
    fn what_is_shown_can_be_typed_and_a_name_that_is_there_comes_first() {
        let fake = FakeRoot::host();
        let strange = CgroupPath::new(b"a/caf\xe9.scope");
        assert_eq!(found(&fake, br"a/caf\xe9.scope"), r"a/caf\xe9.scope", "there is neither");
        fake.cgroup(&strange);
        assert_eq!(found(&fake, br"a/caf\xe9.scope"), strange);
        assert_eq!(found(&fake, b"a/caf\xe9.scope"), strange, "the bytes themselves");
        fake.cgroup(r"a/caf\xe9.scope");
        assert_eq!(found(&fake, br"a/caf\xe9.scope"), r"a/caf\xe9.scope");
    }
}
