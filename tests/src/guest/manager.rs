//! A service manager, as far as the descriptors go that a service stores with it: they are kept while it is restarted, handed
//! to its next run, and dropped when it is stopped. systemd's protocol (sd_notify(3), sd_listen_fds(3)).

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::agent::Agent;
use super::process::sibling;

/// Where it is told.
const SOCKET: &str = "/run/test-manager";
/// The first descriptor of those that a service is handed.
const FIRST: i32 = 3;
/// Descriptors wait above all that the next run is handed.
const ABOVE: i32 = 256;

type Stored = Arc<Mutex<Vec<(String, OwnedFd)>>>;

/// It listens until the test program ends.
#[derive(Debug)]
pub struct Manager {
    stored: Stored,
}

impl Manager {
    /// Begins to listen.
    ///
    /// # Errors
    /// When its socket cannot be made.
    pub fn start() -> Result<Manager> {
        let _none = std::fs::remove_file(SOCKET);
        let socket = UnixDatagram::bind(SOCKET).context(SOCKET)?;
        let stored = Stored::default();
        let theirs = stored.clone();
        std::thread::spawn(move || while take_message(&socket, &theirs).is_ok() {});
        Ok(Manager { stored })
    }

    /// What a service is told of it.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, &'static str); 1] {
        [("NOTIFY_SOCKET", SOCKET)]
    }

    /// How many descriptors it keeps.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The service is stopped for good: nothing is kept.
    pub fn drop_all(&self) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Starts the agent with all that it keeps.
    ///
    /// # Errors
    /// When there is nothing, or the agent does not start.
    pub fn restart(&self) -> Result<Agent> {
        ensure!(self.stored() > 0, "nothing is kept");
        Agent::start_by(&mut self.next_agent()?)
    }

    /// The command that becomes the next agent, with all that is kept; it is to be started before that changes.
    ///
    /// # Errors
    /// The program is not where it should be.
    pub fn next_agent(&self) -> Result<Command> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = stored.iter().map(|(name, _)| name.as_str()).collect();
        let mut command = Command::new("/bin/sh");
        // Only the process itself knows its id.
        command.args(["-c", "LISTEN_PID=$$ exec \"$0\" agent"]).arg(sibling("swaptier")?);
        command.envs(self.variables());
        // With none systemd says nothing of them.
        if !names.is_empty() {
            command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        }
        let waiting: Vec<i32> = stored.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        ensure!(waiting.iter().all(|fd| *fd >= ABOVE), "{waiting:?}: some would be overwritten");
        drop(stored);
        // SAFETY: dup2 may be called between fork and exec; what it overwrites is the child's own.
        unsafe {
            command.pre_exec(move || {
                for (place, fd) in (FIRST..).zip(&waiting) {
                    if libc::dup2(*fd, place) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        Ok(command)
    }
}

fn take_message(socket: &UnixDatagram, stored: &Stored) -> Result<()> {
    let (mut text, mut space) = ([0; 1024], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))]);
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let text = String::from_utf8_lossy(&text[..got.bytes]);
    let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or_default();
    let mut stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
    if text.contains("FDSTOREREMOVE=1") {
        stored.retain(|(known, _)| known != name);
    }
    for fd in rights.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    }) {
        // What comes with a barrier is closed here, which is the answer.
        if text.contains("FDSTORE=1") {
            stored.push((name.to_owned(), above(&fd)?));
        }
    }
    Ok(())
}

fn above(fd: &OwnedFd) -> Result<OwnedFd> {
    // SAFETY: copies a descriptor of ours.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, ABOVE) };
    ensure!(copy >= 0, "a descriptor cannot be copied: {}", std::io::Error::last_os_error());
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
