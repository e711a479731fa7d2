//! `[tiers]` → `memory.swap.max`, `memory.zswap.max`, `memory.zswap.writeback`.
//!
//! | `use` | memory.swap.max | memory.zswap.max | memory.zswap.writeback |
//! |---|---|---|---|
//! | `[]` | 0 | – | – |
//! | `["zswap"]` | swap_max | zswap_max | 0 |
//! | `["disk"]` | swap_max | 0 | 1 |
//! | `["zswap", "disk"]` | swap_max | zswap_max | 0 or 1 by `overflow` |
//!
//! A key that is left out leaves its file alone. A step only where the file reads otherwise, and not where somebody made it
//! read so since (`stand`). The way to disk is closed before limits are raised
//! and opened after they are set, so that no page takes a way that neither the old nor the new state allows.

use super::Governed;
use super::gate::{self, Gate};
use crate::history::History;
use crate::knob::{Knob, Setting};
use crate::plan::{Action, Basis, Hold, Plan, Reason, Valve, Whole};
use crate::rules::{Amount, Overflow, TierRule, Use};
use crate::snapshot::{CgroupView, Snapshot};
use crate::stand::{Ask, Look, MOST_RETURNS, Verdict};
use crate::units::{Bytes, Limit, Share};
use crate::want::{Because, Want, Wanted};

/// What is wanted of one file, and by what.
struct Wish {
    knob: Knob,
    /// What the policy asks for.
    ask: Ask,
    /// What that comes to.
    own: Setting,
    /// What the swap areas leave of it.
    want: Want,
}

/// Adds what is wanted of the files of one cgroup, and the steps and holds that follow.
pub(super) fn limit(governed: Governed<'_>, snap: &Snapshot, history: &mut History, plan: &mut Plan) {
    let Some(rule) = governed.policy.tiers() else { return };
    if rule.uses.zswap() && !snap.host.zswap_enabled {
        plan.held.push(governed.held(Hold::ZswapOff));
    }
    if rule.uses != Use::Nothing && snap.host.swap_total == Bytes(0) {
        plan.held.push(governed.held(Hold::NoDisk));
    }
    let gate = gate::gate(snap, history);
    plan.held.extend(held_at(&gate, rule).map(|hold| governed.held(hold)));
    let mut wishes = Vec::new();
    for knob in Knob::ALL {
        let Some((ask, asked)) = asked(knob, rule, governed.view, snap) else {
            history.leave(governed.id, knob);
            continue;
        };
        let wish = asked.and_then(|(own, because)| {
            let (to, because) = left_of((own, because), knob, governed.view, &gate, (snap, history))?;
            let kept = |setting: Setting| setting.as_kernel_keeps_it(snap.page_size);
            Ok(Wish { knob, ask, own: kept(own), want: Want { to: kept(to), by: governed.by(), because } })
        });
        match wish {
            Ok(wish) => wishes.push(wish),
            Err(hold) => unclear(governed, knob, hold, plan),
        }
    }
    // The larger way is opened last: a valve that closes goes before all limits, one that opens after them.
    let opens = |wish: &Wish| wish.want.to == Setting::Valve(true);
    wishes.sort_by_key(|wish| (opens(wish), std::cmp::Reverse(wish.knob)));
    for wish in wishes {
        follow(governed, wish, (snap, history), plan);
    }
}

/// Without the memory controller there is no file: what its policy asks for is not to be had.
pub(super) fn without_controller(governed: Governed<'_>, plan: &mut Plan) {
    let Some(rule) = governed.policy.tiers() else { return };
    plan.held.push(governed.held(Hold::NoController));
    for knob in Knob::ALL.into_iter().filter(|knob| rule.asks_for(*knob)) {
        plan.wants.insert(governed.id, knob, Wanted::Unclear(Hold::NoController));
    }
}

/// A file of which something is asked that is not known.
fn unclear(governed: Governed<'_>, knob: Knob, hold: Hold, plan: &mut Plan) {
    // What is unknown at the gate is held once for all files.
    let held = governed.held(hold.clone());
    if !plan.held.contains(&held) {
        plan.held.push(held);
    }
    plan.wants.insert(governed.id, knob, Wanted::Unclear(hold));
}

/// What is held back at the gate: a way to disk that a policy opens, or that is left open for it.
fn held_at(gate: &Gate, rule: &TierRule) -> Option<Hold> {
    let is_open = wanted_valve(rule).map_or(rule.uses.disk(), |(open, _)| open);
    match gate {
        Gate::Closed(because) if is_open => Some(Hold::Gate(because.clone())),
        Gate::Unknown(what) if is_open => Some(Hold::Unknown(what.clone())),
        Gate::Open | Gate::Closed(_) | Gate::Unknown(_) => None,
    }
}

/// What the swap areas leave of what a policy asks for.
fn left_of(
    asked: (Setting, Because),
    knob: Knob,
    view: &CgroupView,
    gate: &Gate,
    (snap, history): (&Snapshot, &History),
) -> Asked {
    match (knob, asked.0) {
        (Knob::SwapMax, Setting::Limit(limit)) => match within_the_disk(limit, view, snap, history)? {
            Some((to, basis)) => Ok((Setting::Limit(to), Because::Limit(basis))),
            None => Ok(asked),
        },
        // Only an open valve is the gate's business: one that a policy closes stays that policy's.
        (Knob::ZswapWriteback, Setting::Valve(true)) => match gate {
            Gate::Open => Ok(asked),
            Gate::Closed(because) => Ok((Setting::Valve(false), Because::Gate(because.clone()))),
            Gate::Unknown(what) => Err(Hold::Unknown(what.clone())),
        },
        _ => Ok(asked),
    }
}

