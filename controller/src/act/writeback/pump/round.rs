//! One job of the pump: stroke after stroke until its target is written, nothing more comes, or the time is over.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use swaptier_policies::Ended;

use super::{
    aim::{Aim, Halt, RunOn, Ways},
    beat::Beat,
    cache::{Cache, Debts, GivenUp},
    disk::Disk,
    ear::Ear,
    knob::Obstacle,
    life::Life,
    meter::Meter,
    page::Page,
    refusals::Refusals,
    stroke::Hand,
    wire::{Done, Job},
};
use crate::{fault, root::Root};

/// Runs of the worker without any effect after which nothing more is to come. One that began under a threshold of zero
/// looks sixteen times at every cgroup; one that began under the usual one looks at a single one.
const IDLE_RUNS: u64 = 64;

/// Strokes without any effect after which a worker that was never seen to run is given up, or the shrinker: a small
/// reclaim calls it, but it begins to look at entries only once enough of these calls have added up.
const IDLE_STROKES: u64 = 512;

/// Entries that a stroke looks at, at least: the worker stops after sixteen second chances.
const ENTRIES: u64 = 16;

/// How long to wait before it is looked again whether the stores of others allow a stroke.
const PAUSE: Duration = Duration::from_micros(500);

/// What was done so far to make zswap write back.
#[derive(Clone, Copy)]
struct Effort {
    strokes: u64,
    /// Runs of zswap's worker that ended, since the map was made; 0 where they are not seen.
    runs: u64,
}

/// What the pump learns in a round and keeps for the next.
pub(super) struct Learned {
    run_on: RunOn,
    disk: Disk,
    debts: Debts,
}

impl Learned {
    pub(super) fn open(root: &Root) -> Self {
        Self { run_on: RunOn::default(), disk: Disk::open(root), debts: Debts::default() }
    }
}

/// One round.
pub(super) struct Round<'a> {
    job: &'a Job,
    hand: Hand<'a>,
    aim: Aim<'a>,
    refusals: Refusals,
    cache: Option<Cache<'a>>,
}

impl<'a> Round<'a> {
    pub(super) fn open(
        root: &Root,
        pins: &Path,
        job: &'a Job,
        life: &'a Life,
        (learned, beat): (&'a mut Learned, &'a Beat),
    ) -> io::Result<Self> {
        let hand = Hand::open(root, &job.stroke, beat)?;
        let meter = Meter::open(root, pins, &job.gauge)?;
        let ways = Ways::open(root, &job.cgroup, &job.valve, job.brake.as_ref(), meter.tells_pages())?;
        let run_on = hand.runs_on().then_some(&mut learned.run_on);
        let aim = Aim::new(life, meter, ways, (run_on, &mut learned.disk), job.pages);
        let refusals = Refusals::open(root);
        let cache = job.give_up.as_ref().map(|give_up| Cache::open(root, give_up, &mut learned.debts));
        fault::point("pump.opened");
        Ok(Self { job, hand, aim, refusals, cache })
    }

    pub(super) fn run(&mut self, page: &mut Page, ear: &mut Ear) -> io::Result<Done> {
        if let Some(said) = self.aim.disk.failed_lately() {
            return Ok(Done::none(Ended::DiskFailed, said));
        }
        let (begun, ages, start) = (Instant::now(), self.aim.meter.ages(), self.aim.start);
        self.aim.meter.set_cold_after(self.job.cold_after);
        if self.hand.refuses() {
            self.aim.try_stores(page);
        }
        self.aim.open_valve()?;
        fault::point("pump.valve.opened");
        let (strokes, ended) = self.pump(page, ear, begun);
        let let_go = self.hand.let_go();
        let ended = ended.and_then(|ended| let_go.map(|()| ended));
        let (is_settled, closed) = self.aim.close_valve();
        fault::point("pump.settled");
        let (ended, error) = self.outcome(ended.and_then(|ended| closed.map(|()| ended)), is_settled);
        let micros = begun.elapsed().as_micros() as u64;
        let given_up = self.give_up(ended, ear);
        let now = self.aim.meter.read();
        let known = |pages: u64| self.aim.meter.tells_pages().then_some(pages);
        let written = self.aim.written();
        let grown = |(after, before): (&u64, &u64)| after.saturating_sub(*before);
        Ok(Done {
            ended,
            error,
            written,
            beside: known(now.total.saturating_sub(start.total).saturating_sub(written)),
            cold: known(now.cold.saturating_sub(start.cold)),
            passed_over: known(now.passed_over.saturating_sub(start.passed_over)),
            refused: if self.hand.refuses() { self.aim.refused() } else { Some(0) },
            stored: self.refusals.stored(),
            theirs: self.aim.theirs(),
            given_up: given_up.map(|given_up| given_up.pages),
            reclaimed: given_up.map_or(0, |given_up| given_up.others),
            strokes,
            ages: self.aim.meter.ages().iter().zip(&ages).map(grown).collect(),
            micros,
        })
    }

