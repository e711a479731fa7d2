//! One cgroup with a limit: much that is never touched again, some that is touched now and then, little that is hot. Who gets
//! the cold out of its memory, and only that, does the most work.

use anyhow::Result;

use super::Scenario;
use super::figures::Figures;
use super::ground::{Ground, SLICE, SSD};
use super::summary::{Goal, Summary};
use crate::guest::cgroup::Cgroup;
use crate::guest::workload::Workload;

pub(super) const SCENARIO: Scenario =
    Scenario { name: "mix", disk: SSD, pool_percent: 8, policies: POLICIES, run, goals };

/// Its limit; the workload has more than four times as much.
const HIGH: &str = "120M";
const WORKLOAD: &str = "--hot 50M --warm 140M --cold 320M --seed 1 --commands";

const POLICIES: &[(&str, &str)] = &[(
    "mix.toml",
    "schema = 1\n[match]\ncgroup = [\"value.slice/mix\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
     [demote]\nolder_than = \"20s\"\nbudget = { round = \"64M\" }\n",
)];

fn run(ground: &Ground) -> Result<Figures> {
    let cgroup = Cgroup::with(&format!("{SLICE}/mix"), &[("memory.high", HIGH)])?;
    let mut work = Workload::spawn(&cgroup, WORKLOAD)?;
    let figures = ground.measure(&mut [&mut work], &[])?;
    let report = work.finish()?;
    Ok(figures.of_work(&report).felt_by(&[&report]))
}

fn goals(summary: &Summary) -> Vec<Goal> {
    let best = summary.best_stock(|figures| figures.work);
    let (ours, theirs) = (summary.ours(), summary.of(best));
    let worn = |figures: &Figures| figures.disk_written_mib / figures.work.max(1.0);
    let shrinker = summary.of(super::Contender::Shrinker);
    vec![
        Goal::at_least("work, of the best stock setting's", ours.work / theirs.work, 1.2),
        Goal::at_most(
            "MiB read from disk, of the same",
            ours.disk_read_mib / theirs.disk_read_mib.max(1.0),
            1.0,
        ),
        Goal::at_most("MiB written for the same work, of the shrinker's", worn(&ours) / worn(&shrinker), 1.0),
    ]
}
