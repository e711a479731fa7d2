//! The gate: whether anything may be written to swap areas at all. Areas and pools → open, closed and why, or unknown.
//!
//! A ghost area has no storage: a write to it fails, the page stays in RAM, and the kernel tries again and again. The
//! kernel fills areas by priority, for all cgroups alike, so what can land in a ghost is everyone's pages; the one file
//! that closes the way to disk for everyone is the root's `memory.zswap.writeback`, since a 0 closes all below. The
//! same file stops a pool that runs full. Nobody but a policy's owner can want either open, so this is the one value
//! that is written again when somebody else has changed it.
//!
//! Properties, each with a law in `tests/laws.rs`:
//! - while the gate is closed no step opens a way to disk and none writes back;
//! - an area or a pool of which less is known adds no step.

use crate::area::{AreaKind, AreaView, Level, PoolView};
use crate::asker::Asker;
use crate::history::{AreaMemory, History};
use crate::knob::{Knob, Setting};
use crate::plan::{Action, Basis, Closed, Held, Hold, Plan, Reason, Step};
use crate::snapshot::{CgroupId, CgroupView, Snapshot};
use crate::units::{Bytes, Limit, Pages, Share, WHOLE};
use crate::want::{Because, Want, Wanted};

/// From this part of the areas before a ghost on, pages are about to land in the ghost; and below the second no more.
const NEAR: (Share, Share) = (Share(900_000), Share(850_000));

/// What may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Policies decide.
    Open,
    /// Nothing, and why.
    Closed(Closed),
    /// How full a pool is could not be read: nothing is opened, closed or demoted on that.
    Unknown(String),
}

/// Takes in what the areas look like now: levels, and whether the gate was seen shut.
pub(crate) fn look(snap: &Snapshot, history: &mut History) {
    let areas = &snap.host.areas;
    history.areas.levels.retain(|name, _| pools(areas).any(|pool| pool.name == *name));
    for pool in pools(areas) {
        let before = history.level(&pool.name);
        let level = if pool.refuses { Level::Stopped } else { pool.marks.level(pool.fullest().1, before) };
        // Two areas of one pool say the same of it, so the second changes nothing.
        history.areas.levels.insert(pool.name.clone(), level);
    }
    history.areas.refusing = pools(areas).filter(|pool| pool.refuses).map(|pool| pool.name.clone()).collect();
    history.areas.is_near = before_ghosts(areas).is_some_and(|share| {
        let (enter, leave) = NEAR;
        share >= if history.areas.is_near { leave } else { enter }
    });
    history.areas.closed = match gate(snap, history) {
        Gate::Closed(because) => Some(because),
        Gate::Open | Gate::Unknown(_) => None,
    };
    history.areas.is_stopped = stopped(snap, history).is_some();
    history.areas.is_dark = dark(snap).is_some();
    let is_shut = root(snap).and_then(|root| root.settings.valve()) == Some(false);
    history.areas.was_shut = history.areas.closed.is_some() && (is_shut || history.areas.was_shut);
    let before = std::mem::take(&mut history.areas.empty_since);
    let since = |area: &AreaView| match before.get(&area.name).copied().flatten() {
        // A clock that began anew counts from here.
        Some(since) if area.used == Pages(0) => Some(since.min(snap.at)),
        _ => (area.used == Pages(0)).then_some(snap.at),
    };
    history.areas.empty_since = areas.iter().map(|area| (area.name.clone(), since(area))).collect();
}

/// Whether the gate is to be closed and reads open: worth a decision at once.
pub(crate) fn is_due(snap: &Snapshot, history: &History) -> bool {
    history.areas.closed.is_some() && root(snap).and_then(|root| root.settings.valve()) == Some(true)
}

/// What the areas ask for, as of the last look: when that changes a decision does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The gate is to be closed.
    pub(crate) is_closed: bool,
    /// Nothing more is to be swapped out.
    pub(crate) is_stopped: bool,
    /// Whether all pools answered; if not, nothing is to be opened on the rest.
    pub(crate) is_known: bool,
}

/// What the areas ask for.
pub(crate) fn asks(history: &History) -> Asked {
    let AreaMemory { closed, is_stopped, is_dark, .. } = &history.areas;
    Asked { is_closed: closed.is_some(), is_stopped: *is_stopped, is_known: !is_dark }
}

/// Why nothing may be written back now, whoever asks; `None`: nothing is against it.
pub(crate) fn refusal(snap: &Snapshot, history: &History) -> Option<Hold> {
    may_demote(snap, history).err()
}

/// The pools that are known.
pub(crate) fn pools(areas: &[AreaView]) -> impl Iterator<Item = &PoolView> {
    areas.iter().filter_map(|area| area.pool.as_ref())
}

