//! The swap areas in the agent's hands: what there is of them each tick, and what the configuration asks for, brought
//! about at the start and looked after later.
//!
//! How an area is made is `vswap/`'s; what is to be done about the configuration's is `due.rs`'s, and pure. Changes
//! run on a thread where blocking is allowed, one at a time, so that a tick never waits for a device.

mod due;
mod failing;
mod foresee;
mod slot_caches;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use swaptier_policies::{Knob, Setting};

use swaptier_policies::{
    AreaView, Asker, Bytes, CgroupId, CgroupPath, History, Marks, Pages, Seconds,
    growth::{self, Growth, SlotCost, Wanted},
};
use tokio::task::JoinHandle;

use crate::{
    act::{self, Target, Writer},
    config::{AreaConfig, Config},
    exit::{Exit, Failure},
    root::Root,
    sense::Sensed,
    vswap::{
        self, AreaKind, Operations, Owner,
        disk::bytes_at,
        operations::cost,
        seen::{is_part_of, known, part_id, see},
    },
};
use due::{Due, due};
use failing::Failing;
pub(crate) use foresee::refusals;
use slot_caches::SlotCaches;

/// How long after a change that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(30);

/// Pages of zswap for each page of RAM that slots are kept for: more than any compressor makes of ordinary memory.
const RATIO: u64 = 8;

/// The areas, and what is being done about them.
pub(super) struct Areas {
    config: Vec<AreaConfig>,
    dir: PathBuf,
    /// Slots the shadow map can hold.
    most: Pages,
    is_dry: bool,
    known: Vec<vswap::Area>,
    /// A change under way.
    work: Option<JoinHandle<Done>>,
    /// Not before this.
    not_before: Option<Instant>,
    /// What was said last of each area, so that it is said once.
    said: BTreeMap<String, String>,
    /// What an empty slot costs on this host, by the kind of ghost it was measured with. Not measured where no area asks
    /// for it.
    costs: BTreeMap<AreaKind, SlotCost>,
    failing: Failing,
    slot_caches: SlotCaches,
    /// The list of areas could be read at the start. Else none is managed: what is on is watched as the kernel has it.
    is_managing: bool,
    /// What could not be told at the last look.
    unseen: Vec<String>,
}

/// What came of a change: what was done, one line each, or why it could not be.
type Done = (Due, Result<Vec<String>, String>);

impl Areas {
    /// Brings the host to the configuration. Nothing is done in a dry run.
    ///
    /// # Errors
    /// An area of the configuration cannot be had. A list of areas that cannot be used is none: nothing is done then, which is told
    /// at each look.
    pub(super) async fn start(
        root: &Root,
        config: &Config,
        state: &Path,
        writer: &Writer,
    ) -> Result<Self, Failure> {
        let default =
            swaptier_common::DIRECTORY_PAGES * swaptier_common::PAGE_CLUSTERS * swaptier_common::FRAME_SLOTS;
        let known = known(root, state);
        let mut areas = Self {
            config: config.areas.clone(),
            dir: state.to_path_buf(),
            most: Pages(config.map.slots.unwrap_or(default as u64)),
            is_dry: writer.is_dry(),
            is_managing: known.is_ok(),
            known: known.unwrap_or_default(),
            work: None,
            not_before: None,
            said: BTreeMap::new(),
            costs: BTreeMap::new(),
            failing: Failing::begin(root),
            slot_caches: SlotCaches::default(),
            unseen: Vec::new(),
        };
        if areas.is_dry || !areas.is_managing || (areas.config.is_empty() && areas.known.is_empty()) {
            return Ok(areas);
        }
        if areas.has_ghost() || areas.wants_growth() {
            // Before the first page can land in a ghost; the first decision opens it again where it may be open.
            let target = Target::cgroup(CgroupId::ROOT, &CgroupPath::ROOT);
            let outcome =
                act::set(writer, target, Knob::ZswapWriteback, Setting::Valve(false), Asker::Areas).await;
            if outcome.is_trouble() {
                return Err(Failure::say(Exit::Unsupported, outcome.to_string()));
            }
        }
        areas.begin(root)?;
        Ok(areas)
    }

    /// What an agent that starts does before its first tick.
    fn begin(&mut self, root: &Root) -> Result<(), Failure> {
        let failed = |error: vswap::AreaError| Failure::new(Exit::Failed, error);
        let mut operations = Operations::open(root, &self.dir, false).map_err(failed)?;
        // Areas by command are there beside an agent that cannot reach their devices: it says so, and watches.
        match operations.settle(None) {
            Ok(settled) if settled.lines().is_empty() => {}
            Ok(settled) => self.say(&Due::Settle, &settled.lines().join("; ")),
            Err(error) => self.say(&Due::Settle, &error.to_string()),
        }
        drop(operations);
        if self.wants_growth() {
            for kind in self.kinds_to_measure() {
                let cost = cost::measure(root, &self.dir, kind).map_err(failed)?;
                tracing::info!(%cost, %kind, "an empty slot of a {kind} area costs {cost} of memory on this host");
                self.costs.insert(kind, cost);
            }
        }
        let ram = crate::sense::procfs::read_meminfo(root)
            .map_err(|error| Failure::new(Exit::Failed, error))?
            .total;
        for due in self.due(root, ram).map_err(failed)? {
            let (due, done) = carry_out(root, &self.dir, due);
            match done {
                Ok(lines) => told(&due, &lines),
                Err(why) if due.can_wait() => self.say(&due, &why),
                Err(why) => return Err(Failure::say(Exit::Unsupported, format!("{due}: {why}"))),
            }
        }
        self.known = known(root, &self.dir).map_err(failed)?;
        Ok(())
    }

