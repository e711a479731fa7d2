//! Commands on areas, killed at every passing of every fault point on their way. The next command must bring the host to
//! the list: its devices, swap areas and loop devices, no more and no fewer; and then remove all of it.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Outcome;
use super::ground::{blank, command, devices, left, loops, zrams};
use crate::guest::agent::swaptier_json;
use crate::guest::kernel;
use crate::guest::preamble::{SCRATCH_DISK, SECOND_SWAP_DISK};
use crate::guest::process::sibling;

/// What is there before, and the command that is killed.
struct Way {
    before: &'static [&'static [&'static str]],
    command: &'static [&'static str],
}

const GHOST: &[&str] = &["ghost", "create", "kill", "--size", "1G"];
const ZRAM: &[&str] = &["ghost", "create", "kill", "--size", "1G", "--kind", "zram"];
const VIRTUAL: &[&str] = &["vswap", "create", "kill", "--device", SECOND_SWAP_DISK, "--size", "8G"];
const MOVE: &[&str] = &["vswap", "move", "kill", "--to", SCRATCH_DISK, "--no-wait"];
const DRAIN: &[&str] = &["vswap", "drain", "kill"];

/// What is on the disk may go: there is something, then.
const WIPE: &str = "--wipe";

/// Every command that changes areas, by what it does.
const CREATES: [Way; 5] = [
    Way { before: &[], command: GHOST },
    Way { before: &[], command: ZRAM },
    Way { before: &[], command: VIRTUAL },
    Way {
        before: &[],
        command: &["vswap", "create", "kill", "--device", SECOND_SWAP_DISK, "--size", "8G", "--encrypt"],
    },
    Way {
        before: &[],
        command: &["vswap", "create", "kill", "--device", SECOND_SWAP_DISK, "--size", "8G", WIPE],
    },
];
const GROWS: [Way; 3] = [
    Way { before: &[ZRAM], command: &["ghost", "grow", "kill", "--slots", "256M"] },
    Way { before: &[VIRTUAL], command: &["vswap", "grow", "kill", "--slots", "1G"] },
    Way { before: &[VIRTUAL], command: &["vswap", "grow", "kill", "--device", SCRATCH_DISK] },
];
const MOVES: [Way; 3] = [
    Way { before: &[VIRTUAL], command: MOVE },
    Way { before: &[VIRTUAL, MOVE], command: &["vswap", "move", "kill", "--finish"] },
    Way { before: &[VIRTUAL, MOVE], command: &["vswap", "move", "kill", "--cancel"] },
];
const DRAINS: [Way; 4] = [
    Way { before: &[ZRAM], command: DRAIN },
    Way { before: &[ZRAM, DRAIN], command: &["vswap", "drain", "kill", "--undo"] },
    Way { before: &[VIRTUAL], command: DRAIN },
    Way { before: &[VIRTUAL, DRAIN], command: &["vswap", "drain", "kill", "--undo"] },
];
const REMOVES: [Way; 3] = [
    Way { before: &[GHOST], command: &["ghost", "remove", "kill"] },
    Way { before: &[ZRAM], command: &["ghost", "remove", "kill"] },
    Way { before: &[VIRTUAL], command: &["vswap", "remove", "kill"] },
];

/// Every point that such a command passes. At that of a file none of these does: the guests have no file system that gives
/// a file its blocks at once.
const POINTS: [&str; 11] = [
    "area.note.before",
    "area.noted",
    "area.file.noted",
    "area.wiped",
    "area.device.created",
    "area.table.loaded",
    "area.zram.added",
    "area.zram.removed",
    "area.step",
    "area.off.begun",
    "area.drain.begun",
];

/// No way passes a point more often.
const MOST: u32 = 40;

/// Areas being made, killed at all points and all passings.
pub(super) fn creating(outcome: &mut Outcome) -> Result<()> {
    let own = ["area.device.created", "area.table.loaded", "area.zram.added", "area.wiped"];
    everywhere(&CREATES, &own, outcome)
}

/// Slots and disks being added.
pub(super) fn growing(outcome: &mut Outcome) -> Result<()> {
    everywhere(&GROWS, &["area.device.created", "area.table.loaded", "area.zram.added"], outcome)
}

/// Moves begun, finished, called off.
pub(super) fn moving(outcome: &mut Outcome) -> Result<()> {
    everywhere(&MOVES, &["area.table.loaded"], outcome)
}

/// Areas being emptied, and switched on again.
pub(super) fn draining(outcome: &mut Outcome) -> Result<()> {
    everywhere(&DRAINS, &["area.drain.begun"], outcome)
}

/// Areas being removed.
pub(super) fn removing(outcome: &mut Outcome) -> Result<()> {
    everywhere(&REMOVES, &["area.off.begun", "area.zram.removed"], outcome)
}

