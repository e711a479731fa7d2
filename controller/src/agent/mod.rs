//! The agent: the one loop, and the only owner of long-lived state. Sense → decide → guard → act → journal → publish.
//!
//! `run` is the loop, `tick` what it does each second, `start` how the agent is put together. `areas` are the swap areas of the configuration, `probes` is
//! the map in its hands, `view` what it says, `drift` finds where it errs, `timing` how long swap-ins take. `rounds` of
//! write-back run beside the loop, `turns` asks for them. `publish` makes the status, from what the tick saw, what moves
//! (`traffic`), what was done (`recent`) and what all that costs (`self_cost`). `errands` are what clients of the socket have it do,
//! `closing` a way to disk that is closed by hand. What to do is decided in `swaptier_policies`; how a file is changed, in
//! `act`.

mod areas;
mod clock;
mod closing;
mod days;
mod drift;
mod errands;
mod give_back;
mod heirs;
mod probes;
mod publish;
mod recent;
mod record;
mod rounds;
mod run;
mod self_cost;
mod start;
mod tick;
mod timing;
mod traffic;
mod turns;
mod view;

pub(crate) use areas::refusals;
#[cfg(test)]
pub(crate) use run::Service;
pub use run::run;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use swaptier_policies::{
    Action, Asker, CgroupId, Decision, Event, Knob, Outcome, Plan, PolicySet, Session, Settled, Snapshot,
    SourceFile, Step, Turn, Violation, violations,
};

use crate::{
    act::{self, Writer, writeback, zswap_params::Untaken},
    config::Config,
    fault,
    journal::{Journal, Undo},
    map,
    root::{FilePath, Root},
    sense::{CgroupSample, CgroupTree},
    serve::{
        board::Board,
        events::{EventKind, News},
        lock::SocketLock,
    },
    vswap::seen::number,
};
use areas::Areas;
use clock::Clock;
use days::Days;
use give_back::give_back_all;
use probes::Probes;
use recent::Recent;
use rounds::Rounds;
use run::notify;
use self_cost::SelfCost;
use start::start_probes;
use traffic::Traffic;

/// How the agent is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Another configuration file than the layered ones.
    pub config: Option<String>,
    /// Decide and say what would be done, and change nothing.
    pub dry_run: bool,
    /// Do not load the probes.
    pub no_bpf: bool,
}

/// Why no step of a cgroup is carried out: one of them breaks a rule that holds for every plan, which is a fault of
/// swaptier's own. Other cgroups go on.
struct Barred {
    by: Asker,
    why: String,
}

/// The cgroups whose steps break a rule.
fn barred(plan: &Plan, wrong: &[Violation]) -> BTreeMap<CgroupId, Barred> {
    let of = |violation: &Violation| {
        let step = plan.steps.get(violation.step)?;
        let why =
            format!("this is a fault of swaptier: {violation} (\"{}\"); nothing is done there", step.action);
        Some((step.action.cgroup(), Barred { by: step.by.clone(), why }))
    };
    wrong.iter().filter_map(of).collect()
}

/// All that lives longer than a tick.
struct Agent {
    root: Root,
    options: Options,
    config: Config,
    policies: Arc<PolicySet>,
    /// The files they were read from.
    files: Vec<SourceFile>,
    session: Session,
    days: Days,
    undo: Arc<Mutex<Undo>>,
    writer: Writer,
    rounds: Rounds,
    areas: Areas,
    tree: CgroupTree,
    cgroups: Vec<CgroupSample>,
    probes: Option<Probes>,
    /// What this host lacks and what that costs.
    lost: Vec<String>,
    /// Settings of `swaptier.toml` that zswap does not have, at the last look.
    untaken: Vec<Untaken>,
    journal: Journal,
    tape: record::Tape,
    tick: u64,
    clock: Clock,
    /// When the tick before this one saw the host.
    sensed_at: Option<Instant>,
    blind_ticks: u64,
    plan: Plan,
    board: Arc<Board>,
    /// For as long as the agent lives: nobody else takes the socket, or the probes.
    _socket_lock: SocketLock,
    self_cost: SelfCost,
    recent: Recent,
    traffic: Traffic,
    /// Number of the newest event that is on the tape.
    taped: u64,
    /// What happened to the swap areas since the last line of the journal.
    events: Vec<Event>,
    /// Rounds that ended since the last tick.
    ended: Vec<Settled>,
    /// Rounds that ended since the last line of the journal.
    settled: Vec<Settled>,
    /// The next tick decides, whatever the interval says: the policies are others.
    is_due: bool,
    /// Cgroups of which no step of the last plan was carried out: one of them broke a rule.
    barred: BTreeMap<CgroupId, Barred>,
    /// A step was not carried out because of the round that runs.
    is_postponed: bool,
    /// What each area held at the last decision.
    by_area: BTreeMap<u32, map::OwnerScan>,
    /// Why nothing may be written to the swap areas, as a sentence.
    refusal: Option<String>,
}

