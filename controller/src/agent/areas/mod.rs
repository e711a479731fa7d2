//! The swap areas in the agent's hands: what there is of them each tick, and what the configuration asks for, brought
//! about at the start and looked after later.
//!
//! How an area is made is `vswap/`'s; what is to be done about the configuration's is `todo.rs`'s, and pure. Changes
//! run on a thread where blocking is allowed, one at a time, so that a tick never waits for a device.

mod failing;
mod kept;
mod todo;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use swaptier_policies::{
    AreaView, Bytes, CgroupId, History, Marks, Pages, Seconds,
    growth::{self, Growth, SlotCost, Wanted},
};
use tokio::task::JoinHandle;

use crate::{
    act::{FOR_AREAS, Hands, Target, zswap_writeback},
    cli::{Exit, Failure},
    config::{AreaConfig, Config},
    root::Root,
    sense::{
        Sensed,
        areas::{is_part_of, known, views},
    },
    vswap::{self, AreaKind, Owner, Works, cost},
};
use failing::Failing;
use kept::Kept;
use todo::{Todo, todo};

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
    kept: Kept,
}

/// What came of a change: what was done, one line each, or why it could not be.
type Done = (Todo, Result<Vec<String>, String>);

impl Areas {
    /// Brings the host to the configuration. Nothing is done in a dry run.
    ///
    /// # Errors
    /// An area of the configuration cannot be had.
    pub(super) async fn start(
        root: &Root,
        config: &Config,
        state: &Path,
        hands: &Hands,
    ) -> Result<Self, Failure> {
        let default =
            swaptier_common::DIRECTORY_PAGES * swaptier_common::PAGE_CLUSTERS * swaptier_common::FRAME_SLOTS;
        let mut areas = Self {
            config: config.areas.clone(),
            dir: state.to_path_buf(),
            most: Pages(config.map.slots.unwrap_or(default as u64)),
            is_dry: hands.is_dry(),
            known: known(root, state).map_err(|error| Failure::new(Exit::Failed, error))?,
            work: None,
            not_before: None,
            said: BTreeMap::new(),
            costs: BTreeMap::new(),
            failing: Failing::begin(root),
            kept: Kept::default(),
        };
        if areas.is_dry || (areas.config.is_empty() && areas.known.is_empty()) {
            return Ok(areas);
        }
        if areas.has_ghost() || areas.wants_growth() {
            // Before the first page can land in a ghost; the first decision opens it again where it may be open.
            let target = Target::cgroup(CgroupId::ROOT, "");
            let outcome = zswap_writeback::set(hands, target, false, FOR_AREAS.to_owned()).await;
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
        let mut works = Works::open(root, &self.dir, false).map_err(failed)?;
        for step in works.settle().map_err(failed)? {
            tracing::warn!(?step, "an area waits for memory");
        }
        drop(works);
        if self.wants_growth() {
            for kind in self.kinds_to_measure() {
                let cost = cost::measure(root, &self.dir, kind).map_err(failed)?;
                tracing::info!(%cost, %kind, "what an empty slot costs on this host");
                self.costs.insert(kind, cost);
            }
        }
        let ram = crate::sense::procfs::read_meminfo(root)
            .map_err(|error| Failure::new(Exit::Failed, error))?
            .total;
        for todo in self.todo(root, ram).map_err(failed)? {
            let (todo, done) = carry_out(root, &self.dir, todo);
            match done {
                Ok(lines) => lines.iter().for_each(|line| tracing::info!(%todo, line, "area")),
                Err(why) if todo.can_wait() => self.say(&todo, &why),
                Err(why) => return Err(Failure::say(Exit::Unsupported, format!("{todo}: {why}"))),
            }
        }
        self.known = known(root, &self.dir).map_err(failed)?;
        Ok(())
    }

    fn todo(&self, root: &Root, ram: Bytes) -> Result<Vec<Todo>, vswap::AreaError> {
        let intended = vswap::store::read(root, &self.dir)?;
        Ok(todo(&self.config, &intended, |area| self.first_size(area, ram)))
    }

    /// Slots of an area at its beginning; `None`: not without a size.
    fn first_size(&self, area: &AreaConfig, ram: Bytes) -> Result<Bytes, String> {
        let made = area.spec.file_size.unwrap_or(Bytes(0));
        let disk = Bytes(area.spec.devices.iter().map(|path| size_of(path).unwrap_or(made.0)).sum());
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
        match known(root, &self.dir) {
            Ok(known) => self.known = known,
            Err(error) => self.say(&Todo::Look, &error.to_string()),
        }
        views(&sensed.swaps, &self.known, |name| self.marks(name), page())
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
        if self.is_dry || self.work.is_some() || is_early {
            return;
        }
        let next = self.broken().or_else(|| self.grown(views, ram, history, now));
        // Areas that a command made have slots as well.
        let next = next.or_else(|| self.kept.is_due(root, views).then_some(Todo::GiveBack));
        if let Some(todo) = next {
            let (root, dir) = (root.clone(), self.dir.clone());
            self.work = Some(tokio::task::spawn_blocking(move || carry_out(&root, &dir, todo)));
        }
    }

    fn hear(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok((todo, Ok(lines))) => {
                self.said.remove(&todo.to_string());
                lines.iter().for_each(|line| tracing::info!(%todo, line, "area"));
            }
            Ok((todo, Err(why))) => {
                self.say(&todo, &why);
                self.not_before = Some(Instant::now() + RETRY);
            }
            Err(panic) => {
                tracing::error!(%panic, "looking after the areas");
                self.not_before = Some(Instant::now() + RETRY);
            }
        }
    }

