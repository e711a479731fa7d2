//! The board: what the agent has published last, and what happened lately. The agent pins, any number of clients read.
//!
//! Neither waits for the other: a page is pinned whole and never changed, so that a reader takes it and goes. The
//! newest page replaces one that nobody has read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use swaptier_policies::{CgroupPath, path::is_below};
use tokio::sync::watch;

use super::detail::{ACTIONS, Ages, Detail, Law};
use super::events::{Event, News, Ring};
use super::protocol::Answer;
use super::status::{ActionStatus, SCHEMA, Status, SwapIns};

/// For so many seconds after somebody looked it is expected that somebody looks again.
const INTEREST: u64 = 30;
/// The same after somebody looked at a cgroup in detail: what is measured then costs those who swap.
const ATTENTION: u64 = 15;

/// What belongs to one cgroup and to no row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// Histograms.
    pub ages: Option<Ages>,
    /// How long swap-ins took.
    pub swap_ins: Option<SwapIns>,
    /// What was done to it last, oldest first.
    pub actions: Vec<ActionStatus>,
}

/// All that one tick published.
#[derive(Debug, Default)]
pub struct Page {
    /// The status.
    pub status: Status,
    /// By kernfs id, for cgroups of the status.
    pub beside: BTreeMap<u64, Beside>,
    /// By what it was decided.
    pub law: Law,
    line: OnceLock<Arc<str>>,
}

impl Page {
    /// A page.
    #[must_use]
    pub fn new(status: Status, beside: BTreeMap<u64, Beside>) -> Page {
        Page { status, beside, law: Law::default(), line: OnceLock::new() }
    }

    /// The same page, with what it was decided by.
    #[must_use]
    pub fn by(self, law: Law) -> Page {
        Page { law, ..self }
    }

    /// The status as the line of an answer: made once, for all who ask.
    #[must_use]
    pub fn line(&self) -> Arc<str> {
        let made = || super::protocol::line(&Answer::Status(Box::new(self.status.clone()))).into();
        self.line.get_or_init(made).clone()
    }

    /// One cgroup in detail, by its path as the status has it. `None`: it is not in the status.
    #[must_use]
    pub fn detail(&self, path: &str) -> Option<Detail> {
        let path = path.trim_matches('/');
        let status = &self.status;
        let row = status.cgroups.iter().find(|row| row.path == path)?;
        let beside = self.beside.get(&row.id).cloned().unwrap_or_default();
        let rounds = status.rounds.iter().filter(|round| round["cgroup"].as_str() == Some(path));
        let skipped = rounds.clone().count().saturating_sub(ACTIONS);
        let cgroup = CgroupPath::from_shown(path);
        let binds = |file: &str| is_of(file, path);
        Some(Detail {
            schema: SCHEMA,
            tick: status.agent.tick,
            row: row.clone(),
            ages: beside.ages,
            swap_ins: beside.swap_ins,
            knobs: status.knobs.iter().filter(|knob| binds(&knob.path)).cloned().collect(),
            held: status.held.iter().filter(|held| held.cgroup == path).cloned().collect(),
            actions: beside.actions,
            contenders: self.law.contenders(&cgroup),
            fate: self.law.fate(&cgroup),
            rounds: rounds.skip(skipped).cloned().collect(),
        })
    }
}

/// Whether the file is of the cgroup or of one above it.
fn is_of(file: &str, cgroup: &str) -> bool {
    let folder = file.strip_prefix("/sys/fs/cgroup/").and_then(|file| Some(file.rsplit_once('/')?.0));
    folder.is_some_and(|folder| cgroup == folder || is_below(cgroup, folder))
}

/// The board.
#[derive(Debug)]
pub struct Board {
    newest: watch::Sender<Option<Arc<Page>>>,
    events: Mutex<Ring>,
    /// Somebody looks at it.
    looked: Interest,
    /// Somebody looks at a cgroup in detail.
    watched: Interest,
}

/// When somebody was last interested: second of `CLOCK_MONOTONIC`, and one more; 0: never.
#[derive(Debug, Default)]
struct Interest(AtomicU64);

impl Interest {
    fn note(&self, now: u64) {
        self.0.store(now + 1, Ordering::Relaxed);
    }

    fn is_fresh(&self, now: u64, span: u64) -> bool {
        let noted = self.0.load(Ordering::Relaxed);
        noted > 0 && now <= noted + span
    }
}

impl Default for Board {
    fn default() -> Self {
        let (newest, _) = watch::channel(None);
        Board { newest, events: Mutex::default(), looked: Interest::default(), watched: Interest::default() }
    }
}

impl Board {
    /// Pins a page over the one before.
    pub fn pin(&self, page: Page) {
        self.newest.send_replace(Some(Arc::new(page)));
    }

    /// Pins the newest page anew, with the round that the agent begins now.
    pub fn begin(&self, doing: String) {
        if let Some(page) = self.newest() {
            let mut status = page.status.clone();
            status.agent.doing = Some(doing);
            self.pin(Page::new(status, page.beside.clone()).by(page.law.clone()));
        }
    }

    /// Pins the newest page anew after a tick that saw nothing: so many there were, and why.
    pub fn pin_blind(&self, ticks: u64, why: &str) {
        if let Some(page) = self.newest() {
            let mut status = page.status.clone();
            status.agent.blind = Some(why.to_owned());
            status.agent.blind_ticks = ticks;
            self.pin(Page::new(status, page.beside.clone()).by(page.law.clone()));
        }
    }

