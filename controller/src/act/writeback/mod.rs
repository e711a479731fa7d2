//! The write-back engine: this many pages of this cgroup's oldest zswap entries, now, and nothing else.
//!
//! A round: survey the valves, put all that undoes it on disk with one fsync, close the siblings, let the pump work
//! until its meter shows the target, put everything back, report. `dialect` knows the ways, `choice` which one is used,
//! `valves` the aim, `pump` the work, `watch` what happens beside it, `ending` what is given back, `report` the outcome.
//! Callers: the agent (through `act::apply`) and `swaptier writeback`.
//!
//! Properties
//! - Nothing is changed before the undo log has it on disk.
//! - However a round ends, every value it changed is written back before it returns, by the agent or by the pump.
//! - It never runs twice at the same time: the engine is one value, behind one lock.
//! - What somebody else writes meanwhile stands afterwards, but for the microseconds between a look at a file and the
//!   write: kernel files have no compare-and-swap.

mod choice;
mod course;
mod dialect;
mod ending;
mod eyes;
pub mod pump;
mod report;
mod valves;
mod watch;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use swaptier_policies::{CgroupId, CgroupPath, Ended};

use super::Order;
use crate::{
    config::DialectChoice,
    fault,
    journal::{Change, Undo, UndoError, is_same_value},
    root::{
        FilePath, Root, RootError, cgroup_file, cgroup_path,
        change::{Make as _, Write as _},
    },
    sense::{self, MemoryStat},
};
use choice::choose;
pub use choice::dialects;
pub use course::{Claim, Course, see_through};
use dialect::{Aimed, Dialect, Preparation};
pub use dialect::{Facts, Means};
use pump::{
    cache,
    link::Link,
    meter,
    wire::{Done, Gauge, GiveUp, Job, Put, Stroke},
};
pub use report::Report;
use report::{Around, age_bounds};
pub use valves::ValveError;
use valves::Valves;
use watch::{Cut, Watch};

/// The cgroup the pump lives in, below the root cgroup.
pub const PUMP_CGROUP: &str = "swaptier-pump";

/// How much longer than its own deadline the pump is waited for: it may wait for zswap's worker and give up what stands in
/// the swap cache after that.
const GRACE: Duration = Duration::from_secs(10);

const _: () = assert!(GRACE.as_secs() > meter::SETTLE.as_secs() + cache::LONGEST.as_secs() + 1);

/// Cgroups below a target whose swap cache is looked at. Of more, what a round leaves there stays for reclaim.
const MOST_BELOW: usize = 1024;