impl Agent {
    fn say_started(&self) {
        // A setting that did not take is missing, too, and so is an area, or a cgroup, that cannot be told.
        let untaken = self.untaken.iter().map(ToString::to_string);
        let unseen = self.areas.unseen().iter().cloned().chain(self.tree.unseen().sentences());
        let of_agent: Vec<String> = self.lost.iter().cloned().chain(untaken).chain(unseen).collect();
        let lost = start::missing(&self.root, &of_agent);
        let text = start::ready(self.policies.len(), &lost);
        self.tell(News { is_trouble: !lost.is_empty(), ..News::of(EventKind::Started, text) });
    }

    fn tell(&self, news: News) {
        recent::tell(&self.board, unix_seconds(), news);
    }

    /// Decides, and carries out what is decided. What came of it is given to a recording.
    async fn decide_and_act(&mut self, turn: Turn, snapshot: &Snapshot, begun: Instant) -> Option<Decision> {
        self.rounds.tidy();
        self.recent.forget_dead(snapshot);
        let (plan, made) = self.session.decide(turn, snapshot, &self.policies);
        self.give_back_what_nobody_wants(&plan.wants, snapshot);
        self.barred = barred(&plan, &violations(&plan, snapshot, &self.policies));
        fault::point("tick.decided");
        let reserved = self.days.reserve(&self.root, self.session.history(), &plan);
        let until = begun + Duration::from_secs(self.config.agent.tick.0);
        let mut outcomes = Vec::new();
        for step in &plan.steps {
            let path = snapshot.cgroups.get(&step.action.cgroup()).map(|view| &view.path);
            let failed =
                |error: String| Outcome::Failed { path: path.map(FilePath::from).unwrap_or_default(), error };
            let outcome = match self.barred.get(&step.action.cgroup()) {
                Some(Barred { why, .. }) => failed(why.clone()),
                None => match (&step.action, &reserved) {
                    (Action::Writeback { .. }, Err(why)) => {
                        failed(format!("what it may write of the day's budget cannot be noted: {why}"))
                    }
                    _ => self.carry_out(step, snapshot, until).await,
                },
            };
            if !matches!(outcome, Outcome::Queued { .. } | Outcome::Postponed { .. }) {
                let news = self.recent.step(unix_seconds(), step, &outcome, path);
                news.into_iter().for_each(|news| self.tell(news));
            }
            notify(&[sd_notify::NotifyState::Watchdog]);
            self.self_cost.mark();
            outcomes.push(outcome);
            fault::point("tick.step");
        }
        self.recent.over(plan.steps.iter().zip(&outcomes)).into_iter().for_each(|news| self.tell(news));
        fault::point("tick.acted");
        let events = std::mem::take(&mut self.events);
        let settled = std::mem::take(&mut self.settled);
        self.journal.append(unix_seconds(), snapshot, &plan, &outcomes, &events, &settled);
        fault::point("tick.journalled");
        let decision = Decision { plan, outcomes };
        self.session.done(made, &decision, snapshot.at);
        self.days.settle(&self.root, self.session.history(), false);
        self.tell_foreign(&decision.plan, snapshot);
        if !self.tape.is_on() {
            self.plan = decision.plan;
            return None;
        }
        self.plan = decision.plan.clone();
        Some(decision)
    }

    /// One step. One that would come too late for the next tick, or under the hands of the round that runs, is decided again.
    async fn carry_out(&mut self, step: &Step, snapshot: &Snapshot, until: Instant) -> Outcome {
        tracing::debug!(action = %step.action, by = %step.by, "step begins");
        let cgroup = step.action.cgroup();
        let postponed = |why: &str| {
            let path = snapshot.cgroups.get(&cgroup).map(|view| FilePath::from(&view.path));
            Outcome::Postponed { path: path.unwrap_or_default(), why: why.to_owned() }
        };
        let is_round = matches!(step.action, Action::Writeback { .. });
        if !is_round && Instant::now() > until {
            self.is_due = true;
            return postponed("earlier steps took too long");
        }
        let course = self.rounds.course();
        let claim = match (step.action, &course) {
            (Action::Set { knob: Knob::ZswapWriteback, .. }, Some(course)) => match course.claim(cgroup) {
                Some(claim) => Some(claim),
                None => {
                    self.is_postponed = true;
                    return postponed("a round of write-back moves this value");
                }
            },
            _ => None,
        };
        let writer = self.writer.clone();
        let outcome = act::apply(&writer, step, snapshot, async |order| self.order_round(step, order)).await;
        drop(claim);
        outcome
    }

    fn stop(mut self) {
        self.rounds.stop();
        self.days.settle(&self.root, self.session.history(), true);
        fault::point("stop.pump.stopped");
        if let Some(probes) = self.probes.take() {
            probes.stop(self.config.map.keep, &writeback::pins(&self.root));
        }
        if !self.options.dry_run {
            let state = self.root.host_path(&self.config.agent.state_dir);
            give_back_all(&self.root, &state, &self.undo, "the agent stops");
        }
        fault::point("stop.given-back");
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
