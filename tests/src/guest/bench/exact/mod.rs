//! Is the shadow map what the kernel has? Each scenario brings one kind of page, or one kind of trouble, into swap, and
//! in its quiet phases every figure of the map is compared with the kernel's own. A difference of 1 is a
//! failure; of the events one in 10,000 may be uncounted where runs of probes are skipped.
//!
//! `reading` takes both sides and compares · `kinds` kinds of page · `places` zswap and areas that come and go ·
//! `lives` processes and cgroups that come and go · `crowd` several at once, and the root cgroup
//! readily the kernel takes a processor away.

mod crowd;
mod kinds;
mod lives;
mod places;
mod reading;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Options;
use crate::guest::agent::Agent;
use crate::guest::bpf;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel;
use crate::guest::stage::Stage;
use crate::guest::workload::Workload;

use reading::{Phase, Pulse, Seen};

/// The cgroup above all others of a run.
const SLICE: &str = "exact.slice";

/// What brings pages into swap, and when to look.
#[derive(Clone, Copy)]
pub(in crate::guest) struct Scenario {
    /// Unique.
    pub(in crate::guest) name: &'static str,
    run: fn(&mut Watch) -> Result<()>,
    /// Its pages go to zswap, on every kernel: without one that did, it shows nothing.
    is_of_zswap: bool,
}

const fn of_zswap(name: &'static str, run: fn(&mut Watch) -> Result<()>) -> Scenario {
    Scenario { name, run, is_of_zswap: true }
}

const fn beside_zswap(name: &'static str, run: fn(&mut Watch) -> Result<()>) -> Scenario {
    Scenario { name, run, is_of_zswap: false }
}

/// Every scenario. A new one is a function in the file of its subject, and a row here.
pub(in crate::guest) const SCENARIOS: [Scenario; 19] = [
    beside_zswap("zero-filled", kinds::zero_filled),
    of_zswap("shared-memory", kinds::shared_memory),
    of_zswap("large-folios", kinds::large_folios),
    beside_zswap("incompressible", kinds::incompressible),
    of_zswap("direct-writes", kinds::direct_writes),
    of_zswap("written-back", kinds::written_back),
    of_zswap("zswap-off-and-on", places::zswap_off_and_on),
    of_zswap("areas-come-and-go", places::areas_come_and_go),
    of_zswap("area-priorities", places::area_priorities),
    of_zswap("process-exit", lives::process_exit),
    of_zswap("fork-shared", lives::fork_shared),
    of_zswap("readahead", lives::readahead),
    of_zswap("cgroup-removed", lives::cgroup_removed),
    of_zswap("cgroup-index-reused", lives::cgroup_index_reused),
    of_zswap("four-tasks", crowd::four_tasks),
    of_zswap("four-cgroups", crowd::four_cgroups),
    of_zswap("four-tasks-preempted", crowd::four_tasks_preempted),
    of_zswap("four-cgroups-preempted", crowd::four_cgroups_preempted),
    of_zswap("root-cgroup", crowd::root_cgroup),
];

/// A running agent, and what was seen of it in the scenario at hand.
pub(in crate::guest) struct Watch {
    phases: Vec<Phase>,
    /// The second disk is a swap area now: it cannot be used to empty the kernel's slot caches.
    is_spare_in_use: bool,
    // Dropped in this order.
    bystander: Option<Workload>,
    /// The bystander's; the slice above goes with the last cgroup in it.
    _home: Cgroup,
    agent: Option<Agent>,
    _stage: Stage,
}

/// One line of the output: the phase that differs most, or else the one with most stores, if these are compared, or with
/// most pages in zswap.
#[derive(Debug, Serialize)]
pub(in crate::guest) struct Line {
    kernel: String,
    scenario: &'static str,
    map_pages: u64,
    kernel_pages: u64,
    /// *Compressed*. `None` where the kernel has no such sum: it charges pages of the root cgroup to nobody.
    map_bytes: Option<u64>,
    kernel_bytes: Option<u64>,
    /// Runs of probes that the kernel skipped during the scenario.
    misses: u64,
    /// Pages stored in such runs that the end of their swap-out found in zswap.
    found: u64,
    /// Slots whose word the agent corrected.
    repaired: u64,
    /// Sum of all absolute differences, in all phases, of what is there, and of events counted too often.
    diff: u64,
    /// Events not counted by the end of the worst phase.
    uncounted: u64,
    /// Events the probes could not enter.
    lost_events: u64,
    /// Quiet phases compared.
    phases: usize,
    /// The one shown.
    phase: String,
    /// Every figure compared in it: by the map, by the kernel.
    figures: BTreeMap<&'static str, [u64; 2]>,
}

