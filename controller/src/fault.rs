//! Fault points: a name for every step that changes the world, at which a test can have the process killed.
//!
//! `SWAPTIER_FAULT=NAME[:NTH][@WHAT]` names one, or several with commas between them. At its NTH passing (the first
//! without) the process sends SIGKILL to itself; `@parent` means to its parent instead, `@both` to the parent and then to
//! itself: the pump's ways to kill the agent at a moment only the pump knows. `@stop`, `@stop-parent` and `@stop-both` send
//! SIGSTOP: the process stands still until somebody continues it. At `@panic` it panics. At `@slow` it sleeps 50 ms, and at
//! each of the next 159 passings: work that lasts for seconds, whatever the machine. The pump inherits the variable, so its
//! points work too.
//!
//! Without the variable a point is one load of an atomic. `swaptier-guest bench kill` goes through the table. Callers:
//! every room that acts.

#![expect(clippy::disallowed_methods, reason = "a test says by a variable where the program is to die")]

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Signal, getpid, getppid, kill_process};

/// The variable.
pub const VARIABLE: &str = "SWAPTIER_FAULT";

/// Every point: its name and what the world looks like there.
pub const POINTS: &[(&str, &str)] = &[
    ("state.locked", "the state folder is locked, the lock still names the last holder"),
    ("state.replace.written", "the new undo log is on disk beside the old one"),
    ("state.replace.renamed", "the new undo log is in place, the folder not synced"),
    ("undo.opened", "the undo log is open and compacted, nothing is changed"),
    ("undo.note.before", "a change is decided, nothing of it is on disk"),
    ("undo.note.unsynced", "the record is written, not synced, and nothing is changed"),
    ("undo.note.synced", "the record is on disk, the value is the old one"),
    ("undo.done.before", "a value is given back, its record is pending"),
    ("undo.done.after", "the record is marked as done"),
    ("undo.settle.before", "a value is changed, its own record not folded into the first"),
    ("undo.settle.after", "a value is changed and its record folded"),
    ("file.read", "the old value is read, nothing noted"),
    ("file.noted", "the change is noted, the value is the old one"),
    ("file.written", "the value is written, not read back"),
    ("file.read-back", "the value is written and read back, the record not settled"),
    ("params.between", "some of zswap's parameters are set, the others not"),
    ("agent.locked", "the state folder is ours, what a dead agent left is not given back"),
    ("agent.restored", "what a dead agent left is given back, nothing is changed"),
    ("agent.started", "probes and parameters are in place, no socket, no tick"),
    ("agent.listening", "the socket answers, no tick"),
    ("agent.ready", "the first tick is done"),
    ("tick.sensed", "a tick has seen the host"),
    ("tick.decided", "a tick has decided, nothing of it is done"),
    ("tick.step", "one step of a plan is done, others are not"),
    ("tick.acted", "a plan is carried out, not journalled"),
    ("tick.journalled", "a plan is handed to the journal"),
    ("journal.written", "a line of the journal is written"),
    ("socket.bound", "the socket is there, with the wrong mode"),
    ("socket.ready", "the socket is there, nobody serves it"),
    ("load.folder", "the pin folder is there and empty"),
    ("load.half", "maps are pinned, the first copy of the programs is loaded"),
    ("load.loaded", "maps are pinned, all programs are loaded, none attached"),
    ("map.part.made", "a part of the map is made, the probes do not know it"),
    ("map.part.entered", "a part of the map is known to the probes"),
    ("map.chunk.half", "half of a new chunk's frames are handed over"),
    ("attach.half", "one program is attached in all its copies"),
    ("attach.done", "all programs are attached"),
    ("handover.given", "one more pin of the map is with the service manager too"),
    ("handover.kept", "the service manager has all of the map, all pins are there"),
    ("handover.pinned", "one more pin of the agent before is made anew, none is in its place"),
    ("handover.taken", "the pins of the agent before are in place, the manager has them too"),
    ("handover.dropped", "the service manager has dropped what is pinned again, the map is not open"),
    ("round.begun", "a round is asked for, nothing is done"),
    ("round.home.noted", "the pump's cgroup is noted, not made"),
    ("round.home.made", "the pump's cgroup is there, its write-back open"),
    ("round.home.closed", "the pump's cgroup is closed and empty"),
    ("round.pump.spawned", "the pump runs, in the agent's own cgroup"),
    ("round.pump.started", "the pump waits in its cgroup"),
    ("round.surveyed", "the valves are known, nothing of the round is noted"),
    ("round.noted", "all of the round is noted, nothing is changed"),
    ("round.valve", "one more valve beside the way is moved"),
    ("round.host", "the whole host's change of the gate is made"),
    ("round.aimed", "all valves but the cgroup's own are moved, the pump has no job"),
    ("round.job.sent", "the pump has its job"),
    ("round.new.noted", "a cgroup that came in the round is noted, the pump does not know of it"),
    ("round.new.told", "the pump knows of a cgroup that came in the round, its valve is open"),
    ("round.new.closed", "the valve of a cgroup that came in the round is closed"),
    ("round.cut", "the pump is told to end its job early"),
    ("round.answered", "the pump is done, nothing is given back"),
    ("round.give-back", "one more value of the round is given back, none marked"),
    ("round.given-back", "all values of this half are given back, none marked"),
    ("round.finished", "the round is over"),
    ("pump.ready", "the pump is up, without a job"),
    ("pump.job", "the pump has read its job"),
    ("pump.opened", "the pump has every file and the meter open"),
    ("pump.valve.opened", "the cgroup's own valve is open"),
    ("pump.ride.on", "zswap's shrinker is on for the round"),
    ("pump.ride.off", "it is off again"),
    ("pump.limit.low", "the pool limit is at its low value: zswap refuses every store of the host"),
    ("pump.limit.high", "the pool limit is back, the worker may be running"),
    ("pump.accept.low", "the accept threshold is at its low value, the worker has not begun"),
    ("pump.accept.first", "the accept threshold is at its low value, and no worker is queued yet"),
    ("pump.both.low", "accept threshold and pool limit are at their low values"),
    ("pump.stroked", "a stroke is over, the next one is not begun"),
    ("pump.full", "the target is reached, the cgroup's own valve is closed again"),
    ("pump.valve.closed", "the strokes are over, the worker may be running"),
    ("pump.settled", "the worker has ended, the agent does not know"),
    ("pump.given-up", "some of what the round left in the swap cache is given up, the agent does not know"),
    ("pump.answered", "the agent has its answer"),
    ("guardian.begun", "the agent is dead, the guardian has put back nothing"),
    ("guardian.put", "the guardian has put back one more value"),
    ("restore.begun", "a restore has read the log, nothing is given back"),
    ("restore.written", "a restore has given back one more value, not marked"),
    ("restore.marked", "a restore has given back and marked one more value"),
    ("sweep.begun", "all values are given back, the objects of a dead agent are there"),
    ("sweep.half", "the pump's cgroup is gone, pins and socket are there"),
    ("area.note.before", "a change of areas is decided, the list on disk is the old one"),
    ("area.noted", "the list of areas is on disk, nothing of the change is made"),
    ("area.device.created", "a device of an area is there, without a table"),
    ("area.table.loaded", "a device of an area has a new table beside the one in use"),
    ("area.file.noted", "a file for an area is made and noted, and has no name yet"),
    ("area.wiped", "a disk that was given away holds nothing any more, and has no label yet"),
    ("area.zram.added", "a zram device is there, its number is not noted"),
    ("area.zram.removed", "a zram device is gone, its number is still noted"),
    ("area.step", "one step of a change of areas is done, others are not"),
    ("area.off.begun", "an area that is to go is about to be switched off"),
    ("area.drain.begun", "an area is noted as off and about to be emptied"),
    ("top.drawn", "the screen is drawn, the terminal is ours"),
    ("stop.begun", "the agent is told to stop, its socket is gone"),
    ("stop.pump.ended", "the pump is gone, its cgroup is there"),
    ("stop.home.removed", "the pump's cgroup is gone, its record pending"),
    ("stop.pump.stopped", "the engine is stopped, the probes run"),
    ("stop.detached", "the programs are detached, the maps pinned"),
    ("stop.unpinned", "the probes are gone, the values changed"),
    ("stop.given-back", "everything is given back, the agent still runs"),
];

