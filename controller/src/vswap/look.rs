//! Reads what the kernel has of our areas. Changes nothing but, where asked, the modules that are loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::area::PREFIX;
use super::dm::Dm;
use super::error::Result;
use super::found::{Area, Device, DeviceNumber, Found, PartFound, SwapUse};
use super::intended::{AreaRecord, Intended};
use super::pool::PoolStatus;
use super::reconcile::{in_use, place, zram_node};
use crate::root::Root;
use crate::sense::procfs;

/// What there is of `intended`, and all else of our name. Without device-mapper there are no devices.
///
/// # Errors
/// When `/proc/swaps` or a table cannot be read.
pub fn look(root: &Root, dm: Option<&Dm>, intended: &Intended) -> Result<Found> {
    let zrams = super::zram::look(root, intended);
    let mut found = Found { swaps: swaps(root)?, zrams, ..Found::default() };
    if let Some(dm) = dm {
        for (name, number) in dm.list()?.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            match dm.table(&name) {
                Ok(table) => drop(found.devices.insert(name, Device { number, table })),
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let loops = loops(root);
    for area in &intended.areas {
        for disk in area.all_disks() {
            let number = if disk.is_file { loops.get(&disk.path).copied() } else { number_of(&disk.path) };
            found.blocks.extend(number.map(|number| (disk.path.clone(), number)));
            note_file(&disk.path, &mut found);
        }
        area.parts.iter().filter(|_| area.native.is_some()).for_each(|part| {
            note_file(&area.ghost_file(part), &mut found);
        });
    }
    Ok(found)
}

/// Every area of the list with what there is of it. A pool that does not answer has no status.
///
/// # Errors
/// As [`look`].
pub fn areas(root: &Root, dm: Option<&Dm>, intended: &Intended) -> Result<Vec<Area>> {
    let found = look(root, dm, intended)?;
    Ok(intended.areas.iter().map(|record| area(record, dm, &found)).collect())
}

fn area(record: &AreaRecord, dm: Option<&Dm>, found: &Found) -> Area {
    let parts = record.parts.iter().map(|part| {
        let place = place(record, part);
        let swap_path = place.as_ref().and_then(|place| in_use(place, found));
        let name = record.device(part);
        let device = found.devices.get(&name).map(|device| super::dm::node(device.number));
        let device = device.or_else(|| found.zram_named(&name).map(|(number, _)| zram_node(number)));
        PartFound {
            id: part.id,
            swap: swap_path.as_ref().and_then(|path| found.swaps.get(path).copied()),
            path: swap_path.or(device),
        }
    });
    Area { record: record.clone(), parts: parts.collect(), pool: dm.and_then(|dm| pool(dm, record)) }
}

/// What the area's pool says.
#[must_use]
pub fn pool(dm: &Dm, record: &AreaRecord) -> Option<PoolStatus> {
    let lines = dm.status(&record.spec.name.device("pool")).ok()?;
    let line = lines.first().filter(|line| line.kind == "thin-pool")?;
    PoolStatus::parse(&line.parameters).ok()
}

/// `/proc/swaps` by path.
fn swaps(root: &Root) -> Result<BTreeMap<PathBuf, SwapUse>> {
    let areas = procfs::read_swaps(root)?.into_iter();
    Ok(areas
        .map(|area| {
            let usage = SwapUse { size: area.size, used: area.used, priority: area.priority };
            (PathBuf::from(area.path), usage)
        })
        .collect())
}

/// Loop devices by the file behind them.
fn loops(root: &Root) -> BTreeMap<PathBuf, DeviceNumber> {
    let names = root.list("sys/block").unwrap_or_default();
    let behind = names.iter().filter_map(|name| {
        let minor = name.strip_prefix("loop")?.parse().ok()?;
        let file = root.read_value(&format!("sys/block/{name}/loop/backing_file")).ok()?;
        Some((PathBuf::from(file), DeviceNumber { major: super::loopdev::MAJOR, minor }))
    });
    behind.collect()
}

/// The number of a block device at `path`.
#[must_use]
pub fn number_of(path: &Path) -> Option<DeviceNumber> {
    let stat = rustix::fs::stat(path).ok()?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    (kind == rustix::fs::FileType::BlockDevice).then(|| DeviceNumber {
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
    })
}

fn note_file(path: &Path, found: &mut Found) {
    if let Ok(meta) = std::fs::symlink_metadata(path)
        && meta.is_file()
    {
        found.files.insert(path.to_path_buf(), swaptier_policies::Bytes(meta.len()));
    }
}