/// The part in use of all areas with storage that are filled before the first ghost; `None` where there is none.
fn before_ghosts(areas: &[AreaView]) -> Option<Share> {
    let ghost = areas.iter().filter(|area| area.kind.is_ghost()).map(|area| area.priority).max()?;
    let before = areas.iter().filter(|area| !area.kind.is_ghost() && area.priority > ghost);
    let (used, slots) = before.fold((0u128, 0u128), |(used, slots), area| {
        (used + u128::from(area.used.0), slots + u128::from(area.slots.0))
    });
    let share = (used * u128::from(WHOLE)).checked_div(slots)?;
    Some(Share(u32::try_from(share).unwrap_or(WHOLE)))
}

/// Judges what was taken in.
pub(crate) fn gate(snap: &Snapshot, history: &History) -> Gate {
    let areas = &snap.host.areas;
    if let Some(closed) = by_ghosts(areas, history.areas.is_near) {
        return Gate::Closed(closed);
    }
    let full = pools(areas).find(|pool| level(pool, history) >= Level::Closed);
    if let Some(pool) = full {
        return Gate::Closed(Closed::pool(pool, level(pool, history)));
    }
    dark(snap).map_or(Gate::Open, Gate::Unknown)
}

/// A pool of which it is not known how full it is, as a hold names it.
pub(super) fn dark(snap: &Snapshot) -> Option<String> {
    let is_dark = |area: &&AreaView| area.kind == AreaKind::Virtual && area.pool.is_none();
    snap.host.areas.iter().find(is_dark).map(|area| format!("how full the pool of {} is", area.name))
}

/// What the ghosts among the areas make necessary, by priority and use. `is_near`: the areas before them are about full.
pub(crate) fn by_ghosts(areas: &[AreaView], is_near: bool) -> Option<Closed> {
    let first = |is_ghost: bool| {
        let mut of_kind: Vec<&AreaView> = areas.iter().filter(|a| a.kind.is_ghost() == is_ghost).collect();
        of_kind.sort_by(|one, other| (other.priority, &one.name).cmp(&(one.priority, &other.name)));
        of_kind.first().copied()
    };
    let ghost = first(true)?;
    let name = |area: &AreaView| area.name.clone();
    let Some(disk) = first(false) else { return Some(Closed::OnlyGhosts { ghost: name(ghost) }) };
    if ghost.priority >= disk.priority {
        return Some(Closed::GhostFirst { ghost: name(ghost), disk: name(disk) });
    }
    let used = areas.iter().find(|area| area.kind.is_ghost() && area.used > Pages(0));
    if let Some(used) = used {
        return Some(Closed::GhostUsed { ghost: name(used), used: used.used });
    }
    is_near.then(|| Closed::GhostNext { ghost: name(ghost), disk: name(disk) })
}

/// How far a pool has come. With zswap off a closed valve holds nothing back, so that closing means stopping.
pub(crate) fn level(pool: &PoolView, history: &History) -> Level {
    history.level(&pool.name)
}

/// The pool because of which nothing more is to be swapped out.
pub(crate) fn stopped(snap: &Snapshot, history: &History) -> Option<(String, Share)> {
    let least = if snap.host.zswap_enabled { Level::Stopped } else { Level::Closed };
    let full = pools(&snap.host.areas).find(|pool| level(pool, history) >= least)?;
    Some((full.name.clone(), full.fullest().1))
}

/// Why nothing may be demoted, if so; else how many bytes *on disk* may be before a mark is met.
pub(crate) fn may_demote(snap: &Snapshot, history: &History) -> Result<Option<Bytes>, Hold> {
    match gate(snap, history) {
        Gate::Closed(closed) => return Err(Hold::Gate(closed)),
        Gate::Unknown(what) => return Err(Hold::Unknown(what)),
        Gate::Open => {}
    }
    let held = pools(&snap.host.areas).find(|pool| level(pool, history) >= Level::NoDemotion);
    if let Some(pool) = held {
        let (part, used) = pool.fullest();
        let (mark, resume) = (pool.marks.demote, pool.marks.resume);
        return Err(Hold::PoolMark { pool: pool.name.clone(), part, used, mark, resume });
    }
    let room = pools(&snap.host.areas).map(|pool| pool.until(pool.marks.demote)).min();
    Ok(room.map(|room| room.saturating_sub(history.promised(snap.page_size))))
}

