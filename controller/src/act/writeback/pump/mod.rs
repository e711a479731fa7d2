//! The pump: a process of its own that makes zswap write back and is the guardian of a round.
//!
//! It is apart from the agent for three reasons. One page of it is offered to zswap over and over, so it must own
//! memory that may be swapped, while the agent's is locked. It sits in a cgroup whose write-back is closed, so that
//! this page never reaches a disk. And it outlives the agent: when the agent dies in the middle of a round the pump
//! sees the end of its input and puts everything back, the pool limit first.
//!
//! `wire` is what the two say to each other, `link` the agent's end, `page` the page. This file is the process.

mod life;
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
    fault,
    journal::is_same_value,
    map::{Meter, Reading},
    root::{Root, RootError},
};
use life::Life;
use page::Page;
use wire::{Done, Ended, Job, Put, Stroke};

/// How long the pump sleeps between two looks at the meter, unless the alarm wakes it.
const LOOK: Duration = Duration::from_micros(20);

/// How long a stroke may take to show on the meter.
const STROKE: Duration = Duration::from_millis(1);

/// How long the low limit is held in one stroke. The worker reads the limit once, at its start, and stops after 16
/// entries that only got their second chance; so that it does not have to be woken anew for the next 16, its work is
/// queued again and again while it runs. All stores of the host are refused meanwhile (their pages stay in memory).
const HOLD: Duration = Duration::from_millis(8);

/// How long the pump goes on without an effect before it sleeps for a moment: the worker may be waiting for the very
/// processor the pump is on.
const YIELD: Duration = Duration::from_micros(300);

/// Times zswap was made to look for entries without any effect, after which nothing more is to come. A run of the worker
/// that began under the low limit looks sixteen times at every cgroup; one that began late looks at a single one.
const IDLE_TRIES: u64 = 64;

/// How often it is looked whether the agent lives, while the limit is low.
const HEARTBEAT: Duration = Duration::from_millis(1);

/// Strokes without any effect after which the worker is given up that was never seen to run.
const IDLE_STROKES: u64 = 512;

