//! What the agent itself costs: read from the kernel's clocks of this process, summed over its ticks.

#![expect(clippy::disallowed_methods, reason = "of this very process, whatever its root")]

use std::{
    collections::VecDeque,
    fs,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::serve::status::CostStatus;

/// Moments of the loop that are remembered: more than pass while an errand waits for its turn.
const MARKS: usize = 256;

/// The sums until now.
#[derive(Default)]
pub(super) struct SelfCost {
    cost: CostStatus,
    last: Duration,
    /// Moments of the loop, the newest last, with its processor time until then.
    marks: VecDeque<(Instant, Duration)>,
}

/// Processor time of this thread.
pub(super) fn thread_time() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

impl SelfCost {
    /// Adds one tick.
    pub(super) fn add(&mut self, wall: Duration, cpu: Duration) {
        self.last = wall;
        self.cost.tick_cpu_ms = cpu.as_secs_f64() * 1e3;
        self.cost.ticks_seconds += wall.as_secs_f64();
        self.cost.ticks_cpu_seconds += cpu.as_secs_f64();
    }

    /// Remembers how much the loop has worked until now. Called between its pieces of work: the closer, the truer is what
    /// an answer took.
    pub(super) fn mark(&mut self) {
        self.mark_at(Instant::now(), thread_time());
    }

    fn mark_at(&mut self, now: Instant, cpu: Duration) {
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((now, cpu));
    }

    /// Takes in that what was asked at `read` is answered now.
    pub(super) fn answered(&mut self, read: Instant) {
        self.answered_at(read, thread_time());
    }

    /// What the loop worked since it was asked, its work under way from the last mark on: never less than it was.
    fn answered_at(&mut self, read: Instant, cpu: Duration) {
        let before = self.marks.iter().rfind(|(at, _)| *at <= read).or(self.marks.front());
        let since = before.map_or(Duration::ZERO, |(_, before)| *before);
        let took = cpu.saturating_sub(since).as_secs_f64() * 1e3;
        self.cost.longest_answer_cpu_ms = self.cost.longest_answer_cpu_ms.max(took);
    }

    /// How long the last whole tick took: the one whose processor time is shown beside it.
    pub(super) fn last(&self) -> Duration {
        self.last
    }

    /// Says whether the memory is locked.
    pub(super) fn locked(&mut self, is_locked: bool) {
        self.cost.is_locked = is_locked;
    }

    /// The cost as it is now.
    pub(super) fn now(&self) -> CostStatus {
        CostStatus {
            cpu_seconds: clock(ClockId::ProcessCPUTime).as_secs_f64(),
            resident_bytes: resident(),
            ..self.cost.clone()
        }
    }
}

/// Pages of this process in RAM: the second number of `statm`. Always of the real `/proc`: a fake root has no processes.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_add_up() {
        let mut ticks = SelfCost::default();
        ticks.add(Duration::from_millis(10), Duration::from_millis(4));
        ticks.add(Duration::from_millis(30), Duration::from_millis(2));
        let cost = ticks.now();
        assert!((cost.ticks_seconds - 0.040).abs() < 1e-9, "{cost:?}");
        assert!((cost.ticks_cpu_seconds - 0.006).abs() < 1e-9, "{cost:?}");
        assert!((cost.tick_cpu_ms - 2.0).abs() < 1e-9, "{cost:?}");
        assert_eq!(ticks.last(), Duration::from_millis(30));
        assert!(cost.resident_bytes.is_some_and(|bytes| bytes > 0) && cost.cpu_seconds > 0.0, "{cost:?}");
    }

    #[test]
    fn an_answer_takes_what_the_loop_works_from_its_question_on_and_not_what_it_waits() {
        let (mut cost, begin, ms) = (SelfCost::default(), Instant::now(), Duration::from_millis);
        // The loop rests at 0 s. A tick begins at 1 s and works 40 ms until its mark, and 10 ms after it.
        cost.mark_at(begin, ms(500));
        cost.mark_at(begin + ms(1_100), ms(540));
        cost.mark_at(begin + ms(1_200), ms(550));
        // Asked while it rested: the whole tick, and 3 ms for the answer.
        cost.answered_at(begin + ms(900), ms(553));
        assert_eq!(cost.now().longest_answer_cpu_ms, 53.0);
        // Asked in the second part: less, and the longest stays.
        cost.answered_at(begin + ms(1_150), ms(553));
        assert_eq!(cost.now().longest_answer_cpu_ms, 53.0);
        // Seconds of waiting for a disk are none of work.
        cost.answered_at(begin + ms(9_000), ms(561));
        assert_eq!(cost.now().longest_answer_cpu_ms, 53.0);
        (0..2 * MARKS).for_each(|_| cost.mark_at(begin + ms(10_000), ms(570)));
        cost.answered_at(begin, ms(640));
        assert_eq!(cost.now().longest_answer_cpu_ms, 70.0, "the oldest that is remembered");
    }
}
