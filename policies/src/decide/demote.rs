//! `[demote]` → one write-back round of one cgroup, or the one reason why not.
//!
//! Pages of a round = the least of: pages older than the policy's age, `budget.round`, what is left of `budget.day`,
//! what `budget.rate` has granted. Budgets count *original* bytes, each cgroup by itself. Age is the law: a full
//! zswap makes no page older, it is only reported.
//!
//! Free swap is not a bound: a page in zswap owns its slot on the device already. What the pool of a virtual area takes
//! until its mark is one, for all rounds of a plan together.
//!
//! A write-back of a cgroup takes its whole subtree. So that no page is counted twice and no policy is overridden
//! from above, a cgroup below which another one has `[tiers]` of its own (and the memory controller) is left to
//! those below, whole.

use std::collections::BTreeMap;

use super::tiers::{wanted_valve, zswap_limit};
use super::{Governed, Government};
use crate::history::{History, Ledger};
use crate::knob::Knob;
use crate::plan::{Action, Bound, Held, Hold, Reason, Step};
use crate::rules::{Budget, DemoteRule};
use crate::snapshot::{CgroupId, Cold, MapHealth, Snapshot, Writeback};
use crate::units::{Bytes, Pages, Seconds};

/// The least a round moves: less is not worth touching the host for. The kernel's own batch
/// (`SWAP_CLUSTER_MAX`, include/linux/swap.h) is the same 32.
const LEAST: Pages = Pages(32);

/// The cgroups above some cgroup that has its own `[tiers]`, with the first such, by path, below each.
pub(super) fn covered(snap: &Snapshot, government: &Government<'_>) -> BTreeMap<CgroupId, CgroupId> {
    let mut covered: BTreeMap<CgroupId, &Governed<'_>> = BTreeMap::new();
    let own = government.values().filter(|g| g.policy.tiers().is_some() && g.view.has_memory());
    for governed in own {
        for (above, _) in snap.above(governed.id) {
            let first = covered.entry(above).or_insert(governed);
            if governed.view.path < first.view.path {
                *first = governed;
            }
        }
    }
    covered.into_iter().map(|(above, below)| (above, below.id)).collect()
}

/// The bytes *on disk* that rounds may still take, `None` where nothing bounds them; or why no round may.
pub(super) type Disk = Result<Option<Bytes>, Hold>;

/// The round of one cgroup; if there is none, why.
pub(super) fn round(
    governed: Governed<'_>,
    snap: &Snapshot,
    government: &Government<'_>,
    (covered, disk): (&BTreeMap<CgroupId, CgroupId>, &mut Disk),
    history: &mut History,
    held: &mut Vec<Held>,
) -> Option<Step> {
    let rule = governed.policy.demote()?;
    history.today.spends_as(governed.id, &governed.view.path);
    let day = history.today.left(&governed.view.path, &rule.budget);
    let ledger = history.ledger(governed.id, rule.budget.rate, snap.at);
    let ready = may_write(governed, snap, government, (covered, history))
        .and_then(|()| disk.clone())
        .and_then(|room| match history.round_over(governed.id, snap) {
            Some(of) => Err(Hold::RoundUnderWay(of)),
            None => Ok(room),
        })
        .and_then(|room| is_open_to_itself(governed, history).map(|()| room))
        .and_then(|room| Ok((room, known_cold(governed, rule)?)));
    let decided = ready.and_then(|(room, cold)| {
        bounded(cold, rule, (&ledger, day), room, snap).map(|(pages, bound)| (cold, pages, bound))
    });
    let (step, pages) = match decided {
        Ok((cold, pages, bound)) => {
            if let Ok(Some(room)) = disk {
                *room = room.saturating_sub(pages.bytes(snap.page_size));
            }
            let action = Action::Writeback { cgroup: governed.id, older_than: rule.older_than, pages };
            let Cold { older_than, pages: all, oldest, .. } = cold;
            (Some(governed.step(action, Reason::Cold { cold: all, oldest, older_than, bound })), pages)
        }
        Err(hold) => {
            hold_once(governed.held(hold), held);
            (None, Pages(0))
        }
    };
    if let Some(hold) = too_full(governed, rule, pages, snap) {
        hold_once(governed.held(hold), held);
    }
    step
}

/// Notes a hold unless the limits of the same cgroup, just before, noted it already.
fn hold_once(new: Held, held: &mut Vec<Held>) {
    let mut same_cgroup = held.iter().rev().take_while(|held| held.cgroup == new.cgroup);
    if !same_cgroup.any(|held| *held == new) {
        held.push(new);
    }
}

/// Whether pages of this cgroup can and may be written at all.
fn may_write(
    governed: Governed<'_>,
    snap: &Snapshot,
    government: &Government<'_>,
    (covered, history): (&BTreeMap<CgroupId, CgroupId>, &History),
) -> Result<(), Hold> {
    if snap.host.swap_total == Bytes(0) {
        return Err(Hold::NoDisk);
    }
    match &snap.host.writeback {
        Writeback::Ready(_) => {}
        Writeback::None(why) => return Err(Hold::NoDialect(why.clone())),
        Writeback::Uncharged => return Err(Hold::Uncharged),
    }
    if let MapHealth::Absent(why) = &snap.host.map {
        return Err(Hold::NoMap(why.clone()));
    }
    if let Some(below) = covered.get(&governed.id) {
        return Err(Hold::LeftToBelow(*below));
    }
    if governed.view.settings.valve().is_none() {
        return Err(Hold::Unknown("memory.zswap.writeback".to_owned()));
    }
    open_above(governed, snap, government, history)
}

