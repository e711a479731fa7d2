//! Rounds of write-back as the agent runs them: one at a time, on a thread where blocking is allowed, while the loop
//! goes on feeding the probes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use swaptier_policies::{Pages, Seconds};

use super::probes::Probes;
use crate::{
    act::{
        Order, Outcome,
        writeback::{Ended, Engine, Facts, Means, Report, RoundError, Scope, ValveError},
    },
    cli::Exit,
    config::{DialectChoice, WritebackConfig},
    journal::Undo,
    root::Root,
    sense::CgroupSample,
    serve::{protocol::Answer, server::refused, status::TotalsStatus},
};

/// Reports kept for the status.
const KEPT: usize = 100;

/// What a command asks for.
pub(super) struct Wish {
    pub(super) cgroup: String,
    /// 0: of any age.
    pub(super) older_than: Seconds,
    pub(super) pages: u64,
    pub(super) dialect: Option<String>,
    pub(super) dry_run: bool,
}

/// The engine, and what it did.
pub(super) struct Rounds {
    engine: Arc<Mutex<Engine>>,
    choice: DialectChoice,
    max_pages: u64,
    /// What the kernel understood at the start.
    means: Means,
    reports: VecDeque<serde_json::Value>,
    totals: TotalsStatus,
}

impl Rounds {
    pub(super) fn new(root: Root, undo: Arc<Mutex<Undo>>, config: &WritebackConfig) -> Self {
        let deadline = Duration::from_secs(config.deadline.0);
        Self {
            means: Means::look(&root),
            engine: Arc::new(Mutex::new(Engine::new(root, undo, deadline))),
            choice: config.dialect,
            max_pages: config.max_pages_per_round.0,
            reports: VecDeque::new(),
            totals: TotalsStatus::default(),
        }
    }

    /// The dialect a round would use now, or why there is none.
    pub(super) fn ready(&self, facts: &Facts) -> Result<&'static str, String> {
        Engine::ready(self.choice, &facts.with(&self.means))
    }

    /// All reports kept, oldest first.
    pub(super) fn reports(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.reports.iter()
    }

    /// What rounds did since the start; of steps it knows nothing.
    pub(super) fn totals(&self) -> TotalsStatus {
        self.totals
    }

    /// One round of a plan.
    pub(super) async fn run(
        &mut self,
        mut order: Order,
        choice: Option<DialectChoice>,
        probes: &mut Option<Probes>,
        cgroups: &[CgroupSample],
    ) -> Outcome {
        let path = order.path.clone();
        let (scope, old) = scope(probes, cgroups, &order);
        if scope.known.is_none() {
            return Outcome::Failed { path, error: "there is no shadow map".to_owned() };
        }
        let planned = order.pages;
        order.pages = still(planned, self.max_pages, old);
        if order.pages.0 == 0 {
            return Outcome::Young { path, planned };
        }
        if order.dry_run {
            return Outcome::Would { path, from: "zswap".to_owned(), to: format!("{} on disk", order.pages) };
        }
        match self.round(order, choice, scope, probes).await {
            // Nobody knows how many of the pages are on the disk: none is booked, and the next round waits.
            Ok(Report { ended: Ended::DiskFailed, error, .. }) => {
                Outcome::Failed { path, error: error.unwrap_or_default() }
            }
            Ok(report) => Outcome::WroteBack {
                path,
                asked: Pages(report.asked_pages),
                written: Pages(report.written_pages),
                report: serde_json::to_value(&report).unwrap_or_default(),
            },
            Err(RoundError::Valves(ValveError::Gone(_))) => Outcome::Gone { path },
            Err(error) => Outcome::Failed { path, error: error.to_string() },
        }
    }

    /// One round that a command asked for.
    pub(super) async fn wish(
        &mut self,
        wish: Wish,
        is_dry: bool,
        probes: &mut Option<Probes>,
        cgroups: &[CgroupSample],
    ) -> Answer {
        let say = |exit: Exit, text: String| refused(exit as u8, text);
        let path = wish.cgroup.trim_matches('/').to_owned();
        let Some(cgroup) = cgroups.iter().find(|cgroup| cgroup.path == path && !path.is_empty()) else {
            return say(Exit::Failed, format!("there is no cgroup {path:?} below /sys/fs/cgroup"));
        };
        let choice = match wish.dialect.as_deref().map(DialectChoice::named) {
            Some(None) => return say(Exit::Usage, "there is no such dialect".to_owned()),
            known => known.flatten(),
        };
        let mut order = Order {
            cgroup: cgroup.id,
            path: path.clone(),
            older_than: wish.older_than,
            pages: Pages(wish.pages),
            spared: Vec::new(),
            why: "command writeback".to_owned(),
            dry_run: wish.dry_run || is_dry,
        };
        let (scope, most) = scope(probes, cgroups, &order);
        if scope.known.is_none() && wish.older_than.0 > 0 {
            let text = "the agent has no shadow map, so it does not know what is old (see `swaptier doctor`); without \
                        --older-than it writes back what zswap has had longest";
            return say(Exit::Unsupported, text.to_owned());
        }
        order.pages = Pages(wish.pages.min(most));
        if order.pages.0 == 0 {
            let age = match wish.older_than.0 {
                0 => String::new(),
                _ => format!(" for {} or longer", wish.older_than),
            };
            return say(Exit::Nothing, format!("{path} has no page in zswap{age}"));
        }
        if order.dry_run {
            let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
            return match engine.rehearse(choice.unwrap_or(self.choice), &order, &scope) {
                Ok(changes) => Answer::Would {
                    writes: changes.iter().map(|c| format!("/{}: {} -> {}", c.path, c.old, c.new)).collect(),
                },
                Err(error) => say(exit_of(&error), error.to_string()),
            };
        }
        match self.round(order, choice, scope, probes).await {
            Ok(report) => Answer::Round { report: serde_json::to_value(&report).unwrap_or_default() },
            Err(error) => say(exit_of(&error), error.to_string()),
        }
    }

    async fn round(
        &mut self,
        order: Order,
        choice: Option<DialectChoice>,
        scope: Scope,
        probes: &mut Option<Probes>,
    ) -> Result<Report, RoundError> {
        let (engine, choice) = (self.engine.clone(), choice.unwrap_or(self.choice));
        let mut running = tokio::task::spawn_blocking(move || {
            engine.lock().unwrap_or_else(PoisonError::into_inner).round(choice, &order, &scope)
        });
        let done = loop {
            tokio::select! {
                done = &mut running => break done.unwrap_or_else(|panic| Err(RoundError::Pump(std::io::Error::other(panic)))),
                () = super::woken(probes) => {}
            }
        };
        self.totals.rounds += 1;
        let report = done.inspect_err(|_| self.totals.rounds_failed += 1)?;
        self.count(&report);
        tracing::debug!(
            cgroup = report.cgroup,
            dialect = report.dialect,
            asked = report.asked_pages,
            written = report.written_pages,
            siblings = ?report.sibling_pages,
            ended = ?report.ended,
            "round"
        );
        if self.reports.len() == KEPT {
            self.reports.pop_front();
        }
        self.reports.push_back(serde_json::to_value(&report).unwrap_or_default());
        Ok(report)
    }

    fn count(&mut self, report: &Report) {
        let totals = &mut self.totals;
        totals.rounds_failed += u64::from(report.error.is_some());
        totals.asked_pages += report.asked_pages;
        totals.written_pages += report.written_pages;
        totals.overshoot_pages += report.overshoot_pages;
        totals.sibling_pages += report.sibling_pages.unwrap_or_default();
        totals.refused_stores += report.refused_stores.unwrap_or_default();
        totals.round_seconds += report.seconds;
    }

    /// Gives back what an earlier round could not.
    pub(super) fn tidy(&self) {
        if let Ok(mut engine) = self.engine.try_lock() {
            engine.tidy();
        }
    }

    /// Ends the pump.
    pub(super) fn stop(&mut self) {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }
}