    /// Why the round ended, and what was said. What came from outside goes before what the pump found out.
    fn outcome(&mut self, ended: io::Result<Ended>, is_settled: bool) -> (Ended, Option<String>) {
        let (ended, said) = match ended {
            Ok(ended) => (ended, None),
            Err(error) => {
                let typed = Obstacle::of(&error).map_or(Ended::Refused, Obstacle::ended);
                (typed, Some(error.to_string()))
            }
        };
        match (self.aim.halted(), is_settled) {
            (_, false) => (Ended::Unsettled, said),
            (Some(Halt { ended, why }), true) => (*ended, Some(why.clone())),
            (None, true) => match self.aim.disk.error().filter(|_| said.is_none()) {
                Some(said) => (Ended::DiskFailed, Some(said)),
                None => (ended, said),
            },
        }
    }

    /// Gives up what the round has left in the swap cache, where pages reached the disk and somebody waits for the answer.
    fn give_up(&mut self, ended: Ended, ear: &mut Ear) -> Option<GivenUp> {
        let cache = self.cache.as_mut()?;
        match ended {
            Ended::Target | Ended::Exhausted | Ended::Deadline | Ended::NearLimit | Ended::Strayed => {
                let life = self.aim.life;
                let goes_on = || !ear.is_told_to_end() && !life.is_over() && !life.stands_still();
                Some(cache.give_up(self.aim.written(), goes_on))
            }
            Ended::DiskFailed
            | Ended::Unsettled
            | Ended::CalledOff
            | Ended::Gone
            | Ended::Crowded
            | Ended::Foreign
            | Ended::Stopped
            | Ended::Refused => None,
        }
    }

    fn pump(&mut self, page: &mut Page, ear: &mut Ear, begun: Instant) -> (u64, io::Result<Ended>) {
        let deadline = begun + Duration::from_millis(self.job.deadline_ms);
        let (mut strokes, mut last) = (0, self.effort(0));
        loop {
            if self.aim.close_if_near() {
                return (strokes, Ok(Ended::Target));
            }
            if ear.is_told_to_end() || self.aim.life.is_over() {
                return (strokes, Ok(Ended::CalledOff));
            }
            if Instant::now() > deadline {
                return (strokes, Ok(Ended::Deadline));
            }
            if self.is_idle(self.effort(strokes), last) || self.is_out_of_chances() {
                return (strokes, Ok(Ended::Exhausted));
            }
            if let Some(ended) = self.hand.is_over() {
                return (strokes, Ok(ended));
            }
            match self.hand.is_carried(&mut self.aim) {
                Ok(false) => {}
                Ok(true) => {
                    last = self.effort(strokes);
                    continue;
                }
                Err(error) => return (strokes, Err(error)),
            }
            if !self.refusals.allow_stroke(self.aim.refused()) {
                std::thread::sleep(PAUSE);
                continue;
            }
            let before = self.aim.progress();
            if let Err(error) = self.hand.stroke(&mut self.aim, page, &mut self.refusals) {
                return (strokes, Err(error));
            }
            strokes += 1;
            fault::point("pump.stroked");
            self.aim.run_out(deadline);
            if self.aim.progress() != before {
                last = self.effort(strokes);
            }
        }
    }

    fn effort(&self, strokes: u64) -> Effort {
        Effort { strokes, runs: self.aim.meter.worker_ended() }
    }

    /// A worker that gets no processor is no sign of an empty list: what counts is how often it ran in vain. Where second
    /// chances are not seen, going once through all entries is no sign either.
    fn is_idle(&self, now: Effort, last: Effort) -> bool {
        let unseen = if self.aim.meter.tells_pages() { 0 } else { self.job.candidates / ENTRIES };
        match self.hand {
            Hand::Worker(_) if now.runs > 0 => now.runs - last.runs > IDLE_RUNS,
            _ => now.strokes - last.strokes > IDLE_STROKES + unseen,
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
    /// Nothing was written.
    pub(in super::super) fn none(ended: Ended, error: String) -> Self {
        Self {
            ended,
            error: Some(error),
            written: 0,
            beside: None,
            cold: None,
            passed_over: None,
            refused: None,
            stored: None,
            theirs: None,
            given_up: None,
            reclaimed: 0,
            strokes: 0,
            ages: Vec::new(),
            micros: 0,
        }
    }
}
