//! `[tiers]` → `memory.swap.max`, `memory.zswap.max`, `memory.zswap.writeback`.
//!
//! | `use` | memory.swap.max | memory.zswap.max | memory.zswap.writeback |
//! |---|---|---|---|
//! | `[]` | 0 | – | – |
//! | `["zswap"]` | swap_max | zswap_max | 0 |
//! | `["disk"]` | swap_max | 0 | 1 |
//! | `["zswap", "disk"]` | swap_max | zswap_max | 1, or 0 with `overflow = "keep"` |
//!
//! Level-triggered: a step only where the file reads otherwise. The way to disk is closed before limits are raised
//! and opened after they are set, so that no page takes a way that neither the old nor the new state allows.

use super::Governed;
use super::gate::{self, Gate};
use crate::history::History;
use crate::plan::{Action, Basis, Hold, Plan, Reason, Valve, Whole};
use crate::rules::{Amount, Overflow, TierRule, Use};
use crate::snapshot::{CgroupView, Snapshot};
use crate::units::{Bytes, Limit, Share};

/// Adds the steps and holds of one cgroup's limits.
pub(super) fn limit(governed: Governed<'_>, snap: &Snapshot, history: &History, plan: &mut Plan) {
    let Some(rule) = governed.policy.tiers() else { return };
    let view = governed.view;
    if rule.uses.zswap() && !snap.host.zswap_enabled {
        plan.held.push(governed.held(Hold::ZswapOff));
    }
    if rule.uses != Use::Nothing && snap.host.swap_total == Bytes(0) {
        plan.held.push(governed.held(Hold::NoDisk));
    }
    let (valve, hold) = gated(wanted_valve(rule), &gate::gate(snap, history));
    plan.held.extend(hold.map(|hold| governed.held(hold)));
    if let Some((false, because)) = &valve {
        set_valve(governed, false, because, plan);
    }
    if let Some(wanted) = wanted_zswap(rule, view, snap) {
        let step = |to| Action::SetZswapMax { cgroup: governed.id, to };
        set_limit(governed, "memory.zswap.max", view.zswap_max, wanted, step, snap, plan);
    }
    let step = |to| Action::SetSwapMax { cgroup: governed.id, to };
    let wanted =
        wanted_swap(rule, view, snap).and_then(|wanted| within_the_disk(wanted, view, snap, history));
    set_limit(governed, "memory.swap.max", view.swap_max, wanted, step, snap, plan);
    if let Some((true, because)) = &valve {
        set_valve(governed, true, because, plan);
    }
}

/// What the valve is to read, with the reason for it.
type Wish = Option<(bool, Reason)>;

/// What becomes of a policy's wish for its valve at the gate, and what is held back there. Only an open valve is the
/// gate's business: one that a policy closes stays that policy's.
fn gated(wanted: Option<(bool, Valve)>, gate: &Gate) -> (Wish, Option<Hold>) {
    match (wanted, gate) {
        (Some((true, _)), Gate::Closed(because)) => {
            let reason = Reason::Gate { because: because.clone(), reopened: false };
            (Some((false, reason)), Some(Hold::Gate(because.clone())))
        }
        (Some((true, _)), Gate::Unknown(what)) => (None, Some(Hold::Unknown(what.clone()))),
        (wanted, _) => (wanted.map(|(to, because)| (to, Reason::Valve { from: !to, because })), None),
    }
}

/// What a full disk under a virtual area leaves of a wanted limit. A limit further down is covered by the one at the
/// top.
fn within_the_disk(wanted: (Limit, Basis), view: &CgroupView, snap: &Snapshot, history: &History) -> Wanted {
    if let Some(what) = gate::dark(snap) {
        return Err(Hold::Unknown(what));
    }
    let Some((pool, used)) = gate::stopped(snap, history).filter(|_| gate::is_top(view)) else {
        return Ok(wanted);
    };
    let basis = Basis::PoolFull { pool, used };
    match (gate::clamp(view, snap)?, view.swap_max) {
        (Some((_, to)), _) if to < wanted.0 => Ok((to, basis)),
        // Low enough already: it is not raised.
        (None, Some(now)) if now < wanted.0 => Ok((now, basis)),
        _ => Ok(wanted),
    }
}

