//! From what somebody asks for to what will be noted: sizes filled in, disks measured and refused where they must not be
//! used. Changes nothing. Caller: `works.rs`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::area::{AreaKind, AreaSpec};
use super::error::{AreaError, Result};
use super::found::DeviceNumber;
use super::hands::{require_free, size_of};
use super::intended::{AreaRecord, Disk, Owner, Part, Want};
use super::label::{self, FIRST, SECTOR};
use super::{look, safety};
use crate::root::Root;
use crate::sense::procfs;

/// Virtual slots for each byte of disk, where nobody says how many: compressed pages take none, and a pool is full long
/// before they are used up.
const SLOTS_PER_DISK: u64 = 4;
/// Slots of a ghost for each byte of memory: compression to a quarter is more than is ever seen of all memory.
const SLOTS_PER_MEMORY: u64 = 4;
/// The most slots of one area: a swap entry has 2^50 offsets, but a header counts them in 32 bits.
const MOST: u64 = (1 << 32) - 1;

/// The record of an area that is to be made.
///
/// # Errors
/// What cannot be, and what to do instead.
pub fn record(root: &Root, spec: &AreaSpec, owner: Owner) -> Result<AreaRecord> {
    let disks = match spec.kind {
        AreaKind::Ghost | AreaKind::Zram => no_disks(spec)?,
        AreaKind::Virtual => pool_disks(root, spec)?,
        AreaKind::Plain => vec![plain_disk(root, spec)?],
    };
    if spec.encrypt && spec.kind.is_ghost() {
        return Err(refused(spec, "nothing of it is ever on disk, so there is nothing to encrypt"));
    }
    let size = size(root, spec, &disks)?;
    let parts = vec![Part { id: 0, size, priority: spec.priority }];
    let (native, zram, transfer) = (None, None, None);
    Ok(AreaRecord { spec: spec.clone(), owner, want: Want::On, parts, disks, native, zram, transfer })
}

/// A disk that is to join a pool.
///
/// # Errors
/// What is wrong with it.
pub fn pool_disk(root: &Root, path: &Path, file_size: Option<Bytes>) -> Result<Disk> {
    let (disk, size) = measure(root, path, file_size)?;
    let (metadata_sectors, data_sectors) = label::divide(size)
        .ok_or_else(|| AreaError::Refused(format!("{} has {size}: too little for a pool", path.display())))?;
    Ok(Disk { metadata_sectors, data_sectors, ..disk })
}

/// A disk that takes over what lies on `old`: as many sectors, at the same places.
///
/// # Errors
/// What is wrong with it, and how much it lacks.
pub fn successor(root: &Root, old: &Disk, path: &Path, file_size: Option<Bytes>) -> Result<Disk> {
    let (disk, size) = measure(root, path, file_size)?;
    let needed = Bytes((FIRST + old.metadata_sectors + old.data_sectors) * SECTOR);
    if size < needed {
        return Err(AreaError::Refused(format!(
            "{} has {size}: {} holds {needed}",
            path.display(),
            old.path.display()
        )));
    }
    Ok(Disk { metadata_sectors: old.metadata_sectors, data_sectors: old.data_sectors, ..disk })
}

/// Whole pages of `size`, as many as a header can count.
///
/// # Errors
/// Too few, or too many.
pub fn whole_pages(size: Bytes) -> Result<Bytes> {
    let page = Bytes(rustix::param::page_size() as u64);
    let pages = size.whole_pages(page).0;
    if !(16..=MOST).contains(&pages) {
        return Err(AreaError::Refused(format!("{size} of slots: from 64K to 16T is possible")));
    }
    Ok(Bytes(pages * page.0))
}

fn no_disks(spec: &AreaSpec) -> Result<Vec<Disk>> {
    if spec.devices.is_empty() {
        Ok(Vec::new())
    } else {
        Err(refused(spec, "it has no storage and takes no device"))
    }
}

fn pool_disks(root: &Root, spec: &AreaSpec) -> Result<Vec<Disk>> {
    if spec.devices.is_empty() {
        return Err(refused(spec, "it needs a disk, a partition or a file to write pages to"));
    }
    for (index, path) in spec.devices.iter().enumerate() {
        if spec.devices[..index].contains(path) {
            return Err(refused(spec, &format!("{} is named twice", path.display())));
        }
    }
    spec.devices.iter().map(|path| pool_disk(root, path, spec.file_size)).collect()
}

