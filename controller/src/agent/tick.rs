//! One tick: look → turn → publish. Each is a value that is handed to the next, so that nothing rests on what is not known
//! yet. Caller: the loop (`run`).

use std::{collections::BTreeMap, mem::take, time::Instant};

use swaptier_policies::{AreaView, Decision, History, MapHealth, Settled, Snapshot, Writeback};
use tokio::sync::mpsc;

use super::{
    Agent, number, probes::Probes, recent, record, self_cost, start_probes, unix_seconds, view::MapView,
};
use crate::{
    act::{writeback, zswap_params::untaken},
    fault, logs, map,
    sense::{self, CgroupSample, Sensed},
    serve::{
        events::{EventKind, News},
        server::Errand,
    },
};

/// What a tick saw.
struct Look {
    begun: Instant,
    sensed: Sensed,
    view: MapView,
    /// How pages can be written back now, or why not.
    ready: Result<&'static str, String>,
    snapshot: Snapshot,
    /// A decision is due by the interval, or by who asked for one.
    is_time: bool,
    /// The map's slots were walked.
    is_walked: bool,
}

/// What was made of it.
struct Made {
    /// What was remembered before, where a recording needs it.
    history: Option<History>,
    /// Rounds that ended since the tick before.
    ended: Vec<Settled>,
    decision: Option<Decision>,
}

impl Agent {
    /// One tick. A tick that cannot see the host does nothing, says so, and tries again. Whoever asks while the host is
    /// read is answered before anything rests on it.
    pub(super) async fn tick(&mut self, errands: &mut mpsc::Receiver<Errand>) {
        let (begun, cpu) = (Instant::now(), self_cost::thread_time());
        let Some(mut look) = self.look(begun, errands).await else { return };
        let made = self.turn(&mut look).await;
        self.publish(look, made);
        // What publishing costs is a part of the tick's cost, and is shown with the next one.
        self.self_cost.add(begun.elapsed(), self_cost::thread_time().saturating_sub(cpu));
    }

    /// Reads the host and the map. `None`: the host cannot be seen.
    async fn look(&mut self, begun: Instant, errands: &mut mpsc::Receiver<Errand>) -> Option<Look> {
        let sensed = self.sense(errands)?;
        let elapsed = self.sensed_at.replace(begun).map(|before| begun.duration_since(before).as_secs_f64());
        let mut areas = self.areas.look(&self.root, &sensed);
        if !self.options.dry_run {
            self.untaken = untaken(&self.config.zswap, &sensed.zswap);
        }
        fault::point("tick.sensed");
        self.cgroups.clone_from(&sensed.cgroups);
        let every = (self.config.agent.interval.0 / self.config.agent.tick.0.max(1)).max(1);
        let is_time = take(&mut self.is_due) || self.tick.is_multiple_of(every);
        // Pages by age are of the last walk when nobody asks for them.
        let is_walked = is_time || self.tape.is_on() || self.board.is_looked_at(map::now());
        let view = self.read_map(&sensed, is_walked).await;
        self.traffic.look(&sensed, &areas, self.probes.is_some().then_some(&view), elapsed);
        number(&mut areas, &view.areas);
        let ready = match sensed.accounting.loss() {
            Some(why) => Err(why),
            None => self.rounds.ready(&writeback::Facts::of(&sensed)),
        };
        let snapshot = self.snapshot(&sensed, areas, &view, &ready);
        Some(Look { begun, sensed, view, ready, snapshot, is_time, is_walked })
    }

    /// Reads the host's files, and does what clients ask for meanwhile.
    fn sense(&mut self, errands: &mut mpsc::Receiver<Errand>) -> Option<Sensed> {
        // One more file of each cgroup, which nothing but a face wants.
        self.tree.with_pressure = self.board.is_looked_at(map::now());
        let held = self.rounds.held();
        let mut sensed = match sense::collect(&self.root, &mut self.tree) {
            Ok(sensed) => sensed,
            Err(error) => {
                self.saw_nothing(&error.to_string());
                return None;
            }
        };
        if self.blind().is_some() {
            self.tell(News::of(EventKind::Trouble, "the host is seen again"));
        }
        self.self_cost.mark();
        // Policies that are read anew here are those that the map is counted for, and that the decision is made by.
        while let Ok(errand) = errands.try_recv() {
            self.errand(errand);
            self.self_cost.mark();
        }
        // A round may have begun, or ended, while the files were read.
        writeback::see_through(&held, &mut sensed);
        writeback::see_through(&self.rounds.held(), &mut sensed);
        Some(sensed)
    }

