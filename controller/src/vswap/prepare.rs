//! From what somebody asks for to what will be noted: sizes filled in, disks measured and refused where they must not be
//! used. Changes nothing. Caller: `operations/`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::area::{AreaKind, AreaSpec};
use super::content::{Content, content, refusal};
use super::disk::{number_of, size_of};
use super::error::{AreaError, Result};
use super::in_use::{self, Node};
use super::intended::{AreaRecord, Disk, Owner, Part, Want};
use super::label::{self, FIRST, SECTOR};
use super::{blkid, claims, safety};
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
pub fn record(root: &Root, spec: &AreaSpec, owner: Owner, may_wipe: bool) -> Result<AreaRecord> {
    let disks = match spec.kind {
        AreaKind::Ghost | AreaKind::Zram => no_disks(spec)?,
        AreaKind::Virtual => pool_disks(root, spec, may_wipe)?,
        AreaKind::Plain => vec![plain_disk(root, spec, may_wipe)?],
    };
    if spec.encrypt && spec.kind.is_ghost() {
        return Err(refused(spec, "nothing of it is ever on disk, so there is nothing to encrypt"));
    }
    let size = size(root, spec, &disks)?;
    let parts = vec![Part { id: 0, size, priority: spec.priority }];
    let (native, zram, transfer, has_uuids) = (None, None, None, true);
    Ok(AreaRecord {
        spec: spec.clone(),
        owner,
        want: Want::On,
        parts,
        disks,
        native,
        zram,
        transfer,
        has_uuids,
    })
}

/// A disk that is to join a pool.
///
/// # Errors
/// What is wrong with it.
pub fn pool_disk(root: &Root, path: &Path, file_size: Option<Bytes>, may_wipe: bool) -> Result<Disk> {
    let (disk, size) = measure(root, path, file_size, may_wipe)?;
    let (metadata_sectors, data_sectors) = label::divide(size)
        .ok_or_else(|| AreaError::Refused(format!("{} has {size}: too little for a pool", path.display())))?;
    Ok(Disk { metadata_sectors, data_sectors, ..disk })
}

