//! A status without an agent: reads the files of which `serve/without_agent` makes it.

use swaptier_policies::PolicySet;

use crate::{
    cli::{exit::Failure, settings},
    root::Root,
    serve::{
        status::Status,
        without_agent::{NO_AGENT, Rows, of},
    },
};

/// Reads the host.
///
/// # Errors
/// The host has no cgroup v2, or a file cannot be read. Policies that are wrong are no error here; then it is said that
/// nobody's policy is known.
pub(super) fn status(root: &Root, rows: Rows) -> Result<Status, Failure> {
    // The notes of areas are root's alone to read; without them an area is what its path says.
    let noted = settings::config(root).and_then(|config| settings::sensed_with_areas(root, &config));
    let sensed = noted.or_else(|_| settings::sensed(root))?;
    let (policies, lost) = policies(root);
    Ok(of(&sensed, None, &policies, lost, rows))
}

/// The policies in force, and what is lost without an agent.
pub(in crate::cli) fn policies(root: &Root) -> (PolicySet, Vec<String>) {
    let mut lost = vec![NO_AGENT.to_owned()];
    let policies = settings::config(root).and_then(|config| settings::policies(root, &config));
    let policies = policies.unwrap_or_else(|failure| {
        lost.push(format!("no policy is known: {:#}", failure.error));
        PolicySet::default()
    });
    (policies, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::FakeRoot, serve::status::CgroupStatus};

    #[test]
    fn files_alone_say_what_is_in_zswap_and_not_how_old_it_is() {
        let fake = FakeRoot::host();
        let parent = fake.cgroup("batch.slice");
        let id = fake.cgroup("batch.slice/a");
        fake.write("sys/fs/cgroup/batch.slice/a/memory.swap.max", "8192\n");
        let policy = "schema = 1\n[match]\ncgroup = [\"batch.slice/**\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
            [demote]\nolder_than = \"10m\"\n";
        fake.write("etc/swaptier/policies.d/batch.toml", policy);
        let status = status(fake.root(), Rows::Concerned).unwrap();
        assert_eq!((status.schema, status.agent.running, status.map.state.as_str()), (1, false, "absent"));
        let row = status.cgroups.iter().find(|row| row.path == "batch.slice/a").unwrap();
        // 8,192 bytes zswapped are 2 pages of 4 KiB.
        let pages = 8192 / rustix::param::page_size() as u64;
        let expected = CgroupStatus {
            path: "batch.slice/a".into(),
            id,
            parent: Some(parent),
            populated: Some(true),
            swap_current_bytes: Some(16_384),
            policy: Some("batch.toml".into()),
            zswap_pages: Some(pages),
            zswap_compressed_bytes: Some(2048),
            older_than_seconds: Some(600),
            memory_current_bytes: Some(1_048_576),
            swap_max: Some("8192".into()),
            zswap_max: Some("max".into()),
            zswap_writeback: Some(true),
            ..CgroupStatus::default()
        };
        assert_eq!(*row, expected);
        // 1,014,512 kB of RAM; 20 % of it.
        assert_eq!(status.host.pool_limit_bytes, Some(1_014_512 * 1024 / 5));
    }

    #[test]
    fn policies_that_are_wrong_do_not_hide_the_host() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        fake.write("etc/swaptier/policies.d/bad.toml", "schema = 9\n");
        let status = status(fake.root(), Rows::Concerned).unwrap();
        assert_eq!(status.cgroups.iter().filter(|row| row.path == "a").count(), 1);
        assert!(status.agent.lost[1].starts_with("no policy is known: "), "{:?}", status.agent.lost);
        assert!(status.agent.lost[1].contains("bad.toml:1:"), "{:?}", status.agent.lost);
    }

    #[test]
    fn a_cgroup_without_policy_and_without_swap_is_not_shown() {
        let fake = FakeRoot::host();
        fake.cgroup("quiet");
        fake.write("sys/fs/cgroup/quiet/memory.swap.current", "0\n");
        fake.write("sys/fs/cgroup/quiet/memory.stat", "anon 1\nzswap 0\nzswapped 0\n");
        let rows = |rows| status(fake.root(), rows).unwrap().cgroups;
        assert!(rows(Rows::Concerned).iter().all(|row| row.path != "quiet"));
        assert!(rows(Rows::All).iter().any(|row| row.path == "quiet"), "unless all are asked for");
    }
}
