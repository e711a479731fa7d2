//! The page that a tick publishes, made of what it saw and did. Pure: the agent hands it over.

use std::collections::BTreeMap;

use swaptier_common::{Frame, cgroup::AGE_BUCKETS, latency::Latency};
use swaptier_policies::{CgroupId, CgroupView, Snapshot, Tiers};

use super::{Agent, drift, traffic::with_below, view::MapView};
use crate::{
    journal::Change,
    sense::{CgroupSample, Pressure, Sensed, read_counters},
    serve::{
        areas,
        board::{Beside, Page},
        detail::{Ages, Law},
        histogram::trimmed,
        shown,
        status::{
            AgentStatus, CgroupStatus, HeldStatus, HostStatus, KnobStatus, MapState, MapStatus,
            RefusedStores, SCHEMA, Status, SwapIns, TotalsStatus,
        },
    },
};

/// The sums over subtrees that only faces want.
struct Sums<'a> {
    samples: BTreeMap<CgroupId, &'a CgroupSample>,
    oldest: BTreeMap<CgroupId, u64>,
    ages: BTreeMap<CgroupId, [u64; AGE_BUCKETS]>,
    swap_ins: BTreeMap<CgroupId, Latency>,
    /// Swap-ins are timed now.
    is_timed: bool,
}

impl Agent {
    /// The page of this tick.
    pub(super) fn page(
        &self,
        sensed: &Sensed,
        snapshot: &Snapshot,
        view: &MapView,
        ready: &Result<&'static str, String>,
    ) -> Page {
        let add =
            |one: [u64; AGE_BUCKETS], other: [u64; AGE_BUCKETS]| std::array::from_fn(|n| one[n] + other[n]);
        let sums = Sums {
            samples: sensed.cgroups.iter().map(|sample| (sample.id, sample)).collect(),
            oldest: with_below(&sensed.cgroups, &view.oldest, u64::max),
            ages: with_below(&sensed.cgroups, &view.ages, add),
            swap_ins: view.swap_ins.as_ref().map_or_else(BTreeMap::new, |own| {
                with_below(&sensed.cgroups, own, |one, other| one.plus(&other))
            }),
            is_timed: view.is_timed,
        };
        let mut cgroups = Vec::new();
        let mut beside = BTreeMap::new();
        for (id, cgroup) in &snapshot.cgroups {
            if self.policies.resolve(&cgroup.path).is_some() || holds_swap(cgroup) {
                cgroups.push(self.row(*id, cgroup, snapshot, &sums));
                beside.insert(id.0, self.beside(*id, &sums));
            }
        }
        cgroups.sort_by(|a, b| a.path.cmp(&b.path));
        let law = Law { policies: self.policies.clone(), areas: snapshot.host.areas.clone() };
        Page::new(self.status(sensed, snapshot, view, ready, cgroups), beside).by(law)
    }

    fn status(
        &self,
        sensed: &Sensed,
        snapshot: &Snapshot,
        view: &MapView,
        ready: &Result<&'static str, String>,
        cgroups: Vec<CgroupStatus>,
    ) -> Status {
        let path =
            |id: &CgroupId| snapshot.cgroups.get(id).map_or_else(String::new, |view| view.path.to_string());
        let of_plan = self.plan.held.iter().filter(|held| is_worth_saying(snapshot, held.cgroup));
        let held = of_plan.map(|held| HeldStatus {
            cgroup: path(&held.cgroup),
            policy: held.by.to_string(),
            reason: held.hold.to_string(),
        });
        let barred = self.barred.iter().map(|(cgroup, barred)| HeldStatus {
            cgroup: path(cgroup),
            policy: barred.by.to_string(),
            reason: barred.why.clone(),
        });
        let held = barred.chain(held);
        Status {
            schema: SCHEMA,
            unix_seconds: unix_seconds(),
            agent: self.agent_status(ready, sensed),
            host: self.host_status(sensed, snapshot, view),
            areas: areas::rows(
                &sensed.swaps,
                &snapshot.host.areas,
                &self.by_area,
                |pool| self.session.history().level(pool),
                snapshot.page_size.0,
            ),
            map: self.map_status(snapshot, view),
            cgroups,
            rounds: self.rounds.reports().cloned().collect(),
            held: held.collect(),
            knobs: self.knobs(),
            last_event: self.board.last_event(),
            totals: TotalsStatus {
                steps: self.recent.steps,
                steps_in_trouble: self.recent.in_trouble,
                ..self.rounds.totals()
            },
        }
    }

