//! Why the state folder or the undo log in it cannot be used. Callers: all of this room, and who opens it.

use std::io;
use std::path::{Path, PathBuf};

use super::record::VERSION;

/// Why the undo log cannot be used. While it cannot, nothing may be changed.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// A file operation in the state folder failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The state folder can be reached by others.
    #[error("the state folder {} is refused: {why}", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// Owner or mode, with the numbers.
        why: String,
    },
    /// Another agent holds the state folder.
    #[error("{} is locked by {}", path.display(), pid.map_or("another process".to_owned(), |p| format!("process {p}")))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder, if it wrote its pid.
        pid: Option<u32>,
    },
    /// A line inside the log is damaged.
    #[error("{}:{line}: {why}; nothing was changed (`restore --force` skips such lines)", path.display())]
    Corrupt {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A line of the log is of another version: it means something, and not to this one.
    #[error(
        "{}:{line}: written by another swaptier, in lines of version {version} (this one knows {VERSION}): \
         `swaptier restore` of that version gives the values back; nothing was changed, and the log is kept",
        path.display()
    )]
    Version {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Its version.
        version: u32,
    },
    /// An earlier write failed and could not be taken back: the end of the log is not known.
    #[error("{} cannot be appended to: an earlier write failed, or the file is not the log any more", path.display())]
    Broken {
        /// The log.
        path: PathBuf,
    },
}

impl UndoError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> UndoError {
        UndoError::Io { action, path: path.to_path_buf(), source }
    }
}
