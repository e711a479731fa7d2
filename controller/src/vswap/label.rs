//! The label of a disk in a pool: its first bytes say whose it is, so that a later boot may take it again and nobody
//! mistakes it for empty. And the division of a disk into metadata and data. Pure.

use swaptier_policies::Bytes;

use super::area::AreaName;
use super::pool::BLOCK;

/// What a labelled disk begins with.
pub const MAGIC: &[u8; 16] = b"swaptier pool 1\n";
/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Sectors before the first that is used: 1 MiB, so that everything behind is aligned to what disks like.
pub const FIRST: u64 = 2048;
/// Sectors of a block of data.
pub const BLOCK_SECTORS: u64 = BLOCK.0 / SECTOR;
/// The least metadata: what the kernel's tools take as well.
const LEAST_METADATA: u64 = 2 << 20;
/// The most that the kernel can use on one device: 16 GiB less a piece, in sectors (drivers/md/dm-thin-metadata.h,
/// `THIN_METADATA_MAX_SECTORS` for blocks of 4 KiB).
const MOST_METADATA: u64 = 255 * (1 << 14) * 8;
/// Bytes of metadata for each block of data: a mapping takes 16 in a leaf that is at least a third full, so 48.
const METADATA_PER_BLOCK: u64 = 48;

/// The text that begins a disk of the area `name`; the rest of its page is zero.
#[must_use]
pub fn page(name: &AreaName, page_size: usize) -> Vec<u8> {
    let mut page = MAGIC.to_vec();
    page.extend(format!("{BEFORE}{name}{AFTER}").bytes());
    page.resize(page_size, 0);
    page
}

/// What stands between the beginning of a label and the area's name, and behind the name.
const BEFORE: &str = "swap area ";
const AFTER: &str = ": its content ends with the boot that made it\n";

/// The area whose label a page is. `None`: it is none, or says none.
#[must_use]
pub fn area(page: &[u8]) -> Option<String> {
    let text = page.strip_prefix(MAGIC.as_slice())?.strip_prefix(BEFORE.as_bytes())?;
    let end = text.iter().position(|byte| *byte == b':')?;
    std::str::from_utf8(&text[..end]).ok()?.parse::<AreaName>().ok().map(String::from)
}

/// Sectors of metadata and of data on a disk of `size` bytes. `None`: too small for both.
#[must_use]
pub fn divide(size: Bytes) -> Option<(u64, u64)> {
    let sectors = (size.0 / SECTOR).checked_sub(FIRST)?;
    let blocks = sectors / BLOCK_SECTORS;
    let metadata = (blocks * METADATA_PER_BLOCK).max(LEAST_METADATA) / SECTOR;
    let metadata = metadata.next_multiple_of(BLOCK_SECTORS).min(MOST_METADATA);
    let data = sectors.checked_sub(metadata)? / BLOCK_SECTORS * BLOCK_SECTORS;
    (data > 0).then_some((metadata, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_label_metadata_and_data() {
        // 1 GiB: 2,097,152 sectors, less 2,048: 16,368 blocks × 48 bytes is under 2 MiB, so 4,096 sectors of metadata;
        // 2,091,008 left: 16,336 blocks of 128.
        assert_eq!(divide(Bytes(1 << 30)), Some((4096, 16_336 * 128)));
        // 1 TiB: 16,777,200 blocks × 48 = 805,305,600 bytes: 1,572,863 sectors, a whole number of blocks above.
        let (metadata, data) = divide(Bytes(1 << 40)).unwrap();
        assert_eq!(metadata, 1_572_864);
        assert!(data % 128 == 0 && FIRST + metadata + data <= 1 << 31);
        assert_eq!(divide(Bytes(3 << 20)), None);
        assert_eq!(divide(Bytes(0)), None);
    }

    #[test]
    fn a_label_says_whose_disk_it_is() {
        let page = page(&"main".parse().unwrap(), 4096);
        assert!(page.starts_with(MAGIC) && page.len() == 4096);
        assert!(String::from_utf8_lossy(&page).contains("swap area main"));
        assert_eq!(area(&page).as_deref(), Some("main"));
        assert_eq!((area(&page[1..]), area(MAGIC), area(&[])), (None, None, None));
    }
}
