//! What swaptier itself has on this host: its agent, what that changed, its configuration.

use swaptier_policies::{AreaKind, Level::Free, fate};

use super::{unseen, zswap};
use crate::{
    agent,
    cli::{settings, status},
    config::Config,
    journal::Undo,
    probe::{About, Finding, Level},
    root::Root,
    sense,
    serve::absence::Absence,
    vswap::{AreaError, Seen},
};

/// Looks at all three, and at what cannot be looked at. `told` was found before.
pub(super) fn findings(root: &Root, told: &[Finding]) -> Vec<Finding> {
    let (agent, is_running, lost) = of_agent(root);
    let (configuration, config) = configuration(root);
    let mut findings = vec![configuration, agent, changes(root, &config, is_running)];
    findings.extend(zswap::findings(root, &config, is_running));
    findings.extend(unseen::cgroups(root));
    findings.extend(areas(root, &config));
    if is_running == Some(false) {
        findings.extend(refused(root, &config));
    }
    findings.extend(slot_cost(root));
    let more = untold(lost, told.iter().chain(&findings));
    findings.extend(more);
    findings
}

/// What the agent lacks, but for what is found here as well: that is told once, where its mend stands.
fn untold<'a>(lost: Vec<String>, told: impl Iterator<Item = &'a Finding> + Clone) -> Vec<Finding> {
    let is_told = |line: &String| told.clone().any(|finding| finding.says.contains(line));
    let lost = lost.into_iter().filter(|line| !is_told(line));
    lost.map(|says| Finding::new(About::Agent, Level::Warn, says)).collect()
}

/// Whether a zram device is swap that is none of swaptier's ghosts. So it is where the areas cannot be read.
pub(super) fn has_zram_of_others(root: &Root) -> bool {
    let areas = settings::configured_areas(root, &configuration(root).1);
    areas.map_or(true, |seen| seen.views.iter().any(|area| area.kind == AreaKind::Zram))
}

/// What the swap areas make of each policy, where that is worth a word; and pools that are past a mark.
fn areas(root: &Root, config: &Config) -> Vec<Finding> {
    let finding = |level, says: String| Finding::new(About::SwapAreas, level, says);
    let Seen { views: areas, unseen, .. } = match settings::configured_areas(root, config) {
        Ok(seen) => seen,
        Err(failure) => return vec![finding(Level::Lost, failure.text())],
    };
    let on = sense::swaps::read(root).map_or(areas.len(), |swaps| swaps.len());
    let mut findings: Vec<Finding> = unseen::areas(&unseen, on).into_iter().collect();
    for pool in areas.iter().filter_map(|area| area.pool.as_ref()) {
        let ((part, used), level) = (pool.fullest(), pool.marks.level(pool.fullest().1, Free));
        let says = format!("{used} of the {part} of the pool {} is in use: {level}", pool.name);
        findings.push(match level {
            Free => finding(Level::Ok, says),
            _ => finding(Level::Warn, says).fix("add a disk to it, or free swap"),
        });
    }
    let Ok(policies) = settings::policies(root, config) else { return findings };
    let has_ghost = areas.iter().any(|area| area.kind.is_ghost());
    for policy in policies.iter() {
        match fate(policy, &areas) {
            Some(fate) if !fate.can_work && !areas.is_empty() => {
                let says = format!("{} cannot work: {}", policy.name(), fate.says);
                let fix =
                    "leave `disk` out of its `tiers.use`, or give a disk a higher priority than every ghost";
                findings.push(finding(Level::Lost, says).fix(fix));
            }
            Some(fate) if has_ghost => {
                findings.push(finding(Level::Ok, format!("{}: {}", policy.name(), fate.says)));
            }
            _ => {}
        }
    }
    findings
}

/// The areas of the configuration for which a start would be refused now. A list that cannot be read is told with the areas.
fn refused(root: &Root, config: &Config) -> Vec<Finding> {
    let refused = match config.areas.is_empty() {
        true => Vec::new(),
        false => agent::refusals(root, config, &settings::state_dir(root, config)).unwrap_or_default(),
    };
    let finding = |(what, error): (String, AreaError)| match error.is_permission() {
        // Root may look, and the agent is root.
        true => {
            Finding::new(About::SwapAreas, Level::Warn, format!("{what}: {error}")).fix("run this as root")
        }
        false => {
            let says = format!("a start would be refused: {what}: {error}");
            Finding::new(About::SwapAreas, Level::Lost, says)
        }
    };
    refused.into_iter().map(finding).collect()
}

/// What a slot costs, if the agent had to measure it.
fn slot_cost(root: &Root) -> Option<Finding> {
    let cost = status::of_agent(root).ok()?.ok()?.host.slot_cost_bytes?;
    let says = format!("an empty swap slot costs {cost:.3} B of kernel memory here, by measurement");
    Some(Finding::new(About::SlotCost, Level::Ok, says))
}

/// The finding, whether it runs, and what it says that it lacks.
fn of_agent(root: &Root) -> (Finding, Option<bool>, Vec<String>) {
    let finding = |level, says: String| Finding::new(About::Agent, level, says);
    match status::of_agent(root) {
        Ok(Ok(status)) => {
            let agent = &status.agent;
            let pid = agent.pid.map_or("?".to_owned(), |pid| pid.to_string());
            let says = format!("running as process {pid}, the map is {}", status.map.state);
            (finding(Level::Ok, says), Some(true), agent.lost.clone())
        }
        Ok(Err(Absence::NotRunning)) => {
            (finding(Level::Ok, "not running".to_owned()), Some(false), Vec::new())
        }
        Ok(Err(absence)) => {
            (finding(Level::Warn, absence.to_string()).fix(absence.remedy()), None, Vec::new())
        }
        Err(failure) => (finding(Level::Warn, failure.text()), None, Vec::new()),
    }
}

