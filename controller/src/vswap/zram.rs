//! zram devices by the kernel's own files: looked at here, added, set up and removed by `executor/zram.rs`. Which of them are ours is
//! `reconcile/zram.rs`'s to say. Callers: `look.rs`, the executor, `operations/weigh.rs`.
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

use super::disk::page_size;
use super::found::{DeviceNumber, Holds, Zram};
use super::header;
use super::intended::{AreaRecord, Intended};
use super::reconcile::zram::name;
use crate::root::{Root, RootError};

/// Kernel memory for each slot, used or not: the device's table, as Debian builds it on 64 bits. With less information kept
/// for each it is 16.
pub(super) const ENTRY: u64 = 24;

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
    let device = DeviceNumber::parse(&value("dev")?).unwrap_or(DeviceNumber { major: 0, minor: number });
    Ok(Zram { device, sequence: number_in(&value("diskseq")?), size, holds, part: None })
}

pub(super) fn number_in(text: &str) -> u64 {
    text.trim().parse().unwrap_or_default()
}

/// `mm_stat` begins with the bytes that were written and not discarded.
fn first_number(mm_stat: &str) -> Option<u64> {
    mm_stat.split_ascii_whitespace().next()?.parse().ok()
}

fn header_of(root: &Root, number: u32) -> Holds {
    let mut page = vec![0; page_size()];
    let read = root.open(&format!("dev/zram{number}"), OFlags::RDONLY).map(std::fs::File::from);
    match read.map(|mut file| file.read_exact(&mut page)) {
        Ok(Ok(())) => header::label(&page).map_or(Holds::Something, Holds::Header),
        // No node, no right, or an error: what is in it is not known.
        Ok(Err(_)) | Err(_) => Holds::Hidden,
    }
}

pub(super) fn file_of(number: u32, file: &str) -> String {
    format!("sys/block/zram{number}/{file}")
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
            has_uuids: true,
        }
    }

    fn device(fake: &FakeRoot, number: u32, files: [&str; 3]) {
        fake.block(&format!("zram{number}"), &format!("252:{number}"));
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
        // Where its node is hidden, its number, its disk and its size are all there is; it is never taken for another's.
        fake.remove("dev/zram1");
        let hidden = look(fake.root(), &intended(&[(1, 9)]));
        assert_eq!(
            (&hidden[&1].holds, hidden[&1].part.as_deref()),
            (&Holds::Hidden, Some("swaptier-main-0"))
        );
        assert_eq!(hidden[&1].device, DeviceNumber { major: 252, minor: 1 });
        // The same number, another disk.
        assert_eq!(look(fake.root(), &intended(&[(1, 8)]))[&1].part, None);
    }
}
