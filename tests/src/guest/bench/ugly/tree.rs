//! Cgroups in and beside cgroups: children with a policy or a valve of their own, several that are due at once, and
//! thousands of siblings to close.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::ground::{Counters, Ground, Round, Victim, round};
use super::{MISS, Outcome, SLICE};
use crate::guest::agent::{swaptier, swaptier_json};
use crate::guest::cgroup::ROOT;
use crate::guest::kernel::{self, page_size};
use crate::guest::knobs::Knobs;
use crate::guest::wait::wait_for;

const VALVE: &str = "memory.zswap.writeback";
/// How long what a policy asks for may take to be done.
const PATIENCE: Duration = Duration::from_secs(60);

/// A policy for a cgroup that is not a leaf. One child has nothing, one a valve that somebody closed, one a policy of
/// its own that asks for nothing, so that it is nobody else's: only the first loses pages.
pub(super) fn non_leaf(ground: &mut Ground) -> Result<Outcome> {
    let [mut closed, mut own, mut plain] = children("parent", ["closed", "own", "plain"], "12M")?;
    closed.cgroup.set(VALVE, "0")?;
    // The oldest first, so that a wrong hand would find them.
    closed.store()?;
    own.store()?;
    plain.age()?;
    let before = Knobs::read()?;
    let counters = Counters::read(&plain.cgroup)?;
    let others = [&closed, &own].map(|child| child.cgroup.stat("zswpwb"));
    // 2,048 pages in one round, and no more that day.
    let policies = ground.policies(&[
        (
            "ugly-parent.toml",
            "schema = 1\n[match]\ncgroup = [\"ugly.slice/parent\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
             [demote]\nolder_than = \"2s\"\nbudget = { round = \"8M\", day = \"8M\" }\n",
        ),
        ("ugly-own.toml", "schema = 1\n[match]\ncgroup = [\"ugly.slice/parent/own\"]\n"),
    ])?;
    let report = rounds(&["ugly.slice/parent"])?.remove(0);
    ground.without(policies)?;
    let mut outcome = Outcome::hit(Round::said(&report).counted(&plain.cgroup, counters)?).alone();
    for ((name, child), before) in
        [("closed_pages", &closed), ("own_policy_pages", &own)].into_iter().zip(others)
    {
        let lost = child.cgroup.stat("zswpwb")? - before?;
        outcome.figure(name, lost);
        outcome.claim(lost == 0, format!("{name}: {lost} written back"));
    }
    given_back(&mut outcome, &before)?;
    closed.cgroup.set(VALVE, "1")?;
    [closed, own, plain].into_iter().try_for_each(Victim::finish)?;
    Ok(outcome)
}

/// How long a round may take to find out that nothing more comes, on an emulated machine.
const AT_ONCE: f64 = 5.0;

/// Most pages of the cgroup are behind a child's closed valve: what can be written is, and then the round ends.
pub(super) fn too_few(_ground: &mut Ground) -> Result<Outcome> {
    let [mut closed, mut open] = children("few", ["closed", "open"], "16M")?;
    closed.cgroup.set(VALVE, "0")?;
    // A quarter of the open one's pages stays in zswap.
    open.store()?;
    open.work.command("touch cold 0..3072")?;
    closed.age()?;
    let parent = "ugly.slice/few";
    let (stored, counters) = (open.cgroup.stat("zswapped")? / page_size(), Counters::read(&open.cgroup)?);
    let start = Instant::now();
    let report = swaptier_json(&["writeback", parent, "--older-than", "2s", "--max", "4000", "--json"])?;
    let whole = start.elapsed();
    let round = Round { whole, ..Round::said(&report) }.counted(&open.cgroup, counters)?;
    let (asked, written, seconds) = (round.asked, round.written, round.seconds);
    let mut outcome = Outcome::of(round).ended("exhausted").alone().gently();
    outcome.figure("candidates", stored);
    outcome.figure("whole_ms", whole.as_millis() as u64);
    outcome.claim(asked > stored, format!("{asked} asked, and {stored} were there"));
    outcome.claim(written.abs_diff(stored) <= MISS, format!("{written} of {stored} candidates written"));
    outcome.claim(seconds <= AT_ONCE, format!("it took {seconds} s to see that nothing more comes"));
    closed.cgroup.set(VALVE, "1")?;
    [closed, open].into_iter().try_for_each(Victim::finish)?;
    Ok(outcome)
}

/// Older than the policies of [`young_again`] ask for, the agent's tick included.
const OLD: Duration = Duration::from_secs(12);

const DUE: [&str; 4] = ["due-a", "due-b", "due-c", "due-d"];

