//! What a decision remembers: budgets spent, rounds that wrote nothing, how far each pool had come.
//!
//! The only memory of `decide`: serialisable, and bounded by the living cgroups. The agent tells it what a round
//! wrote ([`History::spent`]), and shows it every tick's areas ([`History::watch`]); everything else a decision knows comes from the snapshot.
//!
//! Properties: the sum of a day's rounds never passes `budget.day`; over any span the rounds never pass
//! `budget.round + budget.rate × span`; a cgroup that is gone leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::area::Level;
use crate::plan::Closed;
use crate::rules::Budget;
use crate::snapshot::{CgroupId, Snapshot};
use crate::units::{ByteRate, Bytes, Pages, Seconds};

/// What was spent, by cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    day: u32,
    page_size: Bytes,
    ledgers: BTreeMap<CgroupId, Ledger>,
    /// What is remembered of the swap areas: never more than there are.
    #[serde(default)]
    pub(crate) areas: AreaMemory,
}

/// What is remembered of the swap areas, for marks that are left lower than they are met.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct AreaMemory {
    /// How far each pool had come.
    pub(crate) levels: BTreeMap<String, Level>,
    /// The areas before a ghost were about full.
    pub(crate) is_near: bool,
    /// Why the gate was to be closed at the last look.
    pub(crate) closed: Option<Closed>,
    /// While it was to be closed it was seen shut.
    pub(crate) was_shut: bool,
    /// A pool is so full that nothing more is to be swapped out.
    pub(crate) is_stopped: bool,
    /// Of some pool it is not known how full it is.
    pub(crate) is_dark: bool,
    /// Pools that take no writes. Not kept: it tells what was told, and is told again after a restart.
    #[serde(skip)]
    pub(crate) refusing: BTreeSet<String>,
    /// Since when each area that is on has had no slot in use; `None`: it has some.
    pub(crate) empty_since: BTreeMap<String, Option<Seconds>>,
}

/// What one cgroup has spent. Budgets are counted in *original* bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// Since the day began.
    day_spent: Bytes,
    /// What the rate has not yet made good: a token bucket told by what is missing in it, so that it does not
    /// depend on the bucket's size.
    debt: Bytes,
    /// Until when the rate has been credited.
    credited: Seconds,
    /// When the last round was.
    last_round: Option<Seconds>,
    /// Rounds in a row that wrote nothing.
    empty_rounds: u32,
}

impl Default for History {
    fn default() -> Self {
        History { day: 0, page_size: Bytes(4096), ledgers: BTreeMap::new(), areas: AreaMemory::default() }
    }
}

impl History {
    /// Notes that a round wrote `written` pages of `cgroup`, also when that is none, at `at` of the map's clock.
    pub fn spent(&mut self, cgroup: CgroupId, written: Pages, at: Seconds) {
        let bytes = written.bytes(self.page_size);
        let fresh = Ledger { credited: at, ..Ledger::default() };
        let ledger = self.ledgers.entry(cgroup).or_insert(fresh);
        ledger.day_spent = ledger.day_spent.saturating_add(bytes);
        ledger.debt = ledger.debt.saturating_add(bytes);
        ledger.last_round = Some(at);
        ledger.empty_rounds = if written == Pages(0) { ledger.empty_rounds.saturating_add(1) } else { 0 };
    }

    /// How far the pool of this name had come at the last look.
    #[must_use]
    pub fn level(&self, pool: &str) -> Level {
        self.areas.levels.get(pool).copied().unwrap_or_default()
    }

    /// How many cgroups are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ledgers.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ledgers.is_empty()
    }

    /// Begins a decision: forgets the dead, turns the day, and bears with a clock that began anew.
    pub(crate) fn turn(&mut self, snap: &Snapshot) {
        self.ledgers.retain(|id, _| snap.cgroups.contains_key(id));
        self.page_size = snap.page_size;
        for ledger in self.ledgers.values_mut() {
            if self.day != snap.day {
                ledger.day_spent = Bytes(0);
            }
            ledger.last_round = ledger.last_round.map(|round| round.min(snap.at));
        }
        self.day = snap.day;
    }

    /// Credits the rate of a cgroup up to `now` and gives its ledger.
    pub(crate) fn ledger(&mut self, cgroup: CgroupId, rate: Option<ByteRate>, now: Seconds) -> Ledger {
        let Some(ledger) = self.ledgers.get_mut(&cgroup) else { return Ledger::default() };
        // A clock that began anew credits nothing now, and counts from here.
        let span = Seconds(now.0.saturating_sub(ledger.credited.0));
        ledger.debt = rate.map_or(Bytes(0), |rate| ledger.debt.saturating_sub(rate.over(span)));
        ledger.credited = now;
        *ledger
    }
}

impl Ledger {
    /// The longest pause after rounds that wrote nothing: 2^8 s, a bit over four minutes.
    const MOST_DOUBLINGS: u32 = 8;

    /// How long the next round has to wait: one second after a round, doubled for each in a row that wrote nothing.
    /// A page whose referenced bit is set is only turned by its first visit, so an empty round is worth a retry, but
    /// not one every second.
    pub(crate) fn cooldown(&self, now: Seconds) -> Option<Seconds> {
        let pause = 1u64 << self.empty_rounds.min(Self::MOST_DOUBLINGS);
        let ready = self.last_round?.0.saturating_add(pause);
        ready.checked_sub(now.0).filter(|wait| *wait > 0).map(Seconds)
    }

    /// Left of `budget.day`.
    pub(crate) fn day_left(&self, budget: &Budget) -> Option<Bytes> {
        budget.day.map(|day| day.saturating_sub(self.day_spent))
    }

    /// Left of `budget.rate`: the bucket holds one round.
    pub(crate) fn rate_left(&self, budget: &Budget) -> Option<Bytes> {
        budget.rate.map(|_| budget.round.saturating_sub(self.debt))
    }
}
