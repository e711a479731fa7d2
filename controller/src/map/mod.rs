//! The shadow virtual swap map: the memory the probes write, mapped into this process. Reading it costs no
//! system call. What it means is decided elsewhere.
//!
//! `memory` maps it, `scan` walks the slots' words (pure), this file owns both sides: it gives frames and
//! counters to the probes before they run short, and answers what is asked of the map. `slots` finds and changes one
//! slot's word as the probes do, `frames` gives back those in no use; `before` enters what zswap had before them, `walk` what else was in swap, which `pagemap` finds, and
//! `area` counts one area after the other, `repair` takes out what has left unseen.

/// The 8-byte word of a field in a mapped structure.
macro_rules! field {
    ($mapping:expr, $type:ty, $field:ident) => {
        $mapping.word(core::mem::offset_of!($type, $field) / 8)
    };
}

mod area;
mod before;
mod frames;
mod memory;
mod meter;
mod pagemap;
mod repair;
pub mod scan;
mod slots;
mod walk;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::{ArrayOfMaps, Map, MapData, MapError};
use swaptier_common::{
    BLOCK_CGROUPS, CHUNK_FRAMES, DirectoryPage, FRAME_SLOTS, FREE_RING, Frame, FreeRing, MAX_BLOCKS,
    MAX_CHUNKS,
    area::{Area, MAX_AREAS},
    cgroup::Counters,
    control::Control,
};

use crate::fault;
pub use before::{Found, before};
use memory::Mapping;
pub use meter::{Meter, Reading, Stores};
pub use repair::{Error, Repaired, repair};
pub use scan::{OwnerScan, Scan};
pub use walk::{Owners, Walked, walk};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;

/// Free frames the agent keeps ready for the probes: 512 frames (2 MiB) take 1 GiB of swap-out between two
/// looks of the agent, and the probes wake it when half of them are gone.
pub const RESERVE: u64 = 512;

/// Why the map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShadowError {
    /// A pinned map is missing or cannot be opened.
    #[error("shadow map: {path}: {source}")]
    Pin {
        /// The pin.
        path: std::path::PathBuf,
        /// What aya said.
        source: MapError,
    },
    /// The kernel refused to make or to enter a part of the map.
    #[error("shadow map: {what}: {source}")]
    Grow {
        /// The part.
        what: &'static str,
        /// What aya said.
        source: MapError,
    },
    /// The kernel refused to map it into memory.
    #[error("shadow map: mapping {what}: {source}")]
    Mmap {
        /// The map.
        what: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The map has all the chunks or counters it can have.
    #[error("shadow map: {0} are used up")]
    Full(&'static str),
}

/// Health of the map, all counts since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// Chunks in use (256 KiB each).
    pub chunks: u64,
    /// Bytes of kernel memory the map holds.
    pub locked_bytes: u64,
    /// Frames ready for the probes.
    pub free_frames: u64,
    /// Frames that clusters of swap slots have (4 KiB each).
    pub used_frames: u64,
    /// Events lost because no frame was ready.
    pub missed_frames: u64,
    /// Events lost because the swap area is unknown.
    pub missed_areas: u64,
    /// Events whose cgroup had no counters.
    pub missed_cgroups: u64,
    /// Pages written back, all cgroups.
    pub written_back_pages: u64,
    /// Pages that were found in zswap at the end of their swap-out, the program that sees them stored having been skipped.
    pub stores_found: u64,
}

/// The map.
pub struct ShadowMap {
    control: Mapping,
    areas: Mapping,
    directory: Mapping,
    ring: Mapping,
    frames: ArrayOfMaps<MapData, MapData>,
    chunks: Vec<Mapping>,
    cgroups: ArrayOfMaps<MapData, MapData>,
    blocks: Vec<Mapping>,
    /// Frames in no use that are not on the ring: it is only so long.
    spare: Vec<u32>,
    /// Cell of the directory where the search for idle frames goes on.
    swept: usize,
}

impl ShadowMap {
    /// Opens the map that is pinned in this folder, with all it holds by now.
    ///
    /// # Errors
    /// There is none, or this process may not open it.
    pub fn open(pins: &Path) -> Result<Self, ShadowError> {
        let mut map = Self {
            control: map_whole(pins, "CONTROL", size_of::<Control>())?,
            areas: map_whole(pins, "AREAS", size_of::<Area>())?,
            directory: map_whole(pins, "DIRECTORY", size_of::<DirectoryPage>())?,
            ring: map_whole(pins, "FREE_FRAMES", size_of::<FreeRing>())?,
            frames: open_outer(pins, "FRAMES")?,
            chunks: Vec::new(),
            cgroups: open_outer(pins, "CGROUPS")?,
            blocks: Vec::new(),
            spare: Vec::new(),
            swept: 0,
        };
        map.follow()?;
        Ok(map)
    }

