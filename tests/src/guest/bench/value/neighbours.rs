//! One cgroup streams through twice its memory, two beside it have people waiting for them: what these left in zswap must not
//! go to the disk because the stream needs room there.

use anyhow::Result;

use super::Scenario;
use super::figures::Figures;
use super::ground::{Ground, SLICE, SSD};
use super::summary::{Goal, Summary};
use crate::guest::cgroup::Cgroup;
use crate::guest::workload::Workload;

pub(super) const SCENARIO: Scenario =
    Scenario { name: "neighbours", disk: SSD, pool_percent: 8, policies: POLICIES, run, goals };

const STREAM: (&str, &str) = ("100M", "--hot 0 --warm 200M --cold 0 --write 50 --seed 1 --commands");
/// Little that is touched all the time at a walking pace, and a heap of which a fifth is wanted every few seconds.
const QUIET: (&str, &str) = ("60M", "--hot 16M --warm 60M --cold 60M --hot-rate 1000 --commands");

const POLICIES: &[(&str, &str)] = &[
    (
        "stream.toml",
        "schema = 1\n[match]\ncgroup = [\"value.slice/stream\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
         [demote]\nolder_than = \"3s\"\nbudget = { round = \"64M\" }\n",
    ),
    ("quiet.toml", "schema = 1\n[match]\ncgroup = [\"value.slice/quiet-*\"]\n[tiers]\nuse = [\"zswap\"]\n"),
];

fn run(ground: &Ground) -> Result<Figures> {
    let quiet = |name: &str| Cgroup::with(&format!("{SLICE}/{name}"), &[("memory.high", QUIET.0)]);
    let cgroups = [quiet("quiet-a")?, quiet("quiet-b")?];
    let stream = Cgroup::with(&format!("{SLICE}/stream"), &[("memory.high", STREAM.0)])?;
    let workloads = [("2", &cgroups[0]), ("3", &cgroups[1])]
        .map(|(seed, cgroup)| Workload::spawn(cgroup, &format!("{} --seed {seed}", QUIET.1)));
    let [a, b] = workloads;
    let (mut a, mut b) = (a?, b?);
    let mut streaming = Workload::spawn(&stream, STREAM.1)?;
    let figures = ground.measure(&mut [&mut streaming, &mut a, &mut b], &cgroups)?;
    let (stream, a, b) = (streaming.finish()?, a.finish()?, b.finish()?);
    Ok(figures.of_work(&stream).felt_by(&[&a, &b]))
}

fn goals(summary: &Summary) -> Vec<Goal> {
    let best = summary.best_stock(|figures| -figures.quiet_disk_pages);
    let (ours, theirs) = (summary.ours(), summary.of(best));
    let straight = ours.straight_pages / ours.swapped_out_pages.max(1.0);
    vec![
        Goal::at_most(
            "disk swap-ins of the quiet two, of the best stock setting's",
            ours.quiet_disk_pages / theirs.quiet_disk_pages.max(1.0),
            0.2,
        ),
        Goal::at_most("their p99, of the same", ours.p99_ns / theirs.p99_ns.max(1.0), 1.0),
        Goal::at_most("share of swap-outs past zswap", straight, 0.01),
    ]
}
