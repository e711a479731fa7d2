//! The write-back engine: this many pages of this cgroup's oldest zswap entries, now, and nothing else.
//!
//! A round: survey the valves, put all that undoes it on disk with one fsync, close the siblings, let the pump work
//! until its meter shows the target, put everything back, report. `dialect` knows the ways, `valves` the aim, `pump`
//! the work, `report` the outcome. Callers: the agent (through `act::apply`) and `swaptier writeback`.
//!
//! Properties
//! - Nothing is changed before the undo log has it on disk.
//! - However a round ends, every value it changed is written back before it returns, by the agent or by the pump.
//! - It never runs twice at the same time: the engine is one value, behind one lock.

mod dialect;
pub mod pump;
mod report;
mod valves;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use swaptier_policies::CgroupId;

use super::Order;
use crate::{
    config::DialectChoice,
    fault,
    journal::{Change, Undo, UndoError, is_same_value},
    root::{Root, RootError, cgroup_file},
    sense::{self, MemoryStat},
};
use dialect::{Aimed, DIALECTS, Dialect, Preparation};
pub use dialect::{Facts, Means};
pub use pump::wire::Ended;
use pump::{
    link::Link,
    wire::{Done, Gauge, Job, Put},
};
pub use report::Report;
use report::{Around, age_bounds};
pub use valves::ValveError;
use valves::Valves;

/// The cgroup the pump lives in, below the root cgroup.
pub const PUMP_CGROUP: &str = "swaptier-pump";