/// What the areas want of kernel files, with the steps and holds that follow: the root's valve closed, and lower limits where
/// a pool is full and no policy gives one (`is_limited`).
pub(super) fn close(
    snap: &Snapshot,
    history: &History,
    plan: &mut Plan,
    is_limited: impl Fn(CgroupId) -> bool,
) {
    match gate(snap, history) {
        Gate::Open => {}
        Gate::Unknown(what) => unclear(CgroupId::ROOT, Knob::ZswapWriteback, Hold::Unknown(what), plan),
        Gate::Closed(because) => shut(because, snap, history, plan),
    }
    let (full, dark) = (stopped(snap, history), dark(snap));
    let top = snap.cgroups.iter().filter(|(id, view)| is_top(view) && view.has_memory() && !is_limited(**id));
    let mut top: Vec<_> = top.filter(|_| full.is_some() || dark.is_some()).collect();
    top.sort_by(|one, other| (&one.1.path, one.0).cmp(&(&other.1.path, other.0)));
    for (id, view) in top {
        match &full {
            Some(full) => lower((*id, view), full, snap, plan),
            // A limit that was lowered is no reason to raise it while nothing is known; that is held once, at the root.
            None => {
                let what = dark.clone().unwrap_or_default();
                plan.wants.insert(*id, Knob::SwapMax, Wanted::Unclear(Hold::Unknown(what)));
            }
        }
    }
}

/// A file of which the areas ask something that is not known.
fn unclear(cgroup: CgroupId, knob: Knob, hold: Hold, plan: &mut Plan) {
    plan.held.push(Held { cgroup, by: Asker::Areas, hold: hold.clone() });
    plan.wants.insert(cgroup, knob, Wanted::Unclear(hold));
}

/// The root's valve is to be closed.
fn shut(because: Closed, snap: &Snapshot, history: &History, plan: &mut Plan) {
    let (cgroup, knob, to) = (CgroupId::ROOT, Knob::ZswapWriteback, Setting::Valve(false));
    let Some(from) = root(snap).and_then(|root| root.settings.get(knob)) else {
        return unclear(cgroup, knob, Hold::Unknown(format!("{} of the root", knob.file())), plan);
    };
    let want = Want { to, by: Asker::Areas, because: Because::Gate(because.clone()) };
    if from != to {
        let reason = if history.areas.was_shut { Reason::Reopened { because } } else { want.reason(from) };
        plan.steps.push(Step { action: Action::Set { cgroup, knob, to }, by: Asker::Areas, reason });
    }
    plan.wants.insert(cgroup, knob, Wanted::This(want));
}

/// The limit of a cgroup is to let nothing more out.
fn lower(
    (cgroup, view): (CgroupId, &CgroupView),
    (pool, used): &(String, Share),
    snap: &Snapshot,
    plan: &mut Plan,
) {
    let knob = Knob::SwapMax;
    let because = Because::Limit(Basis::PoolFull { pool: pool.clone(), used: *used });
    let (from, to) = match (clamp(view, snap), view.settings.limit(knob)) {
        (Ok(Some((from, to))), _) => (from, to),
        // Low enough already.
        (Ok(None), Some(now)) => (now, now),
        (Ok(None), None) => return,
        (Err(hold), _) => return unclear(cgroup, knob, hold, plan),
    };
    let want = Want { to: Setting::Limit(to), by: Asker::Areas, because };
    if from != to {
        let (action, reason) = (Action::Set { cgroup, knob, to: want.to }, want.reason(Setting::Limit(from)));
        plan.steps.push(Step { action, by: Asker::Areas, reason });
    }
    plan.wants.insert(cgroup, knob, Wanted::This(want));
}

/// The present limit of swap and the one that lets nothing more out; `None` when the present one is that low already.
///
/// A limit a little above what is in swap is left: pages that come back make room on the disk too, and a limit that
/// followed each of them would be written all the time.
pub(super) fn clamp(view: &CgroupView, snap: &Snapshot) -> Result<Option<(Limit, Limit)>, Hold> {
    let unknown = |file: &str| Hold::Unknown(file.to_owned());
    let from = view.settings.limit(Knob::SwapMax).ok_or_else(|| unknown(Knob::SwapMax.file()))?;
    let current = view.swap_current.ok_or_else(|| unknown("memory.swap.current"))?;
    let slack = Bytes(current.0 / 8).saturating_add(Bytes(1 << 20));
    let to = Limit::Bytes(current).as_kernel_keeps_it(snap.page_size);
    Ok((from > Limit::Bytes(current.saturating_add(slack)) && from > to).then_some((from, to)))
}

/// Whether a cgroup is one of those right below the root, whose limits hold for all below them.
pub(super) fn is_top(view: &CgroupView) -> bool {
    view.parent == Some(CgroupId::ROOT)
}

fn root(snap: &Snapshot) -> Option<&CgroupView> {
    snap.cgroups.get(&CgroupId::ROOT)
}
