//! Every map, its size, and why that size. Names are the wire names the agent looks for.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use swaptier_common::{
    BLOCK_CGROUPS, CHUNK_FRAMES, DIRECTORY_PAGES, DirectoryPage, Frame, FreeRing, MAX_BLOCKS, MAX_CHUNKS,
    area::{Area, MAX_AREAS},
    cgroup::Counters,
    control::Control,
    event::Event,
    latency::{Fault, Latency, TIMED_CGROUPS, TIMED_FAULTS},
    notes::Notes,
};

const MMAP: usize = BPF_F_MMAPABLE as usize;

/// The words the agent and the probes share.
#[btf_map]
pub(crate) static CONTROL: Array<Control, 1, MMAP> = Array::new();

/// Swap areas by type.
#[btf_map]
pub(crate) static AREAS: Array<Area, MAX_AREAS, MMAP> = Array::new();

/// Cluster of an area → its frame. 4 bytes for each 512 slots of swap, used or not: this is all an idle area
/// costs.
#[btf_map]
pub(crate) static DIRECTORY: Array<DirectoryPage, DIRECTORY_PAGES, MMAP> = Array::new();

/// Frames waiting to be used: a ring the agent fills and the probes empty.
#[btf_map]
pub(crate) static FREE_FRAMES: Array<FreeRing, 1, MMAP> = Array::new();

/// The shadow map itself, in chunks the agent adds as frames run short.
#[btf_map]
pub(crate) static FRAMES: ArrayOfMaps<Array<Frame, CHUNK_FRAMES, MMAP>, MAX_CHUNKS> = ArrayOfMaps::new();

/// Counters by memory cgroup id, in blocks the agent adds as cgroups appear.
#[btf_map]
pub(crate) static CGROUPS: ArrayOfMaps<Array<Counters, BLOCK_CGROUPS, MMAP>, MAX_BLOCKS> = ArrayOfMaps::new();

/// What the copy of a program that runs first has just done on this CPU: one note for each kind of event.
#[btf_map]
pub(crate) static NOTES: PerCpuArray<Notes, 1> = PerCpuArray::new();

/// The write-back alarm: apart, because the process that runs a round reads it and not the agent.
#[btf_map]
pub(crate) static ALARMS: RingBuf<Event, 4096> = RingBuf::new();

/// Wake-ups. A page is plenty: a lost wake-up costs one tick, never an event of the map.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, 4096> = RingBuf::new();

/// Swap-ins under way that are timed. This and the next are of one element where no swap-in is.
#[btf_map]
pub(crate) static FAULTS: Array<Fault, { TIMED_FAULTS as usize }> = Array::new();

/// How long swap-ins took, by the cgroup's index.
#[btf_map]
pub(crate) static LATENCY: HashMap<u32, Latency, { TIMED_CGROUPS as usize }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();
