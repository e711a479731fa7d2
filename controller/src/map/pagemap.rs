//! The swap slots a process's page tables name: `PAGEMAP_SCAN` (Linux 6.7) finds the ranges, `pagemap` the slots.
//! Reads; what is done with the slots is `walk`'s.

use std::{
    fs::File,
    io,
    ops::Range,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
};

use super::slots::Slot;

/// `struct pm_scan_arg` of include/uapi/linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` of the same file.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `PAGEMAP_SCAN`: `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::Ioctl = (3 << 30 | size_of::<ScanArg>() << 16 | (b'f' as usize) << 8 | 16) as _;
/// `PAGE_IS_SWAPPED`
const SWAPPED: u64 = 1 << 4;
/// Ranges asked for at once.
const REGIONS: usize = 256;
/// Entries read at once.
const ENTRIES: u64 = 8192;

/// The page tables of one process.
pub(super) struct Pagemap {
    file: File,
    page: u64,
    /// Where the process's last mapping ends.
    end: u64,
}

impl Pagemap {
    pub(super) fn new(file: File, end: u64) -> Self {
        Self { file, page: rustix::param::page_size() as u64, end }
    }

    /// The first ranges of swapped pages from this address on, and where to go on; `None` at the end.
    pub(super) fn swapped(&self, start: u64) -> io::Result<(Vec<Range<u64>>, Option<u64>)> {
        let mut regions = [Region::default(); REGIONS];
        let mut arg = ScanArg {
            size: size_of::<ScanArg>() as u64,
            start,
            end: self.end,
            vec: regions.as_mut_ptr() as u64,
            vec_len: REGIONS as u64,
            category_mask: SWAPPED,
            return_mask: SWAPPED,
            ..ScanArg::default()
        };
        // SAFETY: the argument has the size it says, and the kernel writes at most `vec_len` regions; both outlive the call.
        let found = unsafe { libc::ioctl(self.file.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
        let found = usize::try_from(found).map_err(|_negative| io::Error::last_os_error())?;
        let ranges = regions.iter().take(found).map(|region| region.start..region.end).collect();
        Ok((ranges, (arg.walk_end > start && arg.walk_end < self.end).then_some(arg.walk_end)))
    }

    /// The slots of a range, with the addresses that name them.
    pub(super) fn slots(&self, range: &Range<u64>, found: &mut Vec<(u64, Slot)>) -> io::Result<()> {
        let mut buffer = vec![0; (ENTRIES * 8) as usize];
        let mut page = range.start / self.page;
        while page < range.end / self.page {
            let pages = (range.end / self.page - page).min(ENTRIES);
            let bytes = self.file.read_at(&mut buffer[..(pages * 8) as usize], page * 8)?;
            if bytes < 8 {
                break;
            }
            for (nth, entry) in buffer[..bytes].as_chunks::<8>().0.iter().enumerate() {
                let address = (page + nth as u64) * self.page;
                found.extend(slot(u64::from_ne_bytes(*entry)).map(|slot| (address, slot)));
            }
            page += bytes as u64 / 8;
        }
        Ok(())
    }

    /// Whether the page at this address still names the slot.
    pub(super) fn names(&self, address: u64, wanted: Slot) -> bool {
        let mut entry = [0; 8];
        self.file.read_exact_at(&mut entry, address / self.page * 8).is_ok()
            && slot(u64::from_ne_bytes(entry)) == Some(wanted)
    }
}

/// The slot an entry of `pagemap` names (Documentation/admin-guide/mm/pagemap.rst). Markers and pages on their way
/// look the same but have a type that no area has; without CAP_SYS_ADMIN the kernel shows offset 0, the header.
fn slot(entry: u64) -> Option<Slot> {
    let is_swapped = entry >> 62 & 3 == 1;
    let offset = entry >> 5 & ((1 << 50) - 1);
    (is_swapped && offset != 0).then_some(Slot { kind: (entry & 31) as u32, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_swapped_page_names_a_slot() {
        let swapped = 1 << 62 | 1 << 55 | 1000 << 5 | 3;
        assert_eq!(slot(swapped), Some(Slot { kind: 3, offset: 1000 }));
        assert_eq!(slot(1 << 63 | 1000 << 5), None, "present: a frame number");
        assert_eq!(slot(1 << 62), None, "hidden by the kernel, or the area's header");
        assert_eq!(slot(0), None);
    }

    #[test]
    fn the_request_is_the_kernel_s() {
        // _IOWR('f', 16, 12 words): 3 << 30 | 96 << 16 | 0x66 << 8 | 16.
        assert_eq!(PAGEMAP_SCAN as u32, 0xc060_6610);
    }
}
