//! Several at once: tasks that swap on every processor, in one cgroup and in several, and pages of the root cgroup.
//!
//! Limits are `memory.max`, not `memory.high`: what is compressed is charged too, so a cgroup that swaps all the time
//! stays above `memory.high`, and the kernel then lets each task sleep for up to two seconds at each fault.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::Watch;
use super::reading::{Claim, LOADED, STORED, WRITTEN_BACK};
use crate::guest::bpf;
use crate::guest::cgroup::Cgroup;
use crate::guest::preemption::Preemption;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// Twice as many as processors, so that they preempt each other.
const TASKS: usize = 4;
/// 28 MiB each: what is compressed is charged too, at some 40 percent, so four in 70 MiB keep half in memory.
const BUSY: &str = "--hot 8M --warm 20M --cold 0 --zero 5 --raw 5 --write 30 --commands";
const LOOPS: &str = "loops 10";

/// What is counted, and not only what is there: a lost event must not hide behind the next one of its slot.
const COUNTED: [Claim; 3] = [STORED, LOADED, WRITTEN_BACK];

/// Four tasks push each other out of one cgroup.
pub(super) fn four_tasks(watch: &mut Watch) -> Result<()> {
    let cgroup = watch.cgroup("crowd")?;
    let mut tasks = fill(&[&cgroup; TASKS])?;
    // Not before: it would only slow the filling down.
    cgroup.set("memory.max", "70M")?;
    watch.quiet("filled", &cgroup, &COUNTED)?;
    work(&mut tasks)?;
    watch.quiet("worked", &cgroup, &COUNTED)?;
    cgroup.set("memory.max", "max")?;
    tasks.into_iter().try_for_each(|task| task.finish().map(drop))?;
    watch.quiet("gone", &cgroup, &[])
}

/// Each in a cgroup of its own, and without room in zswap for all of it.
pub(super) fn four_cgroups(watch: &mut Watch) -> Result<()> {
    let names = ["one", "two", "three", "four"];
    let cgroups = names.iter().map(|name| watch.cgroup(name)).collect::<Result<Vec<_>>>()?;
    let mut tasks = fill(&cgroups.iter().collect::<Vec<_>>())?;
    for cgroup in &cgroups {
        cgroup.set("memory.zswap.max", "4M")?;
        cgroup.set("memory.max", "20M")?;
    }
    work(&mut tasks)?;
    for (name, cgroup) in names.iter().zip(&cgroups) {
        watch.quiet(name, cgroup, &COUNTED)?;
    }
    cgroups.iter().try_for_each(|cgroup| cgroup.set("memory.max", "max"))?;
    tasks.into_iter().try_for_each(|task| task.finish().map(drop))?;
    watch.quiet_slice("gone")
}

/// Full preemption, once the agent has seen it.
fn preempted() -> Result<Preemption> {
    let full = Preemption::set("full")?;
    wait_for("second copies of the programs", Duration::from_secs(10), || {
        Ok(bpf::links().is_ok_and(|pins| pins.iter().any(|pin| pin.to_string_lossy().ends_with("-1"))))
    })?;
    Ok(full)
}

/// The same where the kernel takes the processor away anywhere: there most runs of probes are skipped.
pub(super) fn four_tasks_preempted(watch: &mut Watch) -> Result<()> {
    let _full = preempted()?;
    four_tasks(watch)
}

pub(super) fn four_cgroups_preempted(watch: &mut Watch) -> Result<()> {
    let _full = preempted()?;
    four_cgroups(watch)
}

/// A process in no cgroup: its pages are charged to nobody.
pub(super) fn root_cgroup(watch: &mut Watch) -> Result<()> {
    let arguments = "--hot 0 --warm 0 --cold 24M --zero 10 --raw 5 --commands";
    let mut workload = Workload::spawn_in_root(arguments)?;
    workload.command("pageout cold")?;
    watch.quiet_host("out")?;
    workload.command("touch cold 0..2000")?;
    workload.command("write cold 1000..3000")?;
    workload.command("pageout cold")?;
    watch.quiet_host("rewritten")?;
    workload.finish()?;
    watch.quiet_host("gone")
}

fn fill(cgroups: &[&Cgroup]) -> Result<Vec<Workload>> {
    let start = |(nth, cgroup): (usize, &&Cgroup)| Workload::start(cgroup, &format!("{BUSY} --seed {nth}"));
    let mut tasks = cgroups.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
    tasks.iter_mut().try_for_each(Workload::wait_ready)?;
    Ok(tasks)
}

fn work(tasks: &mut [Workload]) -> Result<()> {
    thread::scope(|scope| {
        let running: Vec<_> = tasks.iter_mut().map(|task| scope.spawn(|| task.command(LOOPS))).collect();
        running.into_iter().try_for_each(|one| {
            one.join().map_err(|_| anyhow!("a task panicked")).and_then(|answer| answer.map(drop))
        })
    })
    .context("four at once")
}
