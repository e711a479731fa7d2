//! The agent: the one loop, and the only owner of long-lived state. Sense → decide → guard → act → journal → publish.
//!
//! `start` is how it begins. `areas` are the swap areas of the configuration, `probes` is the map in its hands, `drift`
//! finds where it errs, `timing` how long swap-ins take, `rounds` the write-back engine. `publish` makes the status, from what the tick saw, what moves
//! (`traffic`), what was done (`past`) and what all that costs (`own`). `errands` are what clients of the socket have it do,
//! `closing` a way to disk that is closed by hand. What to do is decided in `swaptier_policies`; how a file is changed, in
//! `act`.

mod areas;
mod back;
mod closing;
mod drift;
mod errands;
mod family;
mod own;
mod past;
mod probes;
mod publish;
pub(crate) mod record;
mod rounds;
mod start;
mod timing;
mod traffic;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use swaptier_policies::{
    Action, Event, History, MapHealth, Plan, PolicySet, Seconds, Snapshot, SourceFile, Writeback, decide,
    violations,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use crate::{
    act::{self, Hands, writeback},
    cli::{Exit, Failure},
    config::Config,
    fault,
    journal::{Journal, Undo},
    logs, map,
    recording::Decision,
    root::Root,
    sense::{self, CgroupSample, CgroupTree, Sensed},
    serve::{
        board::Board,
        events::{EventKind, News},
        server::{Errand, Server},
    },
};
use areas::Areas;
use back::give_back_all;
use own::Own;
use past::Past;
use probes::{MapView, Probes};
use rounds::Rounds;
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

/// Runs the agent until a signal ends it.
///
/// # Errors
/// Configuration or policies invalid, another agent running, or the host cannot do it. Nothing is changed then.
pub async fn run(root: Root, options: Options) -> Result<Exit, Failure> {
    // From the first change on: a signal that came during the start would end the agent with its values in place.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut agent = Agent::start(root, options).await?;
    let (send, mut errands) = mpsc::channel::<Errand>(16);
    let (config, board) = (&agent.config, agent.board.clone());
    let server = Server::start(&agent.root, &config.socket, &config.metrics, board, send)
        .context("making the control socket")?;
    fault::point("agent.listening");
    let mut ticker = tokio::time::interval(Duration::from_secs(agent.config.agent.tick.0));
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The interval's first tick is at once: the agent is ready when it has seen and decided once.
    agent.tick().await;
    fault::point("agent.ready");
    notify(&[sd_notify::NotifyState::Ready]);
    agent.say_started();
    let exit = loop {
        tokio::select! {
            _ = ticker.tick() => {
                agent.tick().await;
                notify(&[sd_notify::NotifyState::Watchdog]);
            }
            Some((ask, reply)) = errands.recv() => {
                let answer = agent.answer(ask).await;
                let _client_left = reply.send(answer);
            }
            () = woken(&mut agent.probes) => {}
            _ = hangup.recv() => drop(agent.reload(false)),
            _ = terminate.recv() => break Exit::Done,
            _ = interrupt.recv() => break Exit::Done,
        }
    };
    notify(&[sd_notify::NotifyState::Stopping]);
    drop(server);
    fault::point("stop.begun");
    agent.stop();
    Ok(exit)
}

async fn woken(probes: &mut Option<Probes>) {
    match probes {
        Some(probes) => probes.woken().await,
        None => std::future::pending().await,
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// All that lives longer than a tick.
struct Agent {
    root: Root,
    options: Options,
    config: Config,
    policies: Arc<PolicySet>,
    /// The files they were read from.
    files: Vec<SourceFile>,
    history: History,
    undo: Arc<Mutex<Undo>>,
    hands: Hands,
    rounds: Rounds,
    areas: Areas,
    tree: CgroupTree,
    cgroups: Vec<CgroupSample>,
    probes: Option<Probes>,
    /// What this host lacks and what that costs.
    lost: Vec<String>,
    journal: Journal,
    tape: record::Tape,
    tick: u64,
    /// When the tick before this one saw the host.
    sensed_at: Option<Instant>,
    blind_ticks: u64,
    plan: Plan,
    board: Arc<Board>,
    own: Own,
    past: Past,
    traffic: Traffic,
    /// Number of the newest event that is on the tape.
    taped: u64,
    /// What happened to the swap areas since the last line of the journal.
    events: Vec<Event>,
    /// The next tick decides, whatever the interval says: the policies are others.
    is_due: bool,
    /// What each area held at the last decision.
    by_area: BTreeMap<u32, map::AreaScan>,
    /// Why nothing may be written to the swap areas, as a sentence.
    refusal: Option<String>,
}

impl Agent {
    fn say_started(&self) {
        let (policies, lost) = (self.policies.len(), self.lost.len());
        let text = format!("ready: {policies} policies in force, {lost} things missing on this host");
        self.tell(News::of(EventKind::Started, text));
    }

    fn tell(&self, news: News) {
        past::tell(&self.board, unix_seconds(), news);
    }

    /// One tick. A tick that cannot see the host does nothing, says so, and tries again.
    async fn tick(&mut self) {
        let (begun, cpu) = (Instant::now(), own::thread_time());
        // One more file of each cgroup, which nothing but a face wants.
        self.tree.with_pressure = self.board.is_looked_at(map::now());
        let mut sensed = match sense::collect(&self.root, &mut self.tree) {
            Ok(sensed) => sensed,
            Err(error) => {
                self.blind_ticks += 1;
                let text = format!("this tick saw nothing, and does nothing: {error}");
                self.tell(News { is_trouble: true, ..News::of(EventKind::Trouble, text) });
                return;
            }
        };
        let elapsed = self.sensed_at.replace(begun).map(|before| begun.duration_since(before).as_secs_f64());
        sensed.areas = self.areas.look(&self.root, &sensed);
        fault::point("tick.sensed");
        self.cgroups.clone_from(&sensed.cgroups);
        let view = self.read_map(&sensed).await;
        self.traffic.look(&sensed, self.probes.is_some().then_some(&view), elapsed);
        let facts = writeback::Facts::of(&sensed);
        let ready = self.rounds.ready(&facts);
        let mut snapshot = self.snapshot(&sensed, &view, &ready);
        sense::areas::number(&mut snapshot.host.areas, &view.areas);
        let every = (self.config.agent.interval.0 / self.config.agent.tick.0.max(1)).max(1);
        let history = self.tape.history(&self.history);
        let is_urgent = self.watch_areas(&snapshot).await | std::mem::take(&mut self.is_due);
        if self.tick.is_multiple_of(every) {
            self.by_area = self.probes.as_ref().map_or_else(BTreeMap::new, Probes::by_area);
        }
        let decision = match is_urgent || self.tick.is_multiple_of(every) {
            true => self.decide_and_act(&snapshot).await,
            false => None,
        };
        let tick = self.tick;
        self.tick += 1;
        let page = self.page(&sensed, &snapshot, &view, &ready);
        if self.tape.is_on() {
            let (events, last) = self.board.events(self.taped);
            self.taped = last;
            let made = (history, decision);
            self.tape.take(record::frame(tick, snapshot, made, &view, &page, events));
        }
        self.board.pin(page);
        for (kind, lines) in logs::left_out() {
            tracing::warn!(suppressed = lines, "{lines} more lines of this kind came too fast: {kind}");
        }
        // What publishing costs is a part of the tick's cost, and is shown with the next one.
        self.own.add(begun.elapsed(), own::thread_time().saturating_sub(cpu));
    }

    async fn read_map(&mut self, sensed: &Sensed) -> MapView {
        self.protect_probes(&sensed.cgroups);
        let is_watched = self.board.is_watched(map::now());
        let Some(probes) = &mut self.probes else { return MapView::default() };
        probes.feed(&sensed.cgroups);
        probes.time_swap_ins(is_watched).await;
        let mut view = probes.view(&sensed.cgroups, &self.policies);
        if probes.reconcile(&self.root, &sensed.cgroups, &view) {
            let before = view.repaired;
            view = probes.view(&sensed.cgroups, &self.policies);
            let text = format!("{} slots of the map were wrong and were put right", view.repaired - before);
            past::tell(&self.board, unix_seconds(), News::of(EventKind::Repaired, text));
        }
        view
    }

    /// Attaches the programs again, twice, when somebody has told the kernel to preempt since they were attached once.
    fn protect_probes(&mut self, cgroups: &[CgroupSample]) {
        if self.probes.as_ref().is_some_and(|probes| probes.lack_protection(&self.root)) {
            tracing::info!("this kernel preempts now: the probes are attached twice");
            // What it leaves is taken over like a dead agent's.
            drop(self.probes.take());
            (self.probes, self.lost) = start_probes(&self.root, &self.options, &self.config, cgroups);
        }
    }

    fn snapshot(&self, sensed: &Sensed, view: &MapView, ready: &Result<&'static str, String>) -> Snapshot {
        let unix = unix_seconds();
        let beside = sense::Beside {
            at: Seconds(map::now()),
            day: (unix / 86_400) as u32,
            writeback: match ready {
                Ok(dialect) => Writeback::Ready((*dialect).to_owned()),
                Err(reason) => Writeback::None(reason.clone()),
            },
            health: match &self.probes {
                Some(_) => MapHealth::Exact,
                None => MapHealth::Absent(self.lost.join("; ")),
            },
            counts: view.counts.clone(),
            cold: view.cold.clone(),
        };
        sense::assemble(sensed.clone(), beside)
    }

    /// Decides, and carries out what is decided. What came of it is given to a recording.
    async fn decide_and_act(&mut self, snapshot: &Snapshot) -> Option<Decision> {
        self.rounds.tidy();
        self.past.forget_dead(snapshot);
        self.give_back_what_no_policy_wants();
        self.give_back_what_no_area_wants();
        let plan = decide(snapshot, &self.policies, &mut self.history);
        let wrong = violations(&plan, snapshot, &self.policies);
        if !wrong.is_empty() {
            tracing::error!(?wrong, "the plan breaks its own rules and is not carried out");
            return Some(Decision { plan, outcomes: Vec::new() });
        }
        fault::point("tick.decided");
        let mut outcomes = Vec::new();
        for step in &plan.steps {
            tracing::debug!(action = %step.action, policy = step.policy, "step begins");
            if let (Action::Writeback { .. }, Some(view)) =
                (&step.action, snapshot.cgroups.get(&step.action.cgroup()))
            {
                self.board.begin(format!("{}: {}", view.path, step.action));
            }
            let outcome = {
                let Self { hands, rounds, probes, cgroups, policies, .. } = self;
                act::apply(hands, step, snapshot, |mut order| {
                    order.spared = spared(policies, cgroups, &order.path);
                    rounds.run(order, None, probes, cgroups)
                })
                .await
            };
            let news = self.past.step(unix_seconds(), step, &outcome, snapshot);
            self.tell(news);
            notify(&[sd_notify::NotifyState::Watchdog]);
            outcomes.push(outcome);
            fault::point("tick.step");
        }
        fault::point("tick.acted");
        let events = std::mem::take(&mut self.events);
        self.journal.append(unix_seconds(), snapshot, &plan, &outcomes, &events);
        fault::point("tick.journalled");
        let decision = Decision { plan, outcomes };
        decision.book(&mut self.history, snapshot);
        if !self.tape.is_on() {
            self.plan = decision.plan;
            return None;
        }
        self.plan = decision.plan.clone();
        Some(decision)
    }

    fn stop(mut self) {
        self.rounds.stop();
        fault::point("stop.pump.stopped");
        if let Some(probes) = self.probes.take() {
            probes.stop();
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

/// Cgroups below this one that have a policy of their own, and so are nobody else's. Where one of them has `[tiers]` there
/// is no round from above at all.
fn spared(policies: &PolicySet, cgroups: &[CgroupSample], path: &str) -> Vec<String> {
    let is_below = |below: &str| below.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let own =
        cgroups.iter().filter(|cgroup| is_below(&cgroup.path) && policies.resolve(&cgroup.path).is_some());
    own.map(|cgroup| cgroup.path.clone()).collect()
}
