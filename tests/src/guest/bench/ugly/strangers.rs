//! Rounds in the middle of which the world changes: the cgroup is removed, a sibling has a name that is no text,
//! somebody stands still, somebody else writes the same files. Whatever happens, no stranger pays for it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::Outcome;
use super::ground::{Ground, Round, Victim, ask, round};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap;

/// Pages of strangers that any round may take, as one batch of zswap's worker may hold them before it is stopped.
const STRANGERS: u64 = 64;
/// How long a round may take to be aimed.
const PATIENCE: Duration = Duration::from_secs(30);
/// So soon somebody must have put a low pool limit back when the one who lowered it stands still.
const BACK: Duration = Duration::from_millis(100);
/// How long somebody stands still.
const HOLD: Duration = Duration::from_secs(1);
/// Pages asked for: enough that the round is still at it when the world changes.
const MANY: u64 = 7_000;

const LIMIT: &str = "max_pool_percent";

/// Runs a round beside `meanwhile`, which begins once the round is aimed.
fn beside<T>(
    ground: &Ground,
    path: &str,
    meanwhile: impl FnOnce() -> Result<T>,
) -> Result<(Option<Round>, String, T)> {
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(path, MANY, &[]));
        let begun =
            wait_for("the round to be aimed", PATIENCE, || Ok(ground.is_aimed()? || asked.is_finished()));
        let done = begun.and_then(|()| meanwhile());
        let (round, outcome) = asked.join().map_err(|_| anyhow!("the asking thread panicked"))??;
        Ok((round, outcome.stderr, done?))
    })
}

/// The cgroup is killed and removed in mid-round, and another one appears and swaps.
pub(super) fn removed(ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("removed", "32M")?;
    victim.age()?;
    let (path, host) = (victim.cgroup.path().to_owned(), zswap::debug("written_back_pages")?);
    let begun = Instant::now();
    let (round, said, late) = beside(ground, &path, || {
        drop(victim);
        let mut late = Victim::set("late", "12M")?;
        late.store()?;
        Ok(late)
    })?;
    let whole = begun.elapsed();
    ensure!(
        round.as_ref().is_none_or(|round| round.ended != "target"),
        "the round was over before its cgroup"
    );
    let lost = late.cgroup.stat("zswpwb")?;
    let written = zswap::debug("written_back_pages")? - host - lost;
    late.finish()?;
    let round =
        round.unwrap_or_else(|| Round { ended: said.trim().to_owned(), asked: MANY, ..Round::default() });
    let mut outcome = Outcome::bare(Round { written, elsewhere: lost, ..round });
    outcome.figure("late_pages", lost);
    outcome.figure("whole_ms", whole.as_millis() as u64);
    outcome.claim(lost <= STRANGERS, format!("{lost} pages of a cgroup that appeared meanwhile"));
    Ok(outcome)
}

/// A sibling's name is no UTF-8: its valve is closed like any other's.
pub(super) fn bytes_name(_ground: &mut Ground) -> Result<Outcome> {
    // Latin-1, as an old installation writes it.
    let mut sibling = Victim::set_of_bytes(OsStr::from_bytes(b"caf\xe9.scope"), "24M")?;
    let mut target = Victim::set("beside-bytes", "24M")?;
    sibling.store()?;
    target.age()?;
    let before = sibling.cgroup.stat("zswpwb")?;
    let round = round(&target.cgroup, 4_000, &[])?;
    let lost = sibling.cgroup.stat("zswpwb")? - before;
    let mut outcome = Outcome::hit(round).alone();
    outcome.figure("sibling_pages", lost);
    outcome.claim(lost == 0, format!("{lost} pages of a sibling with a name of bytes"));
    [sibling, target].into_iter().try_for_each(Victim::finish)?;
    Ok(outcome)
}

/// The pump stands still in the middle of a round, again and again.
pub(super) fn stopped_pump(ground: &mut Ground) -> Result<Outcome> {
    stopped(ground, "stopped-pump", |_| Ok(pump()))
}

/// The agent stands still in the middle of a round, again and again.
pub(super) fn stopped_agent(ground: &mut Ground) -> Result<Outcome> {
    stopped(ground, "stopped-agent", |ground| pid(ground.agent()?.id()).map(Some))
}

/// How often somebody is stopped in one round.
const STOPS: u32 = 3;

