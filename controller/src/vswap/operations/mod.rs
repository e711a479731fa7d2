//! What can be done with areas: create, grow, take off, remove, settle. Each notes what shall be, then carries out the
//! plan that follows; where that fails, what was begun is taken back. Callers: `cli/areas/`, the agent.
//!
//! Whether memory has room for slots is `weigh`'s, what a slot costs is measured by `cost`, with areas of its own. Moving
//! blocks is `transfer.rs`'s, emptying an area `drain.rs`'s.

pub mod cost;
mod weigh;

use std::path::{Path, PathBuf};

use swaptier_policies::{Bytes, growth::SlotCost};

use super::area::{AreaKind, AreaName, AreaSpec};
use super::error::{AreaError, Result};
use super::executor::Executor;
use super::forecast::Forecast;
use super::found::Found;
use super::ghost::Means;
use super::intended::{AreaRecord, Intended, Owner, Part, Want};
use super::reconcile::{self, Step};
use super::store::Store;
use super::{asked, ghost, look, prepare};
use crate::root::Root;
use crate::sense::procfs;
use weigh::Load;

/// The host's areas, about to be changed.
#[derive(Debug)]
pub struct Operations<'a> {
    pub(super) root: &'a Root,
    pub(super) store: Store,
    pub(super) executor: Executor<'a>,
    dir: PathBuf,
    /// Nothing is done: the steps are only told.
    is_dry: bool,
    /// What disks hold that are given to it may be lost.
    may_wipe: bool,
    /// What a slot costs on this host, once it was measured.
    pub(super) slot_cost: Option<SlotCost>,
}

/// What came of settling. What is in neither list is settled.
#[derive(Debug, Default)]
pub struct Settled {
    /// What waits, and for what: memory that is short, or another command that is about it.
    pub waiting: Vec<String>,
    /// Whose plan failed, and why. It held up no other.
    pub failed: Vec<(String, AreaError)>,
}

impl Settled {
    /// All of it, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|(of, error)| format!("{of}: {error}"));
        failed.chain(self.waiting.iter().cloned()).collect()
    }
}

impl<'a> Operations<'a> {
    /// Takes the lock of the areas and reads their list. With `is_dry` nothing will be changed.
    ///
    /// # Errors
    /// As [`Store::open`]; below another root.
    pub fn open(root: &'a Root, dir: &Path, is_dry: bool) -> Result<Operations<'a>> {
        let executor = Executor::on(root)?;
        Ok(Operations {
            root,
            store: Store::open(root, dir)?,
            executor,
            dir: dir.to_path_buf(),
            is_dry,
            may_wipe: false,
            slot_cost: None,
        })
    }

    /// With `yes`, disks that are given to it from now on may hold what nobody needs: it is wiped.
    #[must_use]
    pub fn wiping(self, yes: bool) -> Operations<'a> {
        Operations { may_wipe: yes, ..self }
    }

    /// What was left as it is, and why, since this was asked last.
    pub fn take_told(&mut self) -> Vec<String> {
        self.executor.take_told()
    }

    /// The list.
    #[must_use]
    pub fn intended(&self) -> &Intended {
        &self.store.intended
    }

    /// Brings the host to the list as it is: finishes what a killed process began, and moves that are copied; removes what
    /// nobody asked for. What would take more memory than there is, or is being done by another, waits; what fails is
    /// told. Neither holds up the rest. The area `but` is left as it is: something else is about to be done with it.
    ///
    /// # Errors
    /// The host cannot be looked at.
    pub fn settle(&mut self, but: Option<&AreaName>) -> Result<Settled> {
        let mut settled = Settled::default();
        let found = self.executor.look(&self.store)?;
        for name in &found.others {
            let why =
                "is named like a device of swaptier's, and swaptier did not make it: it is left as it is";
            self.executor.tell(format!("{name} {why}"));
        }
        let strays = reconcile::strays(&self.store.intended, &found);
        self.settle_plan("devices that belong to no area", &strays, None, &mut settled);
        let areas = self.store.intended.areas.iter().filter(|area| Some(&area.spec.name) != but);
        for area in areas.cloned().collect::<Vec<_>>() {
            let what = format!("the area {}", area.spec.name);
            match self.plan(&area) {
                Ok(plan) => self.settle_plan(&what, &plan, Some(&area), &mut settled),
                Err(error) => settled.failed.push((what, error)),
            }
        }
        let moving = self.store.intended.areas.iter().filter(|area| area.transfer.is_some());
        for name in moving.map(|area| area.spec.name.clone()).collect::<Vec<_>>() {
            // A move that was given up is told, and keeps nothing else from being done.
            if let Err(error) = self.advance_move(&name) {
                settled.failed.push((format!("the move of {name}"), error));
            }
        }
        Ok(settled)
    }