    fn agent_status(&self, ready: &Result<&'static str, String>, sensed: &Sensed) -> AgentStatus {
        AgentStatus {
            running: true,
            absent: None,
            pid: Some(std::process::id()),
            doing: self.rounds.doing(),
            rounds_waiting: self.rounds.waiting() as u64,
            tick: self.tick,
            tick_ms: self.self_cost.last().as_secs_f64() * 1e3,
            policies: self.policies.len(),
            dialect: ready.as_ref().ok().map(|dialect| (*dialect).to_owned()),
            no_dialect: ready.as_ref().err().cloned(),
            lost: (self.lost.iter().cloned())
                .chain(self.untaken.iter().map(ToString::to_string))
                .chain(self.areas.unseen().iter().cloned())
                .chain(sensed.unseen.sentences())
                .chain(sensed.accounting.loss())
                .chain(self.traffic.doubt())
                .collect(),
            dry_run: self.options.dry_run,
            tick_interval_seconds: self.config.agent.tick.0,
            cost: self.self_cost.now(),
            blind_ticks: self.blind_ticks,
            blind: None,
            journal_dropped: self.journal.dropped(),
        }
    }

    fn host_status(&self, sensed: &Sensed, snapshot: &Snapshot, view: &MapView) -> HostStatus {
        let page = snapshot.page_size.0;
        let on_disk = view.counts.values().map(|tiers| tiers.phys.0).sum::<u64>();
        HostStatus {
            disk_original_bytes: self.probes.is_some().then_some(on_disk * page),
            slot_cost_bytes: self.areas.cost().map(|cost| cost.0 as f64 / f64::from(1 << 20)),
            rates: self.traffic.host(),
            refused_stores: refused_stores(&self.root),
            swap_ins: view.swap_ins.as_ref().map(|all| {
                let sum = all.values().fold(Latency::default(), |sum, one| sum.plus(one));
                SwapIns::of(&sum, view.is_timed)
            }),
            ..shown::host(sensed, page)
        }
    }

    fn map_status(&self, snapshot: &Snapshot, view: &MapView) -> MapStatus {
        let sum = |pages: fn(&Tiers) -> u64| view.counts.values().map(pages).sum::<u64>();
        let (known, unknown) = (sum(|tiers| tiers.zswap.0), sum(|tiers| tiers.unknown.0));
        let drift_pages = view.kernel_pages.map_or(0, |kernel| drift::pages(known, unknown, kernel));
        let health = &view.health;
        MapStatus {
            state: self.probes.as_ref().map_or(MapState::Absent, |_| state(drift_pages)),
            reason: self.probes.is_none().then(|| self.lost.join("; ")),
            age_seconds: self.probes.as_ref().map(|_| snapshot.at.0.saturating_sub(view.walked_at)),
            chunks: health.chunks,
            locked_bytes: health.locked_bytes,
            used_bytes: health.used_frames * size_of::<Frame>() as u64,
            drift_pages,
            repaired_pages: view.repaired,
            recursion_misses: view.recursion_misses,
            found_stores: health.stores_found,
            missed_events: health.missed_frames + health.missed_areas + health.missed_cgroups,
        }
    }

    fn row(&self, id: CgroupId, cgroup: &CgroupView, snapshot: &Snapshot, sums: &Sums<'_>) -> CgroupStatus {
        let (page, tiers) = (snapshot.page_size.0, cgroup.tiers);
        let counters = self.traffic.total(id);
        let policy = self.policies.resolve(&cgroup.path);
        CgroupStatus {
            path: cgroup.path.to_string(),
            id: id.0,
            closed_by_hand: policy.is_some_and(|policy| policy.closes() == Some(&cgroup.path)),
            policy: policy.map(|policy| policy.name().to_owned()),
            zswap_pages: tiers
                .map(|tiers| tiers.zswap.0)
                .or(cgroup.zswap_original.filter(|_| self.probes.is_none()).map(|bytes| bytes.0 / page)),
            zswap_compressed_bytes: tiers
                .map_or(cgroup.zswap_compressed, |tiers| Some(tiers.zswap_compressed))
                .map(|bytes| bytes.0),
            phys_pages: tiers.map(|tiers| tiers.phys.0),
            zero_pages: tiers.map(|tiers| tiers.zero.0),
            folio_pages: tiers.map(|tiers| tiers.folio.0),
            unknown_pages: tiers.map(|tiers| tiers.unknown.0),
            drift_pages: tiers
                .zip(cgroup.zswap_original)
                .map(|(tiers, original)| drift::pages(tiers.zswap.0, tiers.unknown.0, original.0 / page)),
            cold_pages: cgroup.cold.map(|cold| cold.pages.0),
            cold_compressed_bytes: cgroup.cold.map(|cold| cold.compressed.0),
            older_than_seconds: cgroup.cold.map(|cold| cold.older_than.0),
            oldest_seconds: sums.oldest.get(&id).copied().filter(|_| tiers.is_some()),
            stored_pages: counters.map(|counters| counters.stored_pages),
            loaded_pages: counters.map(|counters| counters.loaded_pages),
            written_back_pages: counters.map(|counters| counters.written_back_pages),
            direct_pages: self.traffic.direct(id),
            read_pages: counters.map(|counters| counters.read_pages),
            regret_pages: counters.map(|counters| counters.regret_pages),
            memory_current_bytes: cgroup.memory_current.map(|bytes| bytes.0),
            settings: cgroup.settings,
            parent: cgroup.parent.map(|parent| parent.0),
            populated: Some(cgroup.populated),
            swap_current_bytes: cgroup.swap_current.map(|bytes| bytes.0),
            rates: self.traffic.rates(id),
            memory_pressure: pressure(sums, id).map(shown::pressure),
            last: self.recent.of(id).last().cloned(),
        }
    }

