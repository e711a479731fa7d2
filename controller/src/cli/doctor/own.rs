//! What swaptier itself has on this host: its agent, what that changed, its configuration.

use swaptier_policies::{AreaKind, Level::Free, fate};

use crate::{
    cli::{settings, status},
    config::Config,
    journal::Undo,
    probe::{Finding, Level},
    root::Root,
};

/// The area of findings that are nobody's fault but the configuration's.
pub(super) const CONFIGURATION: &str = "configuration";

/// Looks at all three.
pub(super) fn findings(root: &Root) -> Vec<Finding> {
    let (agent, is_running) = agent(root);
    let (configuration, config) = configuration(root);
    let mut findings = vec![configuration, agent, changes(root, &config, is_running)];
    findings.extend(areas(root, &config));
    findings.extend(slot_cost(root));
    findings
}

/// Whether a zram device is swap that is none of swaptier's ghosts. So it is where the areas cannot be read.
pub(super) fn has_zram_of_others(root: &Root) -> bool {
    let areas = settings::configured_areas(root, &configuration(root).1);
    areas.map_or(true, |areas| areas.iter().any(|area| area.kind == AreaKind::Zram))
}

/// What the swap areas make of each policy, where that is worth a word; and pools that are past a mark.
fn areas(root: &Root, config: &Config) -> Vec<Finding> {
    let finding = |level, says: String| Finding::new("swap areas", level, says);
    let areas = match settings::configured_areas(root, config) {
        Ok(areas) => areas,
        Err(failure) => return vec![finding(Level::Warn, format!("{:#}", failure.error))],
    };
    let mut findings = Vec::new();
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

/// What a slot costs, if the agent had to measure it.
fn slot_cost(root: &Root) -> Option<Finding> {
    let cost = status::of_agent(root).ok()??.host.slot_cost_bytes?;
    let says = format!("an empty swap slot costs {cost:.3} B of kernel memory here, by measurement");
    Some(Finding::new("slot cost", Level::Ok, says))
}

fn agent(root: &Root) -> (Finding, Option<bool>) {
    let finding = |level, says: String| Finding::new("agent", level, says);
    match status::of_agent(root) {
        Ok(Some(status)) => {
            let agent = &status.agent;
            let pid = agent.pid.map_or("?".to_owned(), |pid| pid.to_string());
            let says = format!("running as process {pid}, the map is {}", status.map.state);
            let level = if agent.lost.is_empty() { Level::Ok } else { Level::Warn };
            let mut lines = vec![says];
            lines.extend(agent.lost.iter().cloned());
            (finding(level, lines.join("; ")), Some(true))
        }
        Ok(None) => (finding(Level::Ok, "not running".to_owned()), Some(false)),
        Err(failure) => (finding(Level::Warn, format!("{:#}", failure.error)), None),
    }
}

/// The finding, and the settings: the defaults where they cannot be read.
fn configuration(root: &Root) -> (Finding, Config) {
    let wrong = |failure: super::super::exit::Failure| {
        // Faults come with their remedies, a line each.
        let says = format!("{:#}", failure.error).replace('\n', "; ");
        Finding::new(CONFIGURATION, Level::Missing, says)
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
            Finding::new(CONFIGURATION, Level::Warn, says).fix(fix)
        }
        Ok(policies) => {
            let word = if policies.len() == 1 { "policy" } else { "policies" };
            Finding::new(CONFIGURATION, Level::Ok, format!("{} {word}, no faults", policies.len()))
        }
    };
    (finding, config)
}

/// What is changed on this host and not given back.
fn changes(root: &Root, config: &Config, is_running: Option<bool>) -> Finding {
    let finding = |level, says: String| Finding::new("undo log", level, says);
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

    fn one(fake: &FakeRoot, area: &str) -> Finding {
        findings(fake.root()).into_iter().find(|finding| finding.area == area).unwrap()
    }

    #[test]
    fn values_without_their_agent_are_told_with_the_way_back() {
        let fake = FakeRoot::host();
        assert_eq!(one(&fake, "undo log").says, "nothing is changed on this host");
        let mut undo = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        undo.note(&[Change::file("sys/x", None, "1", "2", "test")]).unwrap();
        let finding = one(&fake, "undo log");
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
        let finding = one(&fake, "swap areas");
        assert_eq!(finding.level, Level::Lost, "{finding:?}");
        assert!(finding.says.starts_with("a.toml cannot work: the ghost g is filled no later than /dev/vda"));
        fake.write("etc/swaptier/swaptier.toml", "");
        assert!(findings(fake.root()).iter().all(|finding| finding.area != "swap areas"));
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let fake = FakeRoot::host();
        assert_eq!(one(&fake, CONFIGURATION).level, Level::Warn);
        fake.write("etc/swaptier/swaptier.toml", "[agent]\ntick = \"0s\"\n");
        let finding = one(&fake, CONFIGURATION);
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.says.contains("swaptier.toml:2:"), "{finding:?}");
    }
}
