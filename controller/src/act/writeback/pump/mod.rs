//! The pump: a process of its own that makes zswap write back and is the guardian of a round.
//!
//! It is apart from the agent for three reasons. One page of it is offered to zswap over and over, so it must own
//! memory that may be swapped, while the agent's is locked. It sits in a cgroup whose write-back is closed, so that
//! this page never reaches a disk. And it outlives the agent: when the agent dies in the middle of a round the pump
//! sees the end of its input and puts everything back, the pool limit first.
//!
//! It is told what undoes a round before anything of it is done, and until it is told that the round is over it puts
//! that back when the agent is gone.
//!
//! `wire` is what the two say to each other, `link` the agent's end. `round` is one job: its `aim`, the `meter` that says
//! how far it is, the `stroke`s made for it (those by which the kernel is only `asked` apart), the `refusals` these cost
//! everybody else, and the `disk` that may fail. This file is the process.

mod aim;
mod asked;
mod disk;
mod knob;
mod life;
pub(super) mod link;
mod meter;
mod page;
mod refusals;
mod round;
mod stroke;
pub(super) mod wire;

use std::{
    io::{self, BufRead as _, Write as _},
    os::fd::AsFd as _,
    path::Path,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{fault, journal::is_same_value, root::Root};
use aim::RunOn;
use disk::Disk;
use life::Life;
use meter::Meter;
use page::Page;
use round::Round;
use wire::{Done, Gauge, Message, Put};

/// Runs the pump on standard input and output until the agent is gone. Returns the process's exit code.
///
/// # Errors
/// The agent's end said something that is no job, or the memory for the page could not be had.
pub fn run(root: &Root, pins: &Path) -> io::Result<()> {
    outlive_the_agent();
    let mut undo = Vec::new();
    let served = serve(root, pins, &mut undo);
    if !undo.is_empty() {
        fault::point("guardian.begun");
        put_back(root, &undo);
    }
    served
}

/// Does what it is told until the agent is gone. Leaves in `undo` what has to be put back then.
fn serve(root: &Root, pins: &Path, undo: &mut Vec<Put>) -> io::Result<()> {
    let mut page = Page::new()?;
    let life = Life::of_parent();
    let (mut run_on, mut disk) = (RunOn::default(), Disk::open(root));
    fault::point("pump.ready");
    let mut lines = io::stdin().lock().lines();
    while let Some(line) = lines.next().transpose()? {
        match serde_json::from_str(&line)? {
            Message::Prepare { undo: of_round } => *undo = of_round,
            Message::Over => undo.clear(),
            Message::Work(job) => {
                fault::point("pump.job");
                let done = Round::open(root, pins, &job, &life, (&mut run_on, &mut disk))
                    .and_then(|mut round| round.run(&mut page))
                    .unwrap_or_else(|error| Done::refused(error.to_string()));
                // A closed pipe here is noticed as the end of the input.
                let _agent_is_gone = writeln!(io::stdout().lock(), "{}", serde_json::to_string(&done)?);
                fault::point("pump.answered");
                if is_ended() || life.is_over() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether zswap's worker has ended, with every valve closed: looked at for a while, by whatever shows it.
pub(super) fn is_settled(root: &Root, pins: &Path) -> bool {
    Meter::open(root, pins, &Gauge::Map(Vec::new()))
        .or_else(|_| Meter::open(root, pins, &Gauge::Files))
        .is_ok_and(|meter| meter.settle())
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