/// A disk that takes over what lies on `old`: as many sectors, at the same places.
///
/// # Errors
/// What is wrong with it, and how much it lacks.
pub fn successor(
    root: &Root,
    old: &Disk,
    path: &Path,
    file_size: Option<Bytes>,
    may_wipe: bool,
) -> Result<Disk> {
    let (disk, size) = measure(root, path, file_size, may_wipe)?;
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

fn pool_disks(root: &Root, spec: &AreaSpec, may_wipe: bool) -> Result<Vec<Disk>> {
    if spec.devices.is_empty() {
        return Err(refused(spec, "it needs a disk, a partition or a file to write pages to"));
    }
    for (index, path) in spec.devices.iter().enumerate() {
        if let Some(other) = spec.devices[..index].iter().find(|other| is_same_disk(other, path)) {
            let (path, other) = (path.display(), other.display());
            return Err(refused(spec, &format!("{path} is named twice (it is {other})")));
        }
    }
    spec.devices.iter().map(|path| pool_disk(root, path, spec.file_size, may_wipe)).collect()
}

fn plain_disk(root: &Root, spec: &AreaSpec, may_wipe: bool) -> Result<Disk> {
    let [path] = spec.devices.as_slice() else {
        return Err(refused(spec, "a plain area is one disk, partition or file"));
    };
    let (disk, size) = measure(root, path, spec.file_size, may_wipe)?;
    // Everything behind the label is noise to who has no key: without it nobody could tell whose it is.
    let reserved_sectors = if spec.encrypt { FIRST } else { 0 };
    let data_sectors = (size.0 / SECTOR).checked_sub(reserved_sectors);
    let data_sectors = data_sectors.ok_or_else(|| refused(spec, &format!("{size} is too little")))?;
    Ok(Disk { reserved_sectors, data_sectors, ..disk })
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

/// A disk or file with its size, if it may be used: free, nobody's, not on storage that itself swaps, and without anything on it
/// that is worth something; but for what `may_wipe` gives away. Every check is made here, before anything is written.
fn measure(root: &Root, path: &Path, file_size: Option<Bytes>, may_wipe: bool) -> Result<(Disk, Bytes)> {
    let why = |why: String| AreaError::Refused(format!("{}: {why}", path.display()));
    if !path.is_absolute() {
        return Err(why("name it by its whole path".to_owned()));
    }
    let disk = Disk {
        path: path.to_path_buf(),
        is_file: true,
        made: None,
        file: None,
        wipe: None,
        reserved_sectors: 0,
        metadata_sectors: 0,
        data_sectors: 0,
    };
    if let Some(number) = number_of(path) {
        safety::check_block(root, number).map_err(why)?;
        let (wipe, size) = judge(root, path, may_wipe)?;
        return Ok((Disk { is_file: false, wipe, ..disk }, size));
    }
    let there = std::fs::symlink_metadata(path);
    if file_size.is_none() && there.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        return Err(why("is not there; with a size it would be made".to_owned()));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    safety::check_file_system(root, folder).map_err(why)?;
    match (there, file_size) {
        (Err(error), Some(size)) if error.kind() == std::io::ErrorKind::NotFound => {
            claims::require_unclaimed(root, path, None, &[]).map_err(why)?;
            let size = size.page_floor(Bytes(rustix::param::page_size() as u64));
            Ok((Disk { made: Some(size), ..disk }, size))
        }
        (Err(error), _) => Err(AreaError::io("stat", path)(error)),
        (Ok(meta), _) if !meta.is_file() => Err(why("is neither a block device nor a file".to_owned())),
        (Ok(meta), _) => {
            safety::check_file(&meta).map_err(why)?;
            let (wipe, size) = judge(root, path, may_wipe)?;
            Ok((Disk { wipe, ..disk }, size))
        }
    }
}

/// Whether what is there may be taken: nobody uses it, nobody names it, it holds nothing of worth. What is to be wiped first,
/// and its size.
fn judge(root: &Root, path: &Path, may_wipe: bool) -> Result<(Option<u64>, Bytes)> {
    let why = |why: String| AreaError::Refused(format!("{}: {why}", path.display()));
    // Who uses it is said better by looking than by an open that fails.
    let target = Node::at(path);
    target.map_or(Ok(()), |target| in_use::require_unused(root, target, &[])).map_err(why)?;
    let file = open_alone(path)?;
    let target = Node::of(&file).map_err(AreaError::io("stat", path))?;
    let size = Bytes(size_of(&file).map_err(AreaError::io("measure", path))?);
    in_use::require_unlocked(&file).map_err(why)?;
    let divided = in_use::require_undivided(root, target);
    let signs = blkid::signs(&file).map_err(AreaError::io("read", path))?;
    claims::require_unclaimed(root, path, Some(target), &signs).map_err(why)?;
    match content(&file).map_err(AreaError::io("read", path))? {
        Content::Foreign(foreign) if !may_wipe => Err(refusal(path, &foreign)),
        Content::Foreign(_) => given_away(root, target).map(|wipe| (Some(wipe), size)).map_err(why),
        _ if divided.is_err() && may_wipe => {
            given_away(root, target).map(|wipe| (Some(wipe), size)).map_err(why)
        }
        _ => divided.map(|()| (None, size)).map_err(why),
    }
}

/// What tells this disk from another of its name when it is wiped.
fn given_away(root: &Root, target: Node) -> std::result::Result<u64, String> {
    match in_use::sequence(root, target) {
        0 => Err("the kernel has no number for it (`diskseq`): wipe it with `wipefs -a`".to_owned()),
        sequence => Ok(sequence),
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

/// Whether two paths lead to the same device or file, whatever they are called.
#[must_use]
pub fn is_same_disk(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| -> PathBuf { path.canonicalize().unwrap_or_else(|_| path.to_path_buf()) };
    one == other || Node::at(one).is_some_and(|it| Node::at(other) == Some(it)) || real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;
    use crate::vswap::header;

    const SIZE: u64 = 16 << 20;

    /// A host with a file at `srv/disk` that is a swap area which is off.
    fn host() -> (FakeRoot, PathBuf) {
        let fake = FakeRoot::host();
        fake.write("srv/disk", "");
        let path = fake.path("srv/disk");
        let page = header::page(SIZE / 4096, [7; 16], &"main".parse().unwrap(), 4096).unwrap();
        put(&path, 0, &page);
        put(&path, SIZE - 1, &[0]);
        (fake, path)
    }

    fn put(path: &Path, at: u64, bytes: &[u8]) {
        use std::os::unix::fs::FileExt as _;
        OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    }

    #[test]
    fn a_stale_swap_area_is_taken_if_nobody_uses_or_names_it() {
        let (fake, path) = host();
        assert_eq!(judge(fake.root(), &path, false).unwrap(), (None, Bytes(SIZE)));
        fake.write("etc/fstab", "UUID=07070707-0707-0707-0707-070707070707 none swap sw 0 0\n");
        for may_wipe in [false, true] {
            let why = judge(fake.root(), &path, may_wipe).unwrap_err().to_string();
            assert!(why.contains("is named by /etc/fstab:1"), "{why}");
        }
    }

    #[test]
    fn a_swap_area_in_use_through_a_loop_device_is_not_stale() {
        let (fake, path) = host();
        fake.write("sys/block/loop0/loop/backing_file", "/srv/disk\n");
        for may_wipe in [false, true] {
            let why = judge(fake.root(), &path, may_wipe).unwrap_err().to_string();
            assert!(why.contains("is in use by loop0"), "{why}");
        }
    }

    #[test]
    fn what_is_given_away_is_noted_for_this_very_file() {
        let (fake, path) = host();
        put(&path, 0x8001, b"CD001");
        put(&path, 0x8000, &[1]);
        put(&path, 0x8006, &[1]);
        let why = judge(fake.root(), &path, false).unwrap_err().to_string();
        assert!(why.contains("holds iso9660") && why.contains("--wipe"), "{why}");
        use std::os::unix::fs::MetadataExt as _;
        let inode = std::fs::metadata(&path).unwrap().ino();
        assert_eq!(judge(fake.root(), &path, true).unwrap(), (Some(inode), Bytes(SIZE)));
    }

    #[test]
    fn a_file_under_two_names_is_one_disk() {
        let (fake, path) = host();
        std::fs::hard_link(&path, fake.path("srv/other")).unwrap();
        std::os::unix::fs::symlink("disk", fake.path("srv/link")).unwrap();
        for other in ["srv/disk", "srv/other", "srv/link"] {
            assert!(is_same_disk(&path, &fake.path(other)), "{other}");
        }
        fake.write("srv/third", "");
        assert!(!is_same_disk(&path, &fake.path("srv/third")));
    }
}
