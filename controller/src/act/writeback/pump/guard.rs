//! The guard: a third process, forked by the pump, that puts the pool's limit and threshold back when the pump cannot,
//! also when the agent is stopped at the same moment.
//!
//! It does nothing else and owns hardly any memory. It moves itself into the root cgroup, which cannot be frozen and
//! has no limits, and into a session of its own; it sleeps until a round begins, and ends with its pump, after a last
//! look.

#![expect(clippy::disallowed_methods, reason = "/dev/null, for a process that must hold nothing")]

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, kill_process, setsid, waitpid},
};

use super::beat::{Beat, LONGEST, Watch};
use crate::root::{Root, cgroup_file, change::Write as _};

/// Between two looks while a round runs.
const LOOK: Duration = Duration::from_millis(20);

/// The pump's end.
pub(super) struct Guard {
    process: Pid,
    /// One byte when a round begins, another when it is over; closed when the pump is gone.
    line: OwnedFd,
}

impl Guard {
    /// Forks it. To be called while this process has one thread.
    ///
    /// # Errors
    /// There is no zswap here, or no memory for a process: then the agent watches alone.
    pub(super) fn start(root: &Root, beat: &Beat) -> io::Result<Self> {
        let watch = Watch::open(root)?;
        let (line_end, line) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: one thread, so the child may go on with whatever it has.
        match unsafe { libc::fork() } {
            0 => {
                drop(line);
                keep_watch(root, beat, &watch, &line_end)
            }
            child => match Pid::from_raw(child).filter(|_| child > 0) {
                Some(process) => Ok(Self { process, line }),
                None => Err(io::Error::last_os_error()),
            },
        }
    }

    /// A round begins, or is over.
    pub(super) fn expect(&self, is_round: bool) {
        // A guard that was killed guards nothing; the agent does.
        let _gone = rustix::io::write(&self.line, if is_round { b"1" } else { b"0" });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed and not told: it may have been stopped.
        let _gone = kill_process(self.process, Signal::KILL);
        let _reaped = waitpid(Some(self.process), WaitOptions::empty());
    }
}

/// The guard's whole life.
fn keep_watch(root: &Root, beat: &Beat, watch: &Watch, line: &OwnedFd) -> ! {
    settle_in(root);
    let mut is_round = false;
    loop {
        let look = Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as i64 };
        let mut polled = [PollFd::new(line, PollFlags::IN)];
        let _interrupted = poll(&mut polled, is_round.then_some(&look));
        let mut said = [0; 16];
        if polled[0].revents().intersects(PollFlags::IN | PollFlags::HUP) {
            match rustix::io::read(line, &mut said) {
                Ok(0) => break,
                Ok(bytes) => is_round = said[bytes - 1] == b'1',
                Err(_) => {}
            }
        }
        watch.look(beat, LONGEST);
    }
    // Nobody else will.
    watch.look(beat, Duration::ZERO);
    // SAFETY: ends this process without running what belongs to its parent.
    unsafe { libc::_exit(0) }
}

/// Leaves everything that could stop it together with its pump or the agent. All of it as far as it is possible.
fn settle_in(root: &Root) {
    let _already_leader = setsid();
    let _stays = root.write(&cgroup_file("", "cgroup.procs"), "0");
    // The agent sees the pump's end by its output, so nobody else may hold it.
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        for stream in [0, 1] {
            // SAFETY: both numbers are descriptors of this process.
            unsafe { libc::dup2(null.as_fd().as_raw_fd(), stream) };
        }
    }
    use rustix::mm::{MlockAllFlags, mlockall};
    let _not_permitted = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    // Before the pump, where there is one processor.
    let priority = libc::sched_param { sched_priority: 2 };
    // SAFETY: the parameter is read and not kept.
    let _not_permitted = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}