    /// An area that is to be on, and of which a part is off.
    fn broken(&self) -> Option<Todo> {
        let is_broken = |area: &&vswap::Area| {
            let is_wanted = area.record.want == vswap::Want::On && area.record.owner == Owner::Config;
            is_wanted && area.parts.iter().any(|part| part.swap.is_none())
        };
        self.known.iter().find(is_broken).map(|_| Todo::Settle)
    }

    /// One more piece of slots, or one less, for the first area that needs it.
    fn grown(&mut self, views: &[AreaView], ram: Bytes, history: &History, now: Seconds) -> Option<Todo> {
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
                    return Some(Todo::GrowSlots(name.clone(), slots.bytes(page()), priority));
                }
                Growth::Add(_) => {}
                Growth::Drain(part) => {
                    let id = part.rsplit_once('/').and_then(|(_, id)| id.parse().ok()).unwrap_or(0);
                    return Some(Todo::DropPart(name.clone(), id));
                }
                Growth::Short(short) => self.say(&Todo::Grow(name.clone()), &short.to_string()),
            }
        }
        None
    }

    /// Says something once.
    fn say(&mut self, todo: &Todo, why: &str) {
        let said = self.said.insert(todo.to_string(), why.to_owned());
        if said.as_deref() != Some(why) {
            tracing::warn!(%todo, why, "area");
        }
    }

    /// What an empty slot costs, where it was measured.
    pub(super) fn cost(&self) -> Option<SlotCost> {
        self.costs.values().next().copied()
    }
}

/// The ghost with which is measured what a slot of such an area costs: over zram it is the entry of a table more.
fn measured_with(kind: AreaKind) -> AreaKind {
    if kind == AreaKind::Zram { AreaKind::Zram } else { AreaKind::Ghost }
}

/// Makes one change.
fn carry_out(root: &Root, dir: &Path, todo: Todo) -> Done {
    let done = works(root, dir, &todo).map_err(|error| error.to_string());
    (todo, done)
}

fn works(root: &Root, dir: &Path, todo: &Todo) -> Result<Vec<String>, vswap::AreaError> {
    if matches!(todo, Todo::GiveBack) {
        return Ok(cost::give_back(root, dir)?.iter().map(ToString::to_string).collect());
    }
    let mut works = Works::open(root, dir, false)?;
    let steps = match todo {
        Todo::Create(spec) => works.create(spec, Owner::Config)?,
        Todo::Remove(name) => works.remove(name)?,
        Todo::GrowDisk(name, path, size) => works.grow_disk(name, path, *size)?,
        Todo::GrowSlots(name, size, priority) => works.grow_slots(name, *size, *priority)?,
        Todo::DropPart(name, id) => works.drop_part(name, *id)?,
        Todo::Settle => works.settle()?,
        Todo::Conflict(_, why) => return Err(vswap::AreaError::Refused(why.clone())),
        Todo::Grow(_) | Todo::GiveBack | Todo::Look => Vec::new(),
    };
    Ok(steps.iter().map(ToString::to_string).collect())
}

/// Bytes of a disk or a file that is there.
fn size_of(path: &Path) -> Option<u64> {
    use std::io::{Seek as _, SeekFrom};
    std::fs::File::open(path).ok()?.seek(SeekFrom::End(0)).ok()
}

fn page() -> Bytes {
    Bytes(rustix::param::page_size() as u64)
}
