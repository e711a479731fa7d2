//! Reads what the kernel has of our areas. Changes nothing but, where asked, the modules that are loaded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::area::PREFIX;
use super::dm::Dm;
use super::error::Result;
use super::found::{Area, Device, DeviceNumber, FileFound, Found, PartFound, Swap, SwapUse};
use super::identity::FileId;
use super::intended::{AreaRecord, Intended};
use super::pool::PoolStatus;
use super::reconcile::{identity, is_ours, place, zram_node};
use crate::root::{Identity, Root};
use crate::sense::swaps;

/// What there is of `intended`, and all else of our name. Where device-mapper cannot be asked, sysfs says which devices
/// there are; their tables are not known then.
///
/// # Errors
/// When `/proc/swaps` or a table cannot be read.
pub fn look(root: &Root, dm: Option<&Dm>, intended: &Intended) -> Result<Found> {
    let zrams = super::zram::look(root, intended);
    let mut found = Found { swaps: swaps_of(root)?, zrams, ..Found::default() };
    devices(root, dm, intended, &mut found)?;
    let loops = loops(root);
    for area in &intended.areas {
        for disk in area.all_disks() {
            let here = root.identity(&disk.path).map(|(it, _)| it);
            let number = match disk.is_file {
                true => loops.iter().find(|it| it.is_over(&disk.path, here)).map(|it| it.number),
                false => root.device_called(&disk.path),
            };
            found.blocks.extend(number.map(|number| (disk.path.clone(), number)));
            let place = if disk.is_file { here } else { number.map(Identity::Device) };
            found.places.extend(place.map(|it| (disk.path.clone(), it)));
            note_file(root, &disk.path, &mut found);
        }
        area.parts.iter().filter(|_| area.native.is_some()).for_each(|part| {
            let path = area.ghost_file(part);
            found.places.extend(root.identity(&path).map(|(it, _)| (path.clone(), it)));
            note_file(root, &path, &mut found);
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
        let identity = place(record, part).and_then(|place| identity(&place, found));
        let swap = identity.and_then(|identity| found.swaps.get(&identity));
        let name = record.device(part);
        let device = found.devices.get(&name).map(|device| super::dm::node(device.number));
        let device = device.or_else(|| found.zram_named(&name).map(|(number, _)| zram_node(number)));
        PartFound {
            id: part.id,
            path: swap.map(|swap| swap.path.clone()).or(device),
            identity,
            swap: swap.map(|swap| swap.usage),
        }
    });
    Area { record: record.clone(), parts: parts.collect(), pool: dm.and_then(|dm| pool(dm, record)) }
}

/// The devices of device-mapper that are named like ours, told apart by their uuids.
fn devices(root: &Root, dm: Option<&Dm>, intended: &Intended, found: &mut Found) -> Result<()> {
    let mut note = |name: String, uuid: &str, device: Device| match is_ours(&name, uuid, intended) {
        true => drop(found.devices.insert(name, device)),
        false => drop(found.others.insert(name)),
    };
    let is_named = |(name, _): &(String, DeviceNumber)| name.starts_with(PREFIX);
    let Some(dm) = dm else {
        for (name, number) in root.mapped_devices().into_iter().filter(is_named) {
            note(name, &root.mapped_uuid(number), Device { number, table: None });
        }
        return Ok(());
    };
    for (name, number) in dm.list()?.into_iter().filter(is_named) {
        match dm.table(&name) {
            Ok((uuid, table)) => note(name, &uuid, Device { number, table: Some(table) }),
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What the area's pool says.
#[must_use]
pub fn pool(dm: &Dm, record: &AreaRecord) -> Option<PoolStatus> {
    let lines = dm.status(&record.spec.name.device("pool")).ok()?;
    let line = lines.first().filter(|line| line.kind == "thin-pool")?;
    PoolStatus::parse(&line.parameters).ok()
}

/// `/proc/swaps` by what the areas are, each with a path by which it can be reached from here.
fn swaps_of(root: &Root) -> Result<BTreeMap<Identity, Swap>> {
    let areas = swaps::read(root)?.into_iter();
    Ok(areas
        .filter_map(|area| {
            let usage = SwapUse { size: area.size, used: area.used, priority: area.priority };
            let identity = area.identity?;
            let node = || match identity {
                Identity::Device(number) => root.device_name(number),
                Identity::File { .. } => None,
            };
            let is_there = root.identity(&area.path).is_some_and(|(it, _)| it == identity);
            let node = if is_there { None } else { node().map(|name| Path::new("/dev").join(name)) };
            Some((identity, Swap { path: node.unwrap_or(area.path), usage }))
        })
        .collect())
}

/// A loop device.
struct Looped {
    /// What the kernel calls the file behind it.
    path: PathBuf,
    /// What is there.
    file: Option<Identity>,
    number: DeviceNumber,
}

impl Looped {
    /// Whether it is over the file at `path`, which is `here`: by what it is, by its name where neither can be reached.
    fn is_over(&self, path: &Path, here: Option<Identity>) -> bool {
        match (self.file, here) {
            (Some(file), Some(here)) => file == here,
            (None, None) => self.path == path,
            _ => false,
        }
    }
}

fn loops(root: &Root) -> Vec<Looped> {
    let names = root.list("sys/block").unwrap_or_default();
    let behind = names.iter().filter_map(|name| {
        let minor = name.strip_prefix("loop")?.parse().ok()?;
        let mut bytes = Vec::new();
        root.read_into(&format!("sys/block/{name}/loop/backing_file"), &mut bytes).ok()?;
        let path = PathBuf::from(OsString::from_vec(bytes.strip_suffix(b"\n").unwrap_or(&bytes).to_vec()));
        let file = root.identity(&path).map(|(it, _)| it);
        Some(Looped { path, file, number: DeviceNumber { major: super::loopdev::MAJOR, minor } })
    });
    behind.collect()
}

fn note_file(root: &Root, path: &Path, found: &mut Found) {
    if let Ok(meta) = std::fs::symlink_metadata(root.host_path(path))
        && meta.is_file()
    {
        let size = swaptier_policies::Bytes(meta.len());
        found.files.insert(path.to_path_buf(), FileFound { size, id: FileId::at(path) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    /// A list with one area of this kind, on this disk if any.
    fn intended(name: &str, kind: &str, disk: Option<&str>) -> Intended {
        let disks: Vec<_> = disk
            .iter()
            .map(|path| serde_json::json!({ "path": path, "is_file": true, "metadata_sectors": 8, "data_sectors": 8 }))
            .collect();
        let record = serde_json::json!({
            "spec": { "name": name, "kind": kind }, "owner": "command", "want": "on", "disks": disks,
            "parts": [{ "id": 0, "size": "64M" }],
        });
        Intended { areas: vec![serde_json::from_value(record).unwrap()], ..Intended::none(None) }
    }

    fn swaps(fake: &FakeRoot, lines: &str) {
        fake.write("proc/swaps", &format!("Filename Type Size Used Priority\n{lines}"));
    }

    #[test]
    fn an_area_that_was_switched_on_in_another_namespace_is_on() {
        let fake = FakeRoot::host();
        fake.block("dm-3", "253:3");
        fake.write("sys/devices/virtual/block/dm-3/dm/name", "swaptier-big-0\n");
        for name in ["/dm-3", "/dev/dm-3", "/dev/mapper/swaptier-big-0", "/dm-3\\040(deleted)"] {
            swaps(&fake, &format!("{name} partition 65532 8 5\n"));
            let list = intended("big", "ghost", None);
            let part = &areas(fake.root(), None, &list).unwrap()[0].parts[0];
            assert_eq!(part.swap.map(|swap| swap.priority), Some(5), "{name}");
            // Where the name leads nowhere it is reached by its node.
            assert_eq!(part.path.as_deref(), Some(Path::new("/dev/dm-3")), "{name}");
            let found = look(fake.root(), None, &list).unwrap();
            assert_eq!(
                super::super::reconcile::plan(&list, &found),
                [],
                "nothing is made that is there: {name}"
            );
        }
    }

    #[test]
    fn a_file_is_known_below_a_linked_folder_and_by_the_loop_device_over_it() {
        let fake = FakeRoot::host();
        fake.write("data/pool", "x");
        std::os::unix::fs::symlink("data", fake.path("linked")).unwrap();
        swaps(&fake, "/data/pool file 65532 0 5\n");
        let plain = areas(fake.root(), None, &intended("p", "plain", Some("/linked/pool"))).unwrap();
        assert!(plain[0].parts[0].swap.is_some());
        fake.block("loop4", "7:4");
        fake.write("sys/devices/virtual/block/loop4/loop/backing_file", "/data/pool\n");
        let found = look(fake.root(), None, &intended("v", "virtual", Some("/linked/pool"))).unwrap();
        assert_eq!(found.blocks[Path::new("/linked/pool")], DeviceNumber { major: 7, minor: 4 });
        // Another file of the same name, in the place of one that is gone.
        fake.write("sys/devices/virtual/block/loop4/loop/backing_file", "/data/pool (deleted)\n");
        let found = look(fake.root(), None, &intended("v", "virtual", Some("/linked/pool"))).unwrap();
        assert_eq!(found.blocks, BTreeMap::new());
    }
}
