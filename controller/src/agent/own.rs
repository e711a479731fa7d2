//! What the agent itself costs: read from the kernel's clocks of this process, summed over its ticks.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::serve::status::CostStatus;

/// The sums until now.
#[derive(Default)]
pub(super) struct Own {
    cost: CostStatus,
    last: Duration,
}

/// Processor time of this thread.
pub(super) fn thread_time() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

impl Own {
    /// Adds one tick.
    pub(super) fn add(&mut self, wall: Duration, cpu: Duration) {
        self.last = wall;
        self.cost.tick_cpu_ms = cpu.as_secs_f64() * 1e3;
        self.cost.ticks_seconds += wall.as_secs_f64();
        self.cost.ticks_cpu_seconds += cpu.as_secs_f64();
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
        let mut own = Own::default();
        own.add(Duration::from_millis(10), Duration::from_millis(4));
        own.add(Duration::from_millis(30), Duration::from_millis(2));
        let cost = own.now();
        assert!((cost.ticks_seconds - 0.040).abs() < 1e-9, "{cost:?}");
        assert!((cost.ticks_cpu_seconds - 0.006).abs() < 1e-9, "{cost:?}");
        assert!((cost.tick_cpu_ms - 2.0).abs() < 1e-9, "{cost:?}");
        assert_eq!(own.last(), Duration::from_millis(30));
        assert!(cost.resident_bytes.is_some_and(|bytes| bytes > 0) && cost.cpu_seconds > 0.0, "{cost:?}");
    }
}