    /// Maps the chunks and counters that another process added since.
    ///
    /// # Errors
    /// A part that is there cannot be mapped.
    pub fn follow(&mut self) -> Result<(), ShadowError> {
        while self.chunks.len() < MAX_CHUNKS
            && let Ok(chunk) = self.frames.get(&(self.chunks.len() as u32), 0)
        {
            self.chunks.push(Mapping::new(&chunk, "a chunk", CHUNK_FRAMES * size_of::<Frame>())?);
        }
        while self.blocks.len() < MAX_BLOCKS
            && let Ok(block) = self.cgroups.get(&(self.blocks.len() as u32), 0)
        {
            self.blocks.push(Mapping::new(&block, "counters", BLOCK_CGROUPS * size_of::<Counters>())?);
        }
        Ok(())
    }

    /// Makes sure the probes have `reserve` free frames, and is woken at half of them.
    ///
    /// # Errors
    /// No memory for another chunk, or the map is full. The map stays as it was.
    pub fn refill(&mut self, reserve: u64) -> Result<(), ShadowError> {
        let reserve = reserve.min((FREE_RING - CHUNK_FRAMES) as u64);
        field!(self.control, Control, ring_low).store(reserve / 2, Ordering::Relaxed);
        while self.free_frames() < reserve {
            match self.spare.pop() {
                Some(frame) => self.hand_over(frame),
                None => self.add_chunk()?,
            }
        }
        Ok(())
    }

    /// Makes sure that this many cgroups can have counters.
    ///
    /// # Errors
    /// No memory for another block, or the kernel's ids are used up.
    pub fn make_room(&mut self, cgroups: usize) -> Result<(), ShadowError> {
        let wanted = cgroups.div_ceil(BLOCK_CGROUPS).min(MAX_BLOCKS);
        while self.blocks.len() < wanted {
            let place = self.blocks.len() as u32;
            self.blocks.push(add_part::<Counters>(&mut self.cgroups, place, BLOCK_CGROUPS, "counters")?);
        }
        Ok(())
    }

    fn add_chunk(&mut self) -> Result<(), ShadowError> {
        let place = self.chunks.len();
        if place == MAX_CHUNKS {
            return Err(ShadowError::Full("chunks"));
        }
        self.chunks.push(add_part::<Frame>(&mut self.frames, place as u32, CHUNK_FRAMES, "a chunk")?);
        for frame in 0..CHUNK_FRAMES {
            self.hand_over((place * CHUNK_FRAMES + frame) as u32);
            if frame == CHUNK_FRAMES / 2 {
                fault::point("map.chunk.half");
            }
        }
        Ok(())
    }

    /// Puts a frame of free slots on the ring. The probes see the entry before they see the new end.
    fn hand_over(&self, frame: u32) {
        let tail = field!(self.control, Control, ring_tail);
        let end = tail.load(Ordering::Relaxed);
        self.ring.half(end as usize % FREE_RING).store(frame, Ordering::Relaxed);
        tail.store(end.wrapping_add(1), Ordering::Release);
    }

    fn free_frames(&self) -> u64 {
        let tail = field!(self.control, Control, ring_tail).load(Ordering::Relaxed);
        tail.wrapping_sub(field!(self.control, Control, ring_head).load(Ordering::Relaxed))
    }

    /// Swap areas the probes know: type → area.
    pub fn areas(&self) -> BTreeMap<u32, Area> {
        (0..MAX_AREAS as u32).filter_map(|kind| Some((kind, self.area(kind)?))).collect()
    }

    /// The area of this type, if the probes know one.
    fn area(&self, kind: u32) -> Option<Area> {
        let words = size_of::<Area>() / 4;
        let at = |nth| self.areas.half(kind as usize * words + nth).load(Ordering::Relaxed);
        let is_area = (kind as usize) < MAX_AREAS && at(0) != 0;
        is_area.then(|| Area { slots: at(0), base: at(1), clusters: at(2), generation: at(3) })
    }

    /// Starts the count of the worker's runs anew: while its programs were exchanged, a beginning or an end may have
    /// been missed.
    pub fn forget_worker_runs(&self) {
        let begun = field!(self.control, Control, worker_begun).load(Ordering::Relaxed);
        field!(self.control, Control, worker_ended).store(begun, Ordering::Relaxed);
    }