/// The finding, and the settings: the defaults where they cannot be read.
fn configuration(root: &Root) -> (Finding, Config) {
    let wrong = |failure: crate::exit::Failure| {
        // Faults come with their remedies, a line each.
        let says = failure.text().replace('\n', "; ");
        Finding::new(About::Configuration, Level::Missing, says)
            .fix("swaptier check shows every fault with its place")
    };
    let config = match settings::config(root) {
        Ok(config) => config,
        Err(failure) => return (wrong(failure), Config::default()),
    };
    let finding = match settings::policies(root, &config) {
        Err(failure) => wrong(failure),
        Ok(policies) if policies.is_empty() => {
            let says = "no policy: the agent watches and changes nothing";
            let fix = format!("put a policy file into {}", config.agent.policy_dirs.join(" or "));
            Finding::new(About::Configuration, Level::Warn, says).fix(fix)
        }
        Ok(policies) => {
            let word = if policies.len() == 1 { "policy" } else { "policies" };
            Finding::new(About::Configuration, Level::Ok, format!("{} {word}, no faults", policies.len()))
        }
    };
    (finding, config)
}

/// What is changed on this host and not given back.
fn changes(root: &Root, config: &Config, is_running: Option<bool>) -> Finding {
    let finding = |level, says: String| Finding::new(About::UndoLog, level, says);
    let pending = match Undo::peek(root, &settings::state_dir(root, config)) {
        Ok(pending) => pending.len(),
        Err(error) => return finding(Level::Warn, error.to_string()),
    };
    let values = if pending == 1 { "1 value is" } else { &format!("{pending} values are") };
    match (pending, is_running) {
        (0, _) => finding(Level::Ok, "nothing is changed on this host".to_owned()),
        (_, Some(true)) => finding(Level::Ok, format!("{values} changed, and noted with what was before")),
        (_, Some(false)) => {
            finding(Level::Warn, format!("{values} as an agent left them, and none is running"))
                .fix("swaptier restore")
        }
        (_, None) => {
            finding(Level::Warn, format!("{values} changed; whether an agent is running is not known"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::FakeRoot, journal::Change};

    fn one(fake: &FakeRoot, about: About) -> Finding {
        findings(fake.root(), &[]).into_iter().find(|finding| finding.about == about).unwrap()
    }

    #[test]
    fn values_without_their_agent_are_told_with_the_way_back() {
        let fake = FakeRoot::host();
        assert_eq!(one(&fake, About::UndoLog).says, "nothing is changed on this host");
        let mut undo = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        undo.note(&[Change::file("sys/x", None, "1", "2", &swaptier_policies::Asker::Settings)]).unwrap();
        let finding = one(&fake, About::UndoLog);
        assert_eq!((finding.level, finding.fix.as_deref()), (Level::Warn, Some("swaptier restore")));
    }

    #[test]
    fn a_policy_that_demotes_over_a_configured_ghost_is_told() {
        let fake = FakeRoot::host();
        let policy = "schema = 1\n[match]\ncgroup = [\"a\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n";
        fake.write("etc/swaptier/policies.d/a.toml", policy);
        let settings =
            |priority: u32| format!("[[area]]\nname = \"g\"\nkind = \"ghost\"\npriority = {priority}\n");
        // The host's own area has the priority -2.
        fake.write("etc/swaptier/swaptier.toml", &settings(5));
        let finding = one(&fake, About::SwapAreas);
        assert_eq!(finding.level, Level::Lost, "{finding:?}");
        assert!(finding.says.starts_with("a.toml cannot work: the ghost g is filled no later than /dev/vda"));
        fake.write("etc/swaptier/swaptier.toml", "");
        assert!(findings(fake.root(), &[]).iter().all(|finding| finding.about != About::SwapAreas));
    }

    #[test]
    fn a_disk_for_which_a_start_would_be_refused_is_told_before_it() {
        let fake = FakeRoot::host();
        let area = "[[area]]\nname = \"main\"\nkind = \"plain\"\ndevices = [\"/dev/nosuch\"]\n";
        fake.write("etc/swaptier/swaptier.toml", area);
        let finding = one(&fake, About::SwapAreas);
        assert_eq!(finding.level, Level::Lost);
        assert!(finding.says.starts_with("a start would be refused: create main: /dev/nosuch: is not there"));
    }

    #[test]
    fn a_list_of_areas_that_cannot_be_used_is_told_with_the_mend() {
        let fake = FakeRoot::host();
        fake.write("var/lib/swaptier/areas.json", "[]");
        let finding = one(&fake, About::SwapAreas);
        assert_eq!(finding.level, Level::Lost);
        assert!(finding.says.contains("areas.json cannot be used, and is left as it is: "), "{finding:?}");
        assert!(finding.says.contains("move it away and restart the agent"), "{finding:?}");
    }

    #[test]
    fn what_the_agent_lacks_is_told_once() {
        let told =
            [Finding::new(About::Cgroups, Level::Lost, "1 cannot be looked at: /a: EACCES").fix("as root")];
        let lost = ["/a: EACCES", "regret is not counted"].map(str::to_owned).to_vec();
        assert_eq!(
            untold(lost, told.iter()),
            [Finding::new(About::Agent, Level::Warn, "regret is not counted")]
        );
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let fake = FakeRoot::host();
        assert_eq!(one(&fake, About::Configuration).level, Level::Warn);
        fake.write("etc/swaptier/swaptier.toml", "[agent]\ntick = \"0s\"\n");
        let finding = one(&fake, About::Configuration);
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.says.contains("swaptier.toml:2:"), "{finding:?}");
    }
}