/// Runs the pump on standard input and output until the agent is gone. Returns the process's exit code.
///
/// # Errors
/// The agent's end said something that is no job, or the memory for the page could not be had.
pub fn run(root: &Root, pins: &Path) -> io::Result<()> {
    outlive_the_agent();
    let mut page = Page::new()?;
    let life = Life::of_parent();
    fault::point("pump.ready");
    let mut lines = io::stdin().lock().lines();
    while let Some(line) = lines.next().transpose()? {
        let job: Job = serde_json::from_str(&line)?;
        fault::point("pump.job");
        let done = Round::open(root, pins, &job, &life)
            .and_then(|mut round| round.run(&mut page))
            .unwrap_or_else(|error| Done::refused(error.to_string()));
        // A closed pipe here is noticed as the end of the input below.
        let _agent_is_gone = writeln!(io::stdout().lock(), "{}", serde_json::to_string(&done)?);
        fault::point("pump.answered");
        if is_ended() || life.is_over() {
            fault::point("guardian.begun");
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
    // Real-time, so that it looks at the meter in time also when every processor is busy; it sleeps between two looks,
    // so that the worker can run even where there is one processor.
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter is read and not kept.
    let _not_permitted = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
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

/// Writes back what the round changed, in the order of the job, and only where the file says what the round wrote. A
/// file that is gone belongs to a cgroup that is gone.
fn put_back(root: &Root, undo: &[Put]) {
    for Put { path, old, new } in undo {
        let put = root.read_value(path).and_then(|now| match is_same_value(path, &now, new) {
            true => root.write(path, old),
            false => Ok(()),
        });
        match put {
            Err(error) if !error.is_gone() => eprintln!("swaptier pump: {error}"),
            _ => fault::point("guardian.put"),
        }
    }
}

/// A file that is written again and again.
struct Knob {
    file: OwnedFd,
    path: String,
}

impl Knob {
    /// `flags`: the kernel refuses to open some of these files for reading.
    fn open(root: &Root, path: &str, flags: OFlags) -> Result<Self, RootError> {
        Ok(Self { file: root.open(path, flags)?, path: path.to_owned() })
    }

    fn says(&self, value: &str) -> bool {
        let mut text = [0; 64];
        let read = rustix::io::pread(&self.file, &mut text, 0).unwrap_or(0);
        std::str::from_utf8(&text[..read]).is_ok_and(|now| is_same_value(&self.path, now, value))
    }

    fn put(&self, value: &str) -> io::Result<()> {
        rustix::io::pwrite(&self.file, value.as_bytes(), 0)
            .map(drop)
            .map_err(|errno| io::Error::new(io::Error::from(errno).kind(), format!("{}: {errno}", self.path)))
    }
}

/// An opened [`Stroke`].
enum Hand<'a> {
    Worker { limit: Knob, low: &'a str, high: &'a str },
    Reclaim { file: Knob, text: &'a str },
}

impl<'a> Hand<'a> {
    fn open(root: &Root, stroke: &'a Stroke) -> io::Result<Self> {
        let knob = |path: &str, flags| Knob::open(root, path, flags).map_err(io::Error::other);
        Ok(match stroke {
            Stroke::Worker { limit, low, high } => {
                Self::Worker { limit: knob(limit, OFlags::RDWR)?, low, high }
            }
            Stroke::Reclaim { file, text } => Self::Reclaim { file: knob(file, OFlags::WRONLY)?, text },
        })
    }

    fn stroke(&self, aim: &mut Aim<'_>, page: &mut Page) -> io::Result<()> {
        match self {
            Self::Worker { limit, low, high } => {
                if !limit.says(high) {
                    return Err(io::Error::other(format!("{}: somebody else has changed it", limit.path)));
                }
                limit.put(low)?;
                fault::point("pump.limit.low");
                aim.queue_work(page);
                limit.put(high)?;
                fault::point("pump.limit.high");
                Ok(())
            }
            Self::Reclaim { file, text } => match file.put(text) {
                // Less was reclaimed than asked for: that is what is wanted.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                other => other,
            },
        }
    }
}

/// What is aimed at: the cgroup's valve, and the meter that says when to close it.
struct Aim<'a> {
    life: &'a Life,
    meter: Meter,
    valve: Knob,
    start: Reading,
    pages: u64,
}

impl Aim<'_> {
    /// Pages of the cgroup written back in this round.
    fn written(&self) -> u64 {
        self.meter.read().written - self.start.written
    }

    /// Closes the valve if the target is reached: a worker that started under the low limit does not stop by itself.
    fn close_if_full(&self) -> bool {
        let is_full = self.written() >= self.pages;
        if is_full {
            // Tried again, and its error looked at, at the end of the round.
            let _tried_again = self.valve.put("0");
            fault::point("pump.full");
        }
        is_full
    }

    /// Has the page refused over and over, which queues the worker each time, until the target is reached or the hold is
    /// over.
    fn queue_work(&mut self, page: &mut Page) {
        let (mut seen, mut moved) = (self.meter.read(), Instant::now());
        let until = moved + HOLD;
        let mut alive = moved;
        while !self.close_if_full() && Instant::now() < until {
            if alive.elapsed() > HEARTBEAT {
                if self.life.is_over() {
                    return;
                }
                alive = Instant::now();
            }
            page.bring_in();
            page.push_out();
            let (last, now) = (seen, Instant::now());
            seen = self.meter.read();
            if seen != last {
                moved = now;
            } else if now - moved > YIELD {
                self.meter.wait(10 * LOOK);
            }
        }
    }

    /// Waits until a stroke has run out, or the target is reached.
    fn run_out(&mut self, deadline: Instant) {
        let (mut seen, mut quiet_at) = (self.meter.read(), Instant::now() + STROKE);
        while !self.close_if_full() {
            self.meter.wait(LOOK);
            let (last, now) = (seen, Instant::now());
            seen = self.meter.read();
            if seen != last {
                quiet_at = now + 3 * LOOK;
            } else if now > quiet_at || now > deadline {
                return;
            }
        }
    }
}

/// What was done so far to make zswap write back.
#[derive(Clone, Copy)]
struct Effort {
    strokes: u64,
    /// Runs of zswap's worker that ended, since the map was made; 0 where they are not seen.
    runs: u64,
}

/// One round.
struct Round<'a> {
    job: &'a Job,
    hand: Hand<'a>,
    aim: Aim<'a>,
}

