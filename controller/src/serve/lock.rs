//! One agent serves the socket: the lock on its folder, whatever state folder an agent has.
//!
//! Two agents with different state folders would give back each other's values, take each other's probes and socket. The
//! lock is on the folder itself, so that nothing is left when its holder dies. Caller: the agent, before it touches anything.

#![expect(clippy::disallowed_methods, reason = "the lock beside the socket is its file")]

use std::{fs, io, os::fd::OwnedFd, path::PathBuf};

use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
};

use super::SOCKET;
use crate::root::Root;

/// The lock, until it is dropped.
#[derive(Debug)]
pub struct SocketLock {
    _folder: OwnedFd,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent has it.
    #[error("another agent serves {}: stop it first", socket.display())]
    Held {
        /// The socket.
        socket: PathBuf,
    },
    /// The folder cannot be made, opened or locked.
    #[error("lock {}: {source}", folder.display())]
    Io {
        /// The folder of the socket.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SocketLock {
    /// Takes it.
    ///
    /// # Errors
    /// Another agent has it, or the folder cannot be had.
    pub fn take(root: &Root) -> Result<Self, LockError> {
        let socket = root.host_path(SOCKET);
        let folder = socket.parent().map_or_else(PathBuf::new, PathBuf::from);
        let failed = |source: io::Error| LockError::Io { folder: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&folder, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _folder: opened }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held { socket }),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn one_agent_at_a_time_has_the_socket() {
        let fake = FakeRoot::host();
        let first = SocketLock::take(fake.root()).unwrap();
        let second = SocketLock::take(fake.root()).unwrap_err();
        assert!(
            matches!(second, LockError::Held { .. }) && second.to_string().contains("stop it first"),
            "{second}"
        );
        drop(first);
        assert!(SocketLock::take(fake.root()).is_ok());
        assert_eq!(std::fs::read_dir(fake.path("run/swaptier")).unwrap().count(), 0, "nothing is left");
    }
}