/// Four cgroups' policies are due in one tick: one round after the other, each its own pages.
pub(super) fn many_due(ground: &mut Ground) -> Result<Outcome> {
    let mut due = DUE.iter().map(|name| Victim::set(name, "8M")).collect::<Result<Vec<_>>>()?;
    due.iter_mut().try_for_each(Victim::store)?;
    std::thread::sleep(Duration::from_secs(4));
    let before = Knobs::read()?;
    let counters = due.iter().map(|one| Counters::read(&one.cgroup)).collect::<Result<Vec<_>>>()?;
    let policies = ground.policies(&[(
        "ugly-due.toml",
        "schema = 1\n[match]\ncgroup = [\"ugly.slice/due-*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
         [demote]\nolder_than = \"2s\"\nbudget = { round = \"4M\", day = \"4M\" }\n",
    )])?;
    let paths = DUE.map(|name| format!("{SLICE}/{name}"));
    let reports = rounds(&paths.each_ref().map(String::as_str))?;
    let in_one_tick = most_in_a_tick()?;
    ground.without(policies)?;
    let (mut sum, mut worst) = (Round { ended: "target".into(), ..Round::default() }, 0);
    for ((report, one), counters) in reports.iter().zip(&due).zip(counters) {
        let round = Round::said(report).counted(&one.cgroup, counters)?;
        worst = worst.max(round.written.abs_diff(round.asked));
        sum = plus(sum, round);
    }
    // What is one's own is another one's elsewhere.
    sum.elsewhere = sum.elsewhere.saturating_sub(sum.written * (DUE.len() as u64 - 1));
    let mut outcome = Outcome::of(sum).ended("target").alone();
    outcome.figure("rounds_in_one_tick", in_one_tick);
    outcome.figure("worst_miss_pages", worst);
    outcome.claim(worst <= MISS, format!("a round missed its number by {worst} pages"));
    outcome.claim(in_one_tick == DUE.len() as u64, format!("only {in_one_tick} were due in one tick"));
    given_back(&mut outcome, &before)?;
    due.into_iter().try_for_each(Victim::finish)?;
    Ok(outcome)
}

/// Two cgroups' policies are due in one tick, and while the first round runs, all pages of the second cgroup become young
/// again: its round was decided before, and must leave them.
pub(super) fn young_again(ground: &mut Ground) -> Result<Outcome> {
    let (mut first, mut second) = (Victim::set("again-a", "32M")?, Victim::set("again-b", "8M")?);
    first.store()?;
    second.store()?;
    std::thread::sleep(OLD);
    let counters = Counters::read(&first.cgroup)?;
    let policies = ground.policies(&[(
        "ugly-again.toml",
        "schema = 1\n[match]\ncgroup = [\"ugly.slice/again-*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
         [demote]\nolder_than = \"10s\"\nbudget = { round = \"16M\", day = \"16M\" }\n",
    )])?;
    // It goes once through all entries before it writes the first.
    wait_for("the first round to begin", PATIENCE, || Ok(second.cgroup.get(VALVE)? == "0"))?;
    let begun = Instant::now();
    second.work.command("write cold")?;
    second.work.command("pageout cold")?;
    let took = begun.elapsed();
    let report = rounds(&[first.cgroup.path()])?.remove(0);
    ground.without(policies)?;
    let status = swaptier_json(&["status", "--json"])?;
    let late = status["rounds"].as_array().into_iter().flatten();
    let late: Vec<_> = late.filter(|round| round["cgroup"] == *second.cgroup.path()).collect();
    let sum = |field: &str| late.iter().filter_map(|round| round[field].as_u64()).sum::<u64>();
    let (written, cold) = (sum("written_pages"), sum("cold_pages"));
    let mut outcome = Outcome::of(Round::said(&report).counted(&first.cgroup, counters)?).ended("target");
    outcome.figure("made_young_ms", took.as_millis() as u64);
    outcome.figure("second_asked", sum("asked_pages"));
    outcome.figure("second_written", written);
    outcome.figure("second_young", written - cold);
    outcome.claim(written <= cold + MISS, format!("{} pages were younger than asked", written - cold));
    [first, second].into_iter().try_for_each(Victim::finish)?;
    Ok(outcome)
}

pub(super) fn plus(sum: Round, one: Round) -> Round {
    Round {
        asked: sum.asked + one.asked,
        written: sum.written + one.written,
        elsewhere: sum.elsewhere + one.elsewhere,
        reclaimed: sum.reclaimed + one.reclaimed,
        given_up: sum.given_up + one.given_up,
        refused: sum.refused + one.refused,
        stored: sum.stored + one.stored,
        seconds: sum.seconds + one.seconds,
        whole: sum.whole + one.whole,
        ended: if one.ended == "target" { sum.ended } else { one.ended },
        dialect: one.dialect,
        said: std::array::from_fn(|n| sum.said[n] + one.said[n]),
        passed_over: sum.passed_over + one.passed_over,
        strokes: sum.strokes + one.strokes,
    }
}