/// What `memory.zswap.writeback` is to read between demotions; `None` leaves it alone.
pub(crate) fn wanted_valve(rule: &TierRule) -> Option<(bool, Valve)> {
    match (rule.uses, rule.overflow) {
        (Use::Nothing, _) => None,
        (Use::Zswap, _) => Some((false, Valve::DiskUnused)),
        (Use::ZswapThenDisk, Overflow::Keep) => Some((false, Valve::OverflowKeep)),
        (Use::Disk, _) | (Use::ZswapThenDisk, Overflow::Disk) => Some((true, Valve::DiskUsed)),
    }
}

/// A limit and where it comes from, or the value that is missing to know it.
type Wanted = Result<(Limit, Basis), Hold>;

fn wanted_swap(rule: &TierRule, view: &CgroupView, snap: &Snapshot) -> Wanted {
    match rule.uses {
        Use::Nothing => Ok((Limit::ZERO, Basis::TierUnused)),
        Use::Zswap | Use::Disk | Use::ZswapThenDisk => amount(rule.swap_max, view, snap),
    }
}

/// `None`: the file is left alone.
fn wanted_zswap(rule: &TierRule, view: &CgroupView, snap: &Snapshot) -> Option<Wanted> {
    match rule.uses {
        Use::Nothing => None,
        Use::Disk => Some(Ok((Limit::ZERO, Basis::TierUnused))),
        Use::Zswap | Use::ZswapThenDisk => Some(amount(rule.zswap_max, view, snap)),
    }
}

/// The bytes of `zswap_max` in force for a cgroup, if its rule gives a finite one that can be known.
pub(super) fn zswap_limit(rule: &TierRule, view: &CgroupView, snap: &Snapshot) -> Option<Bytes> {
    wanted_zswap(rule, view, snap)?.ok()?.0.finite()
}

fn amount(amount: Amount, view: &CgroupView, snap: &Snapshot) -> Wanted {
    match amount {
        Amount::Max => Ok((Limit::Max, Basis::Unlimited)),
        Amount::Bytes(bytes) => Ok((Limit::Bytes(bytes), Basis::Given)),
        Amount::Share(share) => share_of_memory(share, view, snap),
    }
}

/// A share of the tightest of the cgroup's own `memory.high`, `memory.max` and the host's RAM.
fn share_of_memory(share: Share, view: &CgroupView, snap: &Snapshot) -> Wanted {
    let high = view.memory_high.ok_or_else(|| Hold::Unknown("memory.high".to_owned()))?;
    let max = view.memory_max.ok_or_else(|| Hold::Unknown("memory.max".to_owned()))?;
    let known = [
        (high.finite(), Whole::MemoryHigh),
        (max.finite(), Whole::MemoryMax),
        (Some(snap.host.ram), Whole::Ram),
    ];
    let finite = known.into_iter().filter_map(|(bytes, of)| bytes.map(|bytes| (bytes, of)));
    let (whole, of) = finite.min_by_key(|(bytes, _)| *bytes).unwrap_or((snap.host.ram, Whole::Ram));
    Ok((Limit::Bytes(share.of(whole)), Basis::ShareOf { share, of, whole }))
}

fn set_limit(
    governed: Governed<'_>,
    file: &str,
    now: Option<Limit>,
    wanted: Wanted,
    step: impl Fn(Limit) -> Action,
    snap: &Snapshot,
    plan: &mut Plan,
) {
    let (from, (to, basis)) = match (now, wanted) {
        (None, _) => return plan.held.push(governed.held(Hold::Unknown(file.to_owned()))),
        (Some(_), Err(hold)) => return plan.held.push(governed.held(hold)),
        (Some(from), Ok(wanted)) => (from, wanted),
    };
    let to = to.as_kernel_keeps_it(snap.page_size);
    if from != to {
        plan.steps.push(governed.step(step(to), Reason::Limit { from, to, basis }));
    }
}

fn set_valve(governed: Governed<'_>, to: bool, reason: &Reason, plan: &mut Plan) {
    match governed.view.zswap_writeback {
        None => plan.held.push(governed.held(Hold::Unknown("memory.zswap.writeback".to_owned()))),
        Some(from) if from != to => {
            let action = Action::SetZswapWriteback { cgroup: governed.id, to };
            plan.steps.push(governed.step(action, reason.clone()));
        }
        Some(_) => {}
    }
}