/// Why there was no round, or why it was broken off. Everything is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// No dialect can be used now.
    #[error("no way to write back: {0}")]
    NoDialect(String),
    /// The round cannot be aimed at the cgroup.
    #[error(transparent)]
    Valves(#[from] ValveError),
    /// What undoes it could not be written down, so nothing was begun.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// A kernel file could not be read or written.
    #[error(transparent)]
    Root(#[from] RootError),
    /// /proc could not be read.
    #[error(transparent)]
    Sense(#[from] sense::SenseError),
    /// Somebody else changed a value of the host in the moment in which the round began.
    #[error("/{0} was changed by somebody else as the round began; left alone")]
    Foreign(FilePath),
    /// The pump could not be started, or died.
    #[error("the write-back pump: {0}")]
    Pump(#[from] io::Error),
}

/// What the map knows of the cgroup a round is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Indexes of the counters of the cgroup and all below it.
    pub owners: Vec<u16>,
    /// Pages they have in zswap.
    pub zswap_pages: u64,
}

/// What a round is about, beside its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// What the map knows. `None`: there is no map, and the kernel's counters of the whole host are the meter.
    pub known: Option<Subject>,
    /// Ids of the cgroup and all below it.
    pub ids: Vec<u64>,
    /// Pages they have in zswap.
    pub zswap_pages: u64,
}

/// The engine.
pub struct Engine {
    root: Root,
    undo: Arc<Mutex<Undo>>,
    deadline: Duration,
    pump: Option<Link>,
    /// The undo record of the pump's cgroup, if we made it.
    home: Option<u64>,
    /// Valves that stay closed until zswap's worker has ended.
    unsettled: Vec<(Change, u64)>,
}

impl Engine {
    /// An engine that has done nothing yet.
    pub fn new(root: Root, undo: Arc<Mutex<Undo>>, deadline: Duration) -> Self {
        Self { root, undo, deadline, pump: None, home: None, unsettled: Vec::new() }
    }

    /// The name of the dialect a round would use now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn ready(choice: DialectChoice, facts: &Facts) -> Result<&'static str, String> {
        choose(choice, facts, u64::MAX).map(Dialect::name)
    }

    /// One round. Takes as long as it takes, at most the deadline and a little: call it where blocking is allowed.
    ///
    /// # Errors
    /// See [`RoundError`]; then nothing is left changed.
    pub fn round(
        &mut self,
        choice: DialectChoice,
        order: &Order,
        scope: &Scope,
        course: &Course,
    ) -> Result<Report, RoundError> {
        let done = self.round_of(choice, order, scope, course);
        // Nothing is its own any more, however it ended.
        course.let_go();
        done
    }

    fn round_of(
        &mut self,
        choice: DialectChoice,
        order: &Order,
        scope: &Scope,
        course: &Course,
    ) -> Result<Report, RoundError> {
        self.tidy();
        fault::point("round.begun");
        let facts = Facts::read(&self.root)?;
        let dialect = choose(choice, &facts, order.pages.0).map_err(RoundError::NoDialect)?;
        self.start_pump()?;
        let (root, undo) = (self.root.clone(), self.undo.clone());
        let mut watch = Watch::begin(&root, &undo, order, course);
        watch.aimed(leaves_siblings(dialect, scope));
        let mut valves = survey(&self.root, dialect, order, scope, |valve| {
            self.undo().latest(&valve.path, valve.cgroup).is_some_and(|ours| ours.new == valve.old)
        })?;
        fault::point("round.surveyed");
        let why = order.why();
        let aimed = Aimed { path: order.path.as_bytes(), ids: &scope.ids, why: &why };
        let Preparation { held, flicked, stroke } = dialect.prepare(&facts, aimed);
        // Given back in the opposite order: what concerns the whole host first.
        let brake = match leaves_siblings(dialect, scope) {
            true => None,
            false => valves::brake(&self.root, &why)?,
        };
        let around = valves.close.iter().chain(&valves.open).chain([&valves.own]).chain(&brake);
        let mut changes: Vec<Change> = around.chain(&held).chain(&flicked).cloned().collect();
        let mut seqs = self.undo().note(&changes)?;
        course.holds(&changes);
        fault::point("round.noted");
        let before = self.around(&order.path);
        let gauge = scope.known.as_ref().map_or(Gauge::Files, |known| Gauge::Map(known.owners.clone()));
        let asks_reclaim = matches!(stroke, Stroke::Reclaim { .. } | Stroke::Key { .. });
        let give_up = facts.means.anonymous.map(|word| GiveUp {
            cgroups: valves::leaves(&self.root, &order.path, MOST_BELOW),
            word: word.to_owned(),
        });
        let job = Job {
            stroke,
            cgroup: cgroup_path(&order.path),
            valve: valves.own.path.clone(),
            brake: brake.as_ref().map(|change| change.path.clone()),
            give_up,
            gauge,
            pages: order.pages.0,
            cold_after: order.older_than.0,
            candidates: scope.zswap_pages,
            deadline_ms: self.deadline.as_millis() as u64,
        };
        let meter = if scope.known.is_some() { "map" } else { "vmstat" };
        let done = self
            .with_pump(|pump| pump.prepare(changes.iter().rev().map(put).collect()))
            .and_then(|()| self.aim(&valves, &held, &mut watch))
            .and_then(|()| self.with_pump(|pump| pump.run(job, GRACE, &mut watch)));
        fault::point("round.answered");
        let (closed, cut, eyes, foreign) = watch.over();
        // Before what was aimed at first, so given back after it, and after what concerns the whole host.
        let (late, late_seqs): (Vec<Change>, Vec<u64>) = closed.into_iter().unzip();
        valves.close.extend_from_slice(&late);
        changes.splice(..0, late);
        seqs.splice(..0, late_seqs);
        let own: Vec<&Change> = [&valves.own].into_iter().chain(&brake).collect();
        let foreign = self.finish(&changes, &seqs, &own, flicked.len(), &done, (eyes, foreign));
        // A pump that is gone by now guards nothing.
        let _no_pump = self.with_pump(Link::over);
        fault::point("round.finished");
        let (mut done, after) = (done?, self.around(&order.path));
        if done.ended == Ended::CalledOff {
            done.ended = cut.map_or(Ended::CalledOff, Cut::ended);
        }
        let mut report = self.report(order, (dialect.name(), meter), &valves, &done, (before, after));
        report.lru_pages_reclaimed = Around::lru_pages(before, after, asks_reclaim, &done);
        report.foreign = foreign;
        Ok(report)
    }

    /// Ends the pump and removes its cgroup.
    pub fn stop(&mut self) {
        self.pump = None;
        fault::point("stop.pump.ended");
        if let Some(seq) = self.home.take() {
            let removed = self.root.remove_dir(&pump::link::home_path(PUMP_CGROUP));
            fault::point("stop.home.removed");
            match removed {
                Err(error) if !error.is_gone() => tracing::warn!(%error, "the pump's cgroup stays: {error}"),
                _ => self.undo().done(&[seq]),
            }
        }
    }

    fn undo(&self) -> MutexGuard<'_, Undo> {
        // The log is only ever behind the world, also after a panic elsewhere.
        self.undo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the siblings, opens what we closed above, and changes what is `held` on the whole host for the round. Each
    /// file is looked at right before it is written, and watched from there on.
    fn aim(&self, valves: &Valves, held: &[Change], watch: &mut Watch<'_>) -> Result<(), RoundError> {
        for change in valves.close.iter().chain(&valves.open) {
            match watch.replace(change) {
                Err(error) if !error.is_gone() => return Err(error.into()),
                _ => fault::point("round.valve"),
            }
        }
        for change in held {
            if !replace(&self.root, change)? {
                return Err(RoundError::Foreign(change.path.clone()));
            }
            fault::point("round.host");
        }
        fault::point("round.aimed");
        Ok(())
    }

    /// A pump that fails is ended: what it changed is given back by the agent.
    fn with_pump<T>(&mut self, ask: impl FnOnce(&mut Link) -> io::Result<T>) -> Result<T, RoundError> {
        let Some(pump) = self.pump.as_mut() else {
            return Err(RoundError::Pump(io::ErrorKind::NotConnected.into()));
        };
        ask(pump).map_err(|error| {
            if let Some(pump) = self.pump.take() {
                pump.kill();
            }
            RoundError::Pump(error)
        })
    }

    /// Starts the pump ahead of the first round: when that comes, memory may be short.
    ///
    /// # Errors
    /// It could not be started; the next round tries again.
    pub fn warm_up(&mut self) -> Result<(), RoundError> {
        self.start_pump()
    }

    fn start_pump(&mut self) -> Result<(), RoundError> {
        if self.pump.is_some() {
            return Ok(());
        }
        let home = pump::link::home_path(PUMP_CGROUP);
        if !self.root.exists(&home) {
            let seq = self.undo().note(&[Change::dir(&home, "the write-back pump's own cgroup")])?;
            self.home = seq.first().copied();
            fault::point("round.home.noted");
            self.root.make_dir(&home)?;
            fault::point("round.home.made");
        }
        self.root.write(&cgroup_file(PUMP_CGROUP, valves::FILE), "0")?;
        fault::point("round.home.closed");
        self.pump = Some(Link::start(&self.root, PUMP_CGROUP)?);
        fault::point("round.pump.started");
        Ok(())
    }

    fn around(&self, cgroup: &CgroupPath) -> Around {
        let stat = self.root.read(&cgroup_file(cgroup, "memory.stat")).ok();
        let stat = stat.map(|text| MemoryStat::parse(&text));
        let memory = sense::procfs::read_meminfo(&self.root).ok();
        Around {
            pgsteal: stat.and_then(|stat| stat.pgsteal),
            pgsteal_proactive: stat.and_then(|stat| stat.pgsteal_proactive),
            pool_bytes: memory.and_then(|memory| memory.zswap).map(|bytes| bytes.0),
            available_bytes: memory.and_then(|memory| memory.available).map(|bytes| bytes.0),
        }
    }

    fn report(
        &self,
        order: &Order,
        (dialect, meter): (&'static str, &'static str),
        valves: &Valves,
        done: &Done,
        (before, after): (Around, Around),
    ) -> Report {
        let (youngest_seconds, oldest_seconds) = age_bounds(done);
        let page = rustix::param::page_size() as u64;
        Report {
            cgroup: order.path.to_string(),
            dialect,
            meter,
            why: order.why(),
            asked_pages: order.pages.0,
            written_pages: done.written,
            overshoot_pages: done.written.saturating_sub(order.pages.0),
            older_than_seconds: order.older_than.0,
            cold_pages: done.cold,
            youngest_seconds,
            oldest_seconds,
            sibling_pages: done.beside,
            lru_pages_reclaimed: None,
            passed_over: done.passed_over,
            pool_pages_freed: Around::pool_pages(before, after, page),
            cache_pages_freed: done.given_up,
            available_pages_gained: Around::available_pages(before, after, page),
            refused_stores: done.refused,
            stored_pages: done.stored,
            strokes: done.strokes,
            valves_closed: valves.close.len(),
            seconds: done.micros as f64 / 1e6,
            foreign: Vec::new(),
            ended: done.ended,
            error: done.error.clone(),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a round would change, in the order of the writes.
///
/// # Errors
/// Why there would be none.
pub fn rehearse(
    root: &Root,
    choice: DialectChoice,
    order: &Order,
    scope: &Scope,
) -> Result<Vec<Change>, RoundError> {
    let facts = Facts::read(root)?;
    let dialect = choose(choice, &facts, order.pages.0).map_err(RoundError::NoDialect)?;
    let valves = survey(root, dialect, order, scope, |_| false)?;
    let why = order.why();
    let aimed = Aimed { path: order.path.as_bytes(), ids: &scope.ids, why: &why };
    let Preparation { held, flicked, .. } = dialect.prepare(&facts, aimed);
    let around = valves.close.into_iter().chain(valves.open).chain(held);
    Ok(around.chain([valves.own]).chain(flicked).collect())
}

/// The valves a round of this dialect moves.
fn survey(
    root: &Root,
    dialect: &dyn Dialect,
    order: &Order,
    scope: &Scope,
    is_ours: impl Fn(&Change) -> bool,
) -> Result<Valves, ValveError> {
    let why = order.why();
    let mut valves = Valves::survey(root, &order.path, order.cgroup, &why, is_ours)?;
    if leaves_siblings(dialect, scope) {
        valves.close.clear();
    }
    valves.spare(root, &order.spared, &why)?;
    Ok(valves)
}

/// Whether the round leaves the valves of others open. Where the host's counters are the meter, nobody else may write back.
fn leaves_siblings(dialect: &dyn Dialect, scope: &Scope) -> bool {
    dialect.is_aimed() && scope.known.is_some()
}

/// Writes the new value over the old one, and over no other: `false`. A valve that somebody else closed meanwhile is as
/// it must be.
fn replace(root: &Root, change: &Change) -> Result<bool, RootError> {
    let now = root.read_value(&change.path)?;
    if !is_same_value(&change.path, &now, &change.old) {
        return Ok(false);
    }
    root.write(&change.path, &change.new).map(|()| true)
}

fn put(change: &Change) -> Put {
    Put { path: change.path.clone(), old: change.old.clone(), new: change.new.clone() }
}

/// The pin folder below this root, for the processes that open the map.
pub fn pins(root: &Root) -> PathBuf {
    crate::hooks::load::pin_folder(&root.host_path("sys/fs/bpf"))
}

/// The cgroup's id at this path, for an order.
///
/// # Errors
/// There is no such cgroup.
pub fn cgroup_id(root: &Root, path: &CgroupPath) -> Result<CgroupId, RootError> {
    root.cgroup_id(path).map(CgroupId)
}
