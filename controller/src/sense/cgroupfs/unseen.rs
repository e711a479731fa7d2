//! What a walk through the cgroups could not look at, for people and for whoever must not act on half a tree. Pure.

use std::fmt;

use rustix::io::Errno;
use swaptier_policies::CgroupPath;

/// How many are told by name.
const TOLD: usize = 8;

/// Why a cgroup, or what is below it, was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// A file of it, or its directory where that is empty, cannot be read.
    Unreadable(&'static str, Errno),
    /// What is below it cannot be listed.
    Unlisted(Errno),
    /// It lies so deep that what is below it is not looked at.
    Deep(usize),
    /// So many cgroups in it are beyond the number, the second one here, or the length of paths, that are looked at.
    Many(u64, usize),
}

impl Cause {
    /// How many cgroups are not seen for it, as far as that is known.
    fn cgroups(&self) -> u64 {
        match self {
            Cause::Many(left, _) => *left,
            _ => 1,
        }
    }

    /// What to do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Cause::Unreadable(_, Errno::ACCESS | Errno::PERM)
            | Cause::Unlisted(Errno::ACCESS | Errno::PERM) => {
                "run it as root, on the host itself and not in a container"
            }
            Cause::Unreadable(..) | Cause::Unlisted(_) => {
                "it is looked at again at each tick; where it stays, the kernel's log may say why"
            }
            Cause::Deep(_) => "make that tree flatter",
            Cause::Many(..) => {
                "remove cgroups that nobody uses (`systemd-cgls` shows whose they are), or take `-memory` in the \
                 cgroup.subtree_control above them"
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Unreadable("", errno) => errno.fmt(f),
            Cause::Unreadable(file, errno) => write!(f, "{file}: {errno}"),
            Cause::Unlisted(errno) => write!(f, "it cannot be listed: {errno}"),
            Cause::Deep(depth) => write!(f, "it lies {depth} deep, and has more below it"),
            Cause::Many(left, most) => {
                write!(
                    f,
                    "{left} cgroups in it are beyond the {most}, or the length of paths, that are looked at"
                )
            }
        }
    }
}

/// Cgroups of which something is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Where, and why; at most [`TOLD`].
    told: Vec<(CgroupPath, Cause)>,
    /// How many places there are in all.
    count: u64,
    /// How many cgroups that makes.
    cgroups: u64,
    /// The kernel charges no cgroup but the root.
    is_nothing_charged: bool,
}

impl Unseen {
    /// Something in the cgroup at `path` was not seen.
    pub(super) fn note(&mut self, path: &CgroupPath, cause: Cause) {
        self.count += 1;
        self.cgroups = self.cgroups.saturating_add(cause.cgroups());
        if self.told.len() < TOLD {
            self.told.push((path.clone(), cause));
        }
    }

    /// The memory controller is enabled below no cgroup.
    pub(super) fn note_nothing_charged(&mut self) {
        self.is_nothing_charged = true;
    }

    /// Why the subtree of `top` is not known in full. A cgroup in it that was not seen may have a policy of its own, and
    /// pages that no meter counts. Where more were not seen than are known by name, no subtree is.
    #[must_use]
    pub fn within(&self, top: &CgroupPath) -> Option<String> {
        let named = self.told.iter().find(|(path, _)| path.is_in(top));
        match named {
            Some((path, cause)) => Some(format!("not all cgroups in it could be looked at: {path}: {cause}")),
            None if self.count > self.told.len() as u64 => {
                Some(format!("{} cgroups of the host could not be looked at", self.cgroups))
            }
            None => None,
        }
    }

    /// How many cgroups cannot be looked at.
    #[must_use]
    pub fn cgroups(&self) -> u64 {
        self.cgroups
    }

    /// What to do about those that are told by name, each once.
    #[must_use]
    pub fn remedies(&self) -> Vec<&'static str> {
        let mut remedies: Vec<&str> = self.told.iter().map(|(_, cause)| cause.remedy()).collect();
        remedies.sort_unstable();
        remedies.dedup();
        remedies
    }

    /// Of the cgroups that were not seen, for people, a sentence each.
    pub fn of_cgroups(&self) -> impl Iterator<Item = String> {
        let more = self.count - self.told.len() as u64;
        let of = |(path, cause): &(CgroupPath, Cause)| {
            format!(
                "not seen in the cgroup /{path}: {cause}; nothing is written back from it or from above it"
            )
        };
        let more = (more > 0).then(|| format!("not seen: {more} more cgroups; nothing is written back"));
        self.told.iter().map(of).chain(more).collect::<Vec<_>>().into_iter()
    }

    /// The same where no cgroup is charged at all.
    #[must_use]
    pub fn nothing_charged(&self) -> Option<&'static str> {
        self.is_nothing_charged.then_some(
            "no cgroup has the memory controller (`memory` is missing in /sys/fs/cgroup/cgroup.subtree_control): \
             no policy has anything to govern",
        )
    }

    /// All of it.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.of_cgroups().chain(self.nothing_charged().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_something_unseen_below_knows_and_a_neighbour_does_not_mind() {
        let mut unseen = Unseen::default();
        unseen.note(&"a/b".into(), Cause::Unlisted(Errno::IO));
        let of = |unseen: &Unseen, path: &str| unseen.within(&path.into());
        assert!(["", "a", "a/b"].iter().all(|path| of(&unseen, path).is_some()));
        assert!(["c", "a/bc", "a/b/c"].iter().all(|path| of(&unseen, path).is_none()));
        for _ in 0..TOLD {
            unseen.note(&"d".into(), Cause::Many(3, 9));
        }
        assert!(of(&unseen, "c").is_some(), "nobody knows where the ninth is");
        assert_eq!(unseen.sentences().count(), TOLD + 1);
        // One, and eight times three.
        assert_eq!((unseen.cgroups(), unseen.remedies().len()), (25, 2));
    }
}
