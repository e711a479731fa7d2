//! The status made of what the tick saw. Pure: the agent hands it over.

use swaptier_common::Frame;
use swaptier_policies::{CgroupView, Limit, Snapshot, Tiers};

use super::{Agent, drift, probes::MapView};
use crate::{
    sense::Sensed,
    serve::status::{AgentStatus, CgroupStatus, HeldStatus, HostStatus, MapStatus, SCHEMA, Status},
};

impl Agent {
    pub(super) fn status(
        &self,
        sensed: &Sensed,
        snapshot: &Snapshot,
        view: &MapView,
        ready: &Result<&'static str, String>,
    ) -> Status {
        let host = &snapshot.host;
        let sum = |pages: fn(&Tiers) -> u64| view.counts.values().map(pages).sum::<u64>();
        let (known, unknown) = (sum(|tiers| tiers.zswap.0), sum(|tiers| tiers.unknown.0));
        let of_kernel = zswapped(sensed, snapshot.page_size.0).filter(|_| self.probes.is_some());
        let drift_pages = of_kernel.map_or(0, |kernel| drift::pages(known, unknown, kernel));
        Status {
            schema: SCHEMA,
            agent: AgentStatus {
                running: true,
                pid: Some(std::process::id()),
                tick: self.tick,
                tick_ms: self.last_tick.as_secs_f64() * 1e3,
                policies: self.policies.len(),
                dialect: ready.as_ref().ok().map(|dialect| (*dialect).to_owned()),
                no_dialect: ready.as_ref().err().cloned(),
                lost: self.lost.clone(),
                ..AgentStatus::default()
            },
            host: HostStatus {
                ram_bytes: host.ram.0,
                zswap_compressed_bytes: host.pool_compressed.map(|bytes| bytes.0),
                zswap_original_bytes: host.pool_original.map(|bytes| bytes.0),
                pool_limit_bytes: host.pool_limit.map(|bytes| bytes.0),
                swap_total_bytes: host.swap_total.0,
                swap_free_bytes: host.swap_free.0,
                ..HostStatus::default()
            },
            map: MapStatus {
                state: self.probes.as_ref().map_or("absent", |_| state(drift_pages)).to_owned(),
                reason: self.probes.is_none().then(|| self.lost.join("; ")),
                chunks: view.health.chunks,
                locked_bytes: view.health.locked_bytes,
                used_bytes: view.health.used_frames * size_of::<Frame>() as u64,
                drift_pages,
                repaired_pages: view.repaired,
                recursion_misses: view.recursion_misses,
                missed_events: view.health.missed_frames
                    + view.health.missed_areas
                    + view.health.missed_cgroups,
            },
            cgroups: self.cgroup_statuses(snapshot, view),
            rounds: self.rounds.reports().cloned().collect(),
            held: self
                .plan
                .held
                .iter()
                .map(|held| HeldStatus {
                    cgroup: snapshot
                        .cgroups
                        .get(&held.cgroup)
                        .map_or_else(String::new, |cgroup| cgroup.path.clone()),
                    policy: held.policy.clone(),
                    reason: held.hold.to_string(),
                })
                .collect(),
            ..Status::default()
        }
    }

    fn cgroup_statuses(&self, snapshot: &Snapshot, view: &MapView) -> Vec<CgroupStatus> {
        let mut all: Vec<CgroupStatus> = snapshot
            .cgroups
            .iter()
            .filter_map(|(id, cgroup)| {
                let policy = self.policies.resolve(&cgroup.path);
                let is_shown = policy.is_some() || holds_swap(cgroup);
                is_shown.then(|| {
                    let counters = self.probes.is_some().then(|| view.counters.get(id).copied()).flatten();
                    let tiers = cgroup.tiers;
                    CgroupStatus {
                        path: cgroup.path.clone(),
                        id: id.0,
                        policy: policy.map(|policy| policy.name().to_owned()),
                        zswap_pages: tiers.map(|tiers| tiers.zswap.0),
                        zswap_compressed_bytes: tiers
                            .map_or(cgroup.zswap_compressed, |tiers| Some(tiers.zswap_compressed))
                            .map(|bytes| bytes.0),
                        phys_pages: tiers.map(|tiers| tiers.phys.0),
                        zero_pages: tiers.map(|tiers| tiers.zero.0),
                        folio_pages: tiers.map(|tiers| tiers.folio.0),
                        drift_pages: tiers.zip(cgroup.zswap_original).map(|(tiers, original)| {
                            let kernel = original.0 / snapshot.page_size.0;
                            drift::pages(tiers.zswap.0, tiers.unknown.0, kernel)
                        }),
                        unknown_pages: tiers.map(|tiers| tiers.unknown.0),
                        cold_pages: cgroup.cold.map(|cold| cold.pages.0),
                        older_than_seconds: cgroup.cold.map(|cold| cold.older_than.0),
                        oldest_seconds: view.oldest.get(id).copied(),
                        stored_pages: counters.map(|counters| counters.stored_pages),
                        loaded_pages: counters.map(|counters| counters.loaded_pages),
                        written_back_pages: counters.map(|counters| counters.written_back_pages),
                        direct_pages: counters.map(|counters| counters.direct_pages),
                        read_pages: counters.map(|counters| counters.read_pages),
                        regret_pages: counters.map(|counters| counters.regret_pages),
                        memory_current_bytes: cgroup.memory_current.map(|bytes| bytes.0),
                        swap_max: cgroup.swap_max.map(as_the_kernel),
                        zswap_max: cgroup.zswap_max.map(as_the_kernel),
                        zswap_writeback: cgroup.zswap_writeback,
                        ..CgroupStatus::default()
                    }
                })
            })
            .collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

fn as_the_kernel(limit: Limit) -> String {
    match limit {
        Limit::Max => "max".to_owned(),
        Limit::Bytes(bytes) => bytes.0.to_string(),
    }
}

fn holds_swap(cgroup: &CgroupView) -> bool {
    cgroup.swap_current.is_some_and(|bytes| bytes.0 > 0)
        || cgroup.zswap_original.is_some_and(|bytes| bytes.0 > 0)
}

/// Pages of drift up to which the map counts as exact: reading the kernel's counters is not one moment with reading the
/// map, and the kernel adds up its own in batches of 64 pages for each processor.
const MOMENT: u64 = 4096;

fn state(drift_pages: i64) -> &'static str {
    if drift_pages.unsigned_abs() <= MOMENT { "exact" } else { "behind" }
}

/// Pages in zswap by the kernel's own count: the root's `memory.stat` counts for all.
fn zswapped(sensed: &Sensed, page: u64) -> Option<u64> {
    let root = sensed.cgroups.iter().find(|cgroup| cgroup.path.is_empty())?;
    root.stat.zswapped.map(|bytes| bytes / page)
}
