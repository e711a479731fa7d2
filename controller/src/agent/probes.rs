//! The probes and the map in the agent's hands: started once, fed every tick, read every tick.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use swaptier_common::{
    DIRECTORY_PAGES, FRAME_SLOTS, PAGE_CLUSTERS,
    area::Area,
    cgroup::{AGE_BUCKETS, Counters},
    latency::Latency,
    slot::State,
};
use swaptier_policies::{Bytes, CgroupId, Cold, Pages, Policy, PolicySet, Seconds, Tiers};
use tokio::io::unix::AsyncFd;

use super::{drift::Drift, family::Family, timing::Timing};
use crate::{
    act::writeback::{self, Subject},
    config::MapConfig,
    hooks::{HookError, Hooks, Loaded, Origin, Preemption, preemption},
    map::{self, AreaScan, Health, OwnerScan, RESERVE, Scan, ShadowError, ShadowMap},
    root::{Root, cgroup_file},
    sense::CgroupSample,
};

/// Why there are no probes.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    #[error("waiting for the probes' events: {0}")]
    Events(#[from] std::io::Error),
}

/// Reads the probes' own diagnostics and hands them to the agent's log.
type Logger = EbpfLogger<&'static dyn log::Log>;

/// Running probes.
pub(super) struct Probes {
    /// Where this kernel could preempt a task when the programs were attached.
    preemption: Preemption,
    loaded: Loaded,
    map: ShadowMap,
    events: AsyncFd<RingBuf<MapData>>,
    logger: Option<AsyncFd<Logger>>,
    reserve: u64,
    family: Family,
    drift: Drift,
    repaired: u64,
    timing: Timing,
}

/// What the map says at one moment, by cgroup.
#[derive(Default)]
pub(super) struct MapView {
    /// Pages of each cgroup by itself.
    pub(super) counts: BTreeMap<CgroupId, Tiers>,
    /// Cold pages of each cgroup with a policy that asks for them, with all below it that have none of their own.
    pub(super) cold: BTreeMap<CgroupId, Cold>,
    /// Counters of each cgroup by itself.
    pub(super) counters: BTreeMap<CgroupId, Counters>,
    /// The oldest page in zswap of each cgroup by itself, in seconds.
    pub(super) oldest: BTreeMap<CgroupId, u64>,
    /// Pages in zswap of each cgroup by itself, by age.
    pub(super) ages: BTreeMap<CgroupId, [u64; AGE_BUCKETS]>,
    /// Cgroups that are gone and still have counters → the living one that answers for them.
    pub(super) homes: BTreeMap<CgroupId, CgroupId>,
    pub(super) health: Health,
    pub(super) recursion_misses: u64,
    /// Slots that were wrong and were put right.
    pub(super) repaired: u64,
    /// The areas that the probes know, by the kernel's numbers.
    pub(super) areas: BTreeMap<u32, Area>,
    /// How long swap-ins of each cgroup by itself took. `None`: none was ever timed.
    pub(super) swap_ins: Option<BTreeMap<CgroupId, Latency>>,
    /// They are timed now.
    pub(super) is_timed: bool,
}

