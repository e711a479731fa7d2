//! The first page of a swap area, as mkswap writes it: `union swap_header` of linux/swap.h, version 1, with a uuid and our
//! label, without bad pages. Pure. What a device holds before it is written there is `content/`'s.

use std::io;

use super::area::AreaName;

/// The last bytes of a swap area's first page.
pub const MAGIC: &[u8; 10] = b"SWAPSPACE2";
/// Where the label is.
const LABEL: std::ops::Range<usize> = 1052..1068;
/// The fewest pages the kernel is worth asking for.
const FEWEST: u64 = 10;
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
}