    /// The newest page; `None` before the first tick.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Page>> {
        self.newest.borrow().clone()
    }

    /// To be told of every page from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Page>>> {
        self.newest.subscribe()
    }

    /// Adds an event, at this second since 1970.
    pub fn tell(&self, unix_seconds: u64, news: News) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(unix_seconds, news);
    }

    /// Events with a number above `since`, and the number of the newest.
    #[must_use]
    pub fn events(&self, since: u64) -> (Vec<Event>, u64) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        (events.since(since), events.last())
    }

    /// Number of the newest event.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).last()
    }

    /// Notes that somebody looks, at second `now` of `CLOCK_MONOTONIC`.
    pub fn look(&self, now: u64) {
        self.looked.note(now);
    }

    /// Notes that somebody looks at a cgroup in detail.
    pub fn watch_closely(&self, now: u64) {
        self.watched.note(now);
    }

    /// Whether somebody looked lately: then the agent reads what only faces need.
    #[must_use]
    pub fn is_looked_at(&self, now: u64) -> bool {
        self.looked.is_fresh(now, INTEREST)
    }

    /// Whether somebody looked at a cgroup in detail lately: then the agent measures what is dear.
    #[must_use]
    pub fn is_watched(&self, now: u64) -> bool {
        self.watched.is_fresh(now, ATTENTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::{CgroupStatus, HeldStatus, KnobStatus};

    fn page() -> Page {
        let row = |path: &str, id| CgroupStatus { path: path.into(), id, ..CgroupStatus::default() };
        let held = |cgroup: &str| HeldStatus {
            cgroup: cgroup.into(),
            policy: "p.toml".into(),
            reason: "why".into(),
        };
        let knob = |path: &str| KnobStatus { path: path.into(), ..KnobStatus::default() };
        let round = |cgroup: &str, n: usize| serde_json::json!({ "cgroup": cgroup, "n": n });
        let status = Status {
            cgroups: vec![row("a", 2), row("a/b", 3), row("ab", 4)],
            held: vec![held("a/b"), held("ab")],
            knobs: ["a/memory.swap.max", "a/b/memory.swap.max", "ab/memory.swap.max"]
                .map(|file| knob(&format!("/sys/fs/cgroup/{file}")))
                .into(),
            rounds: (0..20).map(|n| round("a/b", n)).chain([round("ab", 0)]).collect(),
            ..Status::default()
        };
        Page::new(status, BTreeMap::new())
    }

    #[test]
    fn a_detail_holds_what_binds_the_cgroup_and_nothing_of_its_neighbour() {
        let detail = page().detail("/a/b/").unwrap();
        assert_eq!((detail.row.id, detail.held.len()), (3, 1));
        let knobs: Vec<&str> = detail.knobs.iter().map(|knob| knob.path.as_str()).collect();
        assert_eq!(knobs, ["/sys/fs/cgroup/a/memory.swap.max", "/sys/fs/cgroup/a/b/memory.swap.max"]);
        // Of 20 rounds the last 16: the first shown is number 4.
        assert_eq!((detail.rounds.len(), detail.rounds[0]["n"].as_u64()), (ACTIONS, Some(4)));
        assert!(page().detail("nobody").is_none());
    }

    #[test]
    fn interest_ends_some_time_after_the_last_look() {
        let board = Board::default();
        assert!(!board.is_looked_at(5), "nobody has looked yet");
        board.look(100);
        assert!(board.is_looked_at(100) && board.is_looked_at(130) && !board.is_looked_at(132));
        assert!(!board.is_watched(100), "nobody looked at a cgroup in detail");
        board.watch_closely(100);
        assert!(board.is_watched(115) && !board.is_watched(117));
    }

    #[test]
    fn what_is_begun_is_said_with_all_that_was_said_before() {
        let board = Board::default();
        board.begin("nobody looks yet".to_owned());
        assert!(board.newest().is_none());
        board.pin(page());
        board.begin("write back".to_owned());
        let newest = board.newest().unwrap();
        assert_eq!(newest.status.agent.doing.as_deref(), Some("write back"));
        assert_eq!(newest.status.cgroups, page().status.cgroups);
    }

    #[test]
    fn a_blind_tick_is_counted_in_what_was_seen_before() {
        let board = Board::default();
        board.pin_blind(1, "nobody has seen anything yet");
        assert!(board.newest().is_none());
        board.pin(page());
        board.pin_blind(2, "EIO");
        board.pin_blind(3, "ENOMEM");
        let agent = &board.newest().unwrap().status.agent;
        assert_eq!((agent.blind_ticks, agent.blind.as_deref()), (3, Some("ENOMEM")));
        assert_eq!(board.newest().unwrap().status.cgroups, page().status.cgroups);
    }

    #[test]
    fn the_newest_page_replaces_one_that_nobody_read() {
        let board = Board::default();
        let mut watch = board.watch();
        for tick in 1..4 {
            let mut status = Status::default();
            status.agent.tick = tick;
            board.pin(Page::new(status, BTreeMap::new()));
        }
        assert!(watch.has_changed().unwrap());
        assert_eq!(watch.borrow_and_update().as_ref().unwrap().status.agent.tick, 3);
        assert!(!watch.has_changed().unwrap());
    }
}
