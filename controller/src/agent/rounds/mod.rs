//! Rounds of write-back as the agent runs them: beside the loop, one at a time; the others wait in the order in which they
//! were asked for. `worker` is the thread they run on; who asks for them, and what follows when they have ended, is
//! `turns.rs`.
//!
//! Properties
//! - Of one cgroup at most one round of a policy waits or runs: `decide` holds the next until that one has ended.
//! - What a round is about is looked up when its turn comes, not when it was asked for.

mod worker;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use swaptier_policies::{Pages, Step};
use tokio::sync::oneshot;

use super::probes::Probes;
use crate::{
    act::{
        Order,
        writeback::{Course, Engine, Facts, Means, Report, Scope},
    },
    config::{DialectChoice, WritebackConfig},
    journal::{Change, Undo},
    root::Root,
    sense::CgroupSample,
    serve::{protocol::Answer, status::TotalsStatus},
};
pub(super) use worker::Done;
use worker::{Round, Worker};

/// How old what is known of the kernel's ways may be.
const LOOK: Duration = Duration::from_secs(10);

/// Reports kept for the status.
const KEPT: usize = 100;

/// Who asked for a round.
pub(super) enum Asker {
    /// A policy, by this step of a plan.
    Policy(Box<Step>),
    /// A command, which waits for the answer.
    Hand(oneshot::Sender<Answer>),
}

/// A round that waits or runs.
pub(super) struct Task {
    pub(super) order: Order,
    pub(super) choice: Option<DialectChoice>,
    pub(super) asker: Asker,
}

impl Task {
    /// A command asked for it, and its client has gone.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(&self.asker, Asker::Hand(client) if client.is_closed())
    }

    pub(super) fn is_by_hand(&self) -> bool {
        matches!(self.asker, Asker::Hand(_))
    }

    /// In one line, for the status.
    pub(super) fn doing(&self) -> String {
        match &self.asker {
            Asker::Policy(step) => format!("{}: {}", self.order.path, step.action),
            Asker::Hand(_) => {
                format!("{}: write back {}, asked for by hand", self.order.path, self.order.pages)
            }
        }
    }
}

/// What the loop hears of.
pub(super) enum Happening {
    /// The round that ran has ended.
    Ended(Box<Done>),
    /// The client of the one that runs has gone.
    GivenUp,
}

/// Waits until the client of this round has gone, unless it is called off already.
async fn given_up(running: &mut Option<(Task, Arc<Course>)>) {
    match running {
        Some((Task { asker: Asker::Hand(client), .. }, course)) if course.called_off().is_none() => {
            client.closed().await;
        }
        _ => std::future::pending().await,
    }
}

/// The rounds, and what they did.
pub(super) struct Rounds {
    worker: Worker,
    waiting: VecDeque<Task>,
    running: Option<(Task, Arc<Course>)>,
    /// Whose counters in the map the running round is about, and what they said of pages written when it began.
    metered: Option<(Vec<u16>, u64)>,
    choice: DialectChoice,
    max_pages: u64,
    root: Root,
    /// What the kernel understood at the last look, and when that was.
    means: Means,
    looked: Instant,
    reports: VecDeque<serde_json::Value>,
    totals: TotalsStatus,
}

impl Rounds {
    pub(super) fn new(root: Root, undo: Arc<Mutex<Undo>>, config: &WritebackConfig) -> io::Result<Self> {
        Ok(Self {
            means: Means::look(&root),
            looked: Instant::now(),
            root: root.clone(),
            worker: Worker::start(root, undo, Duration::from_secs(config.deadline.0))?,
            waiting: VecDeque::new(),
            running: None,
            metered: None,
            choice: config.dialect,
            max_pages: config.max_pages_per_round.0,
            reports: VecDeque::new(),
            totals: TotalsStatus::default(),
        })
    }

    /// Starts the pump now: when the first round comes, memory may be short.
    pub(super) fn warm_up(&self) {
        self.worker.warm_up();
    }

