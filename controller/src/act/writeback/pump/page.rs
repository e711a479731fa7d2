//! The one page that is offered to zswap: anonymous, not locked, and never of any worth.

use std::{io, ptr::NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// An anonymous page of this process.
pub(super) struct Page {
    start: NonNull<u8>,
    bytes: usize,
}

impl Page {
    pub(super) fn new() -> io::Result<Self> {
        let bytes = rustix::param::page_size();
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        let start =
            NonNull::new(start.cast::<u8>()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut page = Self { start, bytes };
        page.renew();
        Ok(page)
    }

    /// Takes another page of memory, which the next [`Page::push_out`] finds.
    ///
    /// A page that was faulted in, or that reclaim has put back, waits in a list of the CPU this happened on, and cannot be
    /// reclaimed until it is on its cgroup's. Asking for that empties the list of the CPU that asks (`lru_add_drain`,
    /// mm/swap.c): if this thread is on another one by then, the page waits for as long as nothing else happens on the first.
    pub(super) fn renew(&mut self) {
        // SAFETY: the whole mapping; what it holds is written anew.
        let _best_effort = unsafe { madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxDontNeed) };
        // Not all zero: a zero page is never offered to zswap.
        // SAFETY: the whole mapping, which nobody else knows.
        unsafe { self.start.as_ptr().write_bytes(0x5a, self.bytes) };
    }

    /// Makes sure that the page is mapped again after it was pushed out or refused. Reading is enough, and leaves its slot as
    /// it is.
    pub(super) fn bring_in(&self) {
        // SAFETY: inside the mapping.
        unsafe { self.start.as_ptr().read_volatile() };
    }

    /// Asks the kernel to reclaim the page now. Under a full pool its store is refused and it stays in memory.
    pub(super) fn push_out(&mut self) {
        // SAFETY: the whole mapping; reclaim does not change what it holds.
        let _best_effort = unsafe { madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxPageOut) };
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
