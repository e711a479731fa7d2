//! The pump: a process of its own that makes zswap write back and is the guardian of a round.
//!
//! It is apart from the agent for three reasons. One page of it is offered to zswap over and over, so it must own
//! memory that may be swapped, while the agent's is locked. It sits in a cgroup whose write-back is closed, so that
//! this page never reaches a disk. And it outlives the agent: when the agent dies in the middle of a round the pump
//! sees the end of its input and puts everything back, the pool limit first.
//!
//! `wire` is what the two say to each other, `link` the agent's end, `page` the page. This file is the process.

pub(super) mod link;
mod page;
pub(super) mod wire;

use std::{
    io::{self, BufRead as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};

use crate::{
    map::{Meter, Reading},
    root::{Root, RootError},
};
use page::Page;
use wire::{Done, Ended, Job, Put, Stroke};

/// How long the pump sleeps between two looks at the meter, unless the alarm wakes it.
const LOOK: Duration = Duration::from_micros(20);

/// How long a stroke may take to show on the meter. The worker starts within a few switches of context.
const STROKE: Duration = Duration::from_micros(400);

/// Strokes without any effect after which nothing more is to come. The worker walks the cgroups round robin, also
/// those that are closed, so one stroke without effect says little.
const IDLE_STROKES: u64 = 256;

/// Time without effect that must have passed as well.
const IDLE: Duration = Duration::from_millis(100);

/// Runs the pump on standard input and output until the agent is gone. Returns the process's exit code.
///
/// # Errors
/// The agent's end said something that is no job, or the memory for the page could not be had.
pub fn run(root: &Root, pins: &Path) -> io::Result<()> {
    outlive_the_agent();
    let mut page = Page::new()?;
    let mut lines = io::stdin().lock().lines();
    while let Some(line) = lines.next().transpose()? {
        let job: Job = serde_json::from_str(&line)?;
        let done = Round::open(root, pins, &job)
            .and_then(|mut round| round.run(&mut page))
            .unwrap_or_else(|error| Done::refused(error.to_string()));
        // A closed pipe here is noticed as the end of the input below.
        let _agent_is_gone = writeln!(io::stdout().lock(), "{}", serde_json::to_string(&done)?);
        if is_ended() {
            put_back(root, &job.undo);
        }
    }
    Ok(())
}

/// Leaves the agent's session, stays deaf to the signals that end the agent, and locks all memory mapped so far.
fn outlive_the_agent() {
    let _already_leader = rustix::process::setsid();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // Best effort: without them a round is slower to notice its target, no more.
    let _not_permitted = rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT);
    let _not_permitted = rustix::process::nice(-20);
    // SAFETY: PR_SET_TIMERSLACK takes one number: sleeps of microseconds are wanted, not of 50 more.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

/// Whether the agent's end of the input is closed.
fn is_ended() -> bool {
    let stdin = io::stdin();
    let mut polled = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
}

/// Writes back what the round changed. A file that is gone belongs to a cgroup that is gone.
fn put_back(root: &Root, undo: &[Put]) {
    for Put { path, value } in undo {
        if let Err(error) = root.write(path, value)
            && !error.is_gone()
        {
            eprintln!("swaptier pump: {error}");
        }
    }
}

/// A file that is written again and again.
struct Knob {
    file: OwnedFd,
    path: String,
}

impl Knob {
    fn open(root: &Root, path: &str) -> Result<Self, RootError> {
        Ok(Self { file: root.open(path, OFlags::WRONLY)?, path: path.to_owned() })
    }

    fn put(&self, value: &str) -> io::Result<()> {
        rustix::io::pwrite(&self.file, value.as_bytes(), 0)
            .map(drop)
            .map_err(|errno| io::Error::new(io::Error::from(errno).kind(), format!("{}: {errno}", self.path)))
    }
}

/// One round.
struct Round<'a> {
    job: &'a Job,
    meter: Meter,
    valve: Knob,
    stroke: Hand<'a>,
    start: Reading,
}

/// An opened [`Stroke`].
enum Hand<'a> {
    Worker { limit: Knob, low: &'a str, high: &'a str },
    Reclaim { file: Knob, text: &'a str },
}

impl<'a> Round<'a> {
    fn open(root: &Root, pins: &Path, job: &'a Job) -> io::Result<Self> {
        let knob = |path: &str| Knob::open(root, path).map_err(io::Error::other);
        let stroke = match &job.stroke {
            Stroke::Worker { limit, low, high } => Hand::Worker { limit: knob(limit)?, low, high },
            Stroke::Reclaim { file, text } => Hand::Reclaim { file: knob(file)?, text },
        };
        let meter = Meter::open(pins, &job.owners).map_err(io::Error::other)?;
        let start = meter.read();
        Ok(Self { job, meter, valve: knob(&job.valve)?, stroke, start })
    }

