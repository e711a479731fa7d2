//! Storage that must not carry swap: what itself swaps, lives in memory, or needs memory of its own to write a page. Reads
//! `/sys/dev/block` and `/proc/swaps`; changes nothing. Caller: `prepare.rs`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::found::DeviceNumber;
use super::in_use::{list, number_in, untold};
use crate::root::{Identity, Root};
use crate::sense::swaps;

/// Devices stand on devices; a host that goes deeper is not understood, and refused.
const DEEPEST: usize = 8;

/// Whether pages may be written to this block device: neither it nor anything below it is swap or memory.
///
/// # Errors
/// Why not.
pub(super) fn check_block(root: &Root, number: DeviceNumber) -> Result<(), String> {
    let swaps = swaps::read(root).map_err(|error| error.to_string())?;
    // A file that is swap leaves the rest of its disk to others.
    let hidden = swaps.iter().find(|area| area.identity.is_none() && area.kind != "file");
    if let Some(area) = hidden {
        let name = area.shown();
        return Err(format!(
            "may be the swap area {name}, or stand on it: which device that is cannot be told from here"
        ));
    }
    let swaps: Vec<(String, Option<Identity>)> =
        swaps.iter().map(|area| (area.shown(), area.identity)).collect();
    descend(root, number, &swaps, 0)
}

fn descend(
    root: &Root,
    number: DeviceNumber,
    swaps: &[(String, Option<Identity>)],
    depth: usize,
) -> Result<(), String> {
    if depth == DEEPEST {
        return Err("stands on too many devices".to_owned());
    }
    if let Some((path, _)) = swaps.iter().find(|(_, swap)| *swap == Some(Identity::Device(number))) {
        return Err(format!("{path} is a swap area: an area must not stand on storage that swaps itself"));
    }
    let entry = format!("sys/dev/block/{number}");
    let name = root.inspect(&entry).ok().and_then(|(_, target)| target).unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    if name.starts_with("zram") || name.starts_with("ram") {
        return Err(format!("{name} is memory: a page written there is not out of memory"));
    }
    match root.read_value(&format!("{entry}/loop/backing_file")) {
        Ok(file) => {
            return check_file_system(root, Path::new(&file)).map_err(|why| format!("its file {file} {why}"));
        }
        // It is no loop device.
        Err(error) if error.is_gone() => {}
        Err(error) => return Err(untold(&error)),
    }
    for below in list(root, &format!("{entry}/slaves"))? {
        let number = number_in(root, &format!("sys/class/block/{below}/dev")).ok_or_else(|| {
            untold(&format!("{below}, on which it stands, has no number in /sys/class/block"))
        })?;
        descend(root, number, swaps, depth + 1)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn storage_of_which_it_cannot_be_told_what_is_below_it_is_refused() {
        let fake = FakeRoot::host();
        let check = || check_block(fake.root(), DeviceNumber { major: 253, minor: 16 });
        assert_eq!(check(), Ok(()));
        fake.write("sys/dev/block/253:16/slaves/md0/x", "");
        assert!(check().unwrap_err().starts_with("cannot be told free: md0, on which it stands"));
        fake.write("sys/class/block/md0/dev", "9:0\n");
        assert_eq!(check(), Ok(()));
        // It stands on the host's swap disk.
        fake.write("sys/class/block/md0/dev", "254:0\n");
        assert!(check().unwrap_err().starts_with("/dev/vda is a swap area"));
        fake.remove("sys/dev/block/253:16/slaves");
        fake.write("sys/dev/block/253:16/slaves", "no folder");
        assert!(check().unwrap_err().starts_with("cannot be told free: "));
    }
}
