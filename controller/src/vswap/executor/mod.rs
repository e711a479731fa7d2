//! Carries out steps, one after the other; each is one change of the host, and a crash after any of them is what the next
//! plan begins with. Chooses nothing. The steps about zram are `zram.rs`'s. Callers: `operations/`.

mod zram;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::area::AreaName;
use super::content::{self, require_free};
use super::disk::{open, open_exclusive, page_size};
use super::dm::{self, Dm};
use super::error::{AreaError, Result};
use super::found::{Found, Target};
use super::header;
use super::in_use::{self, Node};
use super::intended::Disk;
use super::look;
use super::loopdev::Loop;
use super::reconcile::{Place, Step, zram_node};
use super::store::Store;
use super::table::{self, GHOST_HEADER, Line, Wanted};
use super::{files, label, swapon};
use crate::fault;
use crate::root::{Root, change::Write as _};

/// What of a pool's metadata must be zero for the kernel to make it anew: its superblock.
const SUPERBLOCK: usize = 4096;

/// What carries steps out.
#[derive(Debug)]
pub struct Executor<'a> {
    pub(super) root: &'a Root,
    dm: Option<Dm>,
    /// Loop devices on which nothing stands yet: they would vanish.
    loops: Vec<Loop>,
    /// What was left as it is, and why, since somebody asked.
    told: Vec<String>,
}