impl<'a> Round<'a> {
    fn open(root: &Root, pins: &Path, job: &'a Job, life: &'a Life) -> io::Result<Self> {
        let hand = Hand::open(root, &job.stroke)?;
        let meter = Meter::open(pins, &job.owners).map_err(io::Error::other)?;
        let valve = Knob::open(root, &job.valve, OFlags::WRONLY).map_err(io::Error::other)?;
        let start = meter.read();
        fault::point("pump.opened");
        Ok(Self { job, hand, aim: Aim { life, meter, valve, start, pages: job.pages } })
    }

    fn run(&mut self, page: &mut Page) -> io::Result<Done> {
        let (begun, ages, start) = (Instant::now(), self.aim.meter.ages(), self.aim.start);
        self.aim.meter.set_cold_after(self.job.cold_after);
        self.aim.meter.set_alarm(start.total + self.job.pages);
        self.aim.valve.put("1")?;
        fault::point("pump.valve.opened");
        let (strokes, ended) = self.pump(page, begun);
        let closed = self.aim.valve.put("0");
        fault::point("pump.valve.closed");
        self.aim.meter.set_alarm(0);
        let is_settled = self.aim.meter.settle();
        fault::point("pump.settled");
        let (ended, error) = match ended.and_then(|ended| closed.map(|()| ended)) {
            Ok(_) if !is_settled => (Ended::Unsettled, None),
            Ok(ended) => (ended, None),
            Err(error) => (Ended::Refused, Some(error.to_string())),
        };
        let now = self.aim.meter.read();
        let grown = |(after, before): (&u64, &u64)| after - before;
        Ok(Done {
            ended,
            error,
            written: now.written - start.written,
            total: now.total - start.total,
            cold: now.cold - start.cold,
            passed_over: now.passed_over - start.passed_over,
            strokes,
            ages: self.aim.meter.ages().iter().zip(&ages).map(grown).collect(),
            micros: begun.elapsed().as_micros() as u64,
        })
    }

    fn pump(&mut self, page: &mut Page, begun: Instant) -> (u64, io::Result<Ended>) {
        let deadline = begun + Duration::from_millis(self.job.deadline_ms);
        let (mut strokes, mut last) = (0, self.effort(0));
        loop {
            if self.aim.written() >= self.job.pages {
                return (strokes, Ok(Ended::Target));
            }
            if Instant::now() > deadline || is_ended() || self.aim.life.is_over() {
                return (strokes, Ok(Ended::Deadline));
            }
            if self.is_idle(self.effort(strokes), last) || self.is_out_of_chances() {
                return (strokes, Ok(Ended::Exhausted));
            }
            let before = self.aim.meter.read();
            if let Err(error) = self.hand.stroke(&mut self.aim, page) {
                return (strokes, Err(error));
            }
            strokes += 1;
            self.aim.run_out(deadline);
            if self.aim.meter.read() != before {
                last = self.effort(strokes);
            }
        }
    }

    fn effort(&self, strokes: u64) -> Effort {
        Effort { strokes, runs: self.aim.meter.worker_runs() }
    }

    /// A worker that gets no processor is no sign of an empty list: what counts is how often it ran in vain.
    fn is_idle(&self, now: Effort, last: Effort) -> bool {
        match self.hand {
            Hand::Worker { .. } if now.runs > 0 => now.runs - last.runs > IDLE_TRIES,
            Hand::Worker { .. } => now.strokes - last.strokes > IDLE_STROKES,
            Hand::Reclaim { .. } => now.strokes - last.strokes > IDLE_TRIES,
        }
    }

    /// Each entry is passed over once because it was referenced; being passed over more than twice as often as there
    /// are entries means that what is left cannot be written now.
    fn is_out_of_chances(&self) -> bool {
        let passed_over = self.aim.meter.read().passed_over - self.aim.start.passed_over;
        passed_over > 2 * self.job.candidates + 1024
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
