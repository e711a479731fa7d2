//! zram devices by the kernel's own files: looked at here, added, set up and removed by `hands.rs`. Which of them are ours is
//! `reconcile/zram.rs`'s to say. Callers: `look.rs`, `works.rs`.
//!
//! What a ghost needs of one: its header, and that it refuses every other page. The header is written first, and hard to
//! compress (`header::fill`): where zsmalloc packs such objects into a single page of memory, none fits beside it, and where it
//! packs them into several, those are more than the limit, which is then set to one page. Either way the next page that takes
//! memory is one too many. A page of one and the same word takes none: it lies in the device's table, and is not refused.
//!
//! A page of a synchronous device that a single process maps is read without the swap cache, and one slot at a time. It comes
//! from zswap all the same, which keeps its copy until the slot is freed. A body that was never written reads as zeros, where
//! the `error` target fails: but no page is read there that was not written, and one that was refused stays in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use rustix::fs::OFlags;
use swaptier_policies::Bytes;

use super::area::AreaName;
use super::error::{AreaError, Result};
use super::forecast::Forecast;
use super::found::{Holds, Zram};
use super::hands::page_size;
use super::header;
use super::intended::{AreaRecord, Intended};
use super::reconcile::zram::name;
use crate::root::{Root, RootError};
use crate::sense::procfs;

mod hands;

/// Kernel memory for each slot, used or not: the device's table, as Debian builds it on 64 bits. With less information kept
/// for each it is 16.
const ENTRY: u64 = 24;

/// All zram devices there are; what is in those that were noted as ours.
pub(super) fn look(root: &Root, intended: &Intended) -> BTreeMap<u32, Zram> {
    let noted: BTreeSet<u32> = intended.areas.iter().flat_map(noted).collect();
    let names = root.list("sys/block").unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_prefix("zram")?.parse::<u32>().ok());
    // One that goes away meanwhile is not there.
    let mut zrams = numbers
        .filter_map(|number| Some((number, one(root, number, noted.contains(&number)).ok()?)))
        .collect();
    name(&intended.areas, &mut zrams);
    zrams
}

fn noted(area: &AreaRecord) -> impl Iterator<Item = u32> {
    area.zram.iter().flat_map(|over| over.devices.values()).map(|note| note.number)
}

fn one(root: &Root, number: u32, is_noted: bool) -> std::result::Result<Zram, RootError> {
    let value = |file: &str| root.read_value(&file_of(number, file));
    let size = Bytes(number_in(&value("disksize")?));
    let holds = match first_number(&value("mm_stat")?) {
        Some(0) => Holds::Nothing,
        // What is in somebody else's is nobody's business.
        Some(_) if is_noted => header_of(root, number),
        _ => Holds::Something,
    };
    Ok(Zram { sequence: number_in(&value("diskseq")?), size, holds, part: None })
}

fn number_in(text: &str) -> u64 {
    text.trim().parse().unwrap_or_default()
}

/// `mm_stat` begins with the bytes that were written and not discarded.
fn first_number(mm_stat: &str) -> Option<u64> {
    mm_stat.split_ascii_whitespace().next()?.parse().ok()
}

fn header_of(root: &Root, number: u32) -> Holds {
    let read = || -> Option<Vec<u8>> {
        let file = root.open(&format!("dev/zram{number}"), OFlags::RDONLY).ok()?;
        let mut page = vec![0; page_size()];
        std::fs::File::from(file).read_exact(&mut page).ok()?;
        Some(page)
    };
    read().and_then(|page| header::label(&page)).map_or(Holds::Something, Holds::Header)
}

fn file_of(number: u32, file: &str) -> String {
    format!("sys/block/zram{number}/{file}")
}

