//! When swap-ins are timed: while somebody looks at a cgroup in detail, always, or never, as the configuration says.
//!
//! The programs are loaded when they are wanted for the first time, on a thread: the loop does not wait for it. What they
//! measured stays until the agent ends. Caller: `probes`, each tick.

use std::collections::BTreeMap;

use swaptier_common::latency::{Latency, Spread};
use swaptier_policies::CgroupId;
use tokio::task::JoinHandle;

use crate::{
    config::TimeSwapIns,
    hooks::{HookError, Hooks, Timer},
};

/// The timer, and what it measured.
pub(super) struct Timing {
    hooks: Hooks,
    choice: TimeSwapIns,
    state: State,
    measured: Measured,
}

/// Durations by index, and those of cgroups whose index another one has by now: the host's sums must not fall.
#[derive(Default)]
struct Measured {
    now: BTreeMap<u16, Latency>,
    gone: Latency,
}

impl Measured {
    fn take(&mut self, now: BTreeMap<u16, Latency>) {
        let is_gone =
            |(owner, before): &(&u16, &Latency)| now.get(*owner).is_none_or(|now| now.id != before.id);
        self.gone = self.now.iter().filter(is_gone).fold(self.gone, |sum, (_, before)| sum.plus(before));
        self.now = now;
    }

    /// Of each cgroup by itself; those that are gone are the root's.
    fn all(&self) -> impl Iterator<Item = Latency> {
        let gone = Latency { id: CgroupId::ROOT.0, ..self.gone };
        let is_any = [gone.zswap, gone.disk] != [Spread::default(); 2];
        self.now.values().copied().chain(is_any.then_some(gone))
    }
}

enum State {
    /// Nobody has asked yet.
    Unasked,
    /// It is being loaded.
    Coming(JoinHandle<Result<Timer, HookError>>),
    Ready(Timer),
    /// It cannot be had; why was said.
    Refused,
}

impl Timing {
    pub(super) fn new(hooks: Hooks, choice: TimeSwapIns) -> Self {
        Self { hooks, choice, state: State::Unasked, measured: Measured::default() }
    }

    /// Sees to it that swap-ins are timed as long as somebody looks, and takes in what was measured.
    pub(super) async fn look(&mut self, is_watched: bool) {
        let is_wanted = match self.choice {
            TimeSwapIns::Watched => is_watched,
            TimeSwapIns::Always => true,
            TimeSwapIns::Never => false,
        };
        self.state = match std::mem::replace(&mut self.state, State::Refused) {
            State::Unasked if is_wanted => {
                let hooks = self.hooks.clone();
                State::Coming(tokio::task::spawn_blocking(move || hooks.timer()))
            }
            State::Coming(load) if load.is_finished() => match load.await {
                Ok(Ok(timer)) => self.run(timer, is_wanted),
                Ok(Err(error)) => refused(&error),
                Err(panic) => refused(&panic),
            },
            State::Ready(timer) => self.run(timer, is_wanted),
            other => other,
        };
    }

    fn run(&mut self, mut timer: Timer, is_wanted: bool) -> State {
        // What was measured last is still to be read when it ends.
        let done = match is_wanted || timer.is_running() {
            true => timer.run(is_wanted).and_then(|()| timer.read()).map(|now| self.measured.take(now)),
            false => Ok(()),
        };
        match done {
            Ok(()) => State::Ready(timer),
            Err(error) => refused(&error),
        }
    }

    /// Whether swap-ins are timed now.
    pub(super) fn is_running(&self) -> bool {
        matches!(&self.state, State::Ready(timer) if timer.is_running())
    }

    /// The histograms of every cgroup by itself; `None`: nothing was ever timed.
    pub(super) fn known(&self) -> Option<impl Iterator<Item = Latency>> {
        let is_any = self.is_running() || self.measured.all().next().is_some();
        is_any.then(|| self.measured.all())
    }
}

fn refused(error: &dyn std::fmt::Display) -> State {
    tracing::warn!(%error, "swap-ins are not timed: {error}");
    State::Refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cgroup_took_is_the_roots_once_its_index_is_anothers() {
        let latency = |id, sum_micros| {
            let zswap = Spread { sum_micros, ..Spread::default() };
            Latency { id, zswap, ..Latency::default() }
        };
        let mut measured = Measured::default();
        measured.take(BTreeMap::from([(5, latency(50, 10)), (6, latency(60, 20))]));
        assert_eq!(measured.all().count(), 2);
        measured.take(BTreeMap::from([(5, latency(51, 1)), (6, latency(60, 25))]));
        let sums: Vec<(u64, u64)> = measured.all().map(|it| (it.id, it.zswap.sum_micros)).collect();
        // 10 of the first one stay: 36 in all, where there were 30 before.
        assert_eq!(sums, [(51, 1), (60, 25), (CgroupId::ROOT.0, 10)]);
    }
}
