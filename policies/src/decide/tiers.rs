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
use crate::plan::{Action, Basis, Hold, Plan, Reason, Valve, Whole};
use crate::rules::{Amount, Overflow, TierRule, Use};
use crate::snapshot::{CgroupView, Snapshot};
use crate::units::{Bytes, Limit, Share};

/// Adds the steps and holds of one cgroup's limits.
pub(super) fn limit(governed: Governed<'_>, snap: &Snapshot, plan: &mut Plan) {
    let Some(rule) = governed.policy.tiers() else { return };
    let view = governed.view;
    if rule.uses.zswap() && !snap.host.zswap_enabled {
        plan.held.push(governed.held(Hold::ZswapOff));
    }
    if rule.uses != Use::Nothing && snap.host.swap_total == Bytes(0) {
        plan.held.push(governed.held(Hold::NoDisk));
    }
    let valve = wanted_valve(rule);
    if let Some((false, because)) = valve {
        set_valve(governed, false, because, plan);
    }
    if let Some(wanted) = wanted_zswap(rule, view, snap) {
        let step = |to| Action::SetZswapMax { cgroup: governed.id, to };
        set_limit(governed, "memory.zswap.max", view.zswap_max, wanted, step, snap, plan);
    }
    let step = |to| Action::SetSwapMax { cgroup: governed.id, to };
    set_limit(governed, "memory.swap.max", view.swap_max, wanted_swap(rule, view, snap), step, snap, plan);
    if let Some((true, because)) = valve {
        set_valve(governed, true, because, plan);
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

fn set_valve(governed: Governed<'_>, to: bool, because: Valve, plan: &mut Plan) {
    match governed.view.zswap_writeback {
        None => plan.held.push(governed.held(Hold::Unknown("memory.zswap.writeback".to_owned()))),
        Some(from) if from != to => {
            let action = Action::SetZswapWriteback { cgroup: governed.id, to };
            plan.steps.push(governed.step(action, Reason::Valve { from, because }));
        }
        Some(_) => {}
    }
}
