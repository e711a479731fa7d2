//! The probes and the map in the agent's hands: started once, fed every tick, read every tick.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use swaptier_common::{
    DIRECTORY_PAGES, FRAME_SLOTS, PAGE_CLUSTERS, cgroup::Counters, latency::Latency, slot::State,
};
use swaptier_policies::{CgroupId, CgroupPath, PolicySet, Seconds};
use tokio::io::unix::AsyncFd;

use super::{
    drift::Drift,
    heirs::Heirs,
    timing::Timing,
    view::{Asked, MapView, Walk, zswapped},
};
use crate::{
    act::writeback::{self, Subject},
    config::{Keep, MapConfig},
    hooks::{HookError, Hooks, Loaded, Origin, Preemption, handover, preemption},
    map::{self, OwnerScan, RESERVE, Scan, ShadowError, ShadowMap},
    root::{Root, cgroup_file},
    sense::{CgroupSample, Sensed},
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
    heirs: Heirs,
    drift: Drift,
    repaired: u64,
    timing: Timing,
    /// The walk through the slots that was made last.
    walk: Option<Walk>,
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
        let started = Self::begin(root, &mut loaded, &pins, reserve, cgroups.len());
        match started {
            Ok((mut map, events, logger)) => {
                enter_what_was_before(root, (&hooks, &mut loaded), &mut map, cgroups);
                Ok(Self {
                    preemption: hooks.preemption,
                    loaded,
                    map,
                    events,
                    logger,
                    reserve,
                    heirs: Heirs::default(),
                    drift: Drift::default(),
                    repaired: 0,
                    timing: Timing::new(hooks, config.time_swap_ins),
                    walk: None,
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
        root: &Root,
        loaded: &mut Loaded,
        pins: &Path,
        reserve: u64,
        cgroups: usize,
    ) -> Result<(ShadowMap, AsyncFd<RingBuf<MapData>>, Option<AsyncFd<Logger>>), ProbeError> {
        let mut map = ShadowMap::open(pins)?;
        let mended = map.mend();
        if mended > 0 {
            tracing::info!(
                mended,
                "{mended} frames of the map that a dead agent left to nobody are free again"
            );
        }
        map.refill(reserve)?;
        map.make_room(room_for(cgroups))?;
        let logger = loaded.logger().map(watch).transpose()?;
        loaded.attach()?;
        if loaded.origin() == Origin::TakenOver {
            map.forget_worker_runs();
        }
        tracing::info!(origin = %loaded.origin(), "shadow map: {}", loaded.origin());
        // The probe on its reader learns the areas that were there before.
        let _learned = root.read_lossy("proc/swaps").map_err(std::io::Error::from)?;
        Ok((map, watch(loaded.events()?)?, logger))
    }

    /// Whether runs can be skipped now that could not be when the programs were attached.
    pub(super) fn lack_protection(&self, root: &Root) -> bool {
        self.preemption < preemption(root)
    }

    /// Gives the probes what they may need until the next look.
    pub(super) fn feed(&mut self, cgroups: &[CgroupSample]) {
        let fed = self.map.refill(self.reserve).and_then(|()| self.map.make_room(room_for(cgroups.len())));
        self.heirs.look(cgroups, self.map.counters().values().map(|found| CgroupId(found.id)));
        let given_back = self.map.give_back();
        if given_back > 0 {
            tracing::debug!(given_back, "frames of empty clusters");
        }
        if let Err(error) = fed {
            tracing::error!(%error, "the shadow map cannot grow, so what happens to new slots will not be seen: {error}");
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
            tracing::error!(%error, "the shadow map cannot grow, so what happens to new slots will not be seen: {error}");
        }
    }

    /// What these kernels do not show.
    pub(super) fn lost(&self) -> &[String] {
        self.loaded.lost()
    }

    /// Reads the map for these cgroups under these policies: its counters, and its slots by a walk if `walks` says so, or
    /// else as the walk before found them.
    pub(super) fn view(&mut self, sensed: &Sensed, policies: &PolicySet, walks: bool) -> MapView {
        let counters = self.map.counters();
        let asked = Asked::of(&sensed.cgroups, policies);
        let walk = self.walk.take().filter(|_| !walks).unwrap_or_else(|| {
            let age_of = |owner: u16| asked.age(self.heirs.home(CgroupId(counters.get(&owner)?.id)));
            let at = map::now();
            Walk { scan: self.map.scan(at, age_of), at, kernel_pages: zswapped(sensed) }
        });
        let mut view = MapView {
            health: self.map.health(),
            areas: self.map.areas(),
            repaired: self.repaired,
            recursion_misses: self.loaded.programs().iter().map(|program| program.recursion_misses).sum(),
            swap_ins: self.swap_ins(),
            is_timed: self.timing.is_running(),
            ..MapView::default()
        };
        view.add(&counters, &walk, &asked, &self.heirs);
        self.walk = Some(walk);
        view
    }

    /// How long swap-ins took; those of a removed cgroup count for the one that answers for it.
    fn swap_ins(&self) -> Option<BTreeMap<CgroupId, Latency>> {
        let mut all = BTreeMap::new();
        for latency in self.timing.known()? {
            let id = self.heirs.home(CgroupId(latency.id));
            all.entry(id).and_modify(|sum: &mut Latency| *sum = sum.plus(&latency)).or_insert(latency);
        }
        Some(all)
    }

    /// Compares the map with the kernel's counters, and puts right what has differed for long enough. Returns whether
    /// anything was changed.
    pub(super) fn reconcile(&mut self, root: &Root, sensed: &Sensed, view: &MapView) -> bool {
        let cgroups = &sensed.cgroups;
        let due = self.drift.look(sensed, view, rustix::param::page_size() as u64, map::now());
        let before = self.repaired;
        let counters = if due.is_empty() { BTreeMap::new() } else { self.map.counters() };
        for due in due {
            let is_its = |(_, found): &(&u16, &Counters)| self.heirs.home(CgroupId(found.id)) == due.cgroup;
            let owners = counters.iter().filter(is_its).map(|(owner, _)| *owner).collect();
            let error = map::Error { owners, surplus: due.surplus, slots: due.slots, since: due.since };
            let paths = self::owners(&counters, cgroups);
            match gently(|| map::repair(root, &mut self.map, &paths, &error)) {
                Ok(done) => {
                    tracing::warn!(
                        surplus = due.surplus,
                        "{}: the map had {:+} pages in zswap against memory.stat; {} slots were put right",
                        name_of(cgroups, due.cgroup),
                        due.surplus,
                        done.pages()
                    );
                    self.repaired += done.pages();
                }
                Err(error) => tracing::warn!(
                    %error,
                    "{}: the map has {:+} pages in zswap against memory.stat, which cannot be put right: {error}",
                    name_of(cgroups, due.cgroup),
                    due.surplus
                ),
            }
        }
        self.repaired != before
    }

    /// What a round for the cgroup at `path` is about, and how many of its pages are this old.
    pub(super) fn subject(
        &self,
        cgroups: &[CgroupSample],
        path: &CgroupPath,
        older_than: Seconds,
    ) -> (Subject, u64) {
        let is_in = |cgroup: &&CgroupSample| cgroup.path.is_in(path);
        let ids: Vec<u64> = cgroups.iter().filter(is_in).map(|cgroup| cgroup.id.0).collect();
        let counters = self.map.counters();
        let is_its = |(_, found): &(&u16, &Counters)| ids.contains(&self.heirs.home(CgroupId(found.id)).0);
        let owners: Vec<u16> = counters.iter().filter(is_its).map(|(owner, _)| *owner).collect();
        let scan: Scan = self.map.scan(map::now(), |_| Some(older_than.0));
        let sum = owners.iter().fold(OwnerScan::default(), |sum, owner| sum.plus(&scan.owner(*owner)));
        (Subject { owners, zswap_pages: sum.slots(State::Zswap) }, sum.cold_pages)
    }

    /// Pages written back of these counters' owners since the map began.
    pub(super) fn written_back(&self, owners: &[u16]) -> u64 {
        let counters = self.map.counters();
        owners.iter().filter_map(|owner| Some(counters.get(owner)?.written_back_pages)).sum()
    }

    /// What each area holds, by the kernel's number of it: a walk through the whole map.
    pub(super) fn by_area(&self) -> BTreeMap<u32, OwnerScan> {
        self.map.by_area()
    }

    /// Leaves the map to the next agent, or detaches and removes everything.
    pub(super) fn stop(self, keep: Keep, pins: &Path) {
        let Self { loaded, map, events, logger, .. } = self;
        drop((map, events, logger));
        match keep {
            Keep::Always => {
                tracing::info!("the map is kept, and the probes go on: `swaptier restore` ends them")
            }
            Keep::Never => loaded.remove(),
            Keep::Restart => {
                match handover::give(pins.parent().unwrap_or(pins)) {
                    Ok(0) => {}
                    Ok(pins) => tracing::info!(
                        pins,
                        "the map is kept by the service manager for a restart: {pins} parts of it"
                    ),
                    Err(error) => tracing::warn!(%error, "the map is not kept for a restart: {error}"),
                }
                // What the manager has lives on without its pin.
                loaded.remove();
            }
        }
    }
}

/// What a cgroup is called in a message.
fn name_of(cgroups: &[CgroupSample], id: CgroupId) -> String {
    let found = cgroups.iter().find(|cgroup| cgroup.id == id);
    found.map_or_else(|| "a cgroup that is gone".to_owned(), |cgroup| format!("/{}", cgroup.path))
}

/// Enters the slots that were in use before the probes.
fn enter_what_was_before(
    root: &Root,
    (hooks, loaded): (&Hooks, &mut Loaded),
    map: &mut ShadowMap,
    cgroups: &[CgroupSample],
) {
    for cgroup in cgroups {
        // The probe on its reader learns the cgroup's index. The root has no such file.
        let _learned = root.read(&cgroup_file(&cgroup.path, "memory.current"));
    }
    map.name_root();
    let counters = map.counters();
    let owners = owners(&counters, cgroups);
    match gently(|| map::walk(root, map, &owners)) {
        Ok(walked) => tracing::info!(
            entered = walked.entered,
            "{} slots that were in use before the probes are in the map, of {} processes{}{}",
            walked.entered,
            walked.processes,
            if walked.refused > 0 {
                format!("; {} could not be looked at", walked.refused)
            } else {
                String::new()
            },
            if walked.is_cut_short { "; time was up before all were seen" } else { "" }
        ),
        Err(error) => tracing::warn!(
            %error,
            "some slots that were in use before the probes stay unknown: {error}"
        ),
    }
    let trees = match hooks.trees(loaded) {
        Ok(Some(trees)) => trees,
        // `lost` says so.
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, "pages that were in zswap before the probes stay unknown: {error}");
            return;
        }
    };
    match gently(|| map::before(map, &trees)) {
        Ok(found) if found.is_cut_short => {
            tracing::warn!(
                pages = found.pages,
                "time was up before all pages were seen that were in zswap before the probes: {} are known",
                found.pages
            );
        }
        Ok(found) => {
            tracing::info!(
                pages = found.pages,
                "{} pages that were in zswap before the probes are known",
                found.pages
            );
        }
        Err(error) => {
            tracing::warn!(%error, "pages that were in zswap before the probes stay unknown: {error}")
        }
    }
}

/// Path of each cgroup → index of its counters.
fn owners<'a>(counters: &BTreeMap<u16, Counters>, cgroups: &'a [CgroupSample]) -> map::Owners<'a> {
    let indexes: BTreeMap<u64, u16> = counters.iter().map(|(index, found)| (found.id, *index)).collect();
    let owner = |cgroup: &'a CgroupSample| Some((&cgroup.path, *indexes.get(&cgroup.id.0)?));
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

/// Ids are given out lowest first, but those of removed cgroups stay taken while they have pages in swap.
fn room_for(cgroups: usize) -> usize {
    2 * cgroups + 64
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probes").field("events", &self.events.as_raw_fd()).finish_non_exhaustive()
    }
}
