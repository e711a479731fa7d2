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
//! A pump that is stopped in the middle is no danger either: what it holds low is put back by whoever watches (`beat`: the
//! agent, and the `guard`, a third process), and the agent ends a pump that stands still (`life`). An agent that stands
//! still is one that is gone: its round ends, and everything is put back.
//!
//! `wire` is what the two say to each other, `link` the agent's end. `round` is one job: its `aim`, the `meter` that says
//! how far it is, the `valve` and the `brake` that close the way to disk, the `strays` that should not have gone there, the
//! `stroke`s made for it (those by which the kernel is only `asked` apart), the `refusals` these cost everybody else, the
//! `ride` where the kernel does their work by itself, the `disk` that may fail, and the `cache` that is given up at the end. This file is the process.

mod aim;
mod asked;
mod beat;
mod brake;
pub(super) mod cache;
mod disk;
mod ear;
mod guard;
mod knob;
mod life;
pub(super) mod link;
pub(super) mod meter;
mod page;
mod refusals;
mod ride;
mod round;
mod strays;
mod stroke;
mod valve;
pub(super) mod wire;

use std::{
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};

use swaptier_policies::Ended;

use crate::{
    fault,
    journal::is_same_value,
    root::{Root, change::Write as _},
};
use beat::Beat;
use ear::Ear;
use guard::Guard;
use life::Life;
use meter::Meter;
use page::Page;
use round::{Learned, Round};
use wire::{Done, Gauge, Message, Put};

/// How often it is looked whether the agent stands still, between two of its messages.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the pump on standard input and output until the agent is gone. `beat` is the memory it shares with the agent.
///
/// # Errors
/// The agent's end said something that is no job, or the memory for the page could not be had.
pub fn run(root: &Root, pins: &Path, beat: Option<OwnedFd>) -> io::Result<()> {
    outlive_the_agent();
    let beat = beat.map_or_else(Beat::new, Beat::of)?;
    // As long as there is one thread.
    let guard =
        Guard::start(root, &beat).inspect_err(|error| eprintln!("swaptier pump: no guard: {error}")).ok();
    lock_memory();
    let mut ear = Ear::of_stdin()?;
    let served = serve(root, pins, (&beat, guard.as_ref()), &mut ear);
    if !ear.undo.is_empty() {
        fault::point("guardian.begun");
        put_back(root, &ear.undo);
    }
    served
}

/// Does what it is told until the agent is gone. Leaves in `ear` what has to be put back then.
fn serve(root: &Root, pins: &Path, (beat, guard): (&Beat, Option<&Guard>), ear: &mut Ear) -> io::Result<()> {
    let mut page = Page::new()?;
    let life = Life::of_parent(root);
    let mut learned = Learned::open(root);
    fault::point("pump.ready");
    let mut is_given_up = false;
    loop {
        while !ear.undo.is_empty() && !ear.is_spoken_to(LOOK) {
            if life.stands_still() {
                put_back(root, &ear.undo);
                (is_given_up, ear.undo) = (true, Vec::new());
            }
        }
        let Some(message) = ear.next()? else { return Ok(()) };
        match message {
            Message::Prepare { undo } => {
                (ear.undo, is_given_up) = (undo, false);
                expect(guard, true);
            }
            Message::Over => {
                ear.undo.clear();
                expect(guard, false);
            }
            // The job has ended; the round has not.
            Message::Also { undo } => ear.undo.extend(undo),
            // Said too late.
            Message::End => {}
            Message::Work(job) => {
                fault::point("pump.job");
                let done = match is_given_up {
                    // The siblings are open again.
                    true => {
                        Err(io::Error::other("the agent stood still before the round, and it was undone"))
                    }
                    false => Round::open(root, pins, &job, &life, (&mut learned, beat))
                        .and_then(|mut round| round.run(&mut page, ear)),
                };
                let typed = |error: &io::Error| match is_given_up {
                    true => Ended::Stopped,
                    false => knob::Obstacle::of(error).map_or(Ended::Refused, knob::Obstacle::ended),
                };
                let done = done.unwrap_or_else(|error| Done::none(typed(&error), error.to_string()));
                // A closed pipe here is noticed as the end of the input.
                let _agent_is_gone = writeln!(io::stdout().lock(), "{}", serde_json::to_string(&done)?);
                fault::point("pump.answered");
                if ear.is_ended() || life.is_over() {
                    return Ok(());
                }
            }
        }
    }
}

fn expect(guard: Option<&Guard>, is_round: bool) {
    if let Some(guard) = guard {
        guard.expect(is_round);
    }
}

/// Whether zswap's worker has ended, with every valve closed: looked at for a while, by whatever shows it.
pub(super) fn is_settled(root: &Root, pins: &Path) -> bool {
    Meter::open(root, pins, &Gauge::Map(Vec::new()))
        .or_else(|_| Meter::open(root, pins, &Gauge::Files))
        .is_ok_and(|meter| meter.settle(|_| ()))
}

/// Locks all memory mapped so far.
fn lock_memory() {
    // Best effort: without it a round is slower to notice its target, no more.
    let _not_permitted = rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT);
}

/// Leaves the agent's session, and stays deaf to the signals that end the agent.
fn outlive_the_agent() {
    let _already_leader = rustix::process::setsid();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // Real-time, so that it looks at the meter in time also when every processor is busy; it sleeps between two looks,
    // so that the worker can run even where there is one processor.
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter is read and not kept.
    let _not_permitted = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    // SAFETY: PR_SET_TIMERSLACK takes one number: sleeps of microseconds are wanted, not of 50 more.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
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