    /// The dialect a round would use now, or why there is none.
    pub(super) fn ready(&mut self, facts: &Facts) -> Result<&'static str, String> {
        // debugfs may be mounted, a module loaded, the root's way to disk opened meanwhile.
        if self.looked.elapsed() >= LOOK {
            (self.means, self.looked) = (Means::look(&self.root), Instant::now());
        }
        Engine::ready(self.choice, &facts.with(&self.means))
    }

    /// The dialect for a round that names none.
    pub(super) fn choice(&self) -> DialectChoice {
        self.choice
    }

    /// All reports kept, oldest first.
    pub(super) fn reports(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.reports.iter()
    }

    /// What rounds did since the start; of steps it knows nothing.
    pub(super) fn totals(&self) -> TotalsStatus {
        self.totals
    }

    /// The round that runs, in one line.
    pub(super) fn doing(&self) -> Option<String> {
        self.running.as_ref().map(|(task, _)| task.doing())
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a round wait for its turn.
    pub(super) fn queue(&mut self, task: Task) {
        self.waiting.push_back(task);
    }

    /// Whether one waits and none runs.
    pub(super) fn is_due(&self) -> bool {
        self.running.is_none() && !self.waiting.is_empty()
    }

    /// The one whose turn it is.
    pub(super) fn take_due(&mut self) -> Option<Task> {
        if self.running.is_none() { self.waiting.pop_front() } else { None }
    }

    /// Begins it. The task comes back where it cannot be begun.
    pub(super) fn begin(&mut self, mut task: Task, order: Order, scope: Scope) -> Result<(), Box<Task>> {
        task.order = order.clone();
        let course = Arc::new(Course::default());
        let choice = task.choice.unwrap_or(self.choice);
        match self.worker.begin(Round { choice, order, scope, course: course.clone() }) {
            true => self.running = Some((task, course)),
            false => return Err(Box::new(task)),
        }
        Ok(())
    }

    /// Notes what the map says as the round begins.
    pub(super) fn meter(&mut self, probes: Option<&Probes>, scope: &Scope) {
        let owners = scope.known.as_ref().map(|known| known.owners.clone());
        self.metered =
            probes.zip(owners).map(|(probes, owners)| (owners.clone(), probes.written_back(&owners)));
    }

    /// Pages written back since, by the map. `None`: it cannot be told.
    pub(super) fn metered(&mut self, probes: Option<&Probes>) -> Option<Pages> {
        let (owners, before) = self.metered.take()?;
        probes?.written_back(&owners).checked_sub(before).map(Pages)
    }

    /// Waits until the round that runs has ended, or until it is to end because its client has gone. Cancelled without loss.
    pub(super) async fn happens(&mut self) -> Happening {
        tokio::select! {
            done = self.worker.done() => Happening::Ended(Box::new(done)),
            () = given_up(&mut self.running) => Happening::GivenUp,
        }
    }

    /// Counts what came of the round that ran, and says whose it was.
    pub(super) fn ended(&mut self, done: &Done) -> Option<(Task, Arc<Course>)> {
        self.totals.rounds += 1;
        match done {
            Ok(report) => self.keep(report),
            Err(_) => self.totals.rounds_failed += 1,
        }
        self.running.take()
    }

    fn keep(&mut self, report: &Report) {
        let totals = &mut self.totals;
        totals.rounds_failed += u64::from(report.ended.failure().is_some());
        totals.asked_pages += report.asked_pages;
        totals.written_pages += report.written_pages;
        totals.overshoot_pages += report.overshoot_pages;
        totals.sibling_pages += report.sibling_pages.unwrap_or_default();
        totals.refused_stores += report.refused_stores.unwrap_or_default();
        totals.round_seconds += report.seconds;
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
        self.reports.push_back(report.told().into());
    }

    /// Asks of each round `why` it is to end, whether it runs or waits. The one that runs ends as soon as it can be; those that
    /// wait are given back.
    pub(super) fn call_off(&mut self, why: impl Fn(&Task, bool) -> Option<String>) -> Vec<(Task, String)> {
        if let Some((task, course)) = &self.running
            && let Some(why) = why(task, true)
        {
            course.call_off(&why);
        }
        let mut off = Vec::new();
        for task in std::mem::take(&mut self.waiting) {
            match why(&task, false) {
                Some(why) => off.push((task, why)),
                None => self.waiting.push_back(task),
            }
        }
        off
    }

    /// What the round that runs and its starter say to each other.
    pub(super) fn course(&self) -> Option<Arc<Course>> {
        self.running.as_ref().map(|(_, course)| course.clone())
    }

    /// Whether this value is the running round's for now.
    pub(super) fn has(&self, change: &Change) -> bool {
        self.running.as_ref().is_some_and(|(_, course)| course.has(&change.path, change.cgroup))
    }

    /// The values that are the running round's for now.
    pub(super) fn held(&self) -> Vec<Change> {
        self.running.as_ref().map_or_else(Vec::new, |(_, course)| course.held())
    }

    /// Gives back what an earlier round could not.
    pub(super) fn tidy(&self) {
        self.worker.tidy();
    }

    /// Ends the round that runs, and the pump. What waits is forgotten.
    pub(super) fn stop(mut self) {
        // Dropping the tasks tells the clients that wait.
        drop(self.call_off(|_, _| Some("the agent stops".to_owned())));
    }

    /// How many pages a round of a plan may ask for: never more than are old by now. It was planned some time ago.
    pub(super) fn still(&self, planned: Pages, old: u64) -> Pages {
        still(planned, self.max_pages, old)
    }
}