/// Pages of a round that a plan asked for: never more than are old by now. The plan was made when the tick began, and
/// earlier rounds of the same tick may have taken long.
fn still(planned: Pages, most: u64, old: u64) -> Pages {
    Pages(planned.0.min(most).min(old))
}

/// What a round is about, and how many pages there are for it: as old as asked by the map, else all that the kernel counts.
fn scope(probes: &Option<Probes>, cgroups: &[CgroupSample], order: &Order) -> (Scope, u64) {
    let below = format!("{}/", order.path);
    let is_in = |cgroup: &&CgroupSample| cgroup.path == order.path || cgroup.path.starts_with(&below);
    let ids = cgroups.iter().filter(is_in).map(|cgroup| cgroup.id.0).collect();
    let Some(probes) = probes else {
        let own = cgroups.iter().find(|cgroup| cgroup.path == order.path);
        let bytes = own.and_then(|cgroup| cgroup.stat.zswapped).unwrap_or_default();
        let zswap_pages = bytes / rustix::param::page_size() as u64;
        return (Scope { known: None, ids, zswap_pages }, zswap_pages);
    };
    let (known, cold) = probes.subject(cgroups, &order.path, order.older_than);
    (Scope { ids, zswap_pages: known.zswap_pages, known: Some(known) }, cold)
}

fn exit_of(error: &RoundError) -> Exit {
    match error {
        RoundError::NoDialect(_) => Exit::Unsupported,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_asks_for_no_more_than_is_old_when_it_begins() {
        assert_eq!(still(Pages(2_048), 8_192, 10_000), Pages(2_048));
        assert_eq!(still(Pages(9_000), 8_192, 10_000), Pages(8_192), "the configured most");
        assert_eq!(still(Pages(2_048), 8_192, 700), Pages(700), "the others were touched meanwhile");
        assert_eq!(still(Pages(2_048), 8_192, 0), Pages(0));
    }
}
