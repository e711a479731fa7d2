//! The agent's end of the pump: starting it, handing it a job, waiting for what came of it. While it waits it looks after
//! the pump: what that holds low for too long is put back, and a pump that stands still is given up.

#![expect(clippy::disallowed_methods, reason = "starts the pump")]

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::Pid,
};

use super::{
    beat::{Beat, LONGEST, Watch},
    life::Life,
    wire::{Done, Job, Message, Put},
};
use crate::fault;
use crate::root::{FilePath, Root, RootError, cgroup_file, cgroup_path, change::Write as _};

/// How long the pump works between two looks at it and at what happens beside it, unless something is told.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Between two looks whether it has ended.
const END: Duration = Duration::from_millis(2);

/// Whether a round is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// It is.
    GoOn,
    /// It is to end now.
    End,
}

/// Hands over what is added to a round, before it is done.
pub(in super::super) type Tell<'a> = &'a mut dyn FnMut(Vec<Put>) -> io::Result<()>;

/// Looks at what happens beside a round.
pub(in super::super) trait Sight {
    /// What can be read when there is something to see.
    fn fd(&self) -> Option<&OwnedFd>;

    /// One look. What it adds to the round it hands to `tell` before it is done.
    fn look(&mut self, tell: Tell<'_>) -> io::Result<Verdict>;
}

/// A running pump. Dropping it closes its input, which ends it.
pub(in super::super) struct Link {
    child: Child,
    output: BufReader<ChildStdout>,
    life: Life,
    beat: Beat,
    /// `None`: there is no zswap to watch.
    watch: Option<Watch>,
}

impl Link {
    /// Starts this program's own file as the pump, in the cgroup `home`, which exists.
    pub(in super::super) fn start(root: &Root, home: &str) -> io::Result<Self> {
        let beat = Beat::new()?;
        let shared = beat.as_fd().as_raw_fd();
        let mut command = Command::new("/proc/self/exe");
        command.arg("--root").arg(root.host_path("")).arg("pump").arg("--beat").arg(shared.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: one system call, on a descriptor that this process keeps open: the child inherits it.
        unsafe {
            command.pre_exec(move || match libc::fcntl(shared, libc::F_SETFD, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let mut child = command.spawn()?;
        let output = child.stdout.take().map(BufReader::new).ok_or_else(|| io::Error::other("no pipe"))?;
        let life = Life::of(root, Pid::from_raw(child.id() as i32));
        let link = Self { child, output, life, beat, watch: Watch::open(root).ok() };
        fault::point("round.pump.spawned");
        let home = cgroup_file(home, "cgroup.procs");
        root.write(&home, &link.child.id().to_string())
            .map_err(|error: RootError| io::Error::other(error))?;
        Ok(link)
    }

    /// Makes the pump the guardian of a round of which nothing is done yet.
    pub(in super::super) fn prepare(&mut self, undo: Vec<Put>) -> io::Result<()> {
        self.say(&Message::Prepare { undo })
    }

    /// Ends that: the round is over, and everything given back.
    pub(in super::super) fn over(&mut self) -> io::Result<()> {
        self.say(&Message::Over)
    }

    fn say(&mut self, message: &Message) -> io::Result<()> {
        let input = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{}", serde_json::to_string(message)?)
    }

    /// Hands over a job and waits for its end, `grace` longer than the job's own deadline; ends it early when `sight` says so.
    ///
    /// # Errors
    /// It is gone, does not answer in time, or stands still. Then it must be ended.
    pub(in super::super) fn run(
        &mut self,
        job: Job,
        grace: Duration,
        sight: &mut dyn Sight,
    ) -> io::Result<Done> {
        let mut until = Instant::now() + Duration::from_millis(job.deadline_ms) + grace;
        self.say(&Message::Work(Box::new(job)))?;
        fault::point("round.job.sent");
        let mut is_ended = false;
        while !self.has_answered(sight.fd())? {
            if self.watch.as_ref().is_some_and(|watch| watch.look(&self.beat, LONGEST) > 0) {
                tracing::warn!("the pump held zswap's limit low for too long: it was put back");
            }
            if self.life.stands_still() {
                return Err(io::Error::other("the pump stands still: stopped, or frozen"));
            }
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the pump does not answer"));
            }
            let mut tell = |undo| self.say(&Message::Also { undo });
            if sight.look(&mut tell)? == Verdict::End && !is_ended {
                self.say(&Message::End)?;
                is_ended = true;
                until = until.min(Instant::now() + grace);
                fault::point("round.cut");
            }
        }
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the pump is gone")),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }

    /// Waits a little for the answer, or for something to see.
    fn has_answered(&self, seen: Option<&OwnedFd>) -> io::Result<bool> {
        if !self.output.buffer().is_empty() {
            return Ok(true);
        }
        let of = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut polled = vec![of(self.output.get_ref().as_fd())];
        polled.extend(seen.map(|seen| of(seen.as_fd())));
        match poll(&mut polled, Some(&LOOK)) {
            Err(Errno::INTR) => Ok(false),
            polled_some => polled_some.map(|_| !polled[0].revents().is_empty()).map_err(io::Error::from),
        }
    }

    /// Ends the pump at once: it failed, and its round is undone by the agent.
    pub(in super::super) fn kill(mut self) {
        let _already_gone = self.child.kill();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        while let Ok(None) = self.child.try_wait() {
            // It does not see that its input has ended.
            if self.life.stands_still() {
                let _already_gone = self.child.kill();
                break;
            }
            std::thread::sleep(END);
        }
        let _exit_status = self.child.wait();
    }
}

/// Where the pump's cgroup is, relative to the root.
pub(in super::super) fn home_path(home: &str) -> FilePath {
    cgroup_path(home)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_pump_that_stands_still_does_not_hold_up_the_end() {
        let fake = FakeRoot::host();
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
        let pid = Pid::from_raw(child.id() as i32);
        let output = child.stdout.take().map(BufReader::new).expect("a pipe");
        let life = Life::of(fake.root(), pid);
        let link = Link { child, output, life, beat: Beat::new().expect("memory"), watch: None };
        rustix::process::kill_process(pid.expect("a number"), rustix::process::Signal::STOP)
            .expect("a signal");
        let (ended, is_over) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(link);
            let _nobody_waits = ended.send(());
        });
        assert_eq!(is_over.recv_timeout(Duration::from_secs(10)), Ok(()));
    }
}
