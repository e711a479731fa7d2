//! A BPF array mapped into this process, seen as words that the kernel side changes under us.

use std::{
    io,
    os::fd::AsFd as _,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64},
};

use aya::maps::MapData;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::ShadowError;

/// The mapped memory of one array. Unmapped on drop.
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory is shared with the kernel anyway and only reached through atomics and copies.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` of an array made with `BPF_F_MMAPABLE`.
    pub(super) fn new(map: &MapData, what: &'static str, bytes: usize) -> Result<Self, ShadowError> {
        let error = |source| ShadowError::Mmap { what, source };
        // SAFETY: a new mapping at an address of the kernel's choice; the kernel checks the length.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        };
        let start = start.map_err(|errno| error(io::Error::from(errno)))?;
        let start = NonNull::new(start.cast()).ok_or_else(|| error(io::ErrorKind::Other.into()))?;
        Ok(Self { start, bytes })
    }

    /// Mapped bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The 8-byte word with this index.
    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        &self.words(index, 1)[0]
    }

    /// 8-byte words from this index on.
    pub(super) fn words(&self, index: usize, length: usize) -> &[AtomicU64] {
        assert!((index + length) * 8 <= self.bytes, "an index of the map's own layout is inside the map");
        // SAFETY: inside the mapping (just asserted), which is page-aligned and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<AtomicU64>().add(index), length) }
    }

    /// The 4-byte word with this index.
    pub(super) fn half(&self, index: usize) -> &AtomicU32 {
        assert!((index + 1) * 4 <= self.bytes, "an index of the map's own layout is inside the map");
        // SAFETY: as in `words`.
        unsafe { &*self.start.as_ptr().cast::<AtomicU32>().add(index) }
    }

    /// A copy of the value with this index.
    ///
    /// # Safety
    /// Every bit pattern must be a valid `T`, and a value torn between two writes must be of use.
    pub(super) unsafe fn read<T: Copy>(&self, index: usize) -> T {
        assert!(
            (index + 1) * size_of::<T>() <= self.bytes,
            "an index of the map's own layout is inside the map"
        );
        // SAFETY: inside the mapping; the caller vouches for the type.
        unsafe { self.start.as_ptr().cast::<T>().add(index).read_volatile() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`; no reference into it outlives `self`.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