fn plain_disk(root: &Root, spec: &AreaSpec) -> Result<Disk> {
    let [path] = spec.devices.as_slice() else {
        return Err(refused(spec, "a plain area is one disk, partition or file"));
    };
    let (disk, size) = measure(root, path, spec.file_size)?;
    Ok(Disk { data_sectors: size.0 / SECTOR, ..disk })
}

fn size(root: &Root, spec: &AreaSpec, disks: &[Disk]) -> Result<Bytes> {
    let on_disk = Bytes(disks.iter().map(|disk| disk.data_sectors * SECTOR).sum());
    let size = match (spec.kind, spec.size) {
        (AreaKind::Plain, Some(size)) if size > on_disk => {
            return Err(refused(spec, &format!("{size} of slots, and its device holds {on_disk}")));
        }
        (_, Some(size)) => size,
        (AreaKind::Plain, None) => on_disk,
        (AreaKind::Virtual, None) => Bytes(on_disk.0.saturating_mul(SLOTS_PER_DISK)),
        (AreaKind::Ghost | AreaKind::Zram, None) => {
            Bytes(procfs::read_meminfo(root)?.total.0.saturating_mul(SLOTS_PER_MEMORY))
        }
    };
    whole_pages(size)
}

/// A disk or file with its size, if it may be used: free, of its own, and not on storage that itself swaps.
fn measure(root: &Root, path: &Path, file_size: Option<Bytes>) -> Result<(Disk, Bytes)> {
    let why = |why: String| AreaError::Refused(format!("{}: {why}", path.display()));
    if !path.is_absolute() {
        return Err(why("name it by its whole path".to_owned()));
    }
    let disk = |is_file, made| Disk {
        path: path.to_path_buf(),
        is_file,
        made,
        metadata_sectors: 0,
        data_sectors: 0,
    };
    if let Some(number) = look::number_of(path) {
        safety::check_block(root, number).map_err(why)?;
        let file = open_alone(path)?;
        require_free(&file, path)?;
        return Ok((disk(false, None), Bytes(size_of(&file).map_err(AreaError::io("measure", path))?)));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    safety::check_file_system(root, folder).map_err(why)?;
    match (std::fs::symlink_metadata(path), file_size) {
        (Err(error), Some(size)) if error.kind() == std::io::ErrorKind::NotFound => {
            let size = size.page_floor(Bytes(rustix::param::page_size() as u64));
            Ok((disk(true, Some(size)), size))
        }
        (Err(error), None) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(why("is not there; with a size it would be made".to_owned()))
        }
        (Err(error), _) => Err(AreaError::io("stat", path)(error)),
        (Ok(meta), _) if !meta.is_file() => Err(why("is neither a block device nor a file".to_owned())),
        (Ok(meta), _) => {
            safety::check_file(&meta).map_err(why)?;
            let file = open_alone(path)?;
            require_free(&file, path)?;
            Ok((disk(true, None), Bytes(meta.len())))
        }
    }
}

/// Opens a device so that it fails if anybody uses it: a mount, another mapping, swap.
fn open_alone(path: &Path) -> Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_CLOEXEC | libc::O_EXCL);
    options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => {
            AreaError::Refused(format!("{}: is in use (mounted, swap, or part of something)", path.display()))
        }
        _ => AreaError::io("open", path)(error),
    })
}

fn refused(spec: &AreaSpec, why: &str) -> AreaError {
    AreaError::Refused(format!("{} area {}: {why}", spec.kind, spec.name))
}

/// What tells devices apart when a path is only a name of one.
#[must_use]
pub fn is_same_disk(one: &Path, other: &Path) -> bool {
    let number = |path: &Path| -> Option<DeviceNumber> { look::number_of(path) };
    let real = |path: &Path| -> PathBuf { path.canonicalize().unwrap_or_else(|_| path.to_path_buf()) };
    one == other || number(one).is_some_and(|it| number(other) == Some(it)) || real(one) == real(other)
}
