//! What somebody asks for, against the areas there are: what the names of disks lead to now, that no disk is in two areas, and
//! then what `prepare.rs` makes of it. Changes nothing and takes no lock, so it also tells beforehand what would be refused, in
//! the very words. Callers: `operations/`, `transfer.rs`, and the agent for `check --host`.

use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::area::AreaSpec;
use super::error::{AreaError, Result};
use super::intended::{AreaRecord, Disk, Intended, Owner};
use super::prepare;
use crate::root::Root;

/// The record of an area that is to be made beside those of `intended`. What the names of its disks lead to is looked up once,
/// and noted.
///
/// # Errors
/// Why it cannot be, and what to do instead.
pub fn record(
    root: &Root,
    intended: &Intended,
    spec: &AreaSpec,
    owner: Owner,
    may_wipe: bool,
) -> Result<AreaRecord> {
    if intended.area(&spec.name).is_some() {
        return Err(AreaError::Refused(format!("there is an area {} already", spec.name)));
    }
    let devices = spec.devices.iter().map(|path| named(root, path)).collect::<Result<_>>()?;
    let named = AreaSpec { devices, ..spec.clone() };
    require_disks_are_free(intended, &named.devices)?;
    let mut record = prepare::record(root, &named, owner, may_wipe)?;
    record.spec.devices.clone_from(&spec.devices);
    Ok(record)
}

/// A disk that is to join the pool of one of `intended`.
///
/// # Errors
/// What is wrong with it.
pub fn pool_disk(
    root: &Root,
    intended: &Intended,
    path: &Path,
    file_size: Option<Bytes>,
    may_wipe: bool,
) -> Result<Disk> {
    require_disks_are_free(intended, &[path.to_path_buf()])?;
    prepare::pool_disk(root, &named(root, path)?, file_size, may_wipe)
}

/// What a path leads to, for a disk that is to be used.
///
/// # Errors
/// It is a disk that this process cannot reach.
pub(super) fn named(root: &Root, path: &Path) -> Result<PathBuf> {
    let path = resolved(path);
    hidden(root, &path).map_or(Ok(path), |why| Err(AreaError::Refused(why)))
}

/// No disk is in two areas, whatever it is called.
pub(super) fn require_disks_are_free(intended: &Intended, paths: &[PathBuf]) -> Result<()> {
    for area in &intended.areas {
        for disk in area.all_disks() {
            if let Some(path) = paths.iter().find(|path| prepare::is_same_disk(path, &disk.path)) {
                let name = &area.spec.name;
                return Err(AreaError::Refused(format!("{} belongs to the area {name}", path.display())));
            }
        }
    }
    Ok(())
}

/// What a path leads to now, links followed: the device of one in `/dev/disk/by-id`, the folder itself of a linked one. Of
/// what is not there, its folder. What is no whole path is left as it is, for others to refuse.
fn resolved(path: &Path) -> PathBuf {
    let in_its_folder = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    match path.is_absolute() {
        true => path.canonicalize().ok().or_else(in_its_folder).unwrap_or_else(|| path.to_path_buf()),
        false => path.to_path_buf(),
    }
}

/// Why a path leads nowhere although the kernel has a disk of that name.
fn hidden(root: &Root, path: &Path) -> Option<String> {
    let is_there = std::fs::symlink_metadata(root.host_path(path)).is_ok();
    let number = root.device_called(path).filter(|_| !is_there && path.starts_with("/dev"))?;
    Some(format!(
        "{}: the kernel has this disk ({number}), and this process cannot reach its node: in a service `PrivateDevices=` \
         hides it",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_leads_to_also_before_the_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("there"), "x").unwrap();
        std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink(real.join("there"), dir.path().join("by-id")).unwrap();
        for (asked, leads) in [("link/there", "there"), ("link/new", "new"), ("by-id", "there")] {
            assert_eq!(resolved(&dir.path().join(asked)), real.join(leads), "{asked}");
        }
        let fake = crate::fake::FakeRoot::host();
        let why = hidden(fake.root(), Path::new("/dev/vda")).unwrap();
        assert!(why.contains("the kernel has this disk (254:0)"), "{why}");
        assert_eq!(hidden(fake.root(), Path::new("/dev/vdz")), None);
        assert_eq!(hidden(fake.root(), Path::new("/vda")), None, "a file that is to be made");
        for as_it_is in ["relative", "/nowhere/at/all", "/"] {
            assert_eq!(resolved(Path::new(as_it_is)), Path::new(as_it_is));
        }
    }
}
