//! The wire between the probes (`ebpf/`) and the agent (`controller/`): every type both sides see, and the
//! sizes of the maps they share. `no_std`, no logic beyond packing and unpacking; nothing here judges.
//!
//! All of it lives in memory that the kernel side writes while user space reads it through `mmap`, so every
//! type is `repr(C)` with explicit padding, and every field is a whole machine word that can be read alone.
#![no_std]

pub mod area;
pub mod cgroup;
pub mod control;
pub mod event;
pub mod latency;
pub mod notes;
pub mod slot;

/// Version of everything in this crate. A pinned map of another version is never adopted.
pub const LAYOUT: u32 = 5;

/// What stands in the probes' object where the BTF id of the kernel's function `bpf_rdonly_cast` has to be: an id that
/// neither a helper nor a function has.
pub const CAST: i32 = 0x5a_ca57;

/// Slots in a frame: one kernel swap cluster (`SWAPFILE_CLUSTER`, mm/swap.h), so that a range freed or
/// written as one never crosses a frame.
pub const FRAME_SLOTS: usize = 512;

/// Frames in a chunk, the unit in which the agent adds memory to the map: 64 × 4 KiB = 256 KiB, enough for
/// 32,768 slots (128 MiB of swap at 4 KiB a page).
pub const CHUNK_FRAMES: usize = 64;

/// Chunks the map can ever have: 8,192 × 32,768 slots = 2^28 slots (1 TiB of swap at 4 KiB a page).
pub const MAX_CHUNKS: usize = 8192;

/// Entries of the ring of free frames: a power of two, more than the agent ever keeps in reserve.
pub const FREE_RING: usize = 8192;

/// Clusters on a page of the directory. Elements of a mapped array are at least 8 bytes apart, so the
/// directory's 4-byte cells come a page at a time.
pub const PAGE_CLUSTERS: usize = 1024;

/// Pages of the directory unless the loader asks for more: 512 × 1,024 clusters × 512 slots = 1 TiB at 4 KiB.
pub const DIRECTORY_PAGES: usize = 512;

/// cgroups in one block of counters; the agent adds blocks as cgroups appear.
pub const BLOCK_CGROUPS: usize = 64;

/// Blocks of counters: the kernel's memory cgroup ids are 16 bits wide (`MEM_CGROUP_ID_MAX`).
pub const MAX_BLOCKS: usize = 65_536 / BLOCK_CGROUPS;

/// One frame of the shadow map: the words of 512 neighbouring slots.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Frame(pub [u64; FRAME_SLOTS]);

/// One page of the directory: cluster → frame number + 1, 0 while the cluster has no frame.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DirectoryPage(pub [u32; PAGE_CLUSTERS]);

/// The ring of free frames.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FreeRing(pub [u32; FREE_RING]);

#[cfg(feature = "user")]
// SAFETY: a frame is plain words: every bit pattern is valid and there is no padding.
unsafe impl aya::Pod for Frame {}
