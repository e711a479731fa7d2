//! What can go wrong with an area: what was tried, on what, and the system's answer.

use std::io;
use std::path::{Path, PathBuf};

use super::dm::DmError;
use crate::journal::UndoError;
use crate::root::RootError;
use crate::sense::SenseError;

/// What to do about a list that cannot be used.
const LIST_MEND: &str = "Put a copy of it back that is whole, or use the swaptier that wrote it. Without either, move it away and \
                         restart the agent: devices of swaptier's that no list names are then taken off, as far as memory has \
                         room for what is in them";

/// An operation on areas that failed.
#[derive(Debug, thiserror::Error)]
pub enum AreaError {
    /// Device-mapper refused.
    #[error(transparent)]
    Dm(#[from] DmError),
    /// A file, a disk or a system call refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, in the present tense.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// zram refused.
    #[error("{action}: {error} ({hint})")]
    Zram {
        /// What was tried, in the present tense.
        action: &'static str,
        /// On which file, and the system's answer. It is in the text: it is no `source`, which would be told once more.
        error: RootError,
        /// What it may mean, and what to do.
        hint: &'static str,
    },
    /// A file of the kernel could not be read or written.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The host could not be looked at.
    #[error(transparent)]
    Sense(#[from] SenseError),
    /// The list of areas could not be kept.
    #[error(transparent)]
    State(#[from] UndoError),
    /// The list of areas is damaged, or of another version. It is not written over: it may be all that tells whose files and devices
    /// there are.
    #[error("the list of areas {} cannot be used, and is left as it is: {why}. {LIST_MEND}", path.display())]
    List {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was asked for cannot be, and why; what to do instead, where there is something.
    #[error("{0}")]
    Refused(String),
}

impl AreaError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AreaError {
        move |source| AreaError::Io { action, path: path.to_path_buf(), source }
    }

    /// Whether a swap area could not be switched off because somebody is about it already.
    #[must_use]
    pub fn is_being_emptied(&self) -> bool {
        matches!(self, AreaError::Io { action: "swap off", source, .. } if source.raw_os_error() == Some(libc::EINVAL))
    }

    /// Whether the system said that it is not allowed.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let errno = match self {
            AreaError::Dm(error) => error.source.raw_os_error(),
            AreaError::Io { source, .. } => source.raw_os_error(),
            AreaError::Root(error) | AreaError::Zram { error, .. } => error.errno(),
            AreaError::State(UndoError::Io { source, .. }) => source.raw_os_error(),
            _ => None,
        };
        matches!(errno, Some(libc::EPERM | libc::EACCES))
    }
}

/// What this room returns.
pub type Result<T> = std::result::Result<T, AreaError>;
