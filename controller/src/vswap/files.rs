//! Files of areas: made with all their blocks, a ghost's with its header alone, and removed. The list that names them may be
//! damaged, so nothing is written to, and nothing removed, that holds something else. Caller: `hands.rs`.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use swaptier_policies::Bytes;

use super::area::AreaName;
use super::error::{AreaError, Result};
use super::hands::{open, page_size, require_free};
use super::header;

/// All of a file's blocks are taken now: none is looked for when memory is short.
pub(super) fn make(path: &Path, size: Bytes) -> Result<()> {
    let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let made = AreaError::io("make", path);
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Err(made(error)),
    };
    // A killed process may have begun it; what somebody else wrote there is not touched.
    require_free(&file, path)?;
    let fill = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size.0);
    fill.map_err(io::Error::from).and_then(|()| file.sync_all()).map_err(made)
}

/// Removes a file that was made for an area, if it still holds nothing else: the list that names it may be damaged, and
/// somebody may have put something in its place. Such a file is left, and told. What one that is all `cipher` holds cannot be
/// judged: it must have that size.
pub(super) fn remove(path: &Path, cipher: Option<Bytes>) -> Result<()> {
    let file = match open(path) {
        Err(AreaError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let meta = file.metadata().map_err(AreaError::io("stat", path))?;
    let is_free = match cipher {
        Some(size) => meta.len() == size.0,
        None => require_free(&file, path).is_ok(),
    };
    if !meta.is_file() || !is_free {
        tracing::warn!(path = %path.display(), "holds something that no area wrote: it is left where it is");
        return Ok(());
    }
    std::fs::remove_file(path).map_err(AreaError::io("remove", path))
}

pub(super) fn make_ghost(area: &AreaName, path: &Path, size: Bytes) -> Result<()> {
    let make = || -> io::Result<()> {
        let page = header::page(size.0 / page_size() as u64, header::uuid()?, area, page_size())?;
        let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(path)?;
        file.write_all_at(&page, 0)?;
        file.sync_all()
    };
    make().map_err(AreaError::io("make", path))
}

#[cfg(test)]
mod tests {
    use super::super::label;
    use super::*;

    #[test]
    fn only_files_that_hold_nothing_but_swap_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let write = |name: &str, content: &[u8]| std::fs::write(path(name), content).unwrap();
        write("passwd", b"root:x:0:0:root:/root:/bin/bash\n");
        write("blank", &[0; 8192]);
        write("empty", b"");
        write("ours", &label::page(&"main".parse().unwrap(), page_size()));
        let header = header::page(256, [7; 16], &"main".parse().unwrap(), page_size()).unwrap();
        write("ghost", &header);
        std::os::unix::fs::symlink(path("passwd"), path("link")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        for name in ["passwd", "link", "folder", "blank", "empty", "ours", "ghost", "gone"] {
            // A link is refused by name, a folder cannot be opened: neither is followed nor removed.
            let _refused = remove(&path(name), None);
        }
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["folder", "link", "passwd"]);
        write("cipher", &[7; 8192]);
        remove(&path("passwd"), Some(Bytes(8192))).unwrap();
        remove(&path("cipher"), Some(Bytes(8192))).unwrap();
        assert!(!path("cipher").exists());
        assert_eq!(std::fs::read(path("passwd")).unwrap(), b"root:x:0:0:root:/root:/bin/bash\n");
    }

    #[test]
    fn a_file_is_made_where_there_is_nothing_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (fresh, taken) = (dir.path().join("fresh"), dir.path().join("taken"));
        make(&fresh, Bytes(1 << 20)).unwrap();
        // Begun by somebody who was killed: it becomes as large as it shall be.
        make(&fresh, Bytes(2 << 20)).unwrap();
        assert_eq!(std::fs::metadata(&fresh).unwrap().len(), 2 << 20);
        std::fs::write(&taken, b"letters").unwrap();
        assert!(make(&taken, Bytes(1 << 20)).is_err());
        assert_eq!(std::fs::read(&taken).unwrap(), b"letters");
    }
}
