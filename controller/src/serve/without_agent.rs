//! A status made of what the kernel's files say, for when no agent is running. What only the shadow map knows stays
//! unknown. Pure: somebody else has read the files.
//!
//! Callers: `status`, `top`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use swaptier_policies::{Bytes, CgroupId, Level, PolicySet};

use super::{
    areas, shown,
    status::{AgentStatus, CgroupStatus, HostStatus, MapStatus, Rates, SCHEMA, Status},
};
use crate::sense::{CgroupSample, MemoryStat, Sensed, VmStat};

/// What the map would say, and files do not.
pub const NO_AGENT: &str =
    "no agent is running: what is on disk, how old pages are and what was written back is not known";

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

/// The status. With the reading before this one, and how long ago that was, it has rates too.
pub fn of(
    sensed: &Sensed,
    before: Option<(&Sensed, Duration)>,
    policies: &PolicySet,
    lost: Vec<String>,
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
    let old: BTreeMap<CgroupId, &MemoryStat> =
        before.iter().flat_map(|(old, _)| &old.cgroups).map(|cgroup| (cgroup.id, &cgroup.stat)).collect();
    let span = before.map_or(Duration::ZERO, |(_, span)| span);
    let mut cgroups: Vec<CgroupStatus> = sensed
        .cgroups
        .iter()
        .filter(shown)
        .map(|cgroup| CgroupStatus {
            rates: old.get(&cgroup.id).map(|old| cgroup_rates(&cgroup.stat, old, span)),
            ..row(cgroup, policies, page)
        })
        .collect();
    cgroups.sort_by(|one, other| one.path.cmp(&other.path));
    Status {
        schema: SCHEMA,
        agent: AgentStatus { policies: policies.len(), lost, ..AgentStatus::default() },
        host: HostStatus {
            rates: before
                .map(|(old, span)| host_rates(&sensed.vmstat, &old.vmstat, span))
                .unwrap_or_default(),
            ..shown::host(sensed, page)
        },
        areas: areas::rows(&sensed.swaps, &sensed.areas, &BTreeMap::new(), |_| Level::Free, page),
        map: MapStatus {
            state: "absent".to_owned(),
            reason: Some("no agent is running".to_owned()),
            ..MapStatus::default()
        },
        cgroups,
        ..Status::default()
    }
}

fn row(cgroup: &CgroupSample, policies: &PolicySet, page: u64) -> CgroupStatus {
    let policy = policies.resolve(&cgroup.path);
    CgroupStatus {
        path: cgroup.path.clone(),
        id: cgroup.id.0,
        parent: cgroup.parent.map(|parent| parent.0),
        populated: Some(cgroup.populated),
        policy: policy.map(|policy| policy.name().to_owned()),
        zswap_pages: cgroup.stat.zswapped.map(|bytes| bytes / page),
        zswap_compressed_bytes: cgroup.zswap_current.map(|bytes| bytes.0),
        older_than_seconds: policy.and_then(|policy| policy.older_than()).map(|age| age.0),
        memory_current_bytes: cgroup.memory_current.map(|bytes| bytes.0),
        swap_current_bytes: cgroup.swap_current.map(|bytes| bytes.0),
        swap_max: cgroup.swap_max.map(shown::as_the_kernel_says),
        zswap_max: cgroup.zswap_max.map(shown::as_the_kernel_says),
        zswap_writeback: cgroup.zswap_writeback,
        memory_pressure: cgroup.pressure.map(shown::pressure),
        ..CgroupStatus::default()
    }
}

/// Pages a second. A counter that fell began anew: nothing is known then.
fn rate(now: Option<u64>, before: Option<u64>, span: Duration) -> Option<f64> {
    let pages = now?.checked_sub(before?)?;
    (!span.is_zero()).then(|| pages as f64 / span.as_secs_f64())
}

fn cgroup_rates(now: &MemoryStat, before: &MemoryStat, span: Duration) -> Rates {
    let of = |count: fn(&MemoryStat) -> Option<u64>| rate(count(now), count(before), span);
    let written_back = of(|stat| stat.zswpwb);
    // `pswpout` counts all that is written to a device, what is written back too.
    let direct = of(|stat| stat.pswpout).map(|all| (all - written_back.unwrap_or(0.0)).max(0.0));
    Rates {
        stored: of(|stat| stat.zswpout),
        loaded: of(|stat| stat.zswpin),
        written_back,
        direct,
        read: of(|stat| stat.pswpin),
    }
}

fn host_rates(now: &VmStat, before: &VmStat, span: Duration) -> Rates {
    let of = |count: fn(&VmStat) -> Option<u64>| rate(count(now), count(before), span);
    Rates {
        stored: of(|stat| stat.zswpout),
        loaded: of(|stat| stat.zswpin),
        written_back: of(|stat| stat.zswpwb),
        direct: of(|stat| stat.pswpout),
        read: of(|stat| stat.pswpin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_pages_a_second_and_a_counter_that_fell_has_none() {
        let before =
            MemoryStat { zswpout: Some(10), zswpwb: Some(5), pswpout: Some(50), ..MemoryStat::default() };
        let now =
            MemoryStat { zswpout: Some(40), zswpwb: Some(4), pswpout: Some(90), ..MemoryStat::default() };
        let rates = cgroup_rates(&now, &before, Duration::from_secs(2));
        // 30 pages in 2 s; 40 written to the device in 2 s.
        assert_eq!((rates.stored, rates.written_back, rates.direct), (Some(15.0), None, Some(20.0)));
        assert_eq!(rates.loaded, None);
        assert_eq!(rate(Some(2), Some(1), Duration::ZERO), None);
    }

    #[test]
    fn what_is_written_back_is_not_counted_as_written_without_zswap() {
        let stat = |all, back| MemoryStat { pswpout: Some(all), zswpwb: Some(back), ..MemoryStat::default() };
        let rates = cgroup_rates(&stat(100, 60), &stat(0, 0), Duration::from_secs(1));
        // 100 written, of which 60 were written back.
        assert_eq!((rates.direct, rates.written_back), (Some(40.0), Some(60.0)));
    }
}
