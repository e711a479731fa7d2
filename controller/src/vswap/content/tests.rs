//! Images of disks, each with what makes it somebody's, written by hand.

use super::*;

const SIZE: u64 = 256 << 20;

fn empty() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(SIZE).unwrap();
    file
}

fn put(file: &File, at: u64, bytes: &[u8]) {
    file.write_all_at(bytes, at).unwrap();
}

fn swap_header() -> Vec<u8> {
    header::page(SIZE / 4096, [7; 16], &"main".parse().unwrap(), page_size()).unwrap()
}

/// A table of one partition, from sector 2048 on (type 83).
fn put_table(file: &File) {
    let mut entry = [0u8; 16];
    entry[4] = 0x83;
    entry[8..12].copy_from_slice(&2048u32.to_le_bytes());
    entry[12..16].copy_from_slice(&100_000u32.to_le_bytes());
    put(file, 446, &entry);
    put(file, 510, &[0x55, 0xaa]);
}

/// The beginning of ext2 at `at`: as much of its superblock as makes it one.
fn put_ext2(file: &File, at: u64) {
    let mut block = [0u8; 1024];
    for (offset, value) in [(0, 12_800u32), (4, 51_200), (20, 1), (24, 0), (32, 8192), (40, 1824), (76, 1)] {
        block[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
    block[56..58].copy_from_slice(&0xef53u16.to_le_bytes());
    block[104..120].copy_from_slice(&[9; 16]);
    block[120..124].copy_from_slice(b"mine");
    put(file, at + 1024, &block);
}

fn kinds(file: &File) -> Vec<String> {
    match content(file).unwrap() {
        Content::Foreign(Foreign::Signs(signs)) => signs.into_iter().map(|sign| sign.kind).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stale_swap_area_hides_no_partition_table() {
    let file = empty();
    put(&file, 0, &swap_header());
    assert_eq!(content(&file).unwrap(), Content::Swap(Some("main".to_owned())));
    put_table(&file);
    put_ext2(&file, 1 << 20);
    assert_eq!(kinds(&file), ["dos"]);
}

#[test]
fn a_stale_swap_area_hides_no_file_system() {
    let file = empty();
    put(&file, 0, &swap_header());
    put_ext2(&file, 0);
    assert_eq!(kinds(&file), ["ext2"]);
    let Content::Foreign(foreign) = content(&file).unwrap() else { panic!("it is foreign") };
    assert_eq!(foreign.to_string(), "holds ext2 \"mine\"");
}

#[test]
fn our_label_hides_nothing_either() {
    let file = empty();
    put(&file, 0, &label::page(&"main".parse().unwrap(), page_size()));
    assert_eq!(content(&file).unwrap(), Content::Ours(Some("main".to_owned())));
    // mke2fs leaves the first 1,024 bytes as they are.
    put_ext2(&file, 0);
    assert_eq!(kinds(&file), ["ext2"]);
}

#[test]
fn a_signature_at_the_end_counts() {
    // The superblock of an array, version 0.90: 64 KiB at least before the end.
    let file = empty();
    let mut block = [0u8; 4096];
    block[0..4].copy_from_slice(&0xa92b_4efcu32.to_le_bytes());
    block[8..12].copy_from_slice(&90u32.to_le_bytes());
    put(&file, SIZE - (64 << 10), &block);
    assert_eq!(kinds(&file), ["linux_raid_member"]);
}

#[test]
fn a_hibernated_system_is_no_free_swap_area() {
    let file = empty();
    let mut header = swap_header();
    header[4086..].copy_from_slice(b"S1SUSPEND\0");
    put(&file, 0, &header);
    assert_eq!(kinds(&file), ["swsuspend"]);
}

#[test]
fn all_signatures_are_gathered() {
    let file = empty();
    put_table(&file);
    put_ext2(&file, 0);
    put(&file, 0x8001, b"CD001");
    put(&file, 0x10040, b"_BHRfS_M");
    let kinds = kinds(&file);
    for kind in ["dos", "ext2"] {
        assert!(kinds.iter().any(|it| it == kind), "{kind} in {kinds:?}");
    }
}

#[test]
fn data_without_a_signature_is_found_in_the_body() {
    let file = empty();
    assert_eq!(content(&file).unwrap(), Content::Blank);
    put(&file, 100 << 20, &[1; 512]);
    assert_eq!(content(&file).unwrap(), Content::Foreign(Foreign::Data(100 << 20)));
    // A stale swap area's body is what it swapped.
    put(&file, 0, &swap_header());
    assert!(matches!(content(&file).unwrap(), Content::Swap(_)));
}

#[test]
fn data_behind_a_hole_is_found_where_it_begins_and_blocks_that_were_only_taken_are_empty() {
    let file = empty();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SIZE).unwrap();
    assert_eq!(content(&file).unwrap(), Content::Blank);
    let file = empty();
    // Between two samples of a device: each 256 KiB.
    put(&file, (70 << 20) + (100 << 10), &[1; 512]);
    assert_eq!(content(&file).unwrap(), Content::Foreign(Foreign::Data((70 << 20) + (100 << 10))));
}

#[test]
fn data_at_either_end_counts_and_a_small_or_empty_file_is_looked_at_whole() {
    for at in [5, SIZE - 512] {
        let file = empty();
        put(&file, at, b"x");
        assert_eq!(content(&file).unwrap(), Content::Foreign(Foreign::Data(at)));
    }
    let small = tempfile::tempfile().unwrap();
    assert_eq!(content(&small).unwrap(), Content::Blank);
    put(&small, 0, b"root:x:0:0:\n");
    assert_eq!(content(&small).unwrap(), Content::Foreign(Foreign::Data(0)));
}

#[test]
fn what_is_wiped_is_blank_but_for_its_body() {
    let file = empty();
    put(&file, 0, &swap_header());
    put_table(&file);
    put_ext2(&file, 0);
    put(&file, SIZE - 512, b"EFI PART");
    put(&file, 100 << 20, &[1; 512]);
    wipe(&file).unwrap();
    assert_eq!(content(&file).unwrap(), Content::Foreign(Foreign::Data(100 << 20)));
    put(&file, 0, &label::page(&"main".parse().unwrap(), page_size()));
    assert_eq!(content(&file).unwrap(), Content::Ours(Some("main".to_owned())));
}
