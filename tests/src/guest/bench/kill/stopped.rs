//! Everybody who is killed in this table is also only stopped there (SIGSTOP, as by a debugger; the cgroup freezer holds
//! a process the same way), and goes on a second later. Until then nobody else may suffer: a pool limit that is low
//! must be back within 100 ms, by whoever still runs. Afterwards all ends as if nothing had been.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use super::cases::{CASES, Case, Way};
use super::guardian::{Look, reached_at, watched};
use super::scene::{self, Scene, said};
use super::{Line, judge, left};

/// How long the stopped ones stand still.
const HOLD: Duration = Duration::from_secs(1);
/// A limit that is low must be back so soon.
const BOUND: Duration = Duration::from_millis(100);
/// Between two looks whether the point was reached.
const LOOK: Duration = Duration::from_millis(2);

/// One line a point of the table that `only` names, all without, as they come.
pub(super) fn lines(
    scene: &mut Scene,
    only: &[String],
    is_timed: bool,
) -> impl Iterator<Item = Result<Line>> {
    let cases = CASES.iter().filter_map(|case| case.stopped());
    let wanted =
        move |case: &Case| only.is_empty() || only.iter().any(|name| case.variable().contains(name.as_str()));
    cases.filter(wanted).map(move |case| one(scene, &case, is_timed))
}

fn one(scene: &mut Scene, case: &Case, is_timed: bool) -> Result<Line> {
    let mut line = Line::of(&case.variable(), "continued");
    let (begun, before) = (Instant::now(), scene.look()?);
    let held = held(case, || scene.go_through(case));
    match held {
        Ok((low, ended)) => {
            line.killed = true;
            line.limit_low_micros = Some(low.as_micros() as u64);
            // Whoever puts it back does so before the stopped ones go on, however slow the machine is.
            let bound = if is_timed { BOUND } else { HOLD };
            if low > BOUND && low >= bound {
                line.faults.push(format!("the limit was low for {low:?}, allowed are {bound:?}"));
            }
            if let Err(error) = ended {
                line.faults.push(format!("{error:#}"));
            }
        }
        Err(error) => line.faults.push(format!("{error:#}")),
    }
    judge(scene, &before, &mut line)?;
    line.seconds = begun.elapsed().as_secs_f64();
    Ok(line)
}

/// Carries `way` out while somebody continues whoever stopped. For how long the limit was low while they stood still,
/// and how the way ended.
fn held(case: &Case, way: impl FnOnce() -> Result<()>) -> Result<(Duration, Result<()>)> {
    let name = if case.way == Way::Restore { "swaptier-restore" } else { "swaptier-agent" };
    // What an earlier process of this name said must not be taken for this one's words.
    scene::forget(name)?;
    let is_over = AtomicBool::new(false);
    let mut ended = Ok(());
    let looks = watched(
        || {
            std::thread::scope(|scope| {
                scope.spawn(|| go_on_later(name, case, &is_over));
                ended = way();
                is_over.store(true, Ordering::Relaxed);
            });
            Ok(())
        },
        Duration::ZERO,
    )?;
    match reached_at(name, case) {
        Ok(at) => Ok((low_while_held(&looks, at), ended)),
        // How the way ended tells more.
        Err(error) => ended.and(Err(error)),
    }
}

/// Waits for the point, and continues everybody of swaptier a little later.
fn go_on_later(name: &str, case: &Case, is_over: &AtomicBool) {
    let reached = format!("fault point {} reached", case.name());
    while !is_over.load(Ordering::Relaxed) {
        if said(name).contains(&reached) {
            std::thread::sleep(HOLD);
            for pid in left::processes() {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                // Gone is as good.
                let _gone = pid.map(|pid| kill_process(pid, Signal::CONT));
            }
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// From the stop to the first look that finds both values back, at most until the stopped ones go on.
fn low_while_held(looks: &[Look], at: u64) -> Duration {
    let until = at + HOLD.as_micros() as u64;
    let held = looks.iter().filter(|(time, _)| (at..until).contains(time));
    let first_back = held.clone().find(|(_, is_low)| !is_low).map_or(until, |(time, _)| *time);
    let is_low = held.clone().next().is_some_and(|(_, is_low)| *is_low);
    Duration::from_micros(if is_low { first_back - at } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_from_the_stop_to_the_first_look_that_finds_it_back() {
        let looks = [(90, true), (100, true), (150, true), (300, false), (400, true)];
        assert_eq!(low_while_held(&looks, 100), Duration::from_micros(200));
        assert_eq!(low_while_held(&looks, 300), Duration::ZERO);
        assert_eq!(low_while_held(&looks[..3], 100), HOLD);
    }
}