fn still(planned: Pages, most: u64, old: u64) -> Pages {
    Pages(planned.0.min(most).min(old))
}

/// What a round is about, and how many pages there are for it: as old as asked by the map, else all that the kernel counts.
pub(super) fn scope(probes: &Option<Probes>, cgroups: &[CgroupSample], order: &Order) -> (Scope, u64) {
    let is_in = |cgroup: &&CgroupSample| cgroup.path.is_in(&order.path);
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

#[cfg(test)]
mod tests {
    use swaptier_policies::{CgroupId, Seconds};

    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_round_asks_for_no_more_than_is_old_when_it_begins() {
        assert_eq!(still(Pages(2_048), 8_192, 10_000), Pages(2_048));
        assert_eq!(still(Pages(9_000), 8_192, 10_000), Pages(8_192), "the configured most");
        assert_eq!(still(Pages(2_048), 8_192, 700), Pages(700), "the others were touched meanwhile");
        assert_eq!(still(Pages(2_048), 8_192, 0), Pages(0));
    }

    fn task(path: &str) -> (Task, oneshot::Receiver<Answer>) {
        let (client, answer) = oneshot::channel();
        let order = Order {
            cgroup: CgroupId(1),
            path: path.into(),
            older_than: Seconds(0),
            pages: Pages(9),
            spared: Vec::new(),
            by: swaptier_policies::Asker::Hand,
            dry_run: false,
        };
        (Task { order, choice: None, asker: Asker::Hand(client) }, answer)
    }

    /// The thread, the engine and the log are the real ones; a round of a cgroup that is not there ends before any pump.
    #[tokio::test]
    async fn one_round_runs_and_the_others_wait_for_its_end() {
        let fake = FakeRoot::host();
        fake.write("sys/module/zswap/parameters/enabled", "N\n");
        let undo = Arc::new(Mutex::new(Undo::open(fake.root(), &fake.path("state")).unwrap()));
        let mut rounds = Rounds::new(fake.root().clone(), undo, &WritebackConfig::default()).unwrap();
        let (tasks, mut clients): (Vec<_>, Vec<_>) = ["a", "b", "c", "d"].map(task).into_iter().unzip();
        tasks.into_iter().for_each(|task| rounds.queue(task));
        let first = rounds.take_due().unwrap();
        let (order, scope) = (first.order.clone(), Scope::default());
        assert!(rounds.begin(first, order, scope).is_ok());
        assert!(!rounds.is_due() && rounds.take_due().is_none(), "one at a time");
        assert_eq!(
            (rounds.doing().as_deref(), rounds.waiting()),
            (Some("a: write back 9 pages, asked for by hand"), 3)
        );
        // One that waits is called off and comes back; the one that runs is told; one whose client left is known.
        let off = rounds.call_off(|task, _| {
            ["a", "c"].iter().any(|path| task.order.path == *path).then(|| "closed by hand".to_owned())
        });
        assert_eq!(off.iter().map(|(task, _)| task.order.path.to_string()).collect::<Vec<_>>(), ["c"]);
        assert_eq!(rounds.course().unwrap().called_off().as_deref(), Some("closed by hand"));
        drop(clients.pop());
        let off = rounds.call_off(|task, is_running| {
            (!is_running && task.is_given_up()).then(|| "its client has gone".to_owned())
        });
        assert_eq!(off.iter().map(|(task, _)| task.order.path.to_string()).collect::<Vec<_>>(), ["d"]);
        let Happening::Ended(done) = rounds.happens().await else { panic!("its client is there") };
        let (ended, course) = rounds.ended(&done).unwrap();
        assert!(done.is_err() && ended.order.path == "a", "{done:?}");
        assert!(course.claim(CgroupId(7)).is_some(), "what it held is let go");
        assert!(rounds.is_due() && rounds.doing().is_none());
        assert_eq!((rounds.totals().rounds, rounds.totals().rounds_failed), (1, 1));
        rounds.stop();
        assert!(clients[1].try_recv().is_err(), "who waited hears that nobody answers any more");
    }
}