    /// Names the counters with index 0, of pages that no memory cgroup owns: they are the root's.
    pub fn name_root(&self) {
        if let Some(block) = self.blocks.first() {
            let _named = block.word(0).compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The counters of every cgroup that ever swapped: index → counters.
    pub fn counters(&self) -> BTreeMap<u16, Counters> {
        let mut all = BTreeMap::new();
        for (place, block) in self.blocks.iter().enumerate() {
            for nth in 0..BLOCK_CGROUPS {
                // SAFETY: `Counters` is plain words; a torn read across fields is a difference of one event.
                let counters: Counters = unsafe { block.read(nth) };
                if counters.id != 0 {
                    all.insert((place * BLOCK_CGROUPS + nth) as u16, counters);
                }
            }
        }
        all
    }

    /// Walks every slot in use. `cold_after` gives the age in seconds a cgroup's policy asks for.
    pub fn scan(&self, now: u64, cold_after: impl Fn(u16) -> Option<u64>) -> Scan {
        let owners = self.blocks.len() * BLOCK_CGROUPS;
        let mut scan = Scan::new(owners, now, cold_after);
        // The kernel maps each below the one before, as a rule: in this order the memory asked for ahead is that of the
        // next chunk.
        for chunk in self.chunks.iter().rev() {
            scan.words(chunk.words(0, CHUNK_FRAMES * FRAME_SLOTS));
        }
        scan
    }

    /// Sizes and losses.
    pub fn health(&self) -> Health {
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let mapped = [&self.control, &self.areas, &self.directory, &self.ring];
        let parts = mapped.into_iter().chain(&self.chunks).chain(&self.blocks);
        Health {
            chunks: self.chunks.len() as u64,
            locked_bytes: parts.map(|part| part.bytes() as u64).sum(),
            free_frames: self.free_frames(),
            used_frames: self.frames_in_use(),
            missed_frames: read(field!(self.control, Control, missed_frames)),
            missed_areas: read(field!(self.control, Control, missed_areas)),
            missed_cgroups: read(field!(self.control, Control, missed_cgroups)),
            written_back_pages: read(field!(self.control, Control, written_back_pages)),
            stores_found: read(field!(self.control, Control, stores_found)),
        }
    }

    /// Which frame each of an area's clusters has: frame number + 1, or 0.
    pub fn clusters(&self, area: &Area) -> impl Iterator<Item = u32> {
        let cells = area.base as usize..(area.base + area.clusters) as usize;
        cells.map(|cell| self.directory.half(cell).load(Ordering::Relaxed))
    }
}

/// Seconds of `CLOCK_MONOTONIC`, the clock of the slots' stamps.
pub fn now() -> u64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec as u64
}

fn open_pin(pins: &Path, name: &'static str) -> Result<MapData, ShadowError> {
    let path = pins.join(name);
    MapData::from_pin(&path).map_err(|source| ShadowError::Pin { path, source })
}

fn open_outer(pins: &Path, name: &'static str) -> Result<ArrayOfMaps<MapData, MapData>, ShadowError> {
    let error = |source| ShadowError::Pin { path: pins.join(name), source };
    let data = open_pin(pins, name)?;
    Map::from_map_data(data).and_then(TryInto::try_into).map_err(error)
}

fn map_whole(pins: &Path, name: &'static str, value: usize) -> Result<Mapping, ShadowError> {
    let data = open_pin(pins, name)?;
    let info = data.info().map_err(|source| ShadowError::Pin { path: pins.join(name), source })?;
    Mapping::new(&data, name, info.max_entries() as usize * value)
}

/// Makes one part, maps it and enters it into its outer map, where the probes find it.
fn add_part<V>(
    outer: &mut ArrayOfMaps<MapData, MapData>,
    place: u32,
    entries: usize,
    what: &'static str,
) -> Result<Mapping, ShadowError> {
    let error = |source| ShadowError::Grow { what, source };
    let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    let object = aya_obj::Map::new_from_params(kind, 4, size_of::<V>() as u32, entries as u32, MMAPABLE);
    let part = MapData::create(object, "swaptier", None).map_err(error)?;
    let mapping = Mapping::new(&part, what, entries * size_of::<V>())?;
    fault::point("map.part.made");
    outer.set(place, &part, 0).map_err(error)?;
    fault::point("map.part.entered");
    Ok(mapping)
}