    fn beside(&self, id: CgroupId, sums: &Sums<'_>) -> Beside {
        let ages = self.traffic.total(id).map(|counters| Ages {
            zswap_pages: trimmed(sums.ages.get(&id).map_or(&[], |ages| ages.as_slice())),
            loaded_pages: trimmed(&counters.load_age),
            written_back_pages: trimmed(&counters.written_back_age),
        });
        // Of a cgroup without a swap-in it is known as well, while they are timed.
        let swap_ins = sums.swap_ins.get(&id).copied().or(sums.is_timed.then(Latency::default));
        let swap_ins = swap_ins.map(|latency| SwapIns::of(&latency, sums.is_timed));
        Beside { ages, swap_ins, actions: self.recent.of(id).cloned().collect() }
    }

    fn knobs(&self) -> Vec<KnobStatus> {
        // A round may be writing to the log on its thread: then this page says what the one before said.
        let Ok(undo) = self.undo.try_lock() else {
            return self.board.newest().map_or_else(Vec::new, |page| page.status.knobs.clone());
        };
        let mut knobs: Vec<KnobStatus> = undo.pending().filter_map(knob).collect();
        knobs.sort_by(|a, b| a.path.cmp(&b.path));
        knobs
    }
}

fn knob(change: &Change) -> Option<KnobStatus> {
    (change.kind == crate::journal::Kind::File).then(|| KnobStatus {
        path: format!("/{}", change.path),
        cgroup: change.cgroup,
        before: change.old.clone(),
        ours: change.new.clone(),
        by: change.why.clone(),
    })
}

fn pressure(sums: &Sums<'_>, id: CgroupId) -> Option<Pressure> {
    sums.samples.get(&id)?.pressure
}

fn refused_stores(root: &crate::root::Root) -> Option<RefusedStores> {
    let counters = read_counters(root);
    let refused = RefusedStores {
        pool_limit: counters.pool_limit_hit,
        no_memory: counters.reject_alloc_fail,
        incompressible: counters.reject_compress_poor,
        compressor_failed: counters.reject_compress_fail,
        reclaim_failed: counters.reject_reclaim_fail,
    };
    (refused != RefusedStores::default()).then_some(refused)
}

fn unix_seconds() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // To the millisecond: more digits would be noise in every message.
    since.map_or(0.0, |since| since.as_millis() as f64 / 1e3)
}

/// Whether anything is held back at all: of a cgroup without a process and without a page in swap, as systemd makes for
/// each socket and mount, nothing is.
fn is_worth_saying(snapshot: &Snapshot, cgroup: CgroupId) -> bool {
    snapshot.cgroups.get(&cgroup).is_none_or(|view| view.populated || holds_swap(view))
}

fn holds_swap(cgroup: &CgroupView) -> bool {
    cgroup.swap_current.is_some_and(|bytes| bytes.0 > 0)
        || cgroup.zswap_original.is_some_and(|bytes| bytes.0 > 0)
}

/// Pages of drift up to which the map counts as exact: reading the kernel's counters is not one moment with reading the
/// map, and the kernel adds up its own in batches of 64 pages for each processor.
const MOMENT: u64 = 4096;

fn state(drift_pages: i64) -> MapState {
    if drift_pages.unsigned_abs() <= MOMENT { MapState::Exact } else { MapState::Behind }
}