const SIBLINGS: u64 = 2_000;
/// What closing one valve and giving it back may take on an emulated machine: a read, two writes and two lines of the undo
/// log, and its share of a tick of the agent, which may come first.
const VALVE_MICROS: u64 = 5_000;

/// Two thousand siblings are open: all are closed, and all are given back.
pub(super) fn thousands(_ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("one-of-many", "16M")?;
    let siblings = Siblings::make(SIBLINGS)?;
    victim.age()?;
    let before = Knobs::read()?;
    // The same without touching anything: the tick under way, reading all cgroups anew, and looking at their valves.
    let rehearsal =
        swaptier(&["writeback", victim.cgroup.path(), "--older-than", "2s", "--max", "2000", "--dry-run"])?;
    let round = round(&victim.cgroup, 2_000, &[])?;
    let (whole, seconds, closed) = (round.whole, round.seconds, round.said[2]);
    let mut outcome = Outcome::hit(round).alone().gently();
    let beside = (whole.as_secs_f64() - seconds - rehearsal.took.as_secs_f64()).max(0.0);
    let micros = beside * 1e6 / closed.max(1) as f64;
    outcome.figure("rehearsal_ms", rehearsal.took.as_millis() as u64);
    outcome.figure("whole_ms", whole.as_millis() as u64);
    outcome.figure("valves_closed", closed);
    outcome.figure("micros_a_valve", micros as u64);
    outcome.figure("values_compared", before.count() as u64);
    outcome.claim(closed >= SIBLINGS, format!("only {closed} valves closed"));
    outcome.claim(micros as u64 <= VALVE_MICROS, format!("{} µs a valve", micros as u64));
    given_back(&mut outcome, &before)?;
    drop(siblings);
    victim.finish()?;
    Ok(outcome)
}

/// Guard of empty cgroups.
struct Siblings(u64);

impl Siblings {
    fn make(count: u64) -> Result<Siblings> {
        let mut made = Siblings(0);
        for nth in 0..count {
            std::fs::create_dir(Siblings::path(nth)).with_context(|| format!("sibling {nth}"))?;
            made.0 = nth + 1;
        }
        Ok(made)
    }

    fn path(nth: u64) -> std::path::PathBuf {
        Path::new(ROOT).join(SLICE).join(format!("s{nth:05}"))
    }
}

impl Drop for Siblings {
    fn drop(&mut self) {
        for nth in 0..self.0 {
            // One that stays is seen as a cgroup left behind by the next.
            let _ = std::fs::remove_dir(Siblings::path(nth));
        }
    }
}

/// Children of one cgroup, each with so much cold memory.
fn children<const N: usize>(parent: &str, names: [&str; N], cold: &str) -> Result<[Victim; N]> {
    let made = names.iter().map(|name| Victim::set(&format!("{parent}/{name}"), cold));
    let made = made.collect::<Result<Vec<_>>>()?;
    made.try_into().map_err(|_| anyhow::anyhow!("as many children as names"))
}

/// The newest round of each of these cgroups, once each has one.
pub(super) fn rounds(paths: &[&str]) -> Result<Vec<serde_json::Value>> {
    let mut found = Vec::new();
    wait_for("a round of each policy", PATIENCE * paths.len() as u32, || {
        let status = swaptier_json(&["status", "--json"])?;
        let all = status["rounds"].as_array().cloned().unwrap_or_default();
        let newest = |path: &&str| all.iter().rfind(|round| round["cgroup"] == **path).cloned();
        found = paths.iter().filter_map(newest).collect();
        Ok(found.len() == paths.len())
    })?;
    ensure!(found.len() == paths.len(), "a round of each");
    Ok(found)
}

/// Rounds in the tick that had most, by the journal.
fn most_in_a_tick() -> Result<u64> {
    let text = kernel::read("/var/lib/swaptier/journal.jsonl")?;
    let rounds = text.lines().map(|line| line.matches("\"outcome\":\"queued\"").count());
    Ok(rounds.max().unwrap_or_default() as u64)
}

/// Every value is as it was.
fn given_back(outcome: &mut Outcome, before: &Knobs) -> Result<()> {
    // What is new since is the pump's own cgroup, which stays with the agent.
    let changed: Vec<String> = before.changed_since()?.into_iter().map(|(path, _)| path).collect();
    outcome.figure("values_changed", changed.len() as u64);
    outcome.claim(changed.is_empty(), format!("not given back: {}", changed.join(", ")));
    Ok(())
}
