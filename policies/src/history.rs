//! What a decision remembers: budgets spent, rounds that were in vain, how far each pool had come.
//!
//! The only memory of `decide`: serialisable, and bounded by the living cgroups, and by those that spent something today. The
//! only way to change it is a [`Session`](crate::Session); everything else a decision knows comes from the snapshot.
//!
//! Properties: the sum of a day's rounds never passes `budget.day`; over any span the rounds never pass
//! `budget.round + budget.rate × span`; a cgroup that is gone leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::area::Level;
use crate::days::Today;
use crate::plan::Closed;
use crate::rules::Budget;
use crate::snapshot::{CgroupId, Snapshot};
use crate::stand::Stands;
use crate::units::{ByteRate, Bytes, Pages, Seconds};

/// What was spent, by cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// What the day has taken.
    #[serde(default)]
    pub(crate) today: Today,
    page_size: Bytes,
    ledgers: BTreeMap<CgroupId, Ledger>,
    /// Whose values stand in the files that policies set.
    #[serde(default)]
    pub(crate) stands: BTreeMap<CgroupId, Stands>,
    /// Rounds that are decided and have not ended, with the pages asked for: what they will have spent is not known yet.
    #[serde(default)]
    under_way: BTreeMap<CgroupId, Pages>,
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
    /// What the rate has not yet made good: a token bucket told by what is missing in it, so that it does not
    /// depend on the bucket's size.
    debt: Bytes,
    /// Until when the rate has been credited.
    credited: Seconds,
    /// When the last round was.
    last_round: Option<Seconds>,
    /// Rounds in a row that wrote nothing, or failed.
    vain_rounds: u32,
}

impl Default for History {
    fn default() -> Self {
        let (ledgers, stands) = (BTreeMap::new(), BTreeMap::new());
        History {
            today: Today::default(),
            page_size: Bytes(4096),
            ledgers,
            stands,
            under_way: BTreeMap::new(),
            areas: AreaMemory::default(),
        }
    }
}

impl History {
    /// Notes that a round of `cgroup` is decided: it waits or runs, until [`History::spent`], [`History::failed`] or
    /// [`History::called_off`].
    pub(crate) fn begun(&mut self, cgroup: CgroupId, pages: Pages) {
        self.under_way.insert(cgroup, pages);
    }

    /// Notes that a round of `cgroup` was called off before it wrote anything: it spent nothing, and the next need not wait.
    pub(crate) fn called_off(&mut self, cgroup: CgroupId) {
        self.under_way.remove(&cgroup);
    }

    /// Notes that a round wrote `written` pages of `cgroup`, also when that is none, at `at` of the map's clock.
    pub(crate) fn spent(&mut self, cgroup: CgroupId, written: Pages, at: Seconds) {
        self.over(cgroup, written, at, written == Pages(0));
    }

    /// The same of a round that failed, whatever it had written by then: what was in its way is likely to be there still,
    /// so the next waits like one after a round that wrote nothing.
    pub(crate) fn failed(&mut self, cgroup: CgroupId, written: Pages, at: Seconds) {
        self.over(cgroup, written, at, true);
    }

    fn over(&mut self, cgroup: CgroupId, written: Pages, at: Seconds, was_vain: bool) {
        self.under_way.remove(&cgroup);
        let bytes = written.bytes(self.page_size);
        self.today.spend(cgroup, bytes);
        let fresh = Ledger { credited: at, ..Ledger::default() };
        let ledger = self.ledgers.entry(cgroup).or_insert(fresh);
        ledger.debt = ledger.debt.saturating_add(bytes);
        ledger.last_round = Some(at);
        ledger.vain_rounds = if was_vain { ledger.vain_rounds.saturating_add(1) } else { 0 };
    }

    /// Whether a round of `cgroup` is decided and has not ended.
    #[must_use]
    pub fn is_under_way(&self, cgroup: CgroupId) -> bool {
        self.under_way.contains_key(&cgroup)
    }

    /// How far the pool of this name had come at the last look.
    #[must_use]
    pub fn level(&self, pool: &str) -> Level {
        self.areas.levels.get(pool).copied().unwrap_or_default()
    }

    pub(crate) fn page_size(&self) -> Bytes {
        self.page_size
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

    /// A cgroup whose round under way takes pages of this one: itself, one above it or one below it.
    pub(crate) fn round_over(&self, cgroup: CgroupId, snap: &Snapshot) -> Option<CgroupId> {
        let has = |id: &CgroupId| self.under_way.contains_key(id);
        let is_below = |id: &CgroupId| snap.above(*id).any(|(above, _)| above == cgroup);
        let above = snap.above(cgroup).map(|(id, _)| id).find(has);
        Some(cgroup).filter(has).or(above).or_else(|| self.under_way.keys().copied().find(is_below))
    }

    /// Rounds that are decided and have not ended, with the pages asked for.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (CgroupId, Pages)> {
        self.under_way.iter().map(|(cgroup, pages)| (*cgroup, *pages))
    }

    /// What all rounds under way may still write, *on disk*.
    pub(crate) fn promised(&self, page_size: Bytes) -> Bytes {
        self.under_way.values().fold(Bytes(0), |sum, pages| sum.saturating_add(pages.bytes(page_size)))
    }

    /// Begins a decision: forgets the dead, turns the day, and bears with a clock that began anew.
    pub(crate) fn turn(&mut self, snap: &Snapshot) {
        self.ledgers.retain(|id, _| snap.cgroups.contains_key(id));
        self.under_way.retain(|id, _| snap.cgroups.contains_key(id));
        self.page_size = snap.page_size;
        for ledger in self.ledgers.values_mut() {
            ledger.last_round = ledger.last_round.map(|round| round.min(snap.at));
        }
        self.today.turn(snap);
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
    /// The longest pause after rounds that wrote nothing or failed: 2^8 s, a bit over four minutes.
    const MOST_DOUBLINGS: u32 = 8;

    /// How long the next round has to wait: one second after a round, doubled for each in a row that wrote nothing or
    /// failed. A page whose referenced bit is set is only turned by its first visit, so an empty round is worth a retry, but
    /// not one every second; and one that fails costs others each time.
    pub(crate) fn cooldown(&self, now: Seconds) -> Option<Seconds> {
        let pause = 1u64 << self.vain_rounds.min(Self::MOST_DOUBLINGS);
        let ready = self.last_round?.0.saturating_add(pause);
        ready.checked_sub(now.0).filter(|wait| *wait > 0).map(Seconds)
    }

    /// Left of `budget.rate`: the bucket holds one round.
    pub(crate) fn rate_left(&self, budget: &Budget) -> Option<Bytes> {
        budget.rate.map(|_| budget.round.saturating_sub(self.debt))
    }
}