    fn settle_plan(&mut self, what: &str, plan: &[Step], area: Option<&AreaRecord>, settled: &mut Settled) {
        let done = match self.waits_for(what, plan, area) {
            Ok(None) => self.carry_out(plan),
            Ok(Some(why)) => return settled.waiting.push(why),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => {}
            // Its drain runs: that command ends it, or calls it off.
            Err(error) if error.is_being_emptied() => {
                settled.waiting.push(format!("{what} is being emptied"))
            }
            Err(error) => settled.failed.push((what.to_owned(), error)),
        }
    }

    /// Why this plan is not for now: memory has no room for what comes back, or for slots that are switched on.
    pub(super) fn waits_for(
        &mut self,
        what: &str,
        plan: &[Step],
        area: Option<&AreaRecord>,
    ) -> Result<Option<String>> {
        if plan.is_empty() {
            return Ok(None);
        }
        let (found, memory) = (self.executor.look(&self.store)?, procfs::read_meminfo(self.root)?);
        for step in plan {
            let Step::Off(path) = step else { continue };
            let forecast = Forecast::of(found.used_at(path).unwrap_or(Bytes(0)), &memory);
            if !forecast.allows_emptying() {
                return Ok(Some(format!("{what} waits to be emptied: {forecast}")));
            }
        }
        let slots = plan.iter().map(|step| if let Step::On { slots, .. } = step { slots.0 } else { 0 });
        let slots = Bytes(slots.fold(0, u64::saturating_add));
        let Some(area) = area.filter(|_| slots.0 > 0) else { return Ok(None) };
        match self.require_room(what, Load::of(area, slots)) {
            Err(AreaError::Refused(why)) => Ok(Some(format!("{why}; it stays off until then"))),
            outcome => outcome.map(|()| None),
        }
    }

    /// Makes an area. What was done is returned; in a dry run, what would be.
    ///
    /// # Errors
    /// Why it cannot be; then nothing of it is left.
    pub fn create(&mut self, spec: &AreaSpec, owner: Owner) -> Result<Vec<Step>> {
        self.create_of(spec, owner, None)
    }

    /// The same; of a ghost, what it is to be made of.
    ///
    /// # Errors
    /// As [`Operations::create`].
    pub fn create_of(&mut self, spec: &AreaSpec, owner: Owner, means: Option<Means>) -> Result<Vec<Step>> {
        let mut record = asked::record(self.root, &self.store.intended, spec, owner, self.may_wipe)?;
        if spec.kind.is_ghost() {
            ghost::settle_means(self.root, &self.dir, spec, means, self.is_dry, &mut record)?;
        }
        let slots = record.parts.iter().fold(Bytes(0), |sum, part| sum.saturating_add(part.size));
        self.require_room(&format!("{} area {}", spec.kind, spec.name), Load::of(&record, slots))?;
        self.begin(record)
    }

    /// Adds slots to an area: one more swap area of the kernel, below the others if no priority is given.
    ///
    /// # Errors
    /// Why it cannot be; then all is as before.
    pub fn grow_slots(&mut self, name: &AreaName, size: Bytes, priority: Option<u16>) -> Result<Vec<Step>> {
        let size = prepare::whole_pages(size)?;
        let load = Load::of(self.area(name)?, size);
        self.require_room(&format!("the area {name}"), load)?;
        self.change(name, |area| {
            if area.spec.kind == AreaKind::Plain {
                return Err(AreaError::Refused(format!("{} is as large as its device", area.spec.name)));
            }
            let id = area.parts.iter().map(|part| part.id + 1).max().unwrap_or(0);
            area.parts.push(Part { id, size, priority: priority.or(area.spec.priority) });
            Ok(())
        })
    }

    /// Adds a disk to a virtual area's pool.
    ///
    /// # Errors
    /// Why it cannot be; then all is as before.
    pub fn grow_disk(&mut self, name: &AreaName, path: &Path, file_size: Option<Bytes>) -> Result<Vec<Step>> {
        let disk = asked::pool_disk(self.root, &self.store.intended, path, file_size, self.may_wipe)?;
        self.change(name, |area| {
            require_pool(area)?;
            area.spec.devices.push(path.to_path_buf());
            area.disks.push(disk.clone());
            Ok(())
        })
    }

    /// Removes an area: what is in it comes back into memory first, if that has room.
    ///
    /// # Errors
    /// Without such an area; when memory has no room; when a step fails: then the next who settles goes on.
    pub fn remove(&mut self, name: &AreaName) -> Result<Vec<Step>> {
        let area = self.area(name)?.clone();
        let forecast = self.forecast(&area)?;
        if !forecast.allows_emptying() {
            return Err(AreaError::Refused(format!("{name} cannot be emptied now: {forecast}")));
        }
        let gone = AreaRecord { want: Want::Gone, transfer: area.transfer.clone(), ..area };
        let steps = self.plan(&gone)?;
        if !self.is_dry {
            self.note(gone)?;
            self.carry_out(&steps)?;
        }
        Ok(steps)
    }

