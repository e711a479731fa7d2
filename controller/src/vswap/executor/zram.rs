//! The steps about zram devices, carried out. What is about to be added is on disk before it is, and the number of what was
//! added right after it. Caller: the executor.

use std::time::Duration;

use swaptier_policies::Bytes;

use super::Executor;
use crate::fault;
use crate::root::{RootError, change::Write as _};
use crate::vswap::area::AreaName;
use crate::vswap::disk::page_size;
use crate::vswap::error::{AreaError, Result};
use crate::vswap::found::Holds;
use crate::vswap::intended::{OverZram, ZramNote};
use crate::vswap::modules;
use crate::vswap::reconcile::zram::ZramStep;
use crate::vswap::store::Store;
use crate::vswap::zram::{file_of, number_in};

const CONTROL: &str = "sys/class/zram-control";
const ADD: &str = "sys/class/zram-control/hot_add";
const REMOVE: &str = "sys/class/zram-control/hot_remove";
/// A program that looks at each new device has it open for a moment: removing is tried again this often.
const BUSY_TRIES: u32 = 25;
const BUSY_PAUSE: Duration = Duration::from_millis(40);

impl Executor<'_> {
    /// Carries out a step about the zram devices of an area.
    pub(super) fn take_zram(&mut self, store: &mut Store, area: &AreaName, step: &ZramStep) -> Result<()> {
        match step {
            ZramStep::Add(part) => self.add_zram(store, area, *part),
            ZramStep::Size(part, size) => {
                let number = self.zram(store, &area.device(part))?;
                let hint = "no memory for the table of its slots: ask for fewer; busy: somebody else took the device, try again";
                let set = self.root.write(&file_of(number, "disksize"), &size.0.to_string());
                set.map_err(failed("set the size of a zram device", hint))
            }
            ZramStep::Limit(part) => {
                let number = self.zram(store, &area.device(part))?;
                let set = self.root.write(&file_of(number, "mem_limit"), &page_size().to_string());
                set.map_err(failed(
                    "limit a zram device",
                    "without a limit it would take memory: it is not used",
                ))
            }
            ZramStep::Remove(part) => {
                self.remove_zram(self.zram(store, &area.device(part))?)?;
                fault::point("area.zram.removed");
                note(store, area, |over| over.devices.retain(|id, _| id != part))
            }
            ZramStep::TakeBack(number) => {
                // What cannot be removed is in use, and so was not what this process's like had just added.
                if let Some(Err(error)) = number.map(|number| self.remove_zram(number)) {
                    self.tell(format!("left where it is: {error}"));
                }
                note(store, area, |over| over.adding = None)
            }
            ZramStep::Leave(number) => {
                self.tell(format!(
                    "zram{number} is not known to be that of {area}: it is left; if nobody needs it, \
                     `echo {number} > /{REMOVE}` removes it"
                ));
                note(store, area, |over| over.devices.retain(|_, note| note.number != *number))
            }
        }
    }

    /// The number of the device that is this part.
    pub(super) fn zram(&self, store: &Store, name: &str) -> Result<u32> {
        let found = self.look(store)?;
        let refused = |why: &str| AreaError::Refused(format!("{name}: {why}"));
        match found.zram_named(name) {
            Some((number, zram)) if zram.holds == Holds::Hidden => Err(refused(&format!(
                "what is in zram{number} cannot be read here, so it is not touched: try where /dev/zram{number} can be opened"
            ))),
            Some((number, _)) => Ok(number),
            None => Err(refused(
                "its zram device is gone, or somebody else has taken it: try again, another is added",
            )),
        }
    }

    /// What is there is on disk before a device is added, its number once it is there.
    fn add_zram(&self, store: &mut Store, area: &AreaName, part: u32) -> Result<()> {
        self.require_zram()?;
        let before = self.look(store)?.zrams.values().map(|zram| zram.sequence).collect();
        note(store, area, |over| over.adding = Some(before))?;
        let hint = "the kernel's log may say why; a ghost by device-mapper (`--kind dm`) needs none";
        let number = self.root.read_value(ADD).map_err(failed("add a zram device", hint))?;
        let number: u32 = number.parse().map_err(|_| {
            AreaError::Refused(format!("/{ADD} says `{}`, which is no number", number.escape_debug()))
        })?;
        fault::point("area.zram.added");
        let sequence = number_in(&self.root.read_value(&file_of(number, "diskseq"))?);
        let parts = store.intended.area(area).map(|area| area.parts.as_slice()).unwrap_or_default();
        let size = parts.iter().find(|it| it.id == part).map_or(Bytes(0), |part| part.size);
        note(store, area, |over| {
            over.adding = None;
            over.devices.insert(part, ZramNote { number, sequence, size });
        })
    }

    /// Loads the module, without the device it would make by itself.
    fn require_zram(&self) -> Result<()> {
        if !self.root.exists(CONTROL) {
            modules::load_with("zram", &["num_devices=0"]);
        }
        if self.root.exists(CONTROL) {
            return Ok(());
        }
        let why = "this kernel has no zram (no module of the name, and no /sys/class/zram-control): install the kernel's \
                   package of modules, or make the ghost by device-mapper (`--kind dm`)";
        Err(AreaError::Refused(why.to_owned()))
    }

    /// The kernel refuses while anybody has it open.
    fn remove_zram(&self, number: u32) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.root.write(REMOVE, &number.to_string()) {
                Ok(()) => return Ok(()),
                Err(error) if error.errno() == Some(libc::ENODEV) => return Ok(()),
                Err(error) if error.errno() == Some(libc::EBUSY) && tries < BUSY_TRIES => tries += 1,
                Err(error) => {
                    let hint = "somebody has the device open: end that, and `swaptier ghost settle` goes on";
                    return Err(failed("remove a zram device", hint)(error));
                }
            }
            std::thread::sleep(BUSY_PAUSE);
        }
    }
}

fn failed(action: &'static str, hint: &'static str) -> impl FnOnce(RootError) -> AreaError {
    move |error| AreaError::Zram { action, error, hint }
}

/// Changes what is noted of an area's devices, on disk too.
fn note(store: &mut Store, area: &AreaName, change: impl FnOnce(&mut OverZram)) -> Result<()> {
    if let Some(record) = store.intended.area_mut(area) {
        change(record.zram.get_or_insert_default());
    }
    store.save()
}
