//! What a round is aimed at: the cgroup's valve, and the meter that says when to close it.

use std::{
    io,
    time::{Duration, Instant},
};

use swaptier_policies::Ended;

use super::{
    brake::Brake, disk::Disk, knob::Obstacle, life::Life, meter::Meter, page::Page, strays::Strays,
    valve::Valve,
};
use crate::{
    fault,
    map::{Reading, Stores},
    root::{FilePath, Root},
};

/// How long the pump sleeps between two looks at the meter, unless the alarm wakes it.
const LOOK: Duration = Duration::from_micros(20);

/// Pages before the end from which on it does not sleep while pages come: what wakes it may be late by some milliseconds
/// where processors are emulated or shared.
const CLOSE: u64 = 256;

/// How long a stroke may take to show on the meter.
const STROKE: Duration = Duration::from_millis(1);

/// How long the low limit is held in one stroke while nobody else is refused. The worker stops after 16 entries that
/// only got their second chance; so that it does not have to be woken anew for the next 16, its work is queued again
/// and again while it runs.
const HOLD: Duration = Duration::from_millis(8);

/// How long it goes on without an effect: the worker may be waiting for the very processor the pump is on.
const STALL: Duration = Duration::from_micros(300);

/// How often it is looked whether the agent lives, while the limit is low.
const HEARTBEAT: Duration = Duration::from_millis(1);

/// Between two looks at what may end a round from outside: the target's directory, its valve, the agent.
const OUTSIDE: Duration = Duration::from_millis(1);

/// How long a worker that is queued may take to begin.
const BEGIN: Duration = Duration::from_millis(20);

/// The same where its runs are not seen: it has mostly begun by then, and a stroke in vain is made once more.
const BEGIN_UNSEEN: Duration = Duration::from_millis(4);

/// Pages the worker still writes after the valve was told to close: learned from round to round. The valve is closed
/// that much early, so that a round comes out near its target and not above it.
#[derive(Clone, Copy)]
pub(super) struct RunOn(u64);

impl Default for RunOn {
    /// About what was seen on emulated machines; the first rounds correct it.
    fn default() -> Self {
        Self(16)
    }
}

impl RunOn {
    /// More than this is a hiccup of the host: not to be expected again.
    const MOST: u64 = 48;

    /// Pages that a round of so many ends early. A small round stays near its target.
    fn margin(self, pages: u64) -> u64 {
        self.0.min(pages / 16)
    }

    /// Follows a rise at once and a fall slowly.
    fn learn(&mut self, seen: u64) {
        self.0 = seen.max(self.0 - self.0 / 4).clamp(1, Self::MOST);
    }
}

/// The ways to disk that a round moves, and what shows that others write there.
pub(super) struct Ways {
    valve: Valve,
    brake: Brake,
    strays: Strays,
}

impl Ways {
    pub(super) fn open(
        root: &Root,
        cgroup: &FilePath,
        valve: &FilePath,
        brake: Option<&FilePath>,
        tells_pages: bool,
    ) -> io::Result<Self> {
        let strays = Strays::open(root, cgroup, tells_pages);
        Ok(Self { valve: Valve::open(root, valve)?, brake: Brake::open(root, brake)?, strays })
    }
}

/// Why a round ends before its target.
#[derive(Clone, Debug)]
pub(super) struct Halt {
    pub(super) ended: Ended,
    pub(super) why: String,
}

impl From<Obstacle> for Halt {
    fn from(obstacle: Obstacle) -> Self {
        Self { ended: obstacle.ended(), why: obstacle.to_string() }
    }
}

/// The aim of one round.
pub(super) struct Aim<'a> {
    pub(super) life: &'a Life,
    pub(super) meter: Meter,
    pub(super) start: Reading,
    pub(super) disk: &'a mut Disk,
    ways: Ways,
    halt: Option<Halt>,
    /// When it was last looked at what may end it from outside, and what was written until then: counters of a cgroup
    /// that is gone are somebody else's soon.
    looked: (Instant, u64),
    /// `None`: what makes zswap write back does not run on.
    run_on: Option<&'a mut RunOn>,
    /// Pages at which the valve is closed.
    near: u64,
    /// Pages at which it was closed.
    closed_at: Option<u64>,
    /// Where the count of stores began; `None`: stores are not seen.
    stores: Option<Stores>,
}

impl<'a> Aim<'a> {
    pub(super) fn new(
        life: &'a Life,
        meter: Meter,
        ways: Ways,
        (run_on, disk): (Option<&'a mut RunOn>, &'a mut Disk),
        pages: u64,
    ) -> Self {
        let late = meter.lag().min(pages / 16);
        let early = run_on.as_ref().map_or(0, |run_on| run_on.margin(pages) + late);
        let (start, near) = (meter.read(), pages - early);
        let looked = (Instant::now(), 0);
        let (halt, closed_at, stores) = (None, None, None);
        Self { life, meter, start, disk, ways, halt, looked, run_on, near, closed_at, stores }
    }

