//! Storage that must not carry swap: what itself swaps, lives in memory, or needs memory of its own to write a page. Reads
//! `/sys/dev/block` and `/proc/swaps`; changes nothing. Caller: `prepare.rs`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::found::DeviceNumber;
use super::look;
use crate::root::Root;
use crate::sense::procfs;

/// Devices stand on devices; a host that goes deeper is not understood, and refused.
const DEEPEST: usize = 8;

/// Whether pages may be written to this block device: neither it nor anything below it is swap or memory.
///
/// # Errors
/// Why not.
pub(super) fn check_block(root: &Root, number: DeviceNumber) -> Result<(), String> {
    let swaps = procfs::read_swaps(root).map_err(|error| error.to_string())?;
    let swaps: Vec<(String, Option<DeviceNumber>)> =
        swaps.into_iter().map(|area| (area.path.clone(), look::number_of(Path::new(&area.path)))).collect();
    descend(root, number, &swaps, 0)
}

fn descend(
    root: &Root,
    number: DeviceNumber,
    swaps: &[(String, Option<DeviceNumber>)],
    depth: usize,
) -> Result<(), String> {
    if depth == DEEPEST {
        return Err("stands on too many devices".to_owned());
    }
    if let Some((path, _)) = swaps.iter().find(|(_, swap)| *swap == Some(number)) {
        return Err(format!("{path} is a swap area: an area must not stand on storage that swaps itself"));
    }
    let entry = format!("sys/dev/block/{number}");
    let name = root.inspect(&entry).ok().and_then(|(_, target)| target).unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    if name.starts_with("zram") || name.starts_with("ram") {
        return Err(format!("{name} is memory: a page written there is not out of memory"));
    }
    if let Ok(file) = root.read_value(&format!("{entry}/loop/backing_file")) {
        return check_file_system(root, Path::new(&file)).map_err(|why| format!("its file {file} {why}"));
    }
    for below in root.list(&format!("{entry}/slaves")).unwrap_or_default() {
        if let Some(number) =
            root.read_value(&format!("sys/class/block/{below}/dev")).ok().and_then(|n| parse(&n))
        {
            descend(root, number, swaps, depth + 1)?;
        }
    }
    Ok(())
}

/// Whether a file at `path` may carry swap: it must lie on a file system of one block device, which may.
///
/// # Errors
/// Why not.
pub(super) fn check_file_system(root: &Root, path: &Path) -> Result<(), String> {
    let stat = rustix::fs::stat(path).map_err(|error| format!("cannot be looked at: {error}"))?;
    let number =
        DeviceNumber { major: rustix::fs::major(stat.st_dev), minor: rustix::fs::minor(stat.st_dev) };
    if number.major == 0 {
        let why = "is on a file system without a block device of its own (tmpfs, overlay, btrfs, network): \
                   take a file on ext4 or xfs, or a disk";
        return Err(why.to_owned());
    }
    check_block(root, number)
}

/// Whether a file that is there may carry swap: no hole is to be filled when memory is short.
///
/// # Errors
/// Why not.
pub(super) fn check_file(meta: &Metadata) -> Result<(), String> {
    if meta.blocks() * 512 < meta.len() {
        return Err("has holes: `fallocate` it, or let swaptier make it by a size".to_owned());
    }
    Ok(())
}

fn parse(number: &str) -> Option<DeviceNumber> {
    let (major, minor) = number.split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}