/// Measures the scenarios asked for.
pub(super) fn run(options: &Options) -> Result<bool> {
    let scenarios = super::chosen(&SCENARIOS, |scenario| scenario.name, options)?;
    let mut watch = Watch::set()?;
    if !options.json {
        println!(
            "scenario                phases  pages by map  by kernel  bytes by map  by kernel  misses  found  diff  uncounted"
        );
    }
    let mut is_exact = true;
    for scenario in scenarios {
        // What one scenario cannot do must not hide what the others show.
        match watch.measure(scenario) {
            Ok(line) => {
                show(&line, options.json)?;
                is_exact &= line.is_exact();
            }
            Err(error) => {
                eprintln!("{}: not carried out: {error:#}", scenario.name);
                is_exact = false;
            }
        }
    }
    watch.finish()?;
    Ok(is_exact)
}

/// What became of the runs of probes while a guest test's scenarios were carried out.
#[derive(Default)]
pub(in crate::guest) struct Skipped {
    /// Those that the kernel skipped.
    pub(in crate::guest) runs: u64,
    /// Pages stored in such runs that were found in zswap all the same.
    pub(in crate::guest) found: u64,
}

/// Carries out these scenarios for a guest test.
///
/// # Errors
/// When one cannot be carried out, or a figure of the map is not the kernel's.
pub(in crate::guest) fn demand(names: &[&str]) -> Result<Skipped> {
    let (mut watch, mut skipped) = (Watch::set()?, Skipped::default());
    for name in names {
        let scenario =
            SCENARIOS.iter().find(|s| s.name == *name).with_context(|| format!("no scenario {name}"))?;
        let line = watch.measure(scenario).with_context(|| (*name).to_owned())?;
        println!(
            "    {name}: {} phases, {} pages, {} runs skipped, {} stores found after them",
            line.phases, line.kernel_pages, line.misses, line.found
        );
        skipped.runs += line.misses;
        skipped.found += line.found;
        let (phase, figures) = (&line.phase, &line.figures);
        let (diff, uncounted) = (line.diff, line.uncounted);
        ensure!(
            line.is_exact(),
            "{name}: {diff} off, {uncounted} events not counted; {phase}: map and kernel have {figures:?}"
        );
    }
    for (program, found) in bpf::programs()?.iter().filter(|(_, found)| found.recursion_misses > 0) {
        println!("    {program}: {} runs of one copy skipped", found.recursion_misses);
    }
    watch.finish().map(|()| skipped)
}

impl Watch {
    /// Swap, zswap, the agent from before the first page, and a bystander whose pages must stay as they are.
    fn set() -> Result<Watch> {
        let stage = Stage::set(40)?;
        let agent = Agent::start(&[])?;
        let home = Cgroup::create(&format!("{SLICE}/bystander"))?;
        let mut bystander = Workload::spawn(&home, "--hot 0 --warm 0 --cold 4M --commands --seed 9")?;
        bystander.command("pageout cold")?;
        Ok(Watch {
            phases: Vec::new(),
            is_spare_in_use: false,
            bystander: Some(bystander),
            _home: home,
            agent: Some(agent),
            _stage: stage,
        })
    }

    /// One scenario from beginning to end.
    fn measure(&mut self, scenario: &Scenario) -> Result<Line> {
        self.phases.clear();
        self.is_spare_in_use = false;
        let before = Seen::now()?.map;
        (scenario.run)(self)?;
        let after = Seen::now()?.map;
        let most = |figure| self.phases.iter().map(|phase| phase.figure(figure)[1]).max().unwrap_or_default();
        let used = most("slots").max(most("zswap_pages"));
        ensure!(used > 0, "the kernel had nothing in swap: this shows nothing");
        ensure!(
            most("zswap_pages") > 0 || !scenario.is_of_zswap,
            "the kernel had nothing in zswap: this shows nothing"
        );
        Ok(line(scenario.name, &self.phases, &before, &after))
    }

    /// A cgroup for a scenario, new and empty.
    fn cgroup(&self, name: &str) -> Result<Cgroup> {
        Cgroup::create(&format!("{SLICE}/{name}"))
    }

    fn finish(mut self) -> Result<()> {
        self.bystander.take().context("the bystander")?.finish().context("the bystander")?;
        self.agent.take().context("the agent")?.stop()
    }
}

