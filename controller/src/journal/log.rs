//! The log's file: appending whole lines, room kept for the marks that follow, and whether it is the log at all.
//!
//! What the lines say is `record.rs`'s, when they are written is `undo.rs`'s, which is the caller.
//!
//! Properties
//! - A write that failed in the middle leaves no half line: it is cut off, or nothing is appended any more.
//! - Once a change is noted there is room on the disk for the mark that it is undone, where the file system can keep
//!   room. Where it cannot, a mark may be lost, which is harmless.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::error::UndoError;
use super::state_dir;

/// The longest log that is read. What is pending of 65,535 cgroups, three files each, is a quarter of it; a longer one
/// is not ours.
const LONGEST: u64 = 256 << 20;

/// The longest mark: `{"v":1,"settled":9007199254740991}` and its newline are 36 bytes.
const MARK: u64 = 40;

/// Room is kept in pieces of this size, so that a note seldom asks for more.
const PIECE: u64 = 64 << 10;

/// The open log.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Bytes that are known to be whole lines.
    len: u64,
    /// Up to here the file system has room for sure.
    kept: u64,
    /// Set once a failed append could not be taken back.
    is_broken: bool,
}

impl Log {
    /// Opens the log, of which the first `len` bytes are whole lines; what follows them is cut off.
    pub(super) fn open(path: &Path, len: u64) -> Result<Log, UndoError> {
        let failed = |action| move |error| UndoError::io(action, path, error);
        let file = state_dir::options().append(true).open(path).map_err(failed("open"))?;
        let now = file.metadata().map_err(failed("stat"))?.len();
        match now.cmp(&len) {
            std::cmp::Ordering::Less => return Err(UndoError::Broken { path: path.to_path_buf() }),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => file.set_len(len).map_err(failed("cut"))?,
        }
        Ok(Log { path: path.to_path_buf(), file, len, kept: len, is_broken: false })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the path still leads to this file. Lines in any other would be lost with it.
    pub(super) fn is_in_place(&self) -> bool {
        let of = |meta: fs::Metadata| (meta.dev(), meta.ino());
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(here)) => of(there) == of(here),
            _ => false,
        }
    }

    /// Appends records and syncs them, and keeps room for so many marks. When this fails nothing was appended.
    pub(super) fn note(
        &mut self,
        lines: &[u8],
        marks: usize,
        between: impl FnOnce(),
    ) -> Result<(), UndoError> {
        self.append(lines)?;
        between();
        let done = self.keep_room(marks).map_err(|error| ("keep room in", error));
        if let Err((action, error)) = done.and_then(|()| self.file.sync_data().map_err(|e| ("sync", e))) {
            self.len -= lines.len() as u64;
            self.take_back();
            return Err(UndoError::io(action, &self.path, error));
        }
        Ok(())
    }

    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), UndoError> {
        if self.is_broken {
            return Err(UndoError::Broken { path: self.path.clone() });
        }
        if let Err(error) = self.file.write_all(lines) {
            self.take_back();
            return Err(UndoError::io("append to", &self.path, error));
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed append may have left. The room behind it goes with it.
    pub(super) fn take_back(&mut self) {
        self.is_broken = self.file.set_len(self.len).is_err();
        self.kept = self.len;
    }

    fn keep_room(&mut self, marks: usize) -> io::Result<()> {
        let needed = marks as u64 * MARK;
        if self.len + needed <= self.kept {
            return Ok(());
        }
        let mut answer = Ok(());
        for bytes in [needed.next_multiple_of(PIECE), needed] {
            answer = rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.len, bytes);
            match answer {
                Ok(()) => {
                    self.kept = self.len + bytes;
                    return Ok(());
                }
                Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => {}
                // A file system that cannot keep room.
                Err(_) => return Ok(()),
            }
        }
        answer.map_err(io::Error::from)
    }

    #[cfg(test)]
    pub(super) fn replace(&mut self, file: File, path: &str) {
        (self.file, self.path) = (file, path.into());
    }
}

/// The text of the log; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, UndoError> {
    let read = |mut file: File| {
        if file.metadata()?.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map(|_| text)
    };
    match state_dir::options().read(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        opened => opened.and_then(read).map_err(|e| UndoError::io("read", path, e)),
    }
}
