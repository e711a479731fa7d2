//! The two works that take their time, with progress on stderr: emptying an area, and moving its blocks. Either ends well
//! when it is interrupted: a drain is called off, a move goes on in the kernel.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use swaptier_policies::Bytes;

use super::super::output::say;
use super::{Move, as_they_are, done, failure, open, open_but};
use crate::exit::{Exit, Failure, Result};
use crate::root::Root;
use crate::vswap::AreaName;
use crate::vswap::drain::Drained;
use crate::vswap::transfer::Progress;

/// How often a move is looked at.
const PAUSE: Duration = Duration::from_millis(250);

/// Set by an interrupt.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

fn watch_for_interrupts() {
    let handler: extern "C" fn(libc::c_int) = stop;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only sets an atomic flag, which may happen at any time.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

pub(super) fn drain(root: &Root, name: &AreaName, is_dry: bool) -> Result {
    watch_for_interrupts();
    let drain = open_but(root, is_dry, name)?.begin_drain(name).map_err(failure)?;
    if is_dry || drain.paths().is_empty() {
        let steps: Vec<_> = drain.paths().iter().cloned().map(crate::vswap::Step::Off).collect();
        eprintln!("{}", drain.forecast);
        return done(Ok(steps), is_dry);
    }
    let mut line = Line::new();
    let outcome = drain.run(root, &STOP, |left| line.show(&format!("{left} left to come back")));
    line.end();
    match outcome {
        Ok(Drained::Empty) => say(&format!("{name} is empty and off\n"))?,
        ended => {
            as_they_are(root, false)?.call_off_drain(name).map_err(failure)?;
            ended.map_err(failure)?;
            return Err(Failure::say(Exit::Failed, format!("called off: {name} is in use as before")));
        }
    }
    Ok(Exit::Done)
}

pub(super) fn moves(root: &Root, args: &Move) -> Result {
    watch_for_interrupts();
    let mut operations = open(root, args.dry_run)?.wiping(args.wipe);
    if args.cancel {
        return done(operations.cancel_move(&args.name), args.dry_run);
    }
    if let Some(to) = &args.to {
        let begun = operations.begin_move(&args.name, args.from.as_deref(), to, args.file_size);
        if args.dry_run {
            return done(begun, true);
        }
        begun.map_err(failure)?;
    }
    let transfer = operations.area(&args.name).map_err(failure)?.transfer.as_ref();
    let Some(to) = transfer.map(|transfer| transfer.to.path.clone()) else {
        return Err(Failure::say(Exit::Nothing, format!("{} is not being moved (any more)", args.name)));
    };
    drop(operations);
    if args.no_wait {
        return Ok(Exit::Done);
    }
    let (start, mut line, mut last) = (Instant::now(), Line::new(), None);
    // The lock is free in between: other commands work beside a move.
    while let Some(progress) = open(root, false)?.advance_move(&args.name).map_err(failure)? {
        line.show(&text(&progress));
        if STOP.load(Ordering::Relaxed) {
            line.end();
            let how = format!("swaptier vswap move {} --finish", args.name);
            return Err(Failure::say(
                Exit::Failed,
                format!("the kernel goes on copying; `{how}` completes it"),
            ));
        }
        last = Some(progress);
        std::thread::sleep(PAUSE);
    }
    line.end();
    // Whoever looks at a failed move gives it up, and it may have been another command.
    let operations = open(root, false)?;
    if operations.area(&args.name).map_err(failure)?.disks.iter().all(|disk| disk.path != to) {
        let why = format!("{} was not moved: {} failed, or somebody called it off", args.name, to.display());
        return Err(Failure::say(Exit::Failed, why));
    }
    let total = last.map_or(Bytes(0), |progress| progress.total);
    let seconds = start.elapsed().as_secs_f64();
    let rate = Bytes((total.0 as f64 / seconds.max(0.001)) as u64);
    say(&format!("{} is moved: {total} in {seconds:.1} s, {rate}/s\n", args.name))?;
    Ok(Exit::Done)
}

fn text(progress: &Progress) -> String {
    let percent = progress.copied.0 * 100 / progress.total.0.max(1);
    format!("{percent} % of {} copied", progress.total)
}

/// A line on stderr that overwrites itself on a terminal, and says each change once elsewhere.
struct Line {
    is_terminal: bool,
    last: String,
}

impl Line {
    fn new() -> Line {
        Line { is_terminal: std::io::stderr().is_terminal(), last: String::new() }
    }

    fn show(&mut self, text: &str) {
        if text == self.last {
            return;
        }
        match self.is_terminal {
            true => eprint!("\r\x1b[K{text}"),
            false => eprintln!("{text}"),
        }
        text.clone_into(&mut self.last);
    }

    fn end(&self) {
        if self.is_terminal && !self.last.is_empty() {
            eprintln!();
        }
    }
}
