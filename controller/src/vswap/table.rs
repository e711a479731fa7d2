//! The tables of an area's devices: which device stands on which, sector by sector. Pure: devices are named here, and
//! become numbers when a table is loaded.
//!
//! From the bottom: `meta` and `data` lie on the disks, one behind the other; `crypt` on `data` if it is asked for; the
//! `pool` on both; each part, a swap area, is a volume of the pool. A disk that is being left is a mirror of the one that
//! takes its place. A ghost's part is its header page and an `error` target.

use std::fmt;
use std::path::PathBuf;

use super::area::AreaKind;
use super::found::{DeviceNumber, Found, Target};
use super::intended::{AreaRecord, Part};
use super::label::{BLOCK_SECTORS, FIRST, SECTOR};

/// Roles of a pool's devices, the lowest first.
pub const ROLES: [&str; 4] = ["meta", "data", "crypt", "pool"];
/// How a key is written where the one in use shall be kept.
const KEY: &str = ":key:";
/// How data on disk is encrypted: the kernel's own choice for disks, with a key of twice 256 bits.
const CIPHER: &str = "aes-xts-plain64";
/// Bytes of its key.
pub const KEY_BYTES: usize = 64;
/// Sectors of a mirror that are copied as one: 512 KiB.
pub const REGION: u64 = 1024;
/// A pool says that it is low when this many parts of its blocks are free: one.
const LOW_WATER_PARTS: u64 = 10;
/// Sectors of a ghost that can be read.
pub const GHOST_HEADER: u64 = 8;

/// A device below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    /// A disk, or a file through its loop device.
    Disk(PathBuf),
    /// A device-mapper device of ours.
    Named(String),
}

/// One line of a wanted table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Sectors of the device below, from that one on.
    Linear(Below, u64),
    /// Sectors of two devices with the same content: what is on the first is copied to the second.
    Mirror((Below, u64), (Below, u64)),
    /// Sectors of the device below, from that one on, encrypted.
    Crypt(Below, u64),
    /// A pool of its metadata and its data.
    Pool(Below, Below),
    /// A volume of a pool.
    Thin(Below, u32),
    /// A page that can be read, from memory.
    Header,
    /// Nothing: every request fails.
    Error,
}

/// A device as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Sectors and what they are, in order.
    pub lines: Vec<(u64, Line)>,
}

/// The devices of an area, the lowest first: below the parts, and the parts.
#[must_use]
pub fn wanted(area: &AreaRecord) -> (Vec<Wanted>, Vec<Wanted>) {
    let parts = |line: &dyn Fn(&Part) -> Vec<(u64, Line)>| -> Vec<Wanted> {
        area.parts.iter().map(|part| Wanted { name: area.device(part), lines: line(part) }).collect()
    };
    match area.spec.kind {
        AreaKind::Ghost if area.native.is_some() || area.is_over_zram() => (Vec::new(), Vec::new()),
        AreaKind::Ghost => (
            Vec::new(),
            parts(&|part| {
                vec![(GHOST_HEADER, Line::Header), (part.size.0 / SECTOR - GHOST_HEADER, Line::Error)]
            }),
        ),
        AreaKind::Virtual => {
            let pool = || Below::Named(area.spec.name.device("pool"));
            (below(area), parts(&|part| vec![(part.size.0 / SECTOR, Line::Thin(pool(), part.id))]))
        }
        AreaKind::Plain if area.spec.encrypt => (
            Vec::new(),
            parts(&|part| {
                let disks = area.disks.iter().take(1);
                disks
                    .map(|disk| {
                        (
                            part.size.0 / SECTOR,
                            Line::Crypt(Below::Disk(disk.path.clone()), disk.reserved_sectors),
                        )
                    })
                    .collect()
            }),
        ),
        AreaKind::Plain | AreaKind::Zram => (Vec::new(), Vec::new()),
    }
}

/// The devices a pool stands on, and the pool.
fn below(area: &AreaRecord) -> Vec<Wanted> {
    let name = |role| area.spec.name.device(role);
    let named = |role| Below::Named(name(role));
    let data: u64 = area.disks.iter().map(|disk| disk.data_sectors).sum();
    let mut devices = vec![
        Wanted { name: name("meta"), lines: pieces(area, |_| FIRST, |disk| disk.metadata_sectors) },
        Wanted {
            name: name("data"),
            lines: pieces(area, |disk| FIRST + disk.metadata_sectors, |disk| disk.data_sectors),
        },
    ];
    let mut store = named("data");
    if area.spec.encrypt {
        devices.push(Wanted { name: name("crypt"), lines: vec![(data, Line::Crypt(store, 0))] });
        store = named("crypt");
    }
    devices.push(Wanted { name: name("pool"), lines: vec![(data, Line::Pool(named("meta"), store))] });
    devices
}