    fn run(&mut self, page: &mut Page) -> io::Result<Done> {
        let (begun, ages) = (Instant::now(), self.meter.ages());
        self.meter.set_cold_after(self.job.cold_after);
        self.meter.set_alarm(self.start.total + self.job.pages);
        self.valve.put("1")?;
        let (strokes, ended) = self.pump(page, begun);
        let closed = self.valve.put("0");
        self.meter.set_alarm(0);
        self.settle();
        let (ended, error) = match ended.and_then(|ended| closed.map(|()| ended)) {
            Ok(ended) => (ended, None),
            Err(error) => (Ended::Refused, Some(error.to_string())),
        };
        let now = self.meter.read();
        let grown = |(after, before): (&u64, &u64)| after - before;
        Ok(Done {
            ended,
            error,
            written: now.written - self.start.written,
            total: now.total - self.start.total,
            cold: now.cold - self.start.cold,
            passed_over: now.passed_over - self.start.passed_over,
            strokes,
            ages: self.meter.ages().iter().zip(&ages).map(grown).collect(),
            micros: begun.elapsed().as_micros() as u64,
        })
    }

    fn pump(&mut self, page: &mut Page, begun: Instant) -> (u64, io::Result<Ended>) {
        let deadline = begun + Duration::from_millis(self.job.deadline_ms);
        let (mut strokes, mut last, mut moved) = (0, self.meter.read(), (0, begun));
        loop {
            if self.is_full() {
                return (strokes, Ok(Ended::Target));
            }
            let now = Instant::now();
            if now > deadline || is_ended() {
                return (strokes, Ok(Ended::Deadline));
            }
            if strokes - moved.0 > IDLE_STROKES && now - moved.1 > IDLE || self.is_out_of_chances() {
                return (strokes, Ok(Ended::Exhausted));
            }
            if let Err(error) = self.stroke(page) {
                return (strokes, Err(error));
            }
            strokes += 1;
            self.await_effect(deadline);
            let seen = self.meter.read();
            if (seen.written, seen.passed_over) != (last.written, last.passed_over) {
                (last, moved) = (seen, (strokes, Instant::now()));
            }
        }
    }

    fn is_full(&self) -> bool {
        self.meter.read().written - self.start.written >= self.job.pages
    }

    /// Each entry is passed over once because it was referenced; being passed over more than twice as often as there
    /// are entries means that what is left cannot be written now.
    fn is_out_of_chances(&self) -> bool {
        let passed_over = self.meter.read().passed_over - self.start.passed_over;
        passed_over > 2 * self.job.candidates + 1024
    }

    fn stroke(&self, page: &mut Page) -> io::Result<()> {
        match &self.stroke {
            Hand::Worker { limit, low, high } => {
                page.bring_in();
                limit.put(low)?;
                page.push_out();
                limit.put(high)
            }
            Hand::Reclaim { file, text } => match file.put(text) {
                // Less was reclaimed than asked for: that is what is wanted.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                other => other,
            },
        }
    }

    /// Waits until the stroke shows on the meter and has run out, closing the valve the moment the target is reached:
    /// a worker that started under the low limit does not stop by itself.
    fn await_effect(&mut self, deadline: Instant) {
        let until = (Instant::now() + STROKE).min(deadline);
        let mut seen = self.meter.read();
        let mut quiet_at = until;
        while Instant::now() < quiet_at {
            self.meter.wait(LOOK);
            let now = self.meter.read();
            if now.written - self.start.written >= self.job.pages {
                let _tried_again_at_the_end = self.valve.put("0");
                return;
            }
            if now != seen {
                (seen, quiet_at) = (now, Instant::now() + 3 * LOOK);
            }
            if Instant::now() > deadline {
                return;
            }
        }
    }

    /// Waits until no page comes any more: those that were under way when the valve closed.
    fn settle(&self) {
        let mut seen = self.meter.read();
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let now = self.meter.read();
            if now.written == seen.written {
                return;
            }
            seen = now;
        }
    }
}

impl Done {
    fn refused(error: String) -> Self {
        Self {
            ended: Ended::Refused,
            error: Some(error),
            written: 0,
            total: 0,
            cold: 0,
            passed_over: 0,
            strokes: 0,
            ages: Vec::new(),
            micros: 0,
        }
    }
}
