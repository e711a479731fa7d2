//! When swap-ins are timed: while somebody looks at a cgroup in detail, always, or never, as the configuration says.
//!
//! The programs are loaded when they are wanted for the first time, on a thread: the loop does not wait for it. What they
//! measured stays until the agent ends. Caller: `probes`, each tick.

use std::collections::BTreeMap;

use swaptier_common::latency::Latency;
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
    known: BTreeMap<u16, Latency>,
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
        Self { hooks, choice, state: State::Unasked, known: BTreeMap::new() }
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
            true => timer.run(is_wanted).and_then(|()| timer.read()).map(|known| self.known = known),
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

    /// The histograms of every cgroup by itself, by its index; `None`: nothing was ever timed.
    pub(super) fn known(&self) -> Option<&BTreeMap<u16, Latency>> {
        let is_any = self.is_running() || !self.known.is_empty();
        is_any.then_some(&self.known)
    }
}

fn refused(error: &dyn std::fmt::Display) -> State {
    tracing::warn!(%error, "swap-ins are not timed");
    State::Refused
}
