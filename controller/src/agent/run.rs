//! The loop: how the agent begins, what it waits for, and how it ends. What it does then is in the files beside.
//!
//! Time and signals come from outside, in [`run`]; all else is [`Service`]'s, so that whoever has no clock to wait for can
//! have the same agent tick. Callers: `swaptier agent`, and the scenarios of the tests.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use super::{Agent, Options, probes::Probes, rounds::Happening};
use crate::{
    exit::{Exit, Failure},
    fault,
    root::Root,
    serve::server::{Errand, Server},
};

/// Runs the agent until a signal ends it.
///
/// # Errors
/// Configuration or policies invalid, another agent running, or the host cannot do it. Nothing is changed then.
pub async fn run(root: Root, options: Options) -> Result<Exit, Failure> {
    // From the first change on: a signal that came during the start would end the agent with its values in place.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut service = Service::begin(root, options).await?;
    let mut ticker = tokio::time::interval(Duration::from_secs(service.agent.config.agent.tick.0));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        service.agent.self_cost.mark();
        tokio::select! {
            _ = ticker.tick() => service.tick().await,
            () = service.hear() => {}
            _ = hangup.recv() => drop(service.agent.reload(false)),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    service.stop();
    Ok(Exit::Done)
}

/// An agent that serves its socket.
pub(crate) struct Service {
    agent: Agent,
    errands: mpsc::Receiver<Errand>,
    server: Server,
}

impl Service {
    /// An agent that has seen the host and decided once.
    ///
    /// # Errors
    /// As [`run`].
    pub(crate) async fn begin(root: Root, options: Options) -> Result<Self, Failure> {
        let mut agent = Agent::start(root, options).await?;
        let (send, mut errands) = mpsc::channel::<Errand>(16);
        let (config, board) = (&agent.config, agent.board.clone());
        let server = Server::start(&agent.root, &config.socket, &config.metrics, board, send)
            .context("making the control socket")?;
        fault::point("agent.listening");
        agent.tick(&mut errands).await;
        fault::point("agent.ready");
        notify(&[sd_notify::NotifyState::Ready]);
        agent.say_started();
        Ok(Self { agent, errands, server })
    }

    /// One tick.
    pub(crate) async fn tick(&mut self) {
        self.agent.tick(&mut self.errands).await;
        notify(&[sd_notify::NotifyState::Watchdog]);
    }

    /// A tick as long after the one before as the settings say, by the clock that it decides by.
    #[cfg(test)]
    pub(crate) async fn tick_in_time(&mut self) {
        self.agent.clock.pass(self.agent.config.agent.tick);
        self.tick().await;
    }

    /// Waits for what neither the clock nor a signal brings, and does it. Cancelled without loss.
    pub(crate) async fn hear(&mut self) {
        let Self { agent, errands, .. } = self;
        tokio::select! {
            Some(errand) = errands.recv() => agent.errand(errand),
            happening = agent.rounds.happens() => match happening {
                Happening::Ended(done) => agent.round_ended(*done),
                Happening::GivenUp => agent.call_off_unwanted(),
            },
            () = std::future::ready(()), if agent.rounds.is_due() => agent.begin_round(),
            () = woken(&mut agent.probes) => {}
        }
    }

    /// What it published.
    #[cfg(test)]
    pub(crate) fn board(&self) -> &crate::serve::board::Board {
        &self.agent.board
    }

    /// Whether a write of it has not returned.
    #[cfg(test)]
    pub(crate) fn is_writing(&self) -> bool {
        !self.agent.writer.busy().places().is_empty()
    }

    /// Ends in order: everything is given back.
    pub(crate) fn stop(self) {
        notify(&[sd_notify::NotifyState::Stopping]);
        drop(self.server);
        fault::point("stop.begun");
        self.agent.stop();
    }
}

async fn woken(probes: &mut Option<Probes>) {
    match probes {
        Some(probes) => probes.woken().await,
        None => std::future::pending().await,
    }
}

/// Tells the service manager.
pub(super) fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