    fn due(&self, root: &Root, ram: Bytes) -> Result<Vec<Due>, vswap::AreaError> {
        let intended = vswap::store::read(root, &self.dir)?;
        Ok(due(&self.config, &intended, |area| self.first_size(area, ram), vswap::prepare::is_same_disk))
    }

    /// Slots of an area at its beginning; `None`: not without a size.
    fn first_size(&self, area: &AreaConfig, ram: Bytes) -> Result<Bytes, String> {
        let made = area.spec.file_size.unwrap_or(Bytes(0));
        let disk = Bytes(area.spec.devices.iter().map(|path| bytes_at(path).unwrap_or(made.0)).sum());
        let wanted = self.wanted(area, ram, disk).ok_or("what a slot costs is not known".to_owned())?;
        match growth::growth(&[], 0, &wanted, &History::default(), Seconds(0)) {
            Growth::Add(slots) => Ok(slots.bytes(page())),
            Growth::Short(short) => Err(short.to_string()),
            Growth::Drain(_) | Growth::Enough => Err("no slot would be of use".to_owned()),
        }
    }

    fn wanted(&self, area: &AreaConfig, ram: Bytes, disk: Bytes) -> Option<Wanted> {
        // Twice: blocks of a pool are given back whole, so that pages lie thinly on a disk after a while.
        let pages = disk.whole_pages(page()).0 + ram.whole_pages(page()).0.saturating_mul(RATIO);
        let useful = Pages(pages.saturating_mul(2)).min(self.most);
        let cost = *self.costs.get(&measured_with(area.spec.kind))?;
        Some(Wanted { useful, budget: area.memory.of(ram), cost })
    }

    fn kinds_to_measure(&self) -> BTreeSet<AreaKind> {
        let sizeless = self.config.iter().filter(|area| area.spec.size.is_none());
        let sizeless = sizeless.filter(|area| area.spec.kind != AreaKind::Plain);
        sizeless.map(|area| measured_with(area.spec.kind)).collect()
    }

    fn has_ghost(&self) -> bool {
        self.config.iter().any(|area| area.spec.kind.is_ghost())
    }

    fn wants_growth(&self) -> bool {
        self.config.iter().any(|area| area.spec.size.is_none() && area.spec.kind != AreaKind::Plain)
    }

    /// The areas that are on, with what is known of each. What cannot be read stays as it was last known.
    pub(super) fn look(&mut self, root: &Root, sensed: &Sensed) -> Vec<AreaView> {
        let trouble = match known(root, &self.dir) {
            Ok(known) => {
                self.known = known;
                let is_left = !self.is_managing && !self.config.is_empty();
                is_left.then(|| {
                    "the list of areas can be used again: restart the agent, which manages none now"
                        .to_owned()
                })
            }
            Err(error) => Some(format!("no swap area is made, grown or taken off: {error}")),
        };
        let mut seen = see(root, &sensed.swaps, &self.known, |name| self.marks(name));
        seen.unseen.extend(trouble);
        self.failing.name(std::mem::take(&mut seen.devices));
        // A folder that stands for a host has no log.
        seen.unseen.extend(self.failing.blind().filter(|_| root.is_system()));
        for line in seen.unseen.iter().filter(|line| !self.unseen.contains(line)) {
            tracing::warn!("{line}");
        }
        self.unseen = seen.unseen;
        seen.views
    }

    /// What of the areas cannot be told from here, one sentence each.
    pub(super) fn unseen(&self) -> &[String] {
        &self.unseen
    }

    fn marks(&self, name: &str) -> Marks {
        let own = self.config.iter().find(|area| area.spec.name.as_str() == name);
        own.map_or_else(Marks::default, |area| area.marks)
    }

    /// Looks after the areas of the configuration: hears what came of the last change, and begins the next one.
    pub(super) async fn care(
        &mut self,
        root: &Root,
        views: &[AreaView],
        ram: Bytes,
        history: &History,
        now: Seconds,
    ) {
        if let Some(work) = self.work.take_if(|work| work.is_finished()) {
            self.hear(work.await);
        }
        let is_early = self.not_before.is_some_and(|when| Instant::now() < when);
        if self.is_dry || !self.is_managing || self.work.is_some() || is_early {
            return;
        }
        let next = self.broken().or_else(|| self.grown(views, ram, history, now));
        // Areas that a command made have slots as well.
        let next = next.or_else(|| self.slot_caches.is_due(root, views).then_some(Due::GiveBack));
        if let Some(due) = next {
            let (root, dir) = (root.clone(), self.dir.clone());
            self.work = Some(tokio::task::spawn_blocking(move || carry_out(&root, &dir, due)));
        }
    }