    pub(super) fn open_valve(&mut self) -> io::Result<()> {
        self.meter.set_alarm(self.start.total + self.near);
        self.ways.valve.open_up()
    }

    /// Closes the valve, whatever was closed before, and waits until nothing is written any more. `false`: zswap's worker
    /// has not ended in time.
    pub(super) fn close_valve(&mut self) -> (bool, io::Result<()>) {
        let closed = self.ways.valve.close();
        if closed.is_err() {
            self.ways.brake.on();
        }
        fault::point("pump.valve.closed");
        self.meter.set_alarm(0);
        let (start, halt, Ways { brake, strays, .. }) = (self.start, &mut self.halt, &mut self.ways);
        let is_settled = self.meter.settle(|now| {
            if let Some(beside) = strays.too_many(start, now) {
                brake.on();
                halt.get_or_insert_with(|| strayed(beside));
            }
        });
        if is_settled {
            self.ways.brake.off();
        }
        let written = self.written();
        if let (Some(closed_at), Some(run_on)) = (self.closed_at, &mut self.run_on) {
            run_on.learn(written.saturating_sub(closed_at));
        }
        (is_settled, closed)
    }

    /// Finds out whether stores are seen: one of our own must be.
    pub(super) fn try_stores(&mut self, page: &mut Page) {
        let before = self.meter.stores();
        self.meter.watch_stores(u64::MAX);
        page.renew();
        self.meter.push_out(page);
        self.meter.watch_stores(0);
        let now = self.meter.stores();
        self.stores = (now != before).then_some(now);
    }

    /// Stores of others are counted from now on, or no more.
    pub(super) fn watch_stores(&self, is_on: bool) {
        self.meter.watch_stores(if is_on { u64::from(std::process::id()) } else { 0 });
    }

    /// Stores of others refused in this round, as far as they were watched. `None`: they are not seen.
    pub(super) fn refused(&self) -> Option<u64> {
        Some(self.meter.stores().refused.saturating_sub(self.stores?.refused))
    }

    /// Waits until more stores of others were refused than these.
    pub(super) fn await_refusal(&self, refused: u64, at_most: Duration) -> bool {
        spin(at_most, || self.refused() != Some(refused))
    }

    /// Waits until a store of somebody else has gone through.
    pub(super) fn await_store(&self, at_most: Duration) -> bool {
        let before = self.meter.stores().taken;
        spin(at_most, || self.meter.stores().taken != before)
    }

    /// Waits until the worker that was queued after so many runs has begun.
    pub(super) fn await_prompt_begin(&self, begun: u64, at_most: Duration) {
        spin(at_most, || self.meter.worker_begun() != begun);
    }

