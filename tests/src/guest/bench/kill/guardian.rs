//! The kills whose time counts: the agent while its pump holds the pool limit at zero, and the pump itself there, also
//! with the accept threshold at zero as well.
//!
//! The pump's fault point says when, by the kernel's clock; a thread here looks at both values all the time.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::cases::{self, Case, Way};
use super::scene::{Recovery, Scene, said};
use super::{Line, judge};
use crate::guest::zswap;

/// The guardian must have the pool limit back so soon after its agent is killed.
const BOUND: Duration = Duration::from_millis(10);
/// An agent that lives must have seen so soon that its pump is gone, and have both back.
const SEEN: Duration = Duration::from_secs(1);
/// Kills of each kind, where their time is judged.
const KILLS: usize = 3;
/// Between two looks at the limit.
const LOOK: Duration = Duration::from_micros(50);
/// How long it is looked at after a kill that a guardian saw, and that much longer than allowed after another.
const AFTER: Duration = Duration::from_millis(300);

/// Who is killed, and the way there.
const VICTIMS: [(&str, Recovery, Case); 4] = [
    (
        "kill -9 of the agent while the limit is low",
        Recovery::Restore,
        cases::case(Way::Round, "pump.limit.low@parent"),
    ),
    (
        "kill -9 of the pump while the limit is low",
        Recovery::Itself,
        cases::case(Way::Pump, "pump.limit.low"),
    ),
    (
        "kill -9 of the agent while limit and threshold are low",
        Recovery::Restore,
        cases::crowded(Way::Round, "pump.both.low@parent"),
    ),
    (
        "kill -9 of the pump while limit and threshold are low",
        Recovery::Itself,
        cases::crowded(Way::Pump, "pump.both.low"),
    ),
];

/// One line a kill. The time is always said, and judged only if `is_timed`: a guest test is not, because the processors
/// of an emulated guest stand still when the machine is busy.
pub(super) fn lines(scene: &mut Scene, is_timed: bool) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let kills = if is_timed { KILLS } else { 1 };
    for (point, recovery, case) in VICTIMS {
        for _ in 0..kills {
            let (before, begun) = (scene.look()?, Instant::now());
            let mut line = Line::of(point, recovery.name());
            let after = if recovery == Recovery::Itself { SEEN + AFTER } else { AFTER };
            let looks = watched(|| scene.kill(&case), after);
            match looks.and_then(|looks| low_after(&looks, &case, recovery)) {
                Ok(low) => {
                    (line.killed, line.limit_low_micros) = (true, Some(low.as_micros() as u64));
                    if recovery == Recovery::Itself && low > SEEN {
                        line.faults.push(format!("the agent took {low:?} to see that its pump is gone"));
                    }
                    if let Err(error) = scene.recover(&case, recovery) {
                        line.faults.push(format!("{error:#}"));
                    }
                }
                Err(error) => line.faults.push(format!("{error:#}")),
            }
            judge(scene, &before, &mut line)?;
            line.seconds = begun.elapsed().as_secs_f64();
            lines.push(line);
        }
    }
    let guarded = lines.chunks_mut(kills).zip(VICTIMS).filter(|(_, (_, by, _))| *by == Recovery::Restore);
    for (kills, _) in guarded.filter(|_| is_timed) {
        judge_time(kills);
    }
    Ok(lines)
}

/// The guardian's time is the median's: under emulation a processor of the guest may stand still for longer than the bound.
fn judge_time(kills: &mut [Line]) {
    let mut low: Vec<u64> = kills.iter().filter_map(|line| line.limit_low_micros).collect();
    low.sort_unstable();
    if low.get(low.len() / 2).is_some_and(|micros| u128::from(*micros) > BOUND.as_micros())
        && let Some(line) = kills.first_mut()
    {
        line.faults.push(format!("the guardian took {low:?} µs, allowed are {BOUND:?}"));
        line.ok = false;
    }
}

/// One look: microseconds of the monotonic clock, and whether either value was low.
pub(super) type Look = (u64, bool);

/// Carries `kill` out while both values are looked at, which goes on for `after`.
pub(super) fn watched(kill: impl FnOnce() -> Result<()>, after: Duration) -> Result<Vec<Look>> {
    let open = |name: &str| {
        let path = Path::new(zswap::PARAMETERS).join(name);
        File::open(&path).with_context(|| format!("opening {}", path.display()))
    };
    let values = [open("max_pool_percent")?, open("accept_threshold_percent")?];
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(&values, &is_over));
        let killed = kill();
        std::thread::sleep(after);
        is_over.store(true, Ordering::Relaxed);
        let looks = looking.join();
        killed?;
        looks.map_err(|_| anyhow::anyhow!("the looking thread panicked"))
    })
}

fn look(values: &[File], is_over: &AtomicBool) -> Vec<Look> {
    use std::os::unix::fs::FileExt;
    let is_low = |value: &File| {
        let mut text = [0; 16];
        value.read_at(&mut text, 0).is_ok_and(|read| text[..read].starts_with(b"0"))
    };
    let mut looks = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        // The threshold alone refuses nobody while the pool is not full, but it must come back as well.
        looks.push((now(), values.iter().any(is_low)));
        std::thread::sleep(LOOK);
    }
    looks
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// How long after the kill both were back at the latest: seen back by the first look after it, and for good where no
/// agent lives to lower them again.
fn low_after(looks: &[Look], case: &Case, recovery: Recovery) -> Result<Duration> {
    let at = reached_at("swaptier-agent", case)?;
    let after = &looks[looks.partition_point(|(time, _)| *time < at)..];
    let back = match recovery {
        Recovery::Itself => after.iter().position(|(_, is_low)| !is_low),
        _ => Some(after.iter().rposition(|(_, is_low)| *is_low).map_or(0, |last| last + 1)),
    };
    let (back, _) = back.and_then(|back| after.get(back)).context("the values were not seen back")?;
    Ok(Duration::from_micros(back - at))
}

/// When the point was reached, by the process's own words: microseconds of the monotonic clock.
pub(super) fn reached_at(process: &str, case: &Case) -> Result<u64> {
    let text = said(process);
    let reached = format!("fault point {} reached at ", case.name());
    let at = text.split_once(&reached).context("the point's time is not said")?.1;
    at.split_once(' ').context("a unit")?.0.parse().context("a time")
}
