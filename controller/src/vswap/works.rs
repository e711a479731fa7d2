//! What can be done with areas: create, grow, take off, remove, settle. Each notes what shall be, then carries out the
//! plan that follows; where that fails, what was begun is taken back. Callers: `cli/area`, the agent.
//!
//! Moving blocks is `transfer.rs`'s, emptying an area `drain.rs`'s.

use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::area::{AreaKind, AreaName, AreaSpec};
use super::error::{AreaError, Result};
use super::forecast::Forecast;
use super::ghost::Means;
use super::hands::Hands;
use super::intended::{AreaRecord, Intended, Owner, Part, Want};
use super::reconcile::{self, Step};
use super::store::Store;
use super::{ghost, look, prepare, zram};
use crate::root::Root;
use crate::sense::procfs;

/// The host's areas, about to be changed.
#[derive(Debug)]
pub struct Works<'a> {
    pub(super) root: &'a Root,
    pub(super) store: Store,
    pub(super) hands: Hands<'a>,
    dir: PathBuf,
    /// Nothing is done: the steps are only told.
    is_dry: bool,
}

impl<'a> Works<'a> {
    /// Takes the lock of the areas and reads their list. With `is_dry` nothing will be changed.
    ///
    /// # Errors
    /// As [`Store::open`]; below another root.
    pub fn open(root: &'a Root, dir: &Path, is_dry: bool) -> Result<Works<'a>> {
        let hands = Hands::on(root)?;
        Ok(Works { root, store: Store::open(root, dir)?, hands, dir: dir.to_path_buf(), is_dry })
    }

    /// What was left as it is, and why, since this was asked last.
    pub fn take_told(&mut self) -> Vec<String> {
        self.hands.take_told()
    }

    /// The list.
    #[must_use]
    pub fn intended(&self) -> &Intended {
        &self.store.intended
    }

    /// Brings the host to the list as it is: finishes what a killed process began, and moves that are copied; removes what
    /// nobody asked for. What would take more memory than there is, or is being done by another, is left and returned.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn settle(&mut self) -> Result<Vec<Step>> {
        let found = self.hands.look(&self.store)?;
        let memory = procfs::read_meminfo(self.root)?;
        let fits = |step: &Step| match step {
            Step::Off(path) => {
                found.swaps.get(path).is_none_or(|swap| Forecast::of(swap.used, &memory).fits())
            }
            _ => true,
        };
        let mut left = Vec::new();
        // What is on no list, then area by area: one that must wait holds up no other.
        let mut plans: Vec<Vec<Step>> =
            self.store.intended.areas.iter().map(|area| reconcile::plan_area(area, &found)).collect();
        plans.insert(0, reconcile::strays(&self.store.intended, &found));
        for plan in plans {
            let done = if plan.iter().all(fits) { self.carry_out(&plan).map(|()| true) } else { Ok(false) };
            match done {
                Ok(true) => {}
                Ok(false) => left.extend(plan),
                // Its drain runs: that command ends it, or calls it off.
                Err(error) if error.is_being_emptied() => left.extend(plan),
                Err(error) => return Err(error),
            }
        }
        let moving = self.store.intended.areas.iter().filter(|area| area.transfer.is_some());
        for name in moving.map(|area| area.spec.name.clone()).collect::<Vec<_>>() {
            // A move that was given up is told, and keeps nothing else from being done.
            if let Err(error) = self.advance_move(&name) {
                tracing::warn!(target: "swaptier::areas", "{error}");
            }
        }
        Ok(left)
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
    /// As [`Works::create`].
    pub fn create_of(&mut self, spec: &AreaSpec, owner: Owner, means: Option<Means>) -> Result<Vec<Step>> {
        if self.store.intended.area(&spec.name).is_some() {
            return Err(AreaError::Refused(format!("there is an area {} already", spec.name)));
        }
        self.require_disks_are_free(&spec.devices)?;
        let mut record = prepare::record(self.root, spec, owner)?;
        if spec.kind.is_ghost() {
            ghost::settle_means(self.root, &self.dir, spec, means, self.is_dry, &mut record)?;
        }
        for part in record.parts.iter().filter(|_| record.is_over_zram()) {
            zram::require_room(self.root, &spec.name, part.size)?;
        }
        self.begin(record)
    }

    /// Adds slots to an area: one more swap area of the kernel, below the others if no priority is given.
    ///
    /// # Errors
    /// Why it cannot be; then all is as before.
    pub fn grow_slots(&mut self, name: &AreaName, size: Bytes, priority: Option<u16>) -> Result<Vec<Step>> {
        let size = prepare::whole_pages(size)?;
        if self.area(name)?.is_over_zram() {
            zram::require_room(self.root, name, size)?;
        }
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
        self.require_disks_are_free(&[path.to_path_buf()])?;
        let disk = prepare::pool_disk(self.root, path, file_size)?;
        self.change(name, |area| {
            require_pool(area)?;
            area.spec.devices.push(disk.path.clone());
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
        if !forecast.fits() {
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
        let found = self.hands.look(&self.store)?;
        let places = area.parts.iter().filter_map(|part| reconcile::place(area, part));
        let paths = places.filter_map(|place| reconcile::in_use(&place, &found));
        let used: u64 = paths.filter_map(|path| found.swaps.get(&path)).map(|swap| swap.used.0).sum();
        Ok(Forecast::of(Bytes(used), &procfs::read_meminfo(self.root)?))
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
        let found = look::look(self.root, self.hands.dm(), &intended)?;
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
        if self.is_dry { Ok(()) } else { self.hands.run(&mut self.store, steps) }
    }

    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// No disk is in two areas, whatever it is called.
    pub(super) fn require_disks_are_free(&self, paths: &[PathBuf]) -> Result<()> {
        for area in &self.store.intended.areas {
            for disk in area.all_disks() {
                if let Some(path) = paths.iter().find(|path| prepare::is_same_disk(path, &disk.path)) {
                    let name = &area.spec.name;
                    return Err(AreaError::Refused(format!("{} belongs to the area {name}", path.display())));
                }
            }
        }
        Ok(())
    }
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