fn stopped(
    ground: &mut Ground,
    name: &str,
    whom: impl Fn(&Ground) -> Result<Option<Pid>>,
) -> Result<Outcome> {
    let mut victim = Victim::set(name, "32M")?;
    victim.age()?;
    // Lives by swapping: a host that refuses its stores for seconds has it killed.
    let bound = Cgroup::with(&format!("{}/bound", super::SLICE), &[("memory.max", "24M")])?;
    let third = Workload::spawn(&bound, "--hot 40M --warm 0 --cold 0 --hot-rate 4000 --seed 9")?;
    let before = bound.stat("zswpwb")?;
    let path = victim.cgroup.path().to_owned();
    let (round, said, (low, stops)) = beside(ground, &path, || {
        let (mut low, mut stops) = (Duration::ZERO, 0);
        while stops < STOPS && ground.is_aimed()? {
            // One that stood still was ended by the agent.
            let Some(pid) = whom(ground)? else { break };
            kill_process(pid, Signal::STOP)?;
            let held = longest_low(HOLD);
            let _ended_meanwhile = kill_process(pid, Signal::CONT);
            low = low.max(held?);
            stops += 1;
            thread::sleep(Duration::from_millis(37));
        }
        Ok((low, stops))
    })?;
    ensure!(stops > 0, "the round was over before anybody was stopped");
    let (lost, killed) =
        (bound.stat("zswpwb")? - before, kernel::stat(bound.file("memory.events"), "oom_kill")?);
    let round =
        round.unwrap_or_else(|| Round { ended: said.trim().to_owned(), asked: MANY, ..Round::default() });
    let mut outcome =
        Outcome::bare(Round { written: victim.cgroup.stat("zswpwb")?, elsewhere: lost, ..round });
    outcome.figure("stops", u64::from(stops));
    outcome.figure("limit_low_ms", low.as_millis() as u64);
    outcome.figure("oom_kills", killed);
    outcome.claim(low <= BACK, format!("the limit was low for {low:?}, allowed are {BACK:?}"));
    outcome.claim(killed == 0, "a cgroup that lives by swapping was killed".to_owned());
    outcome.claim(lost == 0, format!("{lost} pages of it written back"));
    third.finish().context("who lives by swapping")?;
    victim.finish()?;
    wait_for("what the round closed to be open again", PATIENCE, || Ok(!ground.is_aimed()?))?;
    Ok(outcome)
}

/// For how long the pool limit was low at a stretch.
fn longest_low(time: Duration) -> Result<Duration> {
    let (until, mut longest, mut since) = (Instant::now() + time, Duration::ZERO, None);
    while Instant::now() < until {
        let is_low = zswap::parameter(LIMIT)? == "0";
        let from = *since.get_or_insert_with(Instant::now);
        match is_low {
            true => longest = longest.max(from.elapsed()),
            false => since = None,
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(longest)
}

/// Rounds during which somebody writes.
const TRIES: u64 = 6;
/// What somebody wants the limit to be, instead of the stage's.
const FOREIGN: &str = "41";

/// Somebody else sets the pool's limit, and closes the cgroup's own valve, in the middle of rounds: both must stand
/// afterwards.
pub(super) fn foreign_writes(ground: &mut Ground) -> Result<Outcome> {
    let mut victim = Victim::set("foreign-writes", "32M")?;
    let path = victim.cgroup.path().to_owned();
    let limit = zswap::parameter(LIMIT)?;
    let (mut sum, mut limits_lost, mut valves_lost, mut tries) = (Round::default(), 0, 0, 0);
    for nth in 0..TRIES {
        victim.age()?;
        let is_valve = nth % 2 == 1;
        let (round, said, ()) = beside(ground, &path, || {
            thread::sleep(Duration::from_millis(20 * (nth + 1)));
            match is_valve {
                true => victim.cgroup.set("memory.zswap.writeback", "0"),
                false => zswap::set(LIMIT, FOREIGN),
            }
        })?;
        let stands = match is_valve {
            true => victim.cgroup.get("memory.zswap.writeback")? == "0",
            false => zswap::parameter(LIMIT)? == FOREIGN,
        };
        match is_valve {
            true => valves_lost += u64::from(!stands),
            false => limits_lost += u64::from(!stands),
        }
        victim.cgroup.set("memory.zswap.writeback", "1")?;
        zswap::set(LIMIT, &limit)?;
        tries += 1;
        let ended = round.map_or(said.trim().to_owned(), |round| round.ended);
        sum.ended = if sum.ended.is_empty() { ended } else { format!("{}, {ended}", sum.ended) };
    }
    let mut outcome = Outcome::bare(Round { asked: MANY * tries, ..sum });
    outcome.figure("tries", tries);
    outcome.figure("limits_written_over", limits_lost);
    outcome.figure("valves_written_over", valves_lost);
    outcome.claim(
        limits_lost + valves_lost == 0,
        format!("{} of {tries} foreign values were written over", limits_lost + valves_lost),
    );
    victim.finish()?;
    Ok(outcome)
}

/// The pump's process: alone in its cgroup, which its guard has left.
fn pump() -> Option<Pid> {
    let processes = std::fs::read_to_string("/sys/fs/cgroup/swaptier-pump/cgroup.procs").ok()?;
    pid(processes.lines().next()?.parse().ok()?).ok()
}

fn pid(id: u32) -> Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).context("a process id")
}