impl<'a> Executor<'a> {
    /// Hands on this host; device-mapper is opened when the first step needs it.
    ///
    /// # Errors
    /// Below a root that is not the host's: devices are the host's alone.
    pub fn on(root: &'a Root) -> Result<Executor<'a>> {
        if !root.is_system() {
            let why = "areas are made of the host's devices: not below another root";
            return Err(AreaError::Refused(why.to_owned()));
        }
        Ok(Executor { root, dm: Dm::open_if_there(), loops: Vec::new(), told: Vec::new() })
    }

    /// Says that something was left as it is.
    pub(super) fn tell(&mut self, text: String) {
        tracing::warn!(target: "swaptier::areas", "{text}");
        self.told.push(text);
    }

    /// What was left as it is, and why, since this was asked last.
    pub fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Device-mapper, if it is there already.
    #[must_use]
    pub fn dm(&self) -> Option<&Dm> {
        self.dm.as_ref()
    }

    /// What the host has now.
    ///
    /// # Errors
    /// As [`look::look`].
    pub fn look(&self, store: &Store) -> Result<Found> {
        look::look(self.root, self.dm(), &store.intended)
    }

    /// Carries out `steps` in their order, and stops at the first that fails.
    ///
    /// # Errors
    /// What failed; the steps before it are done.
    pub fn run(&mut self, store: &mut Store, steps: &[Step]) -> Result<()> {
        for step in steps {
            self.take(store, step)?;
            tracing::info!(target: "swaptier::areas", "{step}");
            fault::point("area.step");
        }
        self.loops.clear();
        Ok(())
    }

    fn take(&mut self, store: &mut Store, step: &Step) -> Result<()> {
        match step {
            Step::MakeFile(area, path, size) => make_file(store, area, path, *size),
            Step::Wipe(area, path) => self.wipe(store, area, path),
            Step::Attach(path) => {
                let file = open(path)?;
                self.loops.push(Loop::attach(&file).map_err(AreaError::io("attach a loop device to", path))?);
                Ok(())
            }
            Step::Label(area, path) => self.write_label(area, path),
            Step::Clear(name) => self.clear(store, name),
            Step::Load(wanted) => self.load(store, wanted),
            Step::Volume(pool, id) => match self.need_dm()?.message(pool, &format!("create_thin {id}")) {
                // A killed process had made it.
                Err(error) if error.is_there() => Ok(()),
                outcome => Ok(outcome?),
            },
            Step::NonRotational(name) => {
                let node = self.node(store, name)?;
                let name = node.file_name().unwrap_or_default().to_string_lossy();
                Ok(self.root.write(&format!("sys/block/{name}/queue/rotational"), "0")?)
            }
            Step::Header(area, place, size) => self.write_header(store, area, place, *size),
            Step::GhostFile(area, path, size) => files::make_ghost(area, path, *size),
            Step::On { place, priority, discard, .. } => {
                let path = self.place(store, place)?;
                swapon::on(&path, *priority, *discard).map_err(AreaError::io("swap on", &path))
            }
            Step::Zram(area, step) => self.take_zram(store, area, step),
            Step::Off(path) => {
                fault::point("area.off.begun");
                swapon::off(path).map_err(AreaError::io("swap off", path))
            }
            Step::Discard(path) => swapon::Emptied::open(self.root, path)
                .and_then(|emptied| emptied.discard())
                .map_err(AreaError::io("discard", path)),
            Step::Remove(name) => match self.need_dm()?.remove(name) {
                Err(error) if error.is_gone() => Ok(()),
                outcome => Ok(outcome?),
            },
            Step::RemoveFile(area, path, file) => {
                files::remove(area, path, *file)?.into_iter().for_each(|why| self.tell(why));
                Ok(())
            }
            Step::Moved(name) => {
                if let Some(area) = store.intended.area_mut(name)
                    && let Some(transfer) = area.transfer.take()
                    && let Some(disk) = area.disks.get_mut(transfer.from)
                {
                    *disk = transfer.to;
                    area.spec.devices = area.disks.iter().map(|disk| disk.path.clone()).collect();
                }
                store.save()
            }
            Step::Forget(name) => {
                store.intended.areas.retain(|area| area.spec.name != *name);
                store.save()
            }
        }
    }

    fn need_dm(&mut self) -> Result<&Dm> {
        let dm = match self.dm.take() {
            Some(dm) => dm,
            None => Dm::open()?,
        };
        Ok(self.dm.insert(dm))
    }

    /// Makes the device if it is not there, and exchanges its table.
    fn load(&mut self, store: &Store, wanted: &Wanted) -> Result<()> {
        self.need_dm()?;
        let mut found = self.look(store)?;
        let mut table = wanted
            .resolve(&found)
            .ok_or_else(|| AreaError::Refused(format!("{}: what it stands on is not there", wanted.name)))?;
        self.finish(wanted, &mut table, &found)?;
        let dm = self.need_dm()?;
        if found.others.contains(&wanted.name) {
            let why = "is named like a device of ours, and swaptier did not make it: it is left as it is";
            return Err(AreaError::Refused(format!("{} {why}", wanted.name)));
        }
        if !found.devices.contains_key(&wanted.name) {
            dm.create(&wanted.name)?;
            fault::point("area.device.created");
        }
        let loaded = dm.load(&wanted.name, &table);
        table.iter_mut().for_each(|line| wipe(&mut line.parameters));
        let now = found.devices.values_mut().filter_map(|device| device.table.as_mut()).flatten();
        now.for_each(|line| wipe(&mut line.parameters));
        loaded?;
        fault::point("area.table.loaded");
        if let Err(error) = dm.resume(&wanted.name) {
            // The table that was refused must not wait for the next who resumes.
            let _the_first_error_counts = dm.clear(&wanted.name);
            return Err(error.into());
        }
        Ok(())
    }

    /// Puts in what a pure table leaves open: a key, and a ghost's page.
    fn finish(&mut self, wanted: &Wanted, table: &mut [Target], found: &Found) -> Result<()> {
        for ((_, line), target) in wanted.lines.iter().zip(table) {
            match line {
                Line::Crypt(..) => {
                    let now = found.devices.get(&wanted.name).and_then(|d| table::key_of(d.lines()));
                    let mut key = match now {
                        Some(key) => key.to_owned(),
                        None => {
                            fresh_key().map_err(AreaError::io("make a key for", Path::new(&wanted.name)))?
                        }
                    };
                    target.parameters = table::with_key(&target.parameters, &key);
                    wipe(&mut key);
                }
                Line::Header => {
                    let sectors: u64 = wanted.lines.iter().map(|(sectors, _)| sectors).sum();
                    target.parameters = format!("{} 0", self.ghost_page(&wanted.name, sectors)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A loop device over one page of memory with the header of an area of so many sectors.
    fn ghost_page(&mut self, name: &str, sectors: u64) -> Result<super::found::DeviceNumber> {
        let path = Path::new(name);
        let make = || -> io::Result<Loop> {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            let file = File::from(rustix::fs::memfd_create(name, flags)?);
            let area = name.strip_prefix(super::area::PREFIX).and_then(|rest| rest.split('-').next());
            let area: AreaName = area.unwrap_or_default().parse().map_err(io::Error::other)?;
            let pages = sectors * label::SECTOR / rustix::param::page_size() as u64;
            file.write_all_at(&header::page(pages, header::uuid()?, &area, page_size())?, 0)?;
            debug_assert_eq!(GHOST_HEADER * label::SECTOR, 4096, "a page of the header's device");
            Loop::attach(&file)
        };
        let page = make().map_err(AreaError::io("make the header page of", path))?;
        let number = page.number;
        self.loops.push(page);
        Ok(number)
    }

    /// The node of a device of ours.
    fn node(&self, store: &Store, name: &str) -> Result<PathBuf> {
        let found = self.look(store)?;
        let device = found.devices.get(name);
        let device = device.ok_or_else(|| AreaError::Refused(format!("{name} is not there")))?;
        Ok(dm::node(device.number))
    }

    /// Where it is now.
    fn place(&self, store: &Store, place: &Place) -> Result<PathBuf> {
        match place {
            Place::Device(name) => self.node(store, name),
            Place::Path(path) => Ok(path.clone()),
            Place::Zram(name) => self.zram(store, name).map(zram_node),
        }
    }

    fn clear(&self, store: &Store, name: &str) -> Result<()> {
        let node = self.node(store, name)?;
        let write = |file: File| {
            file.write_all_at(&[0; SUPERBLOCK], 0)?;
            file.sync_all()
        };
        open(&node).and_then(|file| write(file).map_err(AreaError::io("clear", &node)))
    }

    fn write_header(&self, store: &Store, area: &AreaName, place: &Place, size: Bytes) -> Result<()> {
        let path = self.place(store, place)?;
        let file = match place {
            Place::Path(_) => self.open_unused(&path)?,
            Place::Device(_) | Place::Zram(_) => open(&path)?,
        };
        if matches!(place, Place::Path(_)) {
            require_free(&file, &path)?;
        }
        let write = || {
            let pages = size.0 / page_size() as u64;
            let mut page = header::page(pages, header::uuid()?, area, page_size())?;
            if matches!(place, Place::Zram(_)) {
                header::fill(&mut page)?;
            }
            file.write_all_at(&page, 0)?;
            file.sync_all()
        };
        write().map_err(AreaError::io("write a swap header to", &path))
    }

    fn write_label(&self, area: &AreaName, path: &Path) -> Result<()> {
        let file = self.open_unused(path)?;
        require_free(&file, path)?;
        label_onto(&file, area).map_err(AreaError::io("label", path))
    }

    /// Takes what is there away for good: from the device or file of which it was said, and from no other of its name. The note
    /// goes once the label of ours is there, so that a later plan wipes nothing.
    fn wipe(&self, store: &mut Store, area: &AreaName, path: &Path) -> Result<()> {
        let file = self.open_alone(path)?;
        let sequence = Node::of(&file).map(|target| in_use::sequence(self.root, target));
        let sequence = sequence.map_err(AreaError::io("stat", path))?;
        let record = store.intended.area(area);
        let noted = record.and_then(|record| record.all_disks().find(|disk| disk.path == path)?.wipe);
        if noted != Some(sequence) {
            let why = "is another than the one that was to be wiped: nothing of it is touched";
            return Err(AreaError::Refused(format!("{} {why}", path.display())));
        }
        content::wipe(&file).map_err(AreaError::io("wipe", path))?;
        forget_partitions(&file);
        fault::point("area.wiped");
        label_onto(&file, area).map_err(AreaError::io("label", path))?;
        note(store, area, path, |disk| disk.wipe = None)
    }

    /// The same, of which the kernel knows no partitions.
    fn open_unused(&self, path: &Path) -> Result<File> {
        let file = self.open_alone(path)?;
        let node = Node::of(&file).map_err(AreaError::io("stat", path))?;
        in_use::require_undivided(self.root, node)
            .map_err(|why| AreaError::Refused(format!("{} {why}", path.display())))?;
        Ok(file)
    }

    /// A disk or a file, opened to be written to: nobody else uses it, but for loop devices of this very process.
    fn open_alone(&self, path: &Path) -> Result<File> {
        let mine: Vec<_> = self.loops.iter().map(|one| one.number).collect();
        let require = |target| {
            in_use::require_unused(self.root, target, &mine)
                .map_err(|why| AreaError::Refused(format!("{} {why}", path.display())))
        };
        Node::at(path).map_or(Ok(()), require)?;
        let file = open_exclusive(path)?;
        // What was looked at may be another by now.
        require(Node::of(&file).map_err(AreaError::io("stat", path))?)?;
        Ok(file)
    }
}

/// Has the kernel read the table of partitions anew, which is gone. What has none, or can have none, refuses.
fn forget_partitions(disk: &File) {
    use std::os::fd::AsRawFd as _;
    /// `_IO(0x12, 95)` (linux/fs.h).
    const BLKRRPART: libc::c_ulong = 0x125f;
    // SAFETY: the command takes nothing.
    let _refused = unsafe { libc::ioctl(disk.as_raw_fd(), BLKRRPART as libc::Ioctl) };
}

/// Makes the file of an area; which it is, is on disk before it can be found by its name.
fn make_file(store: &mut Store, area: &AreaName, path: &Path, size: Bytes) -> Result<()> {
    let record = store.intended.area(area);
    let noted = record.and_then(|record| record.all_disks().find(|disk| disk.path == path)?.file);
    files::make(area, path, size, noted, |file| note(store, area, path, |disk| disk.file = Some(file)))
}

/// Changes what is noted of an area's disk, on disk too.
fn note(store: &mut Store, area: &AreaName, path: &Path, change: impl Fn(&mut Disk)) -> Result<()> {
    if let Some(record) = store.intended.area_mut(area) {
        record.all_disks_mut().filter(|disk| disk.path == path).for_each(change);
    }
    store.save()
}

fn label_onto(file: &File, area: &AreaName) -> io::Result<()> {
    file.write_all_at(&label::page(area, page_size()), 0)?;
    file.sync_all()
}

/// A throw-away key, in hexadecimal as the kernel takes it.
fn fresh_key() -> io::Result<String> {
    let mut bytes = [0u8; table::KEY_BYTES];
    header::random(&mut bytes)?;
    let key = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.fill(0);
    std::hint::black_box(&bytes);
    Ok(key)
}

/// Overwrites a text that may hold a key.
fn wipe(text: &mut String) {
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.fill(0);
    std::hint::black_box(&bytes);
}
