//! `[[area]]`: the swap areas this host shall have.
//!
//! Lives here: the keys of one area, what fits together and what does not, by the file alone. Whether the host can make
//! it is `vswap/`'s to say, what its marks lead to `swaptier_policies`'. Caller: `config/mod.rs`.

use std::path::PathBuf;

use swaptier_policies::{Bytes, Marks, Share};

use crate::vswap::{AreaKind, AreaName, AreaSpec};

use super::read::{Reader, Table};
use super::{is_absolute, take};

/// One `[[area]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaConfig {
    /// What it shall be.
    pub spec: AreaSpec,
    /// What is done as its pool fills; of virtual areas.
    pub marks: Marks,
    /// Kernel memory that its empty slots may cost, where their number is not given.
    pub memory: MemoryBudget,
}

/// An amount of kernel memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryBudget {
    /// So many bytes.
    Bytes(Bytes),
    /// A part of the host's RAM.
    Share(Share),
}

impl MemoryBudget {
    /// When the file gives none: 0.5 % of RAM, 5 MiB of each GiB.
    pub const DEFAULT: MemoryBudget = MemoryBudget::Share(Share(5_000));

    /// The bytes of it on a host with so much RAM.
    #[must_use]
    pub fn of(self, ram: Bytes) -> Bytes {
        match self {
            MemoryBudget::Bytes(bytes) => bytes,
            MemoryBudget::Share(share) => share.of(ram),
        }
    }
}

/// The keys of `[[area]]`.
pub(super) const KEYS: [&str; 9] =
    ["name", "kind", "size", "devices", "file_size", "priority", "encrypt", "marks", "memory"];
/// The keys of `marks`.
pub(super) const MARKS: [&str; 4] = ["resume", "demote", "close", "stop"];

const KINDS: [(&str, AreaKind); 4] = [
    ("ghost", AreaKind::Ghost),
    ("zram", AreaKind::Zram),
    ("virtual", AreaKind::Virtual),
    ("plain", AreaKind::Plain),
];

/// The least an area may have: the kernel wants ten pages, a pool's block is 64 KiB, and less than this helps nobody.
const LEAST: Bytes = Bytes(16 << 20);

/// All areas of the file, in its order. Those with a mistake are left out.
pub(super) fn areas(reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<AreaConfig> {
    let mut areas: Vec<AreaConfig> = Vec::new();
    for table in reader.tables(top, "area", &KEYS) {
        let Some(area) = area(reader, &table) else { continue };
        if areas.iter().any(|other| other.spec.name == area.spec.name) {
            let message = format!("there is another area `{}` before this one", area.spec.name);
            reader.fault(&reader.at(&table, "name"), message, None);
        } else {
            areas.push(area);
        }
    }
    areas
}

fn area(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<AreaConfig> {
    let wanted = "a name: 1 to 15 of a-z, 0-9 and _, a letter first";
    let name = reader.text(table, "name", wanted, |text| text.parse::<AreaName>().is_ok());
    let kind = reader.word(table, "kind", &KINDS);
    for key in ["name", "kind"] {
        if table.key(key).is_none() {
            reader.fault(&table.span(), format!("`[[area]]` has no `{key}`"), None);
        }
    }
    // Everything is read before anything is missed, so that all mistakes are told at once.
    let size = size(reader, table, "size");
    let file_size = self::size(reader, table, "file_size");
    let devices = reader.texts(table, "devices", "a list of absolute paths", is_absolute);
    let priority = reader.integer(table, "priority", 0..=32_767).and_then(|n| u16::try_from(n).ok());
    let encrypt = reader.flag(table, "encrypt");
    let marks = marks(reader, table);
    let memory = memory(reader, table);
    let kind = kind?;
    fitting(reader, table, kind);
    Some(AreaConfig {
        spec: AreaSpec {
            size,
            devices: devices.unwrap_or_default().into_iter().map(PathBuf::from).collect(),
            file_size,
            priority,
            encrypt: encrypt.unwrap_or_default(),
            ..AreaSpec::new(name?.parse().ok()?, kind)
        },
        marks,
        memory: memory.unwrap_or(MemoryBudget::DEFAULT),
    })
}

/// Notes keys that mean nothing for this kind, and those it cannot do without.
fn fitting(reader: &mut Reader<'_>, table: &Table<'_>, kind: AreaKind) {
    let useless: &[(&str, &str)] = match kind {
        AreaKind::Ghost | AreaKind::Zram => &[
            ("devices", "it has no storage"),
            ("file_size", "it has no storage"),
            ("encrypt", "nothing of it is ever on a disk"),
            ("marks", "it has no pool"),
        ],
        AreaKind::Virtual => &[],
        AreaKind::Plain => {
            &[("marks", "it has no pool"), ("memory", "its device says how many slots it has")]
        }
    };
    for (key, why) in useless {
        if let Some(at) = table.key(key) {
            reader.fault(&at, format!("`area.{key}` means nothing for kind `{kind}`: {why}"), None);
        }
    }
    let devices = reader.length(table, "devices");
    match (kind, devices) {
        (AreaKind::Virtual, None | Some(0)) => {
            let help = Some("name the disks, partitions or files it may take blocks from".to_owned());
            reader.fault(&table.span(), "a virtual area needs `devices`", help);
        }
        (AreaKind::Plain, found) if found != Some(1) => {
            reader.fault(&table.span(), "a plain area needs one device in `devices`", None);
        }
        _ => {}
    }
    if let (Some(_), Some(at)) = (table.key("size"), table.key("memory")) {
        let message = "`area.memory` means nothing beside `area.size`: the number of slots is given";
        reader.fault(&at, message, None);
    }
}

fn marks(reader: &mut Reader<'_>, table: &Table<'_>) -> Marks {
    let mut marks = Marks::default();
    let Some(table) = reader.table(table, "area.marks", &MARKS) else { return marks };
    let mut share = |key| reader.quantity(&table, key, "a percentage such as \"80%\"");
    take(&mut marks.resume, share("resume"));
    take(&mut marks.demote, share("demote"));
    take(&mut marks.close, share("close"));
    take(&mut marks.stop, share("stop"));
    if !marks.rise() {
        let Marks { resume, demote, close, stop } = marks;
        let message = format!(
            "marks must rise and stay below 100%: resume {resume}, demote {demote}, close {close}, stop {stop}"
        );
        reader.fault(&table.span(), message, None);
    }
    marks
}

fn memory(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<MemoryBudget> {
    let example = "a size such as \"64M\" or a percentage such as \"0.5%\"";
    if reader.ends_with(table, "memory", '%') {
        return reader.quantity(table, "memory", example).map(MemoryBudget::Share);
    }
    reader.quantity(table, "memory", example).map(MemoryBudget::Bytes)
}

fn size(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<Bytes> {
    let size: Bytes = reader.quantity(table, key, "a size such as \"64G\"")?;
    if size < LEAST {
        let message = format!("`area.{key}` must be {LEAST} at least, not {size}");
        reader.fault(&reader.at(table, key), message, None);
    }
    Some(size)
}
