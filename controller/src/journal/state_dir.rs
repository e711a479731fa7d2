//! The state folder: who may own it, and the one lock in it. Called by `undo.rs`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::error::UndoError;
use crate::fault;

/// Makes the state folder if it is missing and checks that nobody else can write or read it.
pub(crate) fn prepare(dir: &Path) -> Result<(), UndoError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| UndoError::io("make", dir, e))?;
    let meta = fs::symlink_metadata(dir).map_err(|e| UndoError::io("stat", dir, e))?;
    let me = rustix::process::geteuid().as_raw();
    let unsafe_because = |why: String| UndoError::Unsafe { path: dir.to_path_buf(), why };
    if !meta.is_dir() {
        return Err(unsafe_because("it is not a directory".to_owned()));
    }
    if meta.uid() != me {
        return Err(unsafe_because(format!("it belongs to uid {}, not to {me}", meta.uid())));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(unsafe_because(format!("its mode is {:o}, it must be 700", meta.mode() & 0o7777)));
    }
    Ok(())
}

/// Takes the folder's lock, and writes our pid into it for those who come later. The lock is held as long as the file
/// is open and falls when the process dies, however it dies. It needs neither room nor the right to write: where the
/// file cannot be made, the folder itself is locked.
pub(super) fn lock(dir: &Path) -> Result<File, UndoError> {
    let path = dir.join("lock");
    let opened = options().read(true).write(true).create(true).truncate(false).open(&path);
    let opened = opened.or_else(|error| match is_want_of_room(&error) {
        true => options().read(true).open(&path).or_else(|_| File::open(dir)),
        false => Err(error),
    });
    let mut file = opened.map_err(|e| UndoError::io("open", &path, e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(UndoError::Held { pid: holder(&mut file), path }),
        Err(e) => return Err(UndoError::io("lock", &path, e.into())),
    }
    fault::point("state.locked");
    // For messages alone. Of one length, so that it fits where the last one stood.
    let _no_room = file.write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
    Ok(file)
}

/// The file system is full or read-only, or its disk fails: what is there can be read all the same.
fn is_want_of_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EROFS | libc::EIO))
}

/// How files of the state folder are opened: ours alone, and never through a link.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}

/// Makes a rename or a new file in `dir` survive a crash.
pub(super) fn sync(dir: &Path) -> Result<(), UndoError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| UndoError::io("sync", dir, e))
}

/// Writes `content` to `dir/name` so that after a crash either the old or the new content is there, whole.
pub(crate) fn replace(dir: &Path, name: &str, content: &[u8]) -> Result<PathBuf, UndoError> {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || -> io::Result<()> {
        let mut file = options().write(true).create(true).truncate(true).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fault::point("state.replace.written");
        fs::rename(&fresh, &path)
    };
    write().map_err(|e| UndoError::io("replace", &path, e))?;
    fault::point("state.replace.renamed");
    sync(dir)?;
    Ok(path)
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
