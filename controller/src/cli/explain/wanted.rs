//! What a policy wants of each kernel file, told apart from what the file says. Pure.
//!
//! There is one place that knows what a policy wants: `decide`. It only speaks of files that say otherwise, so it is
//! asked about a cgroup whose files say what no policy can want.

use swaptier_policies::{
    Action, Bytes, CgroupId, CgroupView, History, Limit, Plan, PolicySet, Reason, Snapshot, decide,
};

use super::Knob;

/// One byte: limits are wanted in whole pages, so this is never one.
const NOBODYS: Limit = Limit::Bytes(Bytes(1));

/// The files of the cgroup that policies set. Who set them is not known here.
pub(super) fn knobs(snapshot: &Snapshot, policies: &PolicySet, id: CgroupId) -> Vec<Knob> {
    let Some(view) = snapshot.cgroups.get(&id) else { return Vec::new() };
    // A valve has two values, so both are asked about.
    let plans = [false, true].map(|valve| plan(snapshot, policies, id, valve));
    let steps = || plans.iter().flat_map(|plan| plan.steps.iter()).filter(|step| step.action.cgroup() == id);
    let limit = |file, current: Option<Limit>, pick: fn(&Action) -> Option<Limit>| {
        let wanted = steps().find_map(|step| Some((pick(&step.action)?, &step.reason)));
        let wanted = wanted.map(|(to, reason)| (as_the_kernel_says(to), basis(reason)));
        knob(file, current.map(as_the_kernel_says), wanted, view, policies)
    };
    let valve = steps().find_map(|step| match (step.action, &step.reason) {
        (Action::SetZswapWriteback { to, .. }, Reason::Valve { because, .. }) => {
            Some((u8::from(to).to_string(), because.to_string()))
        }
        (Action::SetZswapWriteback { to, .. }, Reason::Gate { because, .. }) => {
            Some((u8::from(to).to_string(), because.to_string()))
        }
        _ => None,
    });
    let current = view.zswap_writeback.map(|open| u8::from(open).to_string());
    vec![
        limit("memory.swap.max", view.swap_max, |action| match action {
            Action::SetSwapMax { to, .. } => Some(*to),
            _ => None,
        }),
        limit("memory.zswap.max", view.zswap_max, |action| match action {
            Action::SetZswapMax { to, .. } => Some(*to),
            _ => None,
        }),
        knob("memory.zswap.writeback", current, valve, view, policies),
    ]
}

fn plan(snapshot: &Snapshot, policies: &PolicySet, id: CgroupId, valve: bool) -> Plan {
    let mut asked = snapshot.clone();
    if let Some(view) = asked.cgroups.get_mut(&id) {
        view.swap_max = view.swap_max.map(|_| NOBODYS);
        view.zswap_max = view.zswap_max.map(|_| NOBODYS);
        view.zswap_writeback = view.zswap_writeback.map(|_| valve);
    }
    decide(&asked, policies, &mut History::default())
}

fn knob(
    file: &'static str,
    current: Option<String>,
    wanted: Option<(String, String)>,
    view: &CgroupView,
    policies: &PolicySet,
) -> Knob {
    let (wanted, because) = match wanted {
        Some((value, because)) => (Some(value), because),
        None => (None, unwanted(current.is_some(), view, policies)),
    };
    Knob { file, current, wanted, because, set_by: "not known".to_owned() }
}

/// Why nothing is wanted of a file.
fn unwanted(is_there: bool, view: &CgroupView, policies: &PolicySet) -> String {
    match policies.resolve(&view.path) {
        None => "no policy".to_owned(),
        Some(policy) if policy.tiers().is_none() => "the policy has no [tiers]".to_owned(),
        Some(_) if !view.has_memory() => "the memory controller is off here".to_owned(),
        Some(_) if !is_there => "this kernel has no such file".to_owned(),
        Some(_) if view.memory_high.is_none() || view.memory_max.is_none() => {
            "memory.high or memory.max is unknown".to_owned()
        }
        Some(_) => "the policy leaves it alone".to_owned(),
    }
}

fn basis(reason: &Reason) -> String {
    match reason {
        Reason::Limit { basis, .. } => basis.to_string(),
        other => other.to_string(),
    }
}

fn as_the_kernel_says(limit: Limit) -> String {
    limit.finite().map_or_else(|| "max".to_owned(), |bytes| bytes.0.to_string())
}
