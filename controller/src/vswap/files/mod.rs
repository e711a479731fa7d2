//! Files of areas: made with all their blocks, a ghost's with its header alone, and removed. A file is ours by what was noted
//! of it before it had a name (`identity.rs`), or by the name of its area that is in it, and never by its path: what somebody
//! else put there is left and told. Caller: the executor.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FallocateFlags};
use swaptier_policies::Bytes;

use super::area::AreaName;
use super::content::{Content, content};
use super::disk::{open, page_size};
use super::error::{AreaError, Result};
use super::header;
use super::identity::FileId;
use crate::fault;

/// Makes the file of an area, with all its blocks: none is looked for when memory is short. It gets its name only after `note`
/// has noted which file it is. One that is there already is finished if it is known to be the area's.
pub(super) fn make(
    area: &AreaName,
    path: &Path,
    size: Bytes,
    noted: Option<FileId>,
    note: impl FnOnce(FileId) -> Result<()>,
) -> Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        let file = open(path)?;
        let id = FileId::of(&file).map_err(AreaError::io("stat", path))?;
        let is_noted = noted.is_some_and(|noted| noted.is(&id));
        if !is_noted && !has_name(&file, area).map_err(AreaError::io("read", path))? {
            let why = format!("is there, and is not the file that was made for {area}: it is left as it is");
            return Err(AreaError::Refused(format!("{} {why}", path.display())));
        }
        note(id)?;
        return fill(&file, size).map_err(AreaError::io("make", path));
    }
    match nameless(path) {
        Ok(file) => {
            fill(&file, size).map_err(AreaError::io("make", path))?;
            note(FileId::of(&file).map_err(AreaError::io("stat", path))?)?;
            fault::point("area.file.noted");
            name(&file, path).map_err(AreaError::io("make", path))
        }
        // A file system that has none. Killed before the note, it leaves a file without a byte.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) =>
        {
            let file = fresh(path).map_err(AreaError::io("make", path))?;
            note(FileId::of(&file).map_err(AreaError::io("stat", path))?)?;
            fill(&file, size).map_err(AreaError::io("make", path))
        }
        Err(error) => Err(AreaError::io("make", path)(error)),
    }
}

/// A file that goes with its last user, in the folder of `path`.
fn nameless(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC | libc::O_TMPFILE)
        .open(folder)
}

/// Gives it its name, if there is no such name.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, open.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A file that was not there.
fn fresh(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)
}

fn fill(file: &File, size: Bytes) -> io::Result<()> {
    rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size.0)?;
    file.sync_all()
}

/// Whether the name of the area is in it, and nothing else that is worth something.
fn has_name(file: &File, area: &AreaName) -> io::Result<bool> {
    Ok(match content(file)? {
        Content::Ours(name) | Content::Swap(name) => name.as_deref() == Some(area.as_str()),
        Content::Blank | Content::Foreign(_) => false,
    })
}

/// Removes the file of an area: the one that was noted, which holds nothing else by now; without a note, one with the area's
/// name in it. Any other is left: why is returned.
pub(super) fn remove(area: &AreaName, path: &Path, noted: Option<FileId>) -> Result<Option<String>> {
    let left = |why: &str| Ok(Some(format!("{} {why}: it is left where it is", path.display())));
    if std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return left("is no file any more");
    }
    let file = match open(path) {
        Err(AreaError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let id = FileId::of(&file).map_err(AreaError::io("stat", path))?;
    if noted.is_some_and(|noted| !noted.is(&id)) {
        return left("is not the file that was made for the area");
    }
    let is_free = match noted {
        Some(_) => !matches!(content(&file).map_err(AreaError::io("read", path))?, Content::Foreign(_)),
        None => has_name(&file, area).map_err(AreaError::io("read", path))?,
    };
    if !is_free {
        return left("holds something that no area wrote");
    }
    // It may have been replaced meanwhile.
    if FileId::at(path).is_none_or(|now| !now.is(&id)) {
        return left("was exchanged just now");
    }
    std::fs::remove_file(path).map_err(AreaError::io("remove", path))?;
    Ok(None)
}

/// Makes a ghost's file, or writes one anew that has the area's name in it.
pub(super) fn make_ghost(area: &AreaName, path: &Path, size: Bytes) -> Result<()> {
    let file = match fresh(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = open(path)?;
            let is_empty = file.metadata().map_err(AreaError::io("stat", path))?.len() == 0;
            if !is_empty && !has_name(&file, area).map_err(AreaError::io("read", path))? {
                let why = "is there, and is no file of a ghost: it is left as it is";
                return Err(AreaError::Refused(format!("{} {why}", path.display())));
            }
            file
        }
        opened => opened.map_err(AreaError::io("make", path))?,
    };
    let write = || -> io::Result<()> {
        let page = header::page(size.0 / page_size() as u64, header::uuid()?, area, page_size())?;
        file.write_all_at(&page, 0)?;
        file.sync_all()
    };
    write().map_err(AreaError::io("make", path))
}

#[cfg(test)]
mod tests;
