//! Looking at the host. Everything that can fail becomes a fact; nothing is decided here.

use swaptier_policies::Bytes;

use super::{Facts, HookFacts, capabilities};
use crate::{
    act::writeback,
    hooks::{coverage::cover, facts, preemption, symbols},
    root::{CGROUP_ROOT, Root, cgroup_file},
    sense::{self, zswap::PARAMETERS},
};

/// Reads all of it.
pub fn read(root: &Root) -> Facts {
    Facts {
        release: root.read_value("proc/sys/kernel/osrelease").ok(),
        arch: std::env::consts::ARCH,
        page_size: Bytes(rustix::param::page_size() as u64),
        lockdown: root.read("sys/kernel/security/lockdown").ok().and_then(|text| bracketed(&text)),
        cgroups: sense::cgroupfs::check(root).map_err(|error| error.to_string()),
        has_valve: somewhere(root, "memory.zswap.writeback"),
        has_reclaim: somewhere(root, "memory.reclaim"),
        has_tiers_max: somewhere(root, "memory.swap.tiers.max"),
        has_zswap: root.exists(PARAMETERS),
        zswap: sense::read_parameters(root),
        has_debugfs: root
            .read_lossy("proc/self/mounts")
            .is_ok_and(|it| is_mounted(&it, "/sys/kernel/debug", "debugfs")),
        accounting: sense::Accounting::read(root),
        has_zswap_counters: sense::read_counters(root).pool_limit_hit.is_some(),
        swaps: sense::swaps::read(root).map_err(|error| error.to_string()),
        hooks: hooks(root),
        has_bpffs: root.read_lossy("proc/self/mounts").is_ok_and(|it| is_mounted(&it, "/sys/fs/bpf", "bpf")),
        capabilities_lacking: lacking(root),
        dialects: dialects(root),
    }
}

/// Whether the root cgroup or one below it has this file: some are left out at the root.
fn somewhere(root: &Root, file: &str) -> bool {
    let below = root.list(CGROUP_ROOT).unwrap_or_default();
    root.exists(&cgroup_file("", file)) || below.iter().any(|cgroup| root.exists(&cgroup_file(cgroup, file)))
}

/// The word in brackets, by which the kernel marks what is chosen.
fn bracketed(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn is_mounted(mounts: &str, on: &str, kind: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(on) && fields.next() == Some(kind)
    })
}

fn lacking(root: &Root) -> Vec<&'static str> {
    if !root.is_system() {
        return Vec::new();
    }
    capabilities::lacking(&root.read("proc/self/status").unwrap_or_default())
}

fn dialects(root: &Root) -> Vec<(&'static str, Result<(), String>)> {
    match writeback::Facts::read(root) {
        Ok(facts) => writeback::dialects(&facts),
        Err(error) => vec![("any", Err(error.to_string()))],
    }
}

fn hooks(root: &Root) -> HookFacts {
    if !root.is_system() {
        return HookFacts::NotLookedAt;
    }
    let facts = match facts::running() {
        Ok(facts) => facts,
        Err(error) => return HookFacts::Unreadable(error.to_string()),
    };
    let zswap = symbols::zswap();
    // Where all addresses are hidden, that is said, and covers this.
    let has_trees = zswap.as_ref().ok().is_none_or(|found| found.trees != 0);
    match cover(facts, has_trees, preemption(root)) {
        Ok(coverage) => HookFacts::Covered {
            programs: coverage.attach.len(),
            lost: coverage.lost,
            has_symbol: zswap.is_ok(),
        },
        Err(missing) => HookFacts::Uncovered(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_folder_says_what_its_files_say_and_nothing_of_the_kernel_that_runs() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        fake.write("proc/sys/kernel/osrelease", "6.12.1-test\n");
        fake.write("proc/self/mounts", "sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n");
        fake.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        let facts = read(fake.root());
        assert_eq!(facts.release.as_deref(), Some("6.12.1-test"));
        assert_eq!((facts.hooks, facts.capabilities_lacking), (HookFacts::NotLookedAt, Vec::new()));
        assert_eq!((facts.has_valve, facts.has_reclaim, facts.has_tiers_max), (true, true, false));
        assert_eq!((facts.has_bpffs, facts.lockdown.as_deref()), (true, Some("integrity")));
        assert_eq!(facts.swaps.map(|areas| areas.len()), Ok(1));
        let ready: Vec<_> =
            facts.dialects.iter().filter(|(_, it)| it.is_ok()).map(|(name, _)| *name).collect();
        assert_eq!(ready, ["worker"], "a folder takes no swappiness=max");
    }

    #[test]
    fn nothing_at_all_is_told_as_facts_too() {
        let fake = FakeRoot::empty();
        let facts = read(fake.root());
        assert!(facts.cgroups.is_err() && facts.swaps.is_err() && facts.dialects[0].1.is_err());
        assert!(!facts.has_valve && !facts.has_zswap && !facts.has_bpffs);
    }

    #[test]
    fn a_mount_with_a_name_that_is_no_text_hides_no_other() {
        let fake = FakeRoot::host();
        std::fs::create_dir_all(fake.path("proc/self")).unwrap();
        let mounts = b"tmpfs /mnt/caf\xe9 tmpfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n";
        std::fs::write(fake.path("proc/self/mounts"), mounts).unwrap();
        assert!(read(fake.root()).has_bpffs);
    }

    #[test]
    fn another_file_system_on_the_same_folder_is_no_bpffs() {
        let mounts = "tmpfs /sys/fs/bpf tmpfs rw 0 0\nbpf /mnt bpf rw 0 0\n";
        assert!(!is_mounted(mounts, "/sys/fs/bpf", "bpf") && is_mounted(mounts, "/mnt", "bpf"));
    }
}
