//! The clock by which an agent decides: pauses, hours and days of its decisions are counted by it. How long something may
//! take, and what people are told of when it was, is by other clocks. Caller: each tick.

use swaptier_policies::Seconds;

use crate::map;

/// A clock.
#[derive(Debug, Default)]
pub(super) enum Clock {
    /// The one of the map's stamps.
    #[default]
    Kernel,
    /// It moves when a test says so.
    #[cfg(test)]
    Stands(Seconds),
}

impl Clock {
    /// What it says.
    pub(super) fn now(&self) -> Seconds {
        match self {
            Clock::Kernel => Seconds(map::now()),
            #[cfg(test)]
            Clock::Stands(at) => *at,
        }
    }

    /// Stops it, so many seconds later.
    #[cfg(test)]
    pub(super) fn pass(&mut self, seconds: Seconds) {
        *self = Clock::Stands(Seconds(self.now().0 + seconds.0));
    }
}
