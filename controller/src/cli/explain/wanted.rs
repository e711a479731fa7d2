//! What a policy wants of each kernel file, beside what the file says. Pure.

use swaptier_policies::{CgroupId, CgroupView, Knob, PolicySet, Setting, Snapshot, Wanted, decide_afresh};

use super::KnobRow;

/// The files of the cgroup that policies set. Who set them is not known here.
pub(super) fn knobs(snapshot: &Snapshot, policies: &PolicySet, id: CgroupId) -> Vec<KnobRow> {
    let Some(view) = snapshot.cgroups.get(&id) else { return Vec::new() };
    let wants = decide_afresh(snapshot, policies).wants;
    let row = |knob: Knob| {
        let current = view.settings.get(knob);
        let (wanted, because) = match wants.get(id, knob) {
            Some(Wanted::This(want)) => (Some(want.to), want.because.to_string()),
            Some(Wanted::Unclear(_)) if current.is_none() => {
                (None, "this kernel has no such file".to_owned())
            }
            Some(Wanted::Unclear(hold)) => (None, hold.to_string()),
            None => (None, unwanted(view, policies).to_owned()),
        };
        let text = |setting: Option<Setting>| setting.map(Setting::kernel_text);
        let set_by = "not known".to_owned();
        KnobRow { file: knob.file(), current: text(current), wanted: text(wanted), because, set_by }
    };
    let is_told = |knob: &Knob| wants.get(id, *knob).is_some() || view.settings.is_telling(*knob);
    Knob::ALL.into_iter().filter(is_told).map(row).collect()
}

/// Why nothing is asked of a file.
fn unwanted(view: &CgroupView, policies: &PolicySet) -> &'static str {
    match policies.resolve(&view.path) {
        None => "no policy",
        Some(policy) if policy.tiers().is_none() => "the policy has no [tiers]",
        Some(_) => "the policy leaves it alone",
    }
}