    /// Switches an area on again that was drained.
    ///
    /// # Errors
    /// Without such an area; when a step fails.
    pub fn switch_on(&mut self, name: &AreaName) -> Result<Vec<Step>> {
        let on = AreaRecord { want: Want::On, ..self.area(name)?.clone() };
        let plan = self.plan(&on)?;
        if let Some(why) = self.waits_for(&format!("the area {name}"), &plan, Some(&on))? {
            return Err(AreaError::Refused(why));
        }
        self.change(name, |area| {
            area.want = Want::On;
            Ok(())
        })
    }

    /// What emptying the area will take.
    ///
    /// # Errors
    /// When the host cannot be read.
    pub fn forecast(&self, area: &AreaRecord) -> Result<Forecast> {
        let found = self.executor.look(&self.store)?;
        Ok(Forecast::of(used(area, &found), &procfs::read_meminfo(self.root)?))
    }

    /// The area of this name.
    ///
    /// # Errors
    /// There is none; the names there are.
    pub fn area(&self, name: &AreaName) -> Result<&AreaRecord> {
        self.store.intended.area(name).ok_or_else(|| {
            let names: Vec<&str> =
                self.store.intended.areas.iter().map(|area| area.spec.name.as_str()).collect();
            let there = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
            AreaError::Refused(format!("no area is named {name} ({there})"))
        })
    }

    /// A new record, noted and made, or taken back.
    fn begin(&mut self, record: AreaRecord) -> Result<Vec<Step>> {
        let steps = self.plan(&record)?;
        if self.is_dry {
            return Ok(steps);
        }
        let name = record.spec.name.clone();
        self.note(record)?;
        let Err(error) = self.carry_out(&steps) else { return Ok(steps) };
        if let Some(area) = self.store.intended.area_mut(&name) {
            area.want = Want::Gone;
        }
        self.store.save()?;
        let back = self.area(&name).cloned().and_then(|area| self.plan(&area));
        // The first error is the one to be told; what is left is on the list as gone.
        let _left = back.and_then(|steps| self.carry_out(&steps));
        Err(error)
    }

    /// An area changed, noted and carried out. A change that fails is taken back as far as it goes: what is there already
    /// of an added part or disk is removed by the plan of the old record, or stays unused until the area goes.
    pub(super) fn change(
        &mut self,
        name: &AreaName,
        change: impl FnOnce(&mut AreaRecord) -> Result<()>,
    ) -> Result<Vec<Step>> {
        let before = self.area(name)?.clone();
        let mut after = before.clone();
        change(&mut after)?;
        let steps = self.plan(&after)?;
        if self.is_dry {
            return Ok(steps);
        }
        self.note(after)?;
        let Err(error) = self.carry_out(&steps) else { return Ok(steps) };
        // A device that was added meanwhile is known by its note alone.
        let zram = self.area(name)?.zram.clone();
        let before = AreaRecord { zram, ..before };
        self.note(before.clone())?;
        let _left = self.plan(&before).and_then(|steps| self.carry_out(&steps));
        Err(error)
    }

    pub(super) fn plan(&self, area: &AreaRecord) -> Result<Vec<Step>> {
        let mut intended = self.store.intended.clone();
        match intended.area_mut(&area.spec.name) {
            Some(old) => *old = area.clone(),
            None => intended.areas.push(area.clone()),
        }
        let found = look::look(self.root, self.executor.dm(), &intended)?;
        Ok(reconcile::plan_area(area, &found))
    }

    pub(super) fn note(&mut self, area: AreaRecord) -> Result<()> {
        match self.store.intended.area_mut(&area.spec.name) {
            Some(old) => *old = area,
            None => self.store.intended.areas.push(area),
        }
        self.store.save()
    }

    pub(super) fn carry_out(&mut self, steps: &[Step]) -> Result<()> {
        if self.is_dry { Ok(()) } else { self.executor.run(&mut self.store, steps) }
    }

    pub(super) fn may_wipe(&self) -> bool {
        self.may_wipe
    }

    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }
}

/// *Original* bytes in the parts of an area that are on.
fn used(area: &AreaRecord, found: &Found) -> Bytes {
    let places = area.parts.iter().filter_map(|part| reconcile::place(area, part));
    let swaps = places.filter_map(|place| reconcile::in_use(&place, found));
    swaps.fold(Bytes(0), |sum, swap| sum.saturating_add(swap.usage.used))
}

pub(super) fn require_pool(area: &AreaRecord) -> Result<()> {
    if area.spec.kind != AreaKind::Virtual {
        let why = format!("{} is a {} area: only a virtual one has a pool", area.spec.name, area.spec.kind);
        return Err(AreaError::Refused(why));
    }
    match &area.transfer {
        None => Ok(()),
        Some(transfer) => Err(AreaError::Refused(format!(
            "{} is being moved to {}: wait for it, or cancel it",
            area.spec.name,
            transfer.to.path.display()
        ))),
    }
}