/// Whether any point is armed: all a point looks at otherwise.
static IS_ARMED: AtomicBool = AtomicBool::new(false);
static FAULTS: OnceLock<Vec<Fault>> = OnceLock::new();

/// One fault that the variable asks for.
#[derive(Debug)]
struct Fault {
    name: String,
    /// Counts down; the fault is at 1.
    left: AtomicU64,
    what: What,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// These processes get SIGKILL.
    Kill(Whom),
    /// These processes get SIGSTOP.
    Stop(Whom),
    /// The thread panics.
    Panic,
    /// The thread sleeps, at this passing and some later ones.
    Slow,
}

/// What a slow point takes: less than a guardian waits for a process that stands still.
const SLOW: Duration = Duration::from_millis(50);
/// How often a slow point is slow.
const SLOW_PASSINGS: u64 = 160;

impl What {
    /// At how many passings it happens, the first one included.
    fn passings(self) -> u64 {
        if self == What::Slow { SLOW_PASSINGS } else { 1 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Own,
    Parent,
    Both,
}

/// Reads the variable; once, before anything else.
///
/// # Errors
/// The variable names no point: a test that waits for it would wait in vain.
pub fn arm() -> Result<(), String> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let faults: Option<Vec<Fault>> = text.to_str().and_then(|text| text.split(',').map(parse).collect());
    let faults = faults.ok_or_else(|| format!("{VARIABLE} names no fault point"))?;
    IS_ARMED.store(FAULTS.set(faults).is_ok(), Ordering::Release);
    Ok(())
}

/// The process ends here if it was asked to.
#[inline]
pub fn point(name: &'static str) {
    if IS_ARMED.load(Ordering::Acquire) {
        passed(name);
    }
}

#[cold]
fn passed(name: &'static str) {
    for fault in FAULTS.get().into_iter().flatten().filter(|fault| fault.name == name) {
        fault.pass();
    }
}

impl Fault {
    fn pass(&self) {
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if !left.is_ok_and(|left| (1..=self.what.passings()).contains(&left)) {
            return;
        }
        // The kernel's clock, so that a test can tell how long something lasted after this.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000;
        eprintln!("swaptier: fault point {} reached at {micros} µs", self.name);
        match self.what {
            What::Panic => panic(&self.name),
            What::Slow => std::thread::sleep(SLOW),
            What::Stop(whom) => send(whom, Signal::STOP),
            What::Kill(whom) => {
                send(whom, Signal::KILL);
                if whom != Whom::Parent {
                    loop {
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            }
        }
    }
}

#[allow(clippy::panic, reason = "somebody asked for it")]
fn panic(name: &str) -> ! {
    panic!("fault point {name}")
}

/// To the parent first: the process itself may not come to more.
fn send(whom: Whom, signal: Signal) {
    let parent = getppid().filter(|parent| !parent.is_init() && whom != Whom::Own);
    // A process that is gone is as dead as it should be.
    let _gone = parent.map(|parent| kill_process(parent, signal));
    if whom != Whom::Parent {
        let _gone = kill_process(getpid(), signal);
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (place, what) = match text.split_once('@') {
        None => (text, What::Kill(Whom::Own)),
        Some((place, "parent")) => (place, What::Kill(Whom::Parent)),
        Some((place, "both")) => (place, What::Kill(Whom::Both)),
        Some((place, "stop")) => (place, What::Stop(Whom::Own)),
        Some((place, "stop-parent")) => (place, What::Stop(Whom::Parent)),
        Some((place, "stop-both")) => (place, What::Stop(Whom::Both)),
        Some((place, "panic")) => (place, What::Panic),
        Some((place, "slow")) => (place, What::Slow),
        Some(_) => return None,
    };
    let (name, nth): (_, u64) = match place.split_once(':') {
        None => (place, 1),
        Some((name, nth)) => (name, nth.parse().ok().filter(|nth| *nth > 0)?),
    };
    let is_known = POINTS.iter().any(|(known, _)| *known == name);
    is_known.then(|| Fault {
        name: name.to_owned(),
        left: AtomicU64::new(nth.saturating_add(what.passings() - 1)),
        what,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// The names in calls of `point` in all files below `dir`; each call must name its point in the same line.
    fn called(dir: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(dir).expect("the source is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                called(&path, names);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("fault.rs") {
                let text = fs::read_to_string(&path).expect("text");
                for call in text.split("fault::point(").skip(1) {
                    let name = call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
                    names.push(name.expect("a literal name").0.to_owned());
                }
            }
        }
    }

    #[test]
    fn every_point_of_the_source_is_in_the_table_and_the_other_way_round() {
        let mut names = Vec::new();
        called(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        let source: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let table: BTreeSet<&str> = POINTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(source, table);
        assert_eq!(table.len(), POINTS.len(), "a name stands for one place");
        assert_eq!(names.len(), POINTS.len(), "a name stands for one place");
    }

    #[test]
    fn a_slow_point_is_slow_from_its_passing_on_for_a_while() {
        let fault = parse("pump.stroked:2@slow").expect("known");
        let took = || {
            let start = std::time::Instant::now();
            fault.pass();
            start.elapsed() >= SLOW
        };
        assert_eq!([took(), took(), took()], [false, true, true]);
        assert_eq!(fault.left.swap(1, Ordering::Relaxed), SLOW_PASSINGS - 2);
        assert_eq!([took(), took()], [true, false]);
    }

    #[test]
    fn the_variable_names_a_point_a_count_and_a_victim() {
        let fault = parse("pump.limit.low:3@parent").expect("known");
        assert_eq!((fault.name.as_str(), fault.left.into_inner()), ("pump.limit.low", 3));
        assert_eq!(fault.what, What::Kill(Whom::Parent));
        assert_eq!(parse("round.aimed@stop-both").expect("known").what, What::Stop(Whom::Both));
        assert_eq!(parse("pump.stroked@slow").expect("known").what, What::Slow);
        assert!(parse(&format!("pump.stroked:{}@slow", u64::MAX)).is_some(), "a count that is never reached");
        assert_eq!(parse("file.noted").expect("known").left.into_inner(), 1);
        for wrong in ["", "nowhere", "file.noted:0", "file.noted:x", "file.noted@child"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