/// These ways, all points, all passings; beside the points that all commands pass they must pass these.
fn everywhere(ways: &[Way], own: &[&'static str], outcome: &mut Outcome) -> Result<()> {
    let mut passed = BTreeSet::new();
    for way in ways {
        for point in POINTS {
            kills(way, point, 1..MOST, outcome, &mut passed)?;
        }
    }
    for point in ["area.note.before", "area.noted", "area.step"].iter().chain(own) {
        outcome.claim(passed.contains(point), format!("no command passes {point}"));
    }
    Ok(())
}

/// For the suite: areas made, grown and removed, killed after some steps, and where a device is half made.
pub(super) fn at_the_worst_points(outcome: &mut Outcome) -> Result<()> {
    let mut passed = BTreeSet::new();
    let (ghost, zram, pool, disk) = (&CREATES[0], &CREATES[1], &CREATES[2], &GROWS[2]);
    let (zram_gone, gone) = (&REMOVES[1], &REMOVES[2]);
    let chosen = [(pool, "area.noted", 1), (pool, "area.step", 4), (pool, "area.step", 9)];
    let more = [(pool, "area.device.created", 4), (gone, "area.step", 2), (gone, "area.off.begun", 1)];
    let of_zram = [(zram, "area.zram.added", 1), (zram_gone, "area.zram.removed", 1)];
    let last = [(ghost, "area.table.loaded", 1), (disk, "area.step", 2)];
    for (way, point, nth) in chosen.into_iter().chain(more).chain(of_zram).chain(last) {
        let before = outcome.figures.get("kills").copied();
        kills(way, point, nth..nth + 1, outcome, &mut passed)?;
        outcome
            .claim(before != outcome.figures.get("kills").copied(), format!("{point}:{nth} was not passed"));
    }
    Ok(())
}

/// Kills the way's command at these passings of the point, as long as there are so many.
fn kills(
    way: &Way,
    point: &'static str,
    passings: std::ops::Range<u32>,
    outcome: &mut Outcome,
    passed: &mut BTreeSet<&'static str>,
) -> Result<()> {
    for nth in passings {
        for disk in [SECOND_SWAP_DISK, SCRATCH_DISK] {
            blank(disk)?;
        }
        if way.command.contains(&WIPE) {
            soil(SECOND_SWAP_DISK)?;
        }
        for arguments in way.before {
            command(arguments).context("setting up")?;
        }
        let name = format!("{} killed at {point}:{nth}", way.command.join(" "));
        let is_killed = die(way.command, &format!("{point}:{nth}"))?;
        if is_killed {
            passed.insert(point);
            *outcome.figures.entry("kills".to_owned()).or_default() += 1.0;
            command(&["vswap", "settle"]).with_context(|| format!("{name}, then settling"))?;
            let faults = differences()?;
            outcome.claim(faults.is_empty(), format!("{name}: {}", faults.join(", ")));
        }
        if listed()?.iter().any(|area| area["record"]["spec"]["name"] == "kill") {
            command(&["vswap", "remove", "kill"]).with_context(|| format!("{name}, then removing"))?;
        }
        let left = left();
        outcome.claim(left.is_empty(), format!("{name}: left behind: {}", left.join(", ")));
        if !is_killed || !left.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Puts the mark of an ext file system on a disk.
fn soil(disk: &str) -> Result<()> {
    use std::os::unix::fs::FileExt as _;
    let file =
        std::fs::OpenOptions::new().write(true).open(disk).with_context(|| format!("opening {disk}"))?;
    file.write_all_at(&[0x53, 0xef], 1024 + 56)?;
    file.sync_all().with_context(|| format!("writing to {disk}"))
}

/// Runs a command with a fault. True when it died of it; false when it did not pass there.
pub(super) fn die(arguments: &[&str], fault: &str) -> Result<bool> {
    use std::os::unix::process::ExitStatusExt as _;
    let output = Command::new(sibling("swaptier")?).args(arguments).env("SWAPTIER_FAULT", fault).output()?;
    match (output.status.signal(), output.status.code()) {
        (Some(9), _) => Ok(true),
        (None, Some(0)) => Ok(false),
        _ => bail!("{}: {}: {}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr)),
    }
}

fn listed() -> Result<Vec<Value>> {
    let all = swaptier_json(&["vswap", "list", "--json"])?;
    Ok(all["areas"].as_array().cloned().unwrap_or_default())
}

/// Where the kernel and the list do not say the same.
fn differences() -> Result<Vec<String>> {
    let (mut wanted, mut swaps, mut headers, mut over_zram, mut faults) =
        (BTreeSet::new(), 0, 0, 0, Vec::new());
    for area in listed()? {
        let (record, kind) = (&area["record"], area["record"]["spec"]["kind"].as_str().unwrap_or_default());
        let parts = record["parts"].as_array().map_or(0, Vec::len);
        let roles: &[&str] = match (kind, record["spec"]["encrypt"] == true) {
            ("virtual", true) => &["meta", "data", "crypt", "pool"],
            ("virtual", false) => &["meta", "data", "pool"],
            _ => &[],
        };
        wanted.extend(roles.iter().map(|role| format!("swaptier-kill-{role}")));
        match kind {
            "zram" => over_zram += parts,
            _ => wanted.extend((0..parts).map(|part| format!("swaptier-kill-{part}"))),
        }
        headers += if kind == "ghost" { parts } else { 0 };
        match record["want"].as_str() {
            Some("on") => swaps += parts,
            Some("off") => {}
            other => faults.push(format!("an area is still {other:?}")),
        }
    }
    let now = devices();
    if now != wanted {
        faults.push(format!("devices {now:?}, the list says {wanted:?}"));
    }
    let now = kernel::swaps()?.len();
    if now != swaps {
        faults.push(format!("{now} swap areas, the list says {swaps}"));
    }
    if zrams().len() != over_zram {
        faults.push(format!("zram devices {:?}, the list says {over_zram}", zrams()));
    }
    if loops() != headers {
        faults.push(format!("{} loop devices, the list says {headers}", loops()));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_point_of_areas_is_killed_at() {
        let source = include_str!("../../../../../controller/src/fault.rs");
        let table = source.split_once("POINTS").expect("the table").1.split_once("];").expect("its end").0;
        let points: BTreeSet<&str> = table
            .lines()
            .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"').map(|(name, _)| name))
            .filter(|name| name.starts_with("area."))
            .collect();
        assert_eq!(points, POINTS.into_iter().collect());
    }
}
