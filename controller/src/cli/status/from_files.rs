//! A status without an agent: what cgroup files alone say. What only the shadow map knows stays unknown.

use swaptier_policies::{Bytes, Limit, PolicySet, Share};

use crate::{
    cli::{exit::Failure, settings},
    root::Root,
    sense::{CgroupSample, Sensed},
    serve::status::{AgentStatus, CgroupStatus, HostStatus, MapStatus, SCHEMA, Status},
};

/// What the map would say, and files do not.
const NO_AGENT: &str =
    "no agent is running: what is on disk, how old pages are and what was written back is not known";

/// Reads the host.
///
/// # Errors
/// The host has no cgroup v2, or a file cannot be read. Policies that are wrong are no error here; then it is said that
/// nobody's policy is known.
pub(super) fn status(root: &Root) -> Result<Status, Failure> {
    let sensed = settings::sensed(root)?;
    let mut lost = vec![NO_AGENT.to_owned()];
    let policies = settings::config(root).and_then(|config| settings::policies(root, &config));
    let policies = policies.unwrap_or_else(|failure| {
        lost.push(format!("no policy is known: {:#}", failure.error));
        PolicySet::default()
    });
    Ok(of(&sensed, &policies, lost))
}

fn of(sensed: &Sensed, policies: &PolicySet, lost: Vec<String>) -> Status {
    let page = rustix::param::page_size() as u64;
    let shown = |cgroup: &&CgroupSample| {
        let holds = |bytes: Option<Bytes>| bytes.is_some_and(|bytes| bytes.0 > 0);
        policies.resolve(&cgroup.path).is_some()
            || holds(cgroup.swap_current)
            || holds(cgroup.stat.zswapped.map(Bytes))
    };
    let mut cgroups: Vec<CgroupStatus> =
        sensed.cgroups.iter().filter(shown).map(|cgroup| row(cgroup, policies, page)).collect();
    cgroups.sort_by(|one, other| one.path.cmp(&other.path));
    Status {
        schema: SCHEMA,
        agent: AgentStatus { policies: policies.len(), lost, ..AgentStatus::default() },
        host: host(sensed),
        map: MapStatus {
            state: "absent".to_owned(),
            reason: Some("no agent is running".to_owned()),
            ..MapStatus::default()
        },
        cgroups,
        ..Status::default()
    }
}

fn host(sensed: &Sensed) -> HostStatus {
    let memory = &sensed.memory;
    // A percentage is 10,000 parts per million.
    let limit = |percent: u8| Share(u32::from(percent) * 10_000).of(memory.total).0;
    HostStatus {
        ram_bytes: memory.total.0,
        zswap_compressed_bytes: memory.zswap.map(|bytes| bytes.0),
        zswap_original_bytes: memory.zswapped.map(|bytes| bytes.0),
        pool_limit_bytes: sensed.zswap.max_pool_percent.map(limit),
        swap_total_bytes: memory.swap_total.0,
        swap_free_bytes: memory.swap_free.0,
        ..HostStatus::default()
    }
}

fn row(cgroup: &CgroupSample, policies: &PolicySet, page: u64) -> CgroupStatus {
    let policy = policies.resolve(&cgroup.path);
    CgroupStatus {
        path: cgroup.path.clone(),
        id: cgroup.id.0,
        policy: policy.map(|policy| policy.name().to_owned()),
        zswap_pages: cgroup.stat.zswapped.map(|bytes| bytes / page),
        zswap_compressed_bytes: cgroup.zswap_current.map(|bytes| bytes.0),
        older_than_seconds: policy.and_then(|policy| policy.older_than()).map(|age| age.0),
        memory_current_bytes: cgroup.memory_current.map(|bytes| bytes.0),
        swap_max: cgroup.swap_max.map(as_the_kernel_says),
        zswap_max: cgroup.zswap_max.map(as_the_kernel_says),
        zswap_writeback: cgroup.zswap_writeback,
        ..CgroupStatus::default()
    }
}

fn as_the_kernel_says(limit: Limit) -> String {
    limit.finite().map_or_else(|| "max".to_owned(), |bytes| bytes.0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn files_alone_say_what_is_in_zswap_and_not_how_old_it_is() {
        let fake = FakeRoot::host();
        fake.cgroup("batch.slice");
        let id = fake.cgroup("batch.slice/a");
        fake.write("sys/fs/cgroup/batch.slice/a/memory.swap.max", "8192\n");
        let policy = "schema = 1\n[match]\ncgroup = [\"batch.slice/**\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
            [demote]\nolder_than = \"10m\"\n";
        fake.write("etc/swaptier/policies.d/batch.toml", policy);
        let status = status(fake.root()).unwrap();
        assert_eq!((status.schema, status.agent.running, status.map.state.as_str()), (1, false, "absent"));
        let row = status.cgroups.iter().find(|row| row.path == "batch.slice/a").unwrap();
        // 8,192 bytes zswapped are 2 pages of 4 KiB.
        let pages = 8192 / rustix::param::page_size() as u64;
        let expected = CgroupStatus {
            path: "batch.slice/a".into(),
            id,
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
        let status = status(fake.root()).unwrap();
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
        assert!(status(fake.root()).unwrap().cgroups.iter().all(|row| row.path != "quiet"));
    }
}