/// Whether memory has room for the table of a device with so many bytes of slots.
///
/// # Errors
/// What it takes, and what there is.
pub(super) fn require_room(root: &Root, area: &AreaName, size: Bytes) -> Result<()> {
    let table = Bytes((size.0 / page_size() as u64).saturating_mul(ENTRY));
    let memory = procfs::read_meminfo(root)?;
    if Forecast::of(table, &memory).fits() {
        return Ok(());
    }
    let available = memory.available.map_or("an unknown amount".to_owned(), |bytes| bytes.to_string());
    Err(AreaError::Refused(format!(
        "zram area {area}: the table for {size} of slots would take {table} of memory, and {available} is available: ask \
         for fewer slots, or for a ghost by device-mapper, which has no table"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;
    use crate::vswap::{AreaKind, AreaSpec, OverZram, Owner, Part, Want, ZramNote};

    fn area(numbers: &[(u32, u64)]) -> AreaRecord {
        let note = |number, sequence| ZramNote { number, sequence, size: Bytes(1 << 30) };
        let devices = (0..).zip(numbers.iter().map(|(number, sequence)| note(*number, *sequence))).collect();
        AreaRecord {
            spec: AreaSpec::new("main".parse().unwrap(), AreaKind::Zram),
            owner: Owner::Command,
            want: Want::On,
            parts: vec![Part { id: 0, size: Bytes(1 << 30), priority: None }],
            disks: Vec::new(),
            native: None,
            zram: Some(OverZram { devices, adding: None }),
            transfer: None,
        }
    }

    fn device(fake: &FakeRoot, number: u32, files: [&str; 3]) {
        for (name, value) in ["disksize", "diskseq", "mm_stat"].into_iter().zip(files) {
            fake.write(&file_of(number, name), &format!("{value}\n"));
        }
    }

    #[test]
    fn devices_are_told_by_their_disk_and_by_what_they_hold() {
        let fake = FakeRoot::host();
        let (empty, used) = ("       0        0        0     4096", "    4096     3081    28672     4096");
        device(&fake, 0, ["0", "3", empty]);
        device(&fake, 1, ["1073741824", "9", used]);
        device(&fake, 2, ["1073741824", "10", used]);
        fake.write("sys/block/zram3/stat", "0\n");
        let header = header::page(1 << 18, [7; 16], &"main".parse().unwrap(), page_size()).unwrap();
        std::fs::create_dir_all(fake.path("dev")).unwrap();
        std::fs::write(fake.path("dev/zram1"), header).unwrap();
        let intended = |numbers| Intended { areas: vec![area(numbers)], ..Intended::none(None) };
        let zrams = look(fake.root(), &intended(&[(1, 9)]));
        assert_eq!(
            zrams.keys().copied().collect::<Vec<_>>(),
            [0, 1, 2],
            "one without its files is not there"
        );
        assert_eq!((&zrams[&0].holds, zrams[&0].size), (&Holds::Nothing, Bytes(0)));
        assert_eq!(zrams[&1].holds, Holds::Header("main".to_owned()));
        assert_eq!(zrams[&1].part.as_deref(), Some("swaptier-main-0"));
        assert_eq!((&zrams[&2].holds, &zrams[&2].part), (&Holds::Something, &None), "nobody noted it");
        // The same number, another disk.
        assert_eq!(look(fake.root(), &intended(&[(1, 8)]))[&1].part, None);
    }

    #[test]
    fn a_table_that_memory_has_no_room_for_is_refused_with_its_size() {
        let fake = FakeRoot::host();
        let name: AreaName = "main".parse().unwrap();
        // 800,000 KiB less 5 % of 1,014,512 are 731.7 MiB; 64 GiB are 2^24 slots of 24 B, 384 MiB; twice that are 768 MiB.
        assert!(require_room(fake.root(), &name, Bytes(64 << 30)).is_ok());
        let why = require_room(fake.root(), &name, Bytes(128 << 30)).unwrap_err().to_string();
        assert!(why.contains("the table for 128.0 GiB of slots would take 768.0 MiB of memory"), "{why}");
    }
}