    /// Takes the tick in, and decides and acts where that is due.
    async fn turn(&mut self, look: &mut Look) -> Made {
        let history = self.tape.history(self.session.history());
        let ended = take(&mut self.ended);
        let turn = self.session.turn(&look.snapshot, &ended);
        self.settled.extend_from_slice(&ended);
        let is_decided = turn.is_urgent || look.is_time;
        if is_decided && !look.is_walked {
            // A turn looks at areas alone; a decision rests on what is so now.
            look.view = self.read_map(&look.sensed, true).await;
            let areas = take(&mut look.snapshot.host.areas);
            look.snapshot = self.snapshot(&look.sensed, areas, &look.view, &look.ready);
        }
        self.watch_areas(&turn, &look.snapshot).await;
        self.call_off_unwanted();
        if look.is_time {
            self.by_area = self.probes.as_ref().map_or_else(BTreeMap::new, Probes::by_area);
        }
        let decision = match is_decided {
            true => self.decide_and_act(turn, &look.snapshot, look.begun).await,
            false => None,
        };
        Made { history, ended, decision }
    }

    /// Shows and records what was seen and done.
    fn publish(&mut self, look: Look, made: Made) {
        let tick = self.tick;
        self.tick += 1;
        let page = self.page(&look.sensed, &look.snapshot, &look.view, &look.ready);
        if self.tape.is_on() {
            let (events, last) = self.board.events(self.taped);
            self.taped = last;
            let made = (made.history, made.ended, made.decision);
            self.tape.take(record::frame(tick, look.snapshot, made, &look.view, &page, events));
        }
        self.board.pin(page);
        for (kind, lines) in logs::left_out() {
            tracing::warn!(suppressed = lines, "{lines} more lines of this kind came too fast: {kind}");
        }
    }

    /// Why the tick before this one saw nothing, if it did not.
    fn blind(&self) -> Option<String> {
        self.board.newest()?.status.agent.blind.clone()
    }

    /// A tick that sees nothing. That is told when it begins, and when it is for another reason.
    fn saw_nothing(&mut self, why: &str) {
        let is_told = self.blind().as_deref() == Some(why);
        self.blind_ticks += 1;
        self.board.pin_blind(self.blind_ticks, why);
        if !is_told {
            let text = format!("this tick saw nothing, and does nothing: {why}");
            self.tell(News { is_trouble: true, ..News::of(EventKind::Trouble, text) });
        }
    }

    /// Reads the map; walks through its slots, or says what the last walk found.
    async fn read_map(&mut self, sensed: &Sensed, walks: bool) -> MapView {
        self.protect_probes(&sensed.cgroups);
        let is_watched = self.board.is_watched(map::now());
        let Some(probes) = &mut self.probes else { return MapView::default() };
        probes.feed(&sensed.cgroups);
        probes.time_swap_ins(is_watched).await;
        let mut view = probes.view(sensed, &self.policies, walks);
        if walks && probes.reconcile(&self.root, sensed, &view) {
            let before = view.repaired;
            view = probes.view(sensed, &self.policies, true);
            let text = format!("{} slots of the map were wrong and were put right", view.repaired - before);
            recent::tell(&self.board, unix_seconds(), News::of(EventKind::Repaired, text));
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

    pub(super) fn snapshot(
        &self,
        sensed: &Sensed,
        areas: Vec<AreaView>,
        view: &MapView,
        ready: &Result<&'static str, String>,
    ) -> Snapshot {
        let beside = sense::Beside {
            at: self.clock.now(),
            day: self.days.today(),
            areas,
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
}