    /// Why the round ends before its target, if it does.
    pub(super) fn halted(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// What somebody else wrote into the cgroup's valve.
    pub(super) fn theirs(&self) -> Option<String> {
        self.ways.valve.theirs().map(str::to_owned)
    }

    /// Pages of the cgroup written back in this round, as far as it was there.
    pub(super) fn written(&self) -> u64 {
        match &self.halt {
            Some(Halt { ended: Ended::Gone, .. }) => self.looked.1,
            _ => self.meter.read().written.saturating_sub(self.start.written),
        }
    }

    /// What tells that a stroke had an effect on the target: pages of others are none.
    pub(super) fn progress(&self) -> (u64, u64) {
        let now = self.meter.read();
        (now.written, now.passed_over)
    }

    /// Looks at what may end the round from outside, now and then: each look is some system calls.
    fn look_outside(&mut self, now: Reading) {
        if self.halt.is_some() || self.looked.0.elapsed() < OUTSIDE {
            return;
        }
        // A valve that was closed at the target is looked at when it is closed for good.
        let looked = if self.closed_at.is_none() { self.ways.valve.look() } else { Ok(()) };
        match looked {
            Ok(()) => self.looked = (Instant::now(), now.written.saturating_sub(self.start.written)),
            Err(obstacle) => {
                if obstacle.ended() == Ended::Gone {
                    self.ways.brake.on();
                }
                self.halt = Some(obstacle.into());
            }
        }
        if self.halt.is_none() && self.life.stands_still() {
            let why = "the agent stood still: stopped, or frozen".to_owned();
            self.halt = Some(Halt { ended: Ended::Stopped, why });
        }
    }

    /// Pages that may still be written before the valve is closed.
    pub(super) fn left(&self) -> u64 {
        self.near.saturating_sub(self.written())
    }

    /// Closes the valve when the target is near, or the disk cannot be written: a worker that began under the low limit does
    /// not stop by itself.
    pub(super) fn close_if_near(&mut self) -> bool {
        let now = self.meter.read();
        self.look_outside(now);
        self.close_if_over(now)
    }

    /// The same by what is in memory alone: for the moments in which every system call is a store of somebody else refused.
    fn close_if_over(&mut self, now: Reading) -> bool {
        if self.halt.is_none()
            && let Some(beside) = self.ways.strays.too_many(self.start, now)
        {
            self.ways.brake.on();
            self.halt = Some(strayed(beside));
        }
        let written = now.written.saturating_sub(self.start.written);
        let is_near = self.halt.is_some() || written >= self.near || self.disk.has_failed();
        if is_near && self.closed_at.is_none() {
            // Tried again, and its error looked at, at the end of the round.
            let _tried_again = self.ways.valve.close();
            self.closed_at = Some(written);
            fault::point("pump.full");
        }
        is_near
    }

    /// Has the page refused, which queues the worker, and over and over as long as nobody else is: until the target is near,
    /// the hold is over, or nothing moves any more. Returns how many runs of the worker had begun when it was last queued.
    pub(super) fn queue_work(&mut self, page: &mut Page) -> u64 {
        let (mut seen, mut moved) = (self.meter.read(), Instant::now());
        let (until, refused) = (moved + HOLD, self.refused());
        let stall = if self.meter.tells_pages() { STALL } else { HOLD };
        let mut alive = moved;
        loop {
            let begun = self.meter.worker_begun();
            self.meter.push_out(page);
            let (last, now) = (seen, Instant::now());
            seen = self.meter.read();
            if seen != last {
                moved = now;
            }
            // No sleep in here: a processor that is given away while the limit is low comes back whenever it pleases.
            // Nor a look outside: the hold is short.
            if self.close_if_over(seen) || self.refused() != refused || now > until || now - moved > stall {
                return begun;
            }
            if alive.elapsed() > HEARTBEAT {
                if self.life.is_over() {
                    return begun;
                }
                alive = Instant::now();
            }
            page.bring_in();
        }
    }

    /// Waits until the worker that was queued after so many runs has begun, for as long as nobody is refused meanwhile; where
    /// runs are not seen, until something is written.
    pub(super) fn await_begin(&mut self, begun: u64) {
        let are_seen = self.meter.tells_pages();
        let (seen, until) = (self.meter.read(), Instant::now() + if are_seen { BEGIN } else { BEGIN_UNSEEN });
        let (waited, refused) = (Instant::now(), self.refused());
        while self.meter.worker_begun() == begun
            && (are_seen || self.meter.read() == seen)
            && self.refused() == refused
            && Instant::now() < until
            && !self.close_if_near()
            && !self.life.is_over()
        {
            self.pause(waited);
        }
    }

    /// A moment between two looks. Busy near the end, for as long as something has moved lately.
    fn pause(&mut self, moved: Instant) {
        if self.left() <= CLOSE && moved.elapsed() < STALL {
            std::hint::spin_loop();
        } else {
            self.meter.wait(LOOK);
        }
    }

    /// Waits until a stroke has run out, or the target is near.
    pub(super) fn run_out(&mut self, deadline: Instant) {
        let begun = Instant::now();
        let (mut seen, mut moved, longest) = (self.meter.read(), begun, begun + BEGIN);
        let mut quiet_at = begun + STROKE;
        while !self.close_if_near() {
            self.pause(moved);
            let (last, now) = (seen, Instant::now());
            seen = self.meter.read();
            if seen != last {
                (moved, quiet_at) = (now, now + 3 * LOOK);
            } else if now > deadline || now > quiet_at && (now > longest || !self.meter.is_worker_running()) {
                return;
            }
        }
    }
}

fn strayed(beside: u64) -> Halt {
    let why = format!(
        "{beside} pages of other cgroups, or of none, were written back meanwhile: more than a round may cost them"
    );
    Halt { ended: Ended::Strayed, why }
}

/// Waits busily for what is a matter of microseconds. `false`: it did not come.
fn spin(at_most: Duration, has_come: impl Fn() -> bool) -> bool {
    let until = Instant::now() + at_most;
    while !has_come() {
        if Instant::now() > until {
            return false;
        }
        std::hint::spin_loop();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valve_closes_as_early_as_the_worker_ran_on_before() {
        let mut run_on = RunOn::default();
        assert_eq!(run_on.margin(2000), 16);
        assert_eq!(run_on.margin(64), 4, "a sixteenth of a small round");
        run_on.learn(40);
        assert_eq!(run_on.margin(2000), 40, "a rise is followed at once");
        run_on.learn(0);
        assert_eq!(run_on.margin(2000), 30, "a fall by a quarter");
        run_on.learn(500);
        assert_eq!(run_on.margin(2000), 48);
        for _ in 0..40 {
            run_on.learn(0);
        }
        assert!(run_on.margin(2000) <= 3);
    }
}