/// Of so many skipped runs one may leave an event, a load above all, uncounted: it takes both copies of a program, of which
/// two tasks are preempted on one processor. Without the second copy nearly each would. What is there must be right all the
/// same.
const SKIPPED_FOR_ONE: u64 = 32;

impl Line {
    /// Whether the map is right, and no more events are missing than can be expected.
    fn is_exact(&self) -> bool {
        self.diff == 0 && self.uncounted <= self.misses / SKIPPED_FOR_ONE
    }
}

fn line(scenario: &'static str, phases: &[Phase], before: &Pulse, after: &Pulse) -> Line {
    let most = phases
        .iter()
        .max_by_key(|p| {
            (p.diff() + p.uncounted(), ["stored", "zswap_pages", "slots"].map(|name| p.figure(name)[1]))
        })
        .cloned()
        .unwrap_or_default();
    let bytes = most.figures.get("zswap_bytes").copied();
    let misses = after.recursion_misses.saturating_sub(before.recursion_misses);
    Line {
        kernel: kernel::release(),
        scenario,
        map_pages: most.figure("zswap_pages")[0],
        kernel_pages: most.figure("zswap_pages")[1],
        map_bytes: bytes.map(|b| b[0]),
        kernel_bytes: bytes.map(|b| b[1]),
        misses,
        found: after.found_stores.saturating_sub(before.found_stores),
        repaired: after.repaired.saturating_sub(before.repaired),
        diff: phases.iter().map(Phase::diff).sum(),
        uncounted: phases.iter().map(Phase::uncounted).max().unwrap_or_default(),
        lost_events: after.missed_events.saturating_sub(before.missed_events),
        phases: phases.len(),
        phase: most.name,
        figures: most.figures,
    }
}

fn show(line: &Line, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(line).context("figures as JSON")?);
        return Ok(());
    }
    let bytes = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    println!(
        "{:<23} {:>6}  {:>12}  {:>9}  {:>12}  {:>9}  {:>6}  {:>5}  {:>4}  {:>9}",
        line.scenario,
        line.phases,
        line.map_pages,
        line.kernel_pages,
        bytes(line.map_bytes),
        bytes(line.kernel_bytes),
        line.misses,
        line.found,
        line.diff,
        line.uncounted
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, figures: &[(&'static str, [u64; 2])]) -> Phase {
        Phase { name: name.to_owned(), figures: figures.iter().copied().collect() }
    }

    #[test]
    fn a_line_shows_the_worst_phase_and_sums_all_differences() {
        let phases = [
            phase("large", &[("zswap_pages", [900, 900])]),
            phase("wrong", &[("zswap_pages", [10, 12]), ("zswap_bytes", [50, 45]), ("slots", [20, 20])]),
            phase("slightly", &[("zswap_pages", [10, 9])]),
        ];
        let after = Pulse { recursion_misses: 7, ..Pulse::default() };
        let line = line("x", &phases, &Pulse { recursion_misses: 5, ..Pulse::default() }, &after);
        // 2 pages and 5 bytes in the second phase, 1 page in the third.
        assert_eq!((line.diff, line.phase.as_str(), line.misses, line.phases), (8, "wrong", 2, 3));
        assert_eq!((line.map_pages, line.kernel_bytes), (10, Some(45)));
    }

    #[test]
    fn without_a_difference_the_phase_with_most_pages_is_shown() {
        let phases = [phase("small", &[("zswap_pages", [1, 1])]), phase("large", &[("zswap_pages", [9, 9])])];
        assert_eq!(line("x", &phases, &Pulse::default(), &Pulse::default()).phase, "large");
    }

    #[test]
    fn an_event_may_be_missed_only_where_runs_were_skipped_and_few_of_many() {
        let worked = |stored, misses| {
            let phases = [phase("worked", &[("stored", stored), ("zswap_pages", [5, 5])])];
            let after = Pulse { recursion_misses: misses, ..Pulse::default() };
            line("x", &phases, &Pulse::default(), &after)
        };
        assert!(worked([70_307, 70_308], 900).is_exact());
        assert!(!worked([70_307, 70_308], 0).is_exact(), "no run was skipped");
        assert_eq!(
            [28, 29].map(|lost| worked([70_308 - lost, 70_308], 900).is_exact()),
            [true, false],
            "1 of 32"
        );
        assert!(!worked([70_309, 70_308], 900).is_exact(), "counted twice");
        assert_eq!(worked([70_307, 70_308], 900).uncounted, 1);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = SCENARIOS.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }
}
