//! The first page of a swap area, as mkswap writes it: `union swap_header` of linux/swap.h, version 1, with a uuid and our
//! label, without bad pages. And what a device holds before we write there. Pure but for reading.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::area::AreaName;

/// The last bytes of a swap area's first page.
pub const MAGIC: &[u8; 10] = b"SWAPSPACE2";
/// Where the label is.
const LABEL: std::ops::Range<usize> = 1052..1068;
/// The fewest pages the kernel is worth asking for.
const FEWEST: u64 = 10;
/// How much at both ends of a device must be empty before it counts as blank: further in than any file system, volume
/// manager or partition table keeps its own sign.
const ENDS: u64 = 1 << 20;

/// The page, for an area of `pages` with the header's own.
///
/// # Errors
/// A number of pages that the format cannot hold.
pub fn page(pages: u64, uuid: [u8; 16], name: &AreaName, page_size: usize) -> io::Result<Vec<u8>> {
    let last = pages.checked_sub(1).and_then(|last| u32::try_from(last).ok()).filter(|_| pages >= FEWEST);
    let Some(last) = last else {
        let why = format!("an area of {pages} pages: it needs {FEWEST} at least, and fewer than 2^32");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    };
    let mut header = vec![0; page_size];
    header[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    header[1028..1032].copy_from_slice(&last.to_ne_bytes());
    header[1036..1052].copy_from_slice(&uuid);
    header[1052..1052 + name.as_str().len()].copy_from_slice(name.as_str().as_bytes());
    header[page_size - MAGIC.len()..].copy_from_slice(MAGIC);
    Ok(header)
}

/// Fills what of a header's page nobody reads with random bytes, so that what a compressor makes of the page leaves no room in
/// a page of memory for a second one: from behind the label to the magic, more than half of it.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn fill(header: &mut [u8]) -> io::Result<()> {
    let end = header.len().saturating_sub(MAGIC.len());
    header.get_mut(LABEL.end..end).map_or(Ok(()), random)
}

/// The label in a header's page. `None`: it is none.
#[must_use]
pub fn label(page: &[u8]) -> Option<String> {
    let label = page.get(LABEL).filter(|_| page.ends_with(MAGIC))?;
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(label.len());
    String::from_utf8(label[..end].to_vec()).ok()
}

/// A random uuid, version 4.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn uuid() -> io::Result<[u8; 16]> {
    let mut uuid = [0; 16];
    random(&mut uuid)?;
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}

/// Fills `bytes` from the kernel.
pub(super) fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut from = 0;
    while from < bytes.len() {
        let rest = &mut bytes[from..];
        // SAFETY: the kernel writes at most as many bytes as the slice has.
        match unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) } {
            got if got > 0 => from += got.unsigned_abs(),
            _ => return Err(io::Error::last_os_error()),
        }
    }
    Ok(())
}

/// What is on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing at its beginning and its end.
    Blank,
    /// A swap area: what it held is gone with the boot that wrote it.
    Swap,
    /// The label of a pool of ours.
    Ours,
    /// Something else.
    Foreign,
}

/// Looks at both ends of a device or file of `size` bytes.
///
/// # Errors
/// When it cannot be read.
pub fn content(file: &File, size: u64, page_size: usize) -> io::Result<Content> {
    let ends = ENDS.min(size) as usize;
    let (mut first, mut last) = (vec![0; ends], vec![0; ends]);
    file.read_exact_at(&mut first, 0)?;
    file.read_exact_at(&mut last, size - ends as u64)?;
    let is_empty = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    Ok(match first.get(..page_size) {
        Some(page) if page.starts_with(super::label::MAGIC) => Content::Ours,
        Some(page) if page.ends_with(MAGIC) => Content::Swap,
        _ if is_empty(&first) && is_empty(&last) => Content::Blank,
        _ => Content::Foreign,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_the_kernel_and_mkswap_read() {
        let header = page(256, [7; 16], &"main".parse().unwrap(), 4096).unwrap();
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        // Version at 1024, last page at 1028 (of 256: 255), bad pages at 1032, uuid at 1036, label at 1052.
        assert_eq!((header.len(), word(1024), word(1028), word(1032)), (4096, 1, 255, 0));
        assert_eq!((&header[1036..1052], &header[1052..1057]), (&[7u8; 16][..], &b"main\0"[..]));
        assert_eq!(&header[4086..], MAGIC);
        for pages in [0, 9, 1 << 33] {
            assert!(page(pages, [0; 16], &"main".parse().unwrap(), 4096).is_err(), "{pages}");
        }
    }

    #[test]
    fn a_filled_header_is_the_same_to_the_kernel_and_hard_to_compress() {
        let plain = page(256, [7; 16], &"main".parse().unwrap(), 4096).unwrap();
        let mut filled = plain.clone();
        fill(&mut filled).unwrap();
        assert_eq!((&filled[..1068], &filled[4086..]), (&plain[..1068], &plain[4086..]));
        // 3,018 random bytes, of which one in 256 is zero: 11.8.
        let zeros = filled[1068..4086].iter().filter(|byte| **byte == 0).count();
        assert!(zeros < 100, "{zeros} of 3,018 bytes are zero");
        assert_eq!((label(&filled).as_deref(), label(&plain[..4095])), (Some("main"), None));
    }

    #[test]
    fn a_uuid_is_random_and_says_its_version() {
        let (one, two) = (uuid().unwrap(), uuid().unwrap());
        assert!(one != two && one[6] >> 4 == 4 && one[8] >> 6 == 2);
    }

    #[test]
    fn what_a_device_holds_is_told_from_both_its_ends() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        let now = || content(&file, 3 << 20, 4096).unwrap();
        assert_eq!(now(), Content::Blank);
        // A partition table's copy, at the very end.
        file.write_all_at(b"EFI PART", (3 << 20) - 512).unwrap();
        assert_eq!(now(), Content::Foreign);
        file.write_all_at(&page(256, [0; 16], &"main".parse().unwrap(), 4096).unwrap(), 0).unwrap();
        assert_eq!(now(), Content::Swap);
        file.write_all_at(super::super::label::MAGIC, 0).unwrap();
        assert_eq!(now(), Content::Ours);
        // An image of a sleeping host is no free swap area.
        file.write_all_at(&[0; 4096], 0).unwrap();
        file.write_all_at(b"S1SUSPEND", 4086).unwrap();
        assert_eq!(now(), Content::Foreign);
    }
}
