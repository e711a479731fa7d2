//! What of this host cannot be looked at, how much of it, and what to do: cgroups and swap areas. Nothing is written back from
//! what was not seen, nor from above it, and an area that cannot be told counts as one without storage. Only looks.

use crate::{
    probe::{About, Finding, Level},
    root::Root,
    sense::{self, CgroupTree},
};

/// Everything that hides an area hides it from this process alone.
const LOOK_FROM_THE_HOST: &str = "run it as root, in the host's own namespaces (a unit without PrivateDevices= and the like) and \
                                  with /dev/mapper/control there (`modprobe dm_mod`)";

/// The cgroups that cannot be looked at.
pub(super) fn cgroups(root: &Root) -> Vec<Finding> {
    let finding = |level, says: String| Finding::new(About::Cgroups, level, says);
    // Without the tree that is told, and covers this.
    if sense::cgroupfs::check(root).is_err() {
        return Vec::new();
    }
    let mut tree = CgroupTree::default();
    if let Err(error) = tree.read(root) {
        return vec![finding(Level::Lost, format!("none can be looked at, and nothing is decided: {error}"))];
    }
    let unseen = tree.unseen();
    let nothing = unseen.nothing_charged().map(|says| {
        finding(Level::Lost, says.to_owned()).fix(
            "echo +memory > /sys/fs/cgroup/cgroup.subtree_control; systemd does it for units with MemoryAccounting=yes",
        )
    });
    let some = (unseen.cgroups() > 0).then(|| {
        let which: Vec<String> = unseen.of_cgroups().collect();
        let says = format!("{} cannot be looked at: {}", unseen.cgroups(), which.join("; "));
        finding(Level::Lost, says).fix(unseen.remedies().join("; "))
    });
    some.into_iter().chain(nothing).collect()
}

/// Of so many swap areas these cannot be told.
pub(super) fn areas(unseen: &[String], of: usize) -> Option<Finding> {
    let says =
        format!("{} of {of} cannot be looked at in full from here: {}", unseen.len(), unseen.join("; "));
    (!unseen.is_empty()).then(|| Finding::new(About::SwapAreas, Level::Lost, says).fix(LOOK_FROM_THE_HOST))
}

#[cfg(test)]
mod tests {
    use super::super::own;
    use super::*;
    use crate::{fake::FakeRoot, root::cgroup_file};

    /// Of what the command finds.
    fn told(fake: &FakeRoot, about: About) -> Vec<Finding> {
        let all = own::findings(fake.root(), &[]).into_iter();
        all.filter(|finding| finding.about == about && finding.level > Level::Ok).collect()
    }

    #[test]
    fn cgroups_that_cannot_be_looked_at_are_counted_with_what_to_do() {
        let fake = FakeRoot::host();
        for path in ["a", "b", "c"] {
            fake.cgroup(path);
        }
        assert_eq!(told(&fake, About::Cgroups), []);
        // Reading a directory fails, and not because it is gone.
        for path in ["a", "c"] {
            fake.remove(&cgroup_file(path, "memory.swap.max"));
            std::fs::create_dir(fake.path(&cgroup_file(path, "memory.swap.max"))).unwrap();
        }
        let [finding] = &told(&fake, About::Cgroups)[..] else { panic!() };
        assert_eq!(finding.level, Level::Lost);
        assert!(
            finding.says.starts_with("2 cannot be looked at: not seen in the cgroup /a: memory.swap.max: ")
        );
        assert!(finding.says.contains("/c: ") && finding.fix.is_some(), "{finding:?}");
    }

    #[test]
    fn a_host_that_charges_no_cgroup_is_told_how_to() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        fake.write(&cgroup_file("", "cgroup.subtree_control"), "cpu pids\n");
        let [finding] = &told(&fake, About::Cgroups)[..] else { panic!() };
        assert!(finding.says.contains("no policy has anything to govern"), "{finding:?}");
        assert!(finding.fix.as_ref().unwrap().starts_with("echo +memory"), "{finding:?}");
    }

    #[test]
    fn areas_that_cannot_be_told_are_counted_with_what_to_do() {
        let fake = FakeRoot::host();
        assert_eq!(told(&fake, About::SwapAreas), []);
        let lines = "/dev/vda partition 1024 0 -2\n/dm-3 partition 1024 0 -3\n/gone file 1024 0 -4\n";
        fake.write("proc/swaps", &format!("Filename Type Size Used Priority\n{lines}"));
        let [finding] = &told(&fake, About::SwapAreas)[..] else { panic!() };
        assert!(finding.says.starts_with("2 of 3 cannot be looked at in full from here: what is under"));
        assert!(finding.says.contains("/dm-3") && finding.says.contains("/gone"), "{finding:?}");
        assert!(finding.fix.as_ref().unwrap().contains("/dev/mapper/control"), "{finding:?}");
    }
}
