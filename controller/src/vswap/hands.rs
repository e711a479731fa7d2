//! Carries out steps, one after the other; each is one change of the host, and a crash after any of them is what the next
//! plan begins with. Chooses nothing. Callers: `works.rs`, the agent.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::area::AreaName;
use super::dm::{self, Dm};
use super::error::{AreaError, Result};
use super::found::{Found, Target};
use super::header::{self, Content};
use super::look;
use super::loopdev::Loop;
use super::reconcile::{Place, Step, zram_node};
use super::store::Store;
use super::table::{self, GHOST_HEADER, Line, Wanted};
use super::{files, label, swapon};
use crate::fault;
use crate::root::Root;

/// What of a pool's metadata must be zero for the kernel to make it anew: its superblock.
const SUPERBLOCK: usize = 4096;

/// The hands.
#[derive(Debug)]
pub struct Hands<'a> {
    pub(super) root: &'a Root,
    dm: Option<Dm>,
    /// Loop devices on which nothing stands yet: they would vanish.
    loops: Vec<Loop>,
    /// What was left as it is, and why, since somebody asked.
    told: Vec<String>,
}

impl<'a> Hands<'a> {
    /// Hands on this host; device-mapper is opened when the first step needs it.
    ///
    /// # Errors
    /// Below a root that is not the host's: devices are the host's alone.
    pub fn on(root: &'a Root) -> Result<Hands<'a>> {
        if !root.is_system() {
            let why = "areas are made of the host's devices: not below another root";
            return Err(AreaError::Refused(why.to_owned()));
        }
        Ok(Hands { root, dm: Dm::open_if_there(), loops: Vec::new(), told: Vec::new() })
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
            Step::MakeFile(path, size) => files::make(path, *size),
            Step::Attach(path) => {
                let file = open(path)?;
                self.loops.push(Loop::attach(&file).map_err(AreaError::io("attach a loop device to", path))?);
                Ok(())
            }
            Step::Label(area, path) => write_label(area, path),
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
            Step::On(place, priority, discard) => {
                let path = self.place(store, place)?;
                swapon::on(&path, *priority, *discard).map_err(AreaError::io("swap on", &path))
            }
            Step::Zram(area, step) => self.take_zram(store, area, step),
            Step::Off(path) => {
                fault::point("area.off.begun");
                swapon::off(path).map_err(AreaError::io("swap off", path))
            }
            Step::Discard(path) => swapon::discard(path).map_err(AreaError::io("discard", path)),
            Step::Remove(name) => match self.need_dm()?.remove(name) {
                Err(error) if error.is_gone() => Ok(()),
                outcome => Ok(outcome?),
            },
            Step::RemoveFile(path, size) => files::remove(path, *size),
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
        if !found.devices.contains_key(&wanted.name) {
            dm.create(&wanted.name)?;
            fault::point("area.device.created");
        }
        let loaded = dm.load(&wanted.name, &table);
        table.iter_mut().for_each(|line| wipe(&mut line.parameters));
        found.devices.values_mut().flat_map(|d| &mut d.table).for_each(|line| wipe(&mut line.parameters));
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
                Line::Crypt(_) => {
                    let now = found.devices.get(&wanted.name).and_then(|d| table::key_of(&d.table));
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
        let file = open(&path)?;
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
}

pub(super) fn page_size() -> usize {
    rustix::param::page_size()
}

pub(super) fn open(path: &Path) -> Result<File> {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    // A disk is often named by a link of udev's.
    let opened = opened.or_else(|error| match error.raw_os_error() {
        Some(libc::ELOOP) if look::number_of(path).is_some() => {
            OpenOptions::new().read(true).write(true).open(path)
        }
        _ => Err(error),
    });
    opened.map_err(AreaError::io("open", path))
}

/// Bytes of a disk or a file.
pub(super) fn size_of(file: &File) -> io::Result<u64> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::End(0))
}

/// A disk that holds something of somebody else's is not touched.
pub(super) fn require_free(file: &File, path: &Path) -> Result<Content> {
    let look = || header::content(file, size_of(file)?, page_size());
    match look().map_err(AreaError::io("read", path))? {
        Content::Foreign => Err(AreaError::Refused(format!(
            "{} holds something that is neither empty nor swap: it is not touched (`wipefs -a` empties it for good)",
            path.display()
        ))),
        content => Ok(content),
    }
}

fn write_label(area: &AreaName, path: &Path) -> Result<()> {
    let file = open(path)?;
    require_free(&file, path)?;
    let write = || {
        file.write_all_at(&label::page(area, page_size()), 0)?;
        file.sync_all()
    };
    write().map_err(AreaError::io("label", path))
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