    fn hear(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok((due, Ok(lines))) => {
                self.said.remove(&due.to_string());
                told(&due, &lines);
            }
            Ok((due, Err(why))) => {
                self.say(&due, &why);
                self.not_before = Some(Instant::now() + RETRY);
            }
            Err(panic) => {
                tracing::error!(%panic, "looking after the areas ended in a fault of the program: {panic}");
                self.not_before = Some(Instant::now() + RETRY);
            }
        }
    }

    /// An area that is to be on, and of which a part is off.
    fn broken(&self) -> Option<Due> {
        let is_broken = |area: &&vswap::Area| {
            let is_wanted = area.record.want == vswap::Want::On && area.record.owner == Owner::Config;
            is_wanted && area.parts.iter().any(|part| part.swap.is_none())
        };
        self.known.iter().find(is_broken).map(|_| Due::Settle)
    }

    /// One more piece of slots, or one less, for the first area that needs it.
    fn grown(&mut self, views: &[AreaView], ram: Bytes, history: &History, now: Seconds) -> Option<Due> {
        let sizeless = self.config.clone().into_iter().filter(|area| area.spec.size.is_none());
        for area in sizeless.filter(|area| area.spec.kind != AreaKind::Plain) {
            let name = &area.spec.name;
            let family: Vec<&AreaView> =
                views.iter().filter(|view| is_part_of(view, name.as_str())).collect();
            let pool = self.known.iter().find(|known| known.record.spec.name == *name)?.pool;
            let disk = pool.map_or(Bytes(0), |pool| pool.total());
            let Some(wanted) = self.wanted(&area, ram, disk) else { continue };
            match growth::growth(&family, views.len(), &wanted, history, now) {
                Growth::Enough => {}
                Growth::Add(slots) if !family.is_empty() => {
                    // Below the pieces before it, so that it is the first to run empty.
                    let lowest = family.iter().map(|view| view.priority).min().unwrap_or(0);
                    let priority = u16::try_from(lowest - 1).ok();
                    return Some(Due::GrowSlots(name.clone(), slots.bytes(page()), priority));
                }
                Growth::Add(_) => {}
                // A name that is no part of this area is nobody's to take off.
                Growth::Drain(part) => {
                    if let Some(id) = part_id(&part, name.as_str()) {
                        return Some(Due::DropPart(name.clone(), id));
                    }
                }
                Growth::Short(short) => self.say(&Due::Grow(name.clone()), &short.to_string()),
            }
        }
        None
    }

    /// Says something once.
    fn say(&mut self, due: &Due, why: &str) {
        let said = self.said.insert(due.to_string(), why.to_owned());
        if said.as_deref() != Some(why) {
            tracing::warn!(%due, why, "cannot {due}: {why}");
        }
    }

    /// What an empty slot costs, where it was measured.
    pub(super) fn cost(&self) -> Option<SlotCost> {
        self.costs.values().next().copied()
    }
}

/// Says what was done about an area. Each step was said when it was taken.
fn told(due: &Due, lines: &[String]) {
    if !lines.is_empty() {
        tracing::info!(%due, steps = lines.len(), "areas: {due}: done in {} steps", lines.len());
    }
}

/// The ghost with which is measured what a slot of such an area costs: over zram it is the entry of a table more.
fn measured_with(kind: AreaKind) -> AreaKind {
    if kind == AreaKind::Zram { AreaKind::Zram } else { AreaKind::Ghost }
}

/// Makes one change.
fn carry_out(root: &Root, dir: &Path, due: Due) -> Done {
    let done = execute(root, dir, &due).map_err(|error| error.to_string());
    (due, done)
}

fn execute(root: &Root, dir: &Path, due: &Due) -> Result<Vec<String>, vswap::AreaError> {
    if matches!(due, Due::GiveBack) {
        return Ok(cost::give_back(root, dir)?.iter().map(ToString::to_string).collect());
    }
    let mut operations = Operations::open(root, dir, false)?;
    let steps = match due {
        Due::Create(spec) => operations.create(spec, Owner::Config)?,
        Due::Remove(name) => operations.remove(name)?,
        Due::GrowDisk(name, path, size) => operations.grow_disk(name, path, *size)?,
        Due::GrowSlots(name, size, priority) => operations.grow_slots(name, *size, *priority)?,
        Due::DropPart(name, id) => operations.drop_part(name, *id)?,
        Due::Settle => {
            let lines = operations.settle(None)?.lines();
            return if lines.is_empty() {
                Ok(lines)
            } else {
                Err(vswap::AreaError::Refused(lines.join("; ")))
            };
        }
        Due::Conflict(_, why) => return Err(vswap::AreaError::Refused(why.clone())),
        Due::Grow(_) | Due::GiveBack => Vec::new(),
    };
    Ok(steps.iter().map(ToString::to_string).collect())
}

fn page() -> Bytes {
    Bytes(rustix::param::page_size() as u64)
}