/// The same piece of each disk, one behind the other.
fn pieces(
    area: &AreaRecord,
    from: impl Fn(&super::Disk) -> u64,
    sectors: impl Fn(&super::Disk) -> u64,
) -> Vec<(u64, Line)> {
    let disks = area.disks.iter().enumerate().filter(|(_, disk)| sectors(disk) > 0);
    disks
        .map(|(index, disk)| {
            let here = (Below::Disk(disk.path.clone()), from(disk));
            let line = match area.transfer.as_ref().filter(|transfer| transfer.from == index) {
                Some(transfer) if transfer.is_copied => {
                    Line::Linear(Below::Disk(transfer.to.path.clone()), from(&transfer.to))
                }
                Some(transfer) => {
                    Line::Mirror(here, (Below::Disk(transfer.to.path.clone()), from(&transfer.to)))
                }
                None => Line::Linear(here.0, here.1),
            };
            (sectors(disk), line)
        })
        .collect()
}

impl Wanted {
    /// The lines as the kernel takes and prints them, a key left open. `None` while a device below is missing.
    #[must_use]
    pub fn resolve(&self, found: &Found) -> Option<Vec<Target>> {
        let mut start = 0;
        let mut table = Vec::new();
        for (sectors, line) in &self.lines {
            let (kind, parameters) = line.resolve(*sectors, found)?;
            table.push(Target { start, sectors: *sectors, kind: kind.to_owned(), parameters });
            start += sectors;
        }
        Some(table)
    }

    /// Whether this is the table in use: the key and the place of a ghost's header page aside. One that cannot be read is
    /// taken for it: it is not exchanged.
    #[must_use]
    pub fn is_in_use(&self, found: &Found) -> bool {
        let Some(device) = found.devices.get(&self.name) else { return false };
        let Some(now) = &device.table else { return true };
        let Some(table) = self.resolve(found) else { return false };
        table.len() == now.len()
            && table.iter().zip(now).all(|(wanted, now)| {
                (wanted.start, wanted.sectors, &wanted.kind) == (now.start, now.sectors, &now.kind)
                    && (wanted.parameters.is_empty()
                        || wanted.parameters == masked(&wanted.kind, &now.parameters))
            })
    }
}

/// Parameters without what is not compared.
fn masked(kind: &str, parameters: &str) -> String {
    let mut words: Vec<&str> = parameters.split_ascii_whitespace().collect();
    if let ("crypt", Some(key)) = (kind, words.get_mut(1)) {
        *key = KEY;
    }
    words.join(" ")
}

/// `parameters` of an encrypted device with `key` in its place.
#[must_use]
pub fn with_key(parameters: &str, key: &str) -> String {
    parameters.replacen(KEY, key, 1)
}

/// The key in an encrypted device's parameters.
#[must_use]
pub fn key_of(table: &[Target]) -> Option<&str> {
    let line = table.first().filter(|line| line.kind == "crypt")?;
    line.parameters.split_ascii_whitespace().nth(1)
}

impl Line {
    fn resolve(&self, sectors: u64, found: &Found) -> Option<(&'static str, String)> {
        let number = |below: &Below| -> Option<DeviceNumber> {
            match below {
                Below::Disk(path) => found.blocks.get(path).copied(),
                Below::Named(name) => found.devices.get(name).map(|device| device.number),
            }
        };
        Some(match self {
            Line::Linear(below, from) => ("linear", format!("{} {from}", number(below)?)),
            Line::Mirror((a, a_from), (b, b_from)) => {
                // Without `handle_errors`: that would hold back writes of pages until somebody reacts to a failed disk.
                let (a, b) = (number(a)?, number(b)?);
                ("mirror", format!("core 1 {REGION} 2 {a} {a_from} {b} {b_from}"))
            }
            Line::Crypt(below, from) => ("crypt", format!("{CIPHER} {KEY} 0 {} {from}", number(below)?)),
            Line::Pool(metadata, data) => {
                let low = sectors / BLOCK_SECTORS / LOW_WATER_PARTS;
                let (metadata, data) = (number(metadata)?, number(data)?);
                let features = "3 skip_block_zeroing no_discard_passdown error_if_no_space";
                ("thin-pool", format!("{metadata} {data} {BLOCK_SECTORS} {low} {features}"))
            }
            Line::Thin(pool, id) => ("thin", format!("{} {id}", number(pool)?)),
            // The page's device has no name: it is compared by its place alone.
            Line::Header => ("linear", String::new()),
            Line::Error => ("error", String::new()),
        })
    }
}

impl fmt::Display for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Below::Disk(path) => path.display().fmt(f),
            Below::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Linear(below, from) => write!(f, "linear {below} from {from}"),
            Line::Mirror((a, from), (b, to)) => write!(f, "mirror {a} from {from}, {b} from {to}"),
            Line::Crypt(below, from) => write!(f, "crypt {below} from {from}"),
            Line::Pool(metadata, data) => write!(f, "thin-pool {metadata} {data}"),
            Line::Thin(pool, id) => write!(f, "thin {pool} {id}"),
            Line::Header => f.write_str("one page of memory"),
            Line::Error => f.write_str("error"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        for (index, (sectors, line)) in self.lines.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {sectors} sectors {line}")?;
        }
        Ok(())
    }
}