/// The limit that a full disk under a virtual area allows instead of a wanted one; `None`: that one. A limit further down
/// is covered by the one at the top.
fn within_the_disk(
    wanted: Limit,
    view: &CgroupView,
    snap: &Snapshot,
    history: &History,
) -> Result<Option<(Limit, Basis)>, Hold> {
    if let Some(what) = gate::dark(snap) {
        return Err(Hold::Unknown(what));
    }
    let Some((pool, used)) = gate::stopped(snap, history).filter(|_| gate::is_top(view)) else {
        return Ok(None);
    };
    let basis = Basis::PoolFull { pool, used };
    Ok(match (gate::clamp(view, snap)?, view.settings.limit(Knob::SwapMax)) {
        (Some((_, to)), _) if to < wanted => Some((to, basis)),
        // Low enough already: it is not raised.
        (None, Some(now)) if now < wanted => Some((now, basis)),
        _ => None,
    })
}

/// What `memory.zswap.writeback` is to read between demotions; `None` leaves it alone.
pub(crate) fn wanted_valve(rule: &TierRule) -> Option<(bool, Valve)> {
    match (rule.uses, rule.overflow) {
        (Use::Nothing, _) => None,
        (Use::Zswap, _) => Some((false, Valve::DiskUnused)),
        (Use::ZswapThenDisk, None) => None,
        (Use::ZswapThenDisk, Some(Overflow::Keep)) => Some((false, Valve::OverflowKeep)),
        (Use::ZswapThenDisk, Some(Overflow::Disk)) => Some((true, Valve::OverflowDisk)),
        (Use::Disk, _) => Some((true, Valve::DiskUsed)),
    }
}

/// What a file is to say and where that comes from, or the value that is missing to know it.
type Asked = Result<(Setting, Because), Hold>;

/// What a policy asks of a file; `None`: the file is left alone.
fn asked(knob: Knob, rule: &TierRule, view: &CgroupView, snap: &Snapshot) -> Option<(Ask, Asked)> {
    match (knob, rule.uses) {
        (Knob::SwapMax, Use::Nothing) | (Knob::ZswapMax, Use::Disk) => {
            let unused = (Setting::Limit(Limit::ZERO), Because::Limit(Basis::TierUnused));
            Some((Ask::TierUnused, Ok(unused)))
        }
        (Knob::ZswapWriteback, _) => wanted_valve(rule).map(|(is_open, because)| {
            (Ask::Valve(is_open), Ok((Setting::Valve(is_open), Because::Valve(because))))
        }),
        (_, Use::Nothing) => None,
        (limit, _) => {
            let given = rule.limits.get(limit)?;
            let asked = amount(given, view, snap);
            Some((
                Ask::Amount(given),
                asked.map(|(limit, basis)| (Setting::Limit(limit), Because::Limit(basis))),
            ))
        }
    }
}

/// The bytes of zswap that a cgroup may have, if they are known and not without limit: by its policy, or where that says
/// nothing by whoever set the file.
pub(super) fn zswap_limit(rule: &TierRule, view: &CgroupView, snap: &Snapshot) -> Option<Bytes> {
    let limit = match asked(Knob::ZswapMax, rule, view, snap) {
        Some((_, asked)) => asked.ok()?.0,
        None => view.settings.get(Knob::ZswapMax)?,
    };
    match limit {
        Setting::Limit(limit) => limit.finite(),
        Setting::Valve(_) => None,
    }
}

fn amount(amount: Amount, view: &CgroupView, snap: &Snapshot) -> Result<(Limit, Basis), Hold> {
    match amount {
        Amount::Max => Ok((Limit::Max, Basis::Unlimited)),
        Amount::Bytes(bytes) => Ok((Limit::Bytes(bytes), Basis::Given)),
        Amount::Share(share) => share_of_memory(share, view, snap),
    }
}

/// A share of the tightest of the cgroup's own `memory.high`, `memory.max` and the host's RAM.
fn share_of_memory(share: Share, view: &CgroupView, snap: &Snapshot) -> Result<(Limit, Basis), Hold> {
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

/// Adds what is wanted, and the step, or why there is none.
fn follow(
    governed: Governed<'_>,
    Wish { knob, ask, own, want }: Wish,
    (snap, history): (&Snapshot, &mut History),
    plan: &mut Plan,
) {
    let to = want.to;
    let reason = |from| want.reason(from);
    let Some(now) = governed.view.settings.get(knob) else {
        return unclear(governed, knob, Hold::Unknown(knob.file().to_owned()), plan);
    };
    let action = Action::Set { cgroup: governed.id, knob, to };
    match history.judge(governed.id, knob, Look { ask, own, wanted: to, now }, snap.at) {
        Verdict::Right => {}
        Verdict::Write => plan.steps.push(governed.step(action, reason(now))),
        Verdict::Returned(times) => {
            let most = MOST_RETURNS;
            plan.steps.push(governed.step(action, Reason::Returned { knob, to, times, most }));
        }
        Verdict::Foreign => {
            plan.held.push(governed.held(Hold::Foreign { knob, wanted: own, found: now }));
        }
    }
    plan.wants.insert(governed.id, knob, Wanted::This(want));
}
