//! The agent's end of the pump: starting it, handing it a job, waiting for what came of it.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::fd::AsFd as _,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::wire::{Done, Job, Message, Put};
use crate::fault;
use crate::root::{Root, RootError, cgroup_file, cgroup_path};

/// A running pump. Dropping it closes its input, which ends it.
pub(in super::super) struct Link {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Link {
    /// Starts this program's own file as the pump, in the cgroup `home`, which exists.
    pub(in super::super) fn start(root: &Root, home: &str) -> io::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .arg("--root")
            .arg(root.host_path(""))
            .arg("pump")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().map(BufReader::new).ok_or_else(|| io::Error::other("no pipe"))?;
        let link = Self { child, output };
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

    /// Hands over a job and waits for its end, `grace` longer than the job's own deadline.
    pub(in super::super) fn run(&mut self, job: Job, grace: Duration) -> io::Result<Done> {
        let wait = Duration::from_millis(job.deadline_ms) + grace;
        self.say(&Message::Work(Box::new(job)))?;
        fault::point("round.job.sent");
        if self.output.buffer().is_empty() {
            let mut polled = [PollFd::from_borrowed_fd(self.output.get_ref().as_fd(), PollFlags::IN)];
            let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
            if poll(&mut polled, Some(&timeout))? == 0 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the pump does not answer"));
            }
        }
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the pump is gone")),
            _ => Ok(serde_json::from_str(&line)?),
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
        let _exit_status = self.child.wait();
    }
}

/// Where the pump's cgroup is, relative to the root.
pub(in super::super) fn home_path(home: &str) -> String {
    cgroup_path(home)
}