impl Probes {
    /// Loads, makes room, attaches, and learns of the swap areas that are on.
    pub(super) fn start(
        root: &Root,
        config: &MapConfig,
        cgroups: &[CgroupSample],
    ) -> Result<Self, ProbeError> {
        let pins = writeback::pins(root);
        let page_slots = (PAGE_CLUSTERS * FRAME_SLOTS) as u64;
        let pages = config.slots.map_or(DIRECTORY_PAGES as u64, |slots| slots.div_ceil(page_slots));
        let hooks = Hooks {
            pins: pins.clone(),
            directory_pages: pages.clamp(1, u64::from(u32::MAX) / PAGE_CLUSTERS as u64) as u32,
            preemption: preemption(root),
            is_logging: tracing::enabled!(target: "swaptier::area", tracing::Level::DEBUG),
        };
        let mut loaded = hooks.load()?;
        let reserve = config.reserve.unwrap_or(RESERVE);
        let started = Self::begin(&mut loaded, &pins, reserve, cgroups.len());
        match started {
            Ok((mut map, events, logger)) => {
                enter_what_was_before(root, &mut map, cgroups);
                Ok(Self {
                    preemption: hooks.preemption,
                    loaded,
                    map,
                    events,
                    logger,
                    reserve,
                    family: Family::default(),
                    drift: Drift::default(),
                    repaired: 0,
                    timing: Timing::new(hooks, config.time_swap_ins),
                })
            }
            Err(error) => {
                loaded.remove();
                Err(error)
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "the parts of one value, used once")]
    fn begin(
        loaded: &mut Loaded,
        pins: &Path,
        reserve: u64,
        cgroups: usize,
    ) -> Result<(ShadowMap, AsyncFd<RingBuf<MapData>>, Option<AsyncFd<Logger>>), ProbeError> {
        let mut map = ShadowMap::open(pins)?;
        let mended = map.mend();
        if mended > 0 {
            tracing::info!(mended, "frames that a dead agent left to nobody");
        }
        map.refill(reserve)?;
        map.make_room(room_for(cgroups))?;
        let logger = loaded.logger().map(watch).transpose()?;
        loaded.attach()?;
        if loaded.origin() == Origin::TakenOver {
            map.forget_worker_runs();
        }
        tracing::info!(origin = ?loaded.origin(), "shadow map");
        // The probe on its reader learns the areas that were there before.
        let _learned = std::fs::read("/proc/swaps")?;
        Ok((map, watch(loaded.events()?)?, logger))
    }

    /// Whether runs can be skipped now that could not be when the programs were attached.
    pub(super) fn lack_protection(&self, root: &Root) -> bool {
        self.preemption < preemption(root)
    }

    /// Gives the probes what they may need until the next look.
    pub(super) fn feed(&mut self, cgroups: &[CgroupSample]) {
        let fed = self.map.refill(self.reserve).and_then(|()| self.map.make_room(room_for(cgroups.len())));
        self.family.look(cgroups, self.map.counters().values().map(|found| CgroupId(found.id)));
        let given_back = self.map.give_back();
        if given_back > 0 {
            tracing::debug!(given_back, "frames of empty clusters");
        }
        if let Err(error) = fed {
            tracing::error!(%error, "the shadow map cannot grow: what happens to new slots will not be seen");
        }
    }

    /// Has swap-ins timed while somebody looks.
    pub(super) async fn time_swap_ins(&mut self, is_watched: bool) {
        self.timing.look(is_watched).await;
    }

    /// Waits for an event, then feeds the probes. Cancelled without loss: the events stay where they are.
    pub(super) async fn woken(&mut self) {
        let Self { events, logger, .. } = self;
        tokio::select! {
            Ok(mut ready) = events.readable_mut() => {
                while ready.get_inner_mut().next().is_some() {}
                ready.clear_ready();
            }
            Some(Ok(mut ready)) = async { match logger { Some(logger) => Some(logger.readable_mut().await), None => None } } => {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
            else => std::future::pending().await,
        }
        if let Err(error) = self.map.refill(self.reserve) {
            tracing::error!(%error, "the shadow map cannot grow: what happens to new slots will not be seen");
        }
    }

    /// What these kernels do not show.
    pub(super) fn lost(&self) -> &[String] {
        self.loaded.lost()
    }

    /// Reads the map for these cgroups under these policies.
    pub(super) fn view(&self, cgroups: &[CgroupSample], policies: &PolicySet) -> MapView {
        let counters = self.map.counters();
        let asked = Asked::of(cgroups, policies);
        let age_of = |owner: u16| asked.age(self.family.home(CgroupId(counters.get(&owner)?.id)));
        let scan = self.map.scan(map::now(), age_of);
        let mut view = MapView {
            health: self.map.health(),
            areas: self.map.areas(),
            repaired: self.repaired,
            recursion_misses: self.loaded.programs().iter().map(|program| program.recursion_misses).sum(),
            swap_ins: self.swap_ins(),
            is_timed: self.timing.is_running(),
            ..MapView::default()
        };
        for (age, id) in asked.by.values() {
            view.cold.entry(*id).or_insert_with(|| cold(*age));
        }
        for (owner, counters) in &counters {
            let (id, found) = (self.family.home(CgroupId(counters.id)), scan.owner(*owner));
            *view.counts.entry(id).or_default() =
                plus(view.counts.get(&id).copied().unwrap_or_default(), &found);
            // The root has two: pages charged to nobody are under index 0.
            let all = view.counters.entry(CgroupId(counters.id));
            all.and_modify(|sum| *sum = both(sum, counters)).or_insert(*counters);
            let oldest = view.oldest.entry(id).or_default();
            *oldest = (*oldest).max(found.oldest);
            let ages = view.ages.entry(id).or_insert([0; AGE_BUCKETS]);
            ages.iter_mut().zip(found.zswap_age).for_each(|(sum, pages)| *sum += pages);
            if id != CgroupId(counters.id) {
                view.homes.insert(CgroupId(counters.id), id);
            }
            if let Some(cold) = asked.by.get(&id).and_then(|(_, policy)| view.cold.get_mut(policy)) {
                cold.pages.0 += found.cold_pages;
                cold.compressed.0 += found.cold_bytes;
                cold.oldest.0 = cold.oldest.0.max(found.oldest);
            }
        }
        view
    }

    /// How long swap-ins took; those of a removed cgroup count for the one that answers for it.
    fn swap_ins(&self) -> Option<BTreeMap<CgroupId, Latency>> {
        let mut all = BTreeMap::new();
        for latency in self.timing.known()? {
            let id = self.family.home(CgroupId(latency.id));
            all.entry(id).and_modify(|sum: &mut Latency| *sum = sum.plus(&latency)).or_insert(latency);
        }
        Some(all)
    }

    /// Compares the map with the kernel's counters, and puts right what has differed for long enough. Returns whether
    /// anything was changed.
    pub(super) fn reconcile(&mut self, root: &Root, cgroups: &[CgroupSample], view: &MapView) -> bool {
        let due = self.drift.look(cgroups, view, rustix::param::page_size() as u64, map::now());
        let before = self.repaired;
        let counters = if due.is_empty() { BTreeMap::new() } else { self.map.counters() };
        for due in due {
            let is_its = |(_, found): &(&u16, &Counters)| self.family.home(CgroupId(found.id)) == due.cgroup;
            let owners = counters.iter().filter(is_its).map(|(owner, _)| *owner).collect();
            let error = map::Error { owners, surplus: due.surplus, slots: due.slots, since: due.since };
            let paths = self::owners(&counters, cgroups);
            match gently(|| map::repair(root, &mut self.map, &paths, &error)) {
                Ok(done) => {
                    tracing::warn!(?due, ?done, "the map and memory.stat differed");
                    self.repaired += done.pages();
                }
                Err(error) => tracing::warn!(?due, %error, "the map errs"),
            }
        }
        self.repaired != before
    }

    /// What a round for the cgroup at `path` is about, and how many of its pages are this old.
    pub(super) fn subject(
        &self,
        cgroups: &[CgroupSample],
        path: &str,
        older_than: Seconds,
    ) -> (Subject, u64) {
        let below = format!("{path}/");
        let is_in = |cgroup: &&CgroupSample| cgroup.path == path || cgroup.path.starts_with(&below);
        let ids: Vec<u64> = cgroups.iter().filter(is_in).map(|cgroup| cgroup.id.0).collect();
        let counters = self.map.counters();
        let is_its = |(_, found): &(&u16, &Counters)| ids.contains(&self.family.home(CgroupId(found.id)).0);
        let owners: Vec<u16> = counters.iter().filter(is_its).map(|(owner, _)| *owner).collect();
        let scan: Scan = self.map.scan(map::now(), |_| Some(older_than.0));
        let sum = owners.iter().fold(OwnerScan::default(), |sum, owner| sum.plus(&scan.owner(*owner)));
        (Subject { owners, zswap_pages: sum.slots(State::Zswap) }, sum.cold_pages)
    }

    /// What each area holds, by the kernel's number of it: a walk through the whole map.
    pub(super) fn by_area(&self) -> BTreeMap<u32, AreaScan> {
        self.map.by_area()
    }

    /// Detaches and removes everything.
    pub(super) fn stop(self) {
        let Self { loaded, map, events, logger, .. } = self;
        drop((map, events, logger));
        loaded.remove();
    }
}

/// Enters the slots that were in use before the probes.
fn enter_what_was_before(root: &Root, map: &mut ShadowMap, cgroups: &[CgroupSample]) {
    for cgroup in cgroups {
        // The probe on its reader learns the cgroup's index. The root has no such file.
        let _learned = root.read(&cgroup_file(&cgroup.path, "memory.current"));
    }
    map.name_root();
    let counters = map.counters();
    let owners = owners(&counters, cgroups);
    match gently(|| map::walk(root, map, &owners)) {
        Ok(walked) => tracing::info!(?walked, "slots that were in use before the probes"),
        Err(error) => tracing::warn!(%error, "some slots that were in use before the probes stay unknown"),
    }
}

/// Path of each cgroup → index of its counters.
fn owners<'a>(counters: &BTreeMap<u16, Counters>, cgroups: &'a [CgroupSample]) -> BTreeMap<&'a str, u16> {
    let indexes: BTreeMap<u64, u16> = counters.iter().map(|(index, found)| (found.id, *index)).collect();
    let owner = |cgroup: &'a CgroupSample| Some((cgroup.path.as_str(), *indexes.get(&cgroup.id.0)?));
    cgroups.iter().filter_map(owner).collect()
}