/// A valve that its own policy closes is opened for the round. One that somebody else closed is their decision.
fn is_open_to_itself(governed: Governed<'_>, history: &History) -> Result<(), Hold> {
    let wanted = governed.policy.tiers().and_then(wanted_valve).map(|(open, _)| open);
    let is_foreign = || history.is_foreign(governed.id, Knob::ZswapWriteback);
    let is_theirs = match wanted {
        Some(false) => false,
        Some(true) => is_foreign(),
        None => true,
    };
    let is_closed = governed.view.settings.valve() == Some(false);
    if is_closed && is_theirs { Err(Hold::ClosedHere) } else { Ok(()) }
}

/// `memory.zswap.writeback` is hierarchical: one 0 above closes all below. One that is closed by its own policy, which
/// demotes itself, is opened for the round; any other is somebody's decision.
fn open_above(
    governed: Governed<'_>,
    snap: &Snapshot,
    government: &Government<'_>,
    history: &History,
) -> Result<(), Hold> {
    for (id, view) in snap.above(governed.id).filter(|(_, view)| !view.path.is_root()) {
        let policy = government.get(&id).map(|governed| governed.policy);
        let is_theirs = history.is_foreign(id, Knob::ZswapWriteback);
        let wanted = policy.and_then(|policy| policy.tiers()).and_then(wanted_valve).map(|(open, _)| open);
        let wanted = wanted.filter(|_| !is_theirs);
        if wanted == Some(false) && policy.is_some_and(|policy| policy.demote().is_some()) {
            continue;
        }
        match wanted.or(view.settings.valve()) {
            Some(true) => {}
            Some(false) => return Err(Hold::ClosedAbove(id)),
            None => return Err(Hold::Unknown(format!("memory.zswap.writeback of {}", view.path))),
        }
    }
    Ok(())
}

/// The cold pages at the policy's age; another age is not an answer.
fn known_cold(governed: Governed<'_>, rule: &DemoteRule) -> Result<Cold, Hold> {
    match governed.view.cold {
        Some(cold) if cold.older_than == rule.older_than => Ok(cold),
        _ => Err(Hold::Unknown(format!("number of pages older than {}", rule.older_than))),
    }
}

/// The least a round of this budget moves: a budget smaller than [`LEAST`] is its own least.
pub(crate) fn least_round(budget: &Budget, page_size: Bytes) -> Pages {
    LEAST.min(budget.round.whole_pages(page_size)).max(Pages(1))
}

/// How many pages go, and what set that number.
fn bounded(
    cold: Cold,
    rule: &DemoteRule,
    (ledger, day): (&Ledger, Option<Bytes>),
    room: Option<Bytes>,
    snap: &Snapshot,
) -> Result<(Pages, Bound), Hold> {
    let (budget, page_size) = (&rule.budget, snap.page_size);
    let least = least_round(budget, page_size);
    if cold.pages == Pages(0) {
        return Err(Hold::NothingCold { older_than: rule.older_than });
    }
    if cold.pages < least {
        return Err(Hold::TooFew { cold: cold.pages, least });
    }
    if let Some(wait) = ledger.cooldown(snap.at) {
        return Err(Hold::Cooldown(wait));
    }
    let budgets = [
        (Some(budget.round), Bound::Round),
        (day, Bound::Day),
        (ledger.rate_left(budget), Bound::Rate),
        (room, Bound::Pool),
    ];
    let (mut pages, mut bound) = (cold.pages, Bound::AllCold);
    for (left, which) in budgets {
        let Some(left) = left else { continue };
        if left.whole_pages(page_size) < least {
            let wait = (which == Bound::Rate).then(|| until(least.bytes(page_size), left, budget));
            return Err(Hold::Budget { bound: which, left, wait });
        }
        if left.whole_pages(page_size) < pages {
            (pages, bound) = (left.whole_pages(page_size), which);
        }
    }
    Ok((pages, bound))
}

/// How long `budget.rate` takes to bring `left` up to `needed`.
fn until(needed: Bytes, left: Bytes, budget: &Budget) -> Seconds {
    let rate = budget.rate.map_or(1, |rate| rate.0.max(1));
    Seconds(needed.saturating_sub(left).0.div_ceil(rate))
}

/// Whether zswap stays above the `keep_free` mark after a round of `pages`.
fn too_full(governed: Governed<'_>, rule: &DemoteRule, pages: Pages, snap: &Snapshot) -> Option<Hold> {
    if rule.keep_free.0 == 0 {
        return None;
    }
    let freed = governed.view.cold.map_or(Bytes(0), |cold| cold.compressed_of(pages));
    let tiers = governed.policy.tiers()?;
    let unknown = |what: &str| Some(Hold::Unknown(what.to_owned()));
    if let Some(limit) = zswap_limit(tiers, governed.view, snap) {
        let mark = rule.keep_free.rest().of(limit);
        let Some(used) = governed.view.zswap_compressed else { return unknown("zswap of memory.stat") };
        let compressed = used.saturating_sub(freed);
        return (compressed > mark).then_some(Hold::KeepFree { compressed, mark });
    }
    let (Some(used), Some(limit)) = (snap.host.pool_compressed, snap.host.pool_limit) else {
        return unknown("size or limit of the zswap pool");
    };
    let (compressed, mark) = (used.saturating_sub(freed), rule.keep_free.rest().of(limit));
    (compressed > mark).then_some(Hold::PoolNearLimit { compressed, mark })
}
