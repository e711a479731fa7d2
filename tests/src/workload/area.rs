//! One mapping of whole pages, anonymous or shared: taken, given advice, given back. It knows no contents.

use std::ptr::NonNull;

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// Alignment of every mapping: a huge page of x86-64, so that `--thp` can have them.
const HUGE: usize = 2 << 20;

/// How the memory of an area is mapped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapping {
    /// memfd instead of private anonymous memory.
    pub shmem: bool,
    /// Huge pages asked for; declined otherwise.
    pub thp: bool,
}

/// Page-aligned memory of whole pages, unmapped at drop.
#[derive(Debug)]
pub(super) struct Area {
    /// Beginning of the mapping as the kernel gave it, and its length in bytes.
    mapping: (NonNull<u8>, usize),
    /// The first page, at a multiple of `HUGE`.
    base: NonNull<u64>,
    pages: usize,
    page_size: usize,
}

impl Area {
    /// Maps `pages` pages. `name` appears in /proc/PID/maps of shared memory and in errors.
    ///
    /// # Errors
    /// When the kernel refuses the mapping (address space, overcommit) or the advice.
    pub(super) fn new(name: &str, pages: usize, how: Mapping) -> Result<Area> {
        let page_size = rustix::param::page_size();
        let bytes = pages.checked_mul(page_size).context("size exceeds the address space")?;
        let start = reserve(name, bytes, how.shmem)
            .with_context(|| format!("cannot map {} MiB for the {name} part", bytes >> 20))?;
        let misaligned = start.0.as_ptr() as usize % HUGE;
        let skip = if misaligned == 0 { 0 } else { HUGE - misaligned };
        // SAFETY: `reserve` mapped HUGE bytes more than asked, and skip < HUGE.
        let base = unsafe { start.0.add(skip) }.cast();
        let area = Area { mapping: start, base, pages, page_size };
        let advice = if how.thp { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        let advised = area.advise(0, pages, advice);
        match how.thp {
            true => advised.context("the kernel offers no huge pages (--thp)")?,
            // A kernel without huge pages refuses the advice against them: nothing is lost.
            false => drop(advised),
        }
        Ok(area)
    }

    /// Number of pages.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// The words of page `index`.
    pub(super) fn page(&self, index: usize) -> &[u64] {
        let words = self.page_size / size_of::<u64>();
        // SAFETY: `at` checks the index; the pages are mapped readable until drop.
        unsafe { std::slice::from_raw_parts(self.at(index).as_ptr(), words) }
    }

    /// The words of page `index`, to be written.
    pub(super) fn page_mut(&mut self, index: usize) -> &mut [u64] {
        let words = self.page_size / size_of::<u64>();
        // SAFETY: as in `page`; `&mut self` makes this the only reference within the process.
        unsafe { std::slice::from_raw_parts_mut(self.at(index).as_ptr(), words) }
    }

    /// First word of page `index`, really read from memory: this is where a swapped page faults.
    pub(super) fn peek(&self, index: usize) -> u64 {
        // SAFETY: a valid, aligned, initialised word of the mapping.
        unsafe { std::ptr::read_volatile(self.at(index).as_ptr()) }
    }

    /// `madvise` over `count` pages from `first` on.
    pub(super) fn advise(&self, first: usize, count: usize, advice: Advice) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        assert!(first + count <= self.pages, "advice beyond the area");
        // SAFETY: the range lies in our own mapping; no advice used here (huge pages, page out) changes contents.
        unsafe { madvise(self.at(first).as_ptr().cast(), count * self.page_size, advice) }
            .with_context(|| format!("madvise({advice:?}) over {count} pages"))
    }

    fn at(&self, index: usize) -> NonNull<u64> {
        assert!(index < self.pages, "page {index} of {}", self.pages);
        // SAFETY: the index is inside the mapping.
        unsafe { self.base.byte_add(index * self.page_size) }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: exactly the range that was mapped, and every reference into it borrowed `self`.
        let unmapped = unsafe { munmap(self.mapping.0.as_ptr().cast(), self.mapping.1) };
        debug_assert!(unmapped.is_ok(), "our own mapping can be unmapped");
    }
}

/// Maps `bytes` plus the room to align them.
fn reserve(name: &str, bytes: usize, shmem: bool) -> Result<(NonNull<u8>, usize)> {
    let length = bytes.checked_add(HUGE).context("size exceeds the address space")?;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
    let start = unsafe {
        match shmem {
            false => mmap_anonymous(std::ptr::null_mut(), length, prot, MapFlags::PRIVATE)?,
            true => {
                let file = memfd_create(format!("swaptier-workload-{name}"), MemfdFlags::CLOEXEC)?;
                ftruncate(&file, length as u64)?;
                mmap(std::ptr::null_mut(), length, prot, MapFlags::SHARED, &file, 0)?
            }
        }
    };
    Ok((NonNull::new(start.cast()).context("mapped at address 0")?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_separate_and_zero_at_first() {
        for shmem in [false, true] {
            let mut area = Area::new("hot", 3, Mapping { shmem, thp: false }).unwrap();
            assert_eq!(area.page(0).as_ptr() as usize % HUGE, 0);
            area.page_mut(1).fill(9);
            assert_eq!((area.peek(0), area.peek(1), area.peek(2)), (0, 9, 0));
            assert_eq!(area.page(1).len() * 8, rustix::param::page_size());
        }
    }

    #[test]
    fn a_mapping_that_cannot_exist_is_an_error_with_its_size() {
        let error = Area::new(
            "cold",
            usize::MAX / 2 / rustix::param::page_size(),
            Mapping { shmem: false, thp: false },
        );
        assert!(format!("{:#}", error.unwrap_err()).contains("cold part"));
    }
}