/// Does it on a thread that gives way to all others.
fn gently<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let gentle = || {
        let _as_before = rustix::process::nice(10);
        work()
    };
    std::thread::scope(|scope| scope.spawn(gentle).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits for a ring buffer of the probes.
fn watch<T: AsFd + AsRawFd>(ring: T) -> Result<AsyncFd<T>, std::io::Error> {
    // SAFETY: both kinds of ring own one descriptor for as long as they live, and always name that one.
    unsafe { AsyncFd::register(ring) }.map_err(|error| error.into_parts().1)
}

/// Which policy's age counts for which cgroup: its own policy's, or that of the nearest cgroup above that has one.
struct Asked {
    /// cgroup → (age, cgroup whose policy it is).
    by: BTreeMap<CgroupId, (Seconds, CgroupId)>,
}

impl Asked {
    fn of(cgroups: &[CgroupSample], policies: &PolicySet) -> Self {
        let mut by: BTreeMap<CgroupId, (Seconds, CgroupId)> = BTreeMap::new();
        // Parents come before children.
        for cgroup in cgroups {
            let asked = match policies.resolve(&cgroup.path) {
                Some(policy) => Policy::older_than(policy).map(|age| (age, cgroup.id)),
                None => cgroup.parent.and_then(|parent| by.get(&parent).copied()),
            };
            if let Some(asked) = asked {
                by.insert(cgroup.id, asked);
            }
        }
        Self { by }
    }

    fn age(&self, id: CgroupId) -> Option<u64> {
        self.by.get(&id).map(|(age, _)| age.0)
    }
}

fn cold(older_than: Seconds) -> Cold {
    Cold { older_than, pages: Pages(0), compressed: Bytes(0), oldest: Seconds(0) }
}

/// The sum of the counters of one cgroup under two indexes.
pub(super) fn both(one: &Counters, other: &Counters) -> Counters {
    let ages =
        |one: &[u64; AGE_BUCKETS], other: &[u64; AGE_BUCKETS]| std::array::from_fn(|n| one[n] + other[n]);
    Counters {
        id: one.id,
        stored_pages: one.stored_pages + other.stored_pages,
        stored_bytes: one.stored_bytes + other.stored_bytes,
        dropped_pages: one.dropped_pages + other.dropped_pages,
        dropped_bytes: one.dropped_bytes + other.dropped_bytes,
        loaded_pages: one.loaded_pages + other.loaded_pages,
        written_back_pages: one.written_back_pages + other.written_back_pages,
        written_back_bytes: one.written_back_bytes + other.written_back_bytes,
        direct_pages: one.direct_pages + other.direct_pages,
        zero_pages: one.zero_pages + other.zero_pages,
        read_pages: one.read_pages + other.read_pages,
        regret_pages: one.regret_pages + other.regret_pages,
        load_age: ages(&one.load_age, &other.load_age),
        written_back_age: ages(&one.written_back_age, &other.written_back_age),
    }
}

fn plus(sum: Tiers, found: &OwnerScan) -> Tiers {
    Tiers {
        zswap: Pages(sum.zswap.0 + found.slots(State::Zswap)),
        zswap_compressed: Bytes(sum.zswap_compressed.0 + found.zswap_bytes),
        phys: Pages(sum.phys.0 + found.slots(State::Phys)),
        zero: Pages(sum.zero.0 + found.slots(State::Zero)),
        folio: Pages(sum.folio.0 + found.slots(State::Folio)),
        unknown: Pages(sum.unknown.0 + found.slots(State::Unknown)),
    }
}

/// Ids are given out lowest first, but those of removed cgroups stay taken while they have pages in swap.
fn room_for(cgroups: usize) -> usize {
    2 * cgroups + 64
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probes").field("events", &self.events.as_raw_fd()).finish_non_exhaustive()
    }
}
