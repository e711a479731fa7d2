//! A status made of what the kernel's files say, for when nothing is heard of an agent. What only the shadow map knows stays
//! unknown. Pure: somebody else has read the files.
//!
//! Callers: `status`, `top`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use swaptier_policies::{AreaView, Bytes, CgroupId, Level, PolicySet};

use super::{
    absence::Absence,
    areas::rows as rows_of,
    rates::Counted,
    shown,
    status::{AgentStatus, CgroupStatus, HostStatus, MapState, MapStatus, SCHEMA, Status},
};
use crate::sense::{CgroupSample, Sensed};

/// Which cgroups have a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Those with a policy or with anything in swap.
    #[default]
    Concerned,
    /// Every one there is.
    All,
}

/// Adds rows of `files` for cgroups of which the agent says nothing: they have no policy and nothing in swap.
pub fn add_others(status: &mut Status, files: Status) {
    let known: BTreeSet<u64> = status.cgroups.iter().map(|row| row.id).collect();
    status.cgroups.extend(files.cgroups.into_iter().filter(|row| !known.contains(&row.id)));
    status.cgroups.sort_by(|one, other| one.path.cmp(&other.path));
}

/// The status of what was read of the host and of its swap areas. With the reading before this one, and how long ago that
/// was, it has rates too.
pub fn of(
    (sensed, areas): (&Sensed, &[AreaView]),
    before: Option<(&Sensed, Duration)>,
    policies: &PolicySet,
    (absence, lost): (Absence, Vec<String>),
    rows: Rows,
) -> Status {
    let page = rustix::param::page_size() as u64;
    let shown = |cgroup: &&CgroupSample| {
        let holds = |bytes: Option<Bytes>| bytes.is_some_and(|bytes| bytes.0 > 0);
        rows == Rows::All
            || policies.resolve(&cgroup.path).is_some()
            || holds(cgroup.swap_current)
            || holds(cgroup.stat.zswapped.map(Bytes))
    };
    let counted = |cgroup: &CgroupSample| Counted::of_cgroup(&cgroup.stat);
    let old: BTreeMap<CgroupId, Counted> =
        before.iter().flat_map(|(old, _)| &old.cgroups).map(|cgroup| (cgroup.id, counted(cgroup))).collect();
    let seconds = before.map_or(0.0, |(_, span)| span.as_secs_f64());
    let mut cgroups: Vec<CgroupStatus> = sensed
        .cgroups
        .iter()
        .filter(shown)
        .map(|cgroup| CgroupStatus {
            rates: old.get(&cgroup.id).map(|old| counted(cgroup).since(old).rates(seconds)),
            ..row(cgroup, policies, page)
        })
        .collect();
    cgroups.sort_by(|one, other| one.path.cmp(&other.path));
    Status {
        schema: SCHEMA,
        agent: AgentStatus {
            absent: Some(absence.to_string()),
            policies: policies.len(),
            lost: lost.into_iter().chain(sensed.unseen.sentences()).chain(sensed.accounting.loss()).collect(),
            ..AgentStatus::default()
        },
        host: HostStatus {
            rates: before
                .map(|(old, _)| Counted::of_host(&sensed.vmstat).since(&Counted::of_host(&old.vmstat)))
                .unwrap_or_default()
                .host_rates(seconds),
            ..shown::host(sensed, page)
        },
        areas: rows_of(&sensed.swaps, areas, &BTreeMap::new(), |_| Level::Free, page),
        map: MapStatus { state: MapState::Absent, reason: Some(absence.to_string()), ..MapStatus::default() },
        cgroups,
        ..Status::default()
    }
}

fn row(cgroup: &CgroupSample, policies: &PolicySet, page: u64) -> CgroupStatus {
    let policy = policies.resolve(&cgroup.path);
    CgroupStatus {
        path: cgroup.path.to_string(),
        id: cgroup.id.0,
        parent: cgroup.parent.map(|parent| parent.0),
        populated: Some(cgroup.populated),
        policy: policy.map(|policy| policy.name().to_owned()),
        zswap_pages: cgroup.stat.zswapped.map(|bytes| bytes / page),
        zswap_compressed_bytes: cgroup.zswap_current.map(|bytes| bytes.0),
        older_than_seconds: policy.and_then(|policy| policy.older_than()).map(|age| age.0),
        memory_current_bytes: cgroup.memory_current.map(|bytes| bytes.0),
        swap_current_bytes: cgroup.swap_current.map(|bytes| bytes.0),
        settings: cgroup.settings,
        memory_pressure: cgroup.pressure.map(shown::pressure),
        ..CgroupStatus::default()
    }
}