/// How much longer than its own deadline the pump is waited for.
const GRACE: Duration = Duration::from_secs(2);

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
        choose(choice, facts).map(Dialect::name)
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
    ) -> Result<Report, RoundError> {
        self.tidy();
        fault::point("round.begun");
        let facts = Facts::read(&self.root)?;
        let dialect = choose(choice, &facts).map_err(RoundError::NoDialect)?;
        self.start_pump()?;
        let valves = self.survey(dialect, order, scope, |valve| {
            self.undo().latest(&valve.path, valve.cgroup).is_some_and(|ours| ours.new == valve.old)
        })?;
        fault::point("round.surveyed");
        let aimed = Aimed { path: &order.path, ids: &scope.ids, why: &order.why };
        let Preparation { held, flicked, stroke } = dialect.prepare(&facts, aimed);
        // Given back in the opposite order: what concerns the whole host first.
        let around = valves.close.iter().chain(&valves.open).chain([&valves.own]);
        let changes: Vec<Change> = around.chain(&held).chain(&flicked).cloned().collect();
        let seqs = self.undo().note(&changes)?;
        fault::point("round.noted");
        let before = self.around(&order.path);
        let gauge = scope.known.as_ref().map_or(Gauge::Files, |known| Gauge::Map(known.owners.clone()));
        let job = Job {
            stroke,
            valve: valves.own.path.clone(),
            gauge,
            pages: order.pages.0,
            cold_after: order.older_than.0,
            candidates: scope.zswap_pages,
            deadline_ms: self.deadline.as_millis() as u64,
        };
        let meter = if scope.known.is_some() { "map" } else { "vmstat" };
        let done = self
            .with_pump(|pump| pump.prepare(changes.iter().rev().map(put).collect()))
            .and_then(|()| self.aim(&valves, &held))
            .and_then(|()| self.with_pump(|pump| pump.run(job, GRACE)));
        fault::point("round.answered");
        self.finish(changes, &seqs, &valves.own, flicked.len(), &done);
        // A pump that is gone by now guards nothing.
        let _no_pump = self.with_pump(Link::over);
        fault::point("round.finished");
        let (done, after) = (done?, self.around(&order.path));
        Ok(self.report(order, (dialect.name(), meter), &valves, &done, (before, after)))
    }

    /// What a round would change, in the order of the writes.
    ///
    /// # Errors
    /// Why there would be none.
    pub fn rehearse(
        &self,
        choice: DialectChoice,
        order: &Order,
        scope: &Scope,
    ) -> Result<Vec<Change>, RoundError> {
        let facts = Facts::read(&self.root)?;
        let dialect = choose(choice, &facts).map_err(RoundError::NoDialect)?;
        let valves = self.survey(dialect, order, scope, |_| false)?;
        let aimed = Aimed { path: &order.path, ids: &scope.ids, why: &order.why };
        let Preparation { held, flicked, .. } = dialect.prepare(&facts, aimed);
        let around = valves.close.into_iter().chain(valves.open).chain(held);
        Ok(around.chain([valves.own]).chain(flicked).collect())
    }

    /// The valves a round of this dialect moves.
    fn survey(
        &self,
        dialect: &dyn Dialect,
        order: &Order,
        scope: &Scope,
        is_ours: impl Fn(&Change) -> bool,
    ) -> Result<Valves, ValveError> {
        let mut valves = Valves::survey(&self.root, &order.path, order.cgroup, &order.why, is_ours)?;
        if leaves_siblings(dialect, scope) {
            valves.close.clear();
        }
        valves.spare(&self.root, &order.spared, &order.why)?;
        Ok(valves)
    }

    /// Ends the pump and removes its cgroup.
    pub fn stop(&mut self) {
        self.pump = None;
        fault::point("stop.pump.ended");
        if let Some(seq) = self.home.take() {
            let removed = self.root.remove_dir(&pump::link::home_path(PUMP_CGROUP));
            fault::point("stop.home.removed");
            match removed {
                Err(error) if !error.is_gone() => tracing::warn!(%error, "the pump's cgroup stays"),
                _ => self.undo().done(&[seq]),
            }
        }
    }

    fn undo(&self) -> MutexGuard<'_, Undo> {
        // The log is only ever behind the world, also after a panic elsewhere.
        self.undo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the siblings, opens what we closed above, and changes what is `held` on the whole host for the round.
    fn aim(&self, valves: &Valves, held: &[Change]) -> Result<(), RoundError> {
        for change in valves.close.iter().chain(&valves.open) {
            match self.root.write(&change.path, &change.new) {
                Err(error) if !error.is_gone() => return Err(error.into()),
                _ => {}
            }
            fault::point("round.valve");
        }
        for change in held {
            self.root.write(&change.path, &change.new)?;
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

    /// Ends the round: everything is given back, the cgroup's own valve only once nothing writes any more.
    fn finish(
        &mut self,
        changes: Vec<Change>,
        seqs: &[u64],
        own: &Change,
        flicked: usize,
        outcome: &Result<Done, RoundError>,
    ) {
        let (own, rest): (Vec<_>, Vec<_>) =
            changes.into_iter().zip(seqs.iter().copied()).partition(|(change, _)| change == own);
        let is_settled = match outcome {
            Ok(done) => done.ended != Ended::Unsettled,
            // The pump died: nobody knows how far it was. What it changed goes first, then the way to disk.
            Err(_) => {
                self.give_back(rest.iter().rev().take(flicked));
                self.close(&own) && self.is_settled()
            }
        };
        self.give_back(rest.iter().rev());
        if is_settled {
            self.give_back(own.iter());
        } else {
            tracing::warn!("zswap's worker has not ended: the cgroup's write-back stays closed until it has");
            self.unsettled.extend(own);
        }
    }

    /// Gives back the valves that had to stay closed, if zswap's worker has ended by now. Cheap when there are none.
    pub fn tidy(&mut self) {
        if !self.unsettled.is_empty() && self.is_settled() {
            let own = std::mem::take(&mut self.unsettled);
            self.give_back(own.iter());
        }
    }

    fn is_settled(&self) -> bool {
        pump::is_settled(&self.root, &pins(&self.root))
    }

    fn close(&self, own: &[(Change, u64)]) -> bool {
        own.iter().all(|(change, _)| match self.root.write(&change.path, "0") {
            Ok(()) => true,
            Err(error) => error.is_gone(),
        })
    }

    /// Writes the old values. Somebody else's value stays.
    fn give_back<'a>(&self, changes: impl Iterator<Item = &'a (Change, u64)>) {
        let mut settled = Vec::new();
        for (change, seq) in changes {
            // A valve has two values and both were ours for a time.
            let is_ours = |now: &str| {
                [&change.new, &change.old].iter().any(|value| is_same_value(&change.path, now, value))
            };
            let given_back = match self.root.read_value(&change.path) {
                Ok(now) if is_same_value(&change.path, &now, &change.old) => Ok(()),
                Ok(now) if is_ours(&now) => self.root.write(&change.path, &change.old),
                Ok(found) => {
                    tracing::warn!(
                        path = change.path,
                        found,
                        "somebody else wrote it during a round; left alone"
                    );
                    Ok(())
                }
                Err(error) => Err(error),
            };
            match given_back {
                Err(error) if !error.is_gone() => tracing::error!(%error, "a value of a round stays changed"),
                _ => settled.push(*seq),
            }
            fault::point("round.give-back");
        }
        fault::point("round.given-back");
        self.undo().done(&settled);
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

    fn around(&self, cgroup: &str) -> Around {
        let stat = self.root.read(&cgroup_file(cgroup, "memory.stat")).ok();
        let memory = sense::procfs::read_meminfo(&self.root).ok();
        Around {
            pgsteal: stat.and_then(|text| MemoryStat::parse(&text).pgsteal),
            pool_bytes: memory.and_then(|memory| memory.zswap).map(|bytes| bytes.0),
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
        Report {
            cgroup: order.path.clone(),
            dialect,
            meter,
            why: order.why.clone(),
            asked_pages: order.pages.0,
            written_pages: done.written,
            overshoot_pages: done.written.saturating_sub(order.pages.0),
            older_than_seconds: order.older_than.0,
            cold_pages: done.cold,
            youngest_seconds,
            oldest_seconds,
            sibling_pages: done.beside,
            lru_pages_reclaimed: Around::lru_pages(before, after),
            passed_over: done.passed_over,
            pool_pages_freed: Around::pool_pages(before, after, rustix::param::page_size() as u64),
            refused_stores: done.refused,
            stored_pages: done.stored,
            strokes: done.strokes,
            valves_closed: valves.close.len(),
            seconds: done.micros as f64 / 1e6,
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

/// Whether the round leaves the valves of others open. Where the host's counters are the meter, nobody else may write back.
fn leaves_siblings(dialect: &dyn Dialect, scope: &Scope) -> bool {
    dialect.is_aimed() && scope.known.is_some()
}

fn put(change: &Change) -> Put {
    Put { path: change.path.clone(), old: change.old.clone(), new: change.new.clone() }
}

/// Every dialect by name, best first, and why it is not used now without being chosen, where it is not.
pub fn dialects(facts: &Facts) -> Vec<(&'static str, Result<(), String>)> {
    let usable = |dialect: &&dyn Dialect| dialect.probe(facts).and_then(|()| dialect.spares(facts));
    DIALECTS.iter().map(|dialect| (dialect.name(), usable(dialect))).collect()
}

/// The first dialect that can be used, or the one that was chosen.
fn choose(choice: DialectChoice, facts: &Facts) -> Result<&'static dyn Dialect, String> {
    let wanted = |dialect: &&&'static dyn Dialect| choice.allows(dialect.name());
    let mut reasons = Vec::new();
    let is_named = choice != DialectChoice::Auto;
    for dialect in DIALECTS.iter().filter(wanted) {
        match dialect.probe(facts).and_then(|()| if is_named { Ok(()) } else { dialect.spares(facts) }) {
            Ok(()) => return Ok(*dialect),
            Err(reason) => reasons.push(format!("{}: {reason}", dialect.name())),
        }
    }
    reasons.dedup();
    Err(if reasons.is_empty() { "none is allowed".to_owned() } else { reasons.join("; ") })
}

/// The pin folder below this root, for the processes that open the map.
pub fn pins(root: &Root) -> PathBuf {
    crate::hooks::load::pin_folder(&root.host_path("sys/fs/bpf"))
}

/// The cgroup's id at this path, for an order.
///
/// # Errors
/// There is no such cgroup.
pub fn cgroup_id(root: &Root, path: &str) -> Result<CgroupId, RootError> {
    root.cgroup_id(path).map(CgroupId)
}
