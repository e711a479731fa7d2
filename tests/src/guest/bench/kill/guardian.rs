//! The kills whose time counts: the agent while its pump holds the pool limit at zero, and the pump itself there.
//!
//! The pump's fault point says when, by the kernel's clock; a thread here looks at the limit all the time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::cases::{Case, Way};
use super::scene::{Recovery, Scene, said};
use super::{Line, judge};
use crate::guest::zswap;

/// The guardian must have the pool limit back so soon after its agent is killed.
const BOUND: Duration = Duration::from_millis(10);
/// Kills of each kind.
const KILLS: usize = 3;
/// Between two looks at the limit.
const LOOK: Duration = Duration::from_micros(50);
/// How long it is looked at after the kill.
const AFTER: Duration = Duration::from_millis(300);

/// Who is killed, and the way there.
const VICTIMS: [(&str, Recovery, Case); 2] = [
    (
        "kill -9 of the agent while the limit is low",
        Recovery::Restore,
        Case { fault: "pump.limit.low@parent", way: Way::Round, foreign: false },
    ),
    (
        "kill -9 of the pump while the limit is low",
        Recovery::Itself,
        Case { fault: "pump.limit.low", way: Way::Pump, foreign: false },
    ),
];

/// One line a kill. The time is always said, and judged only if `is_timed`: a guest test is not, because the processors
/// of an emulated guest stand still when the machine is busy.
pub(super) fn lines(scene: &mut Scene, is_timed: bool) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (point, recovery, case) in VICTIMS {
        for _ in 0..KILLS {
            let (before, begun) = (scene.look()?, Instant::now());
            let mut line = Line::of(point, recovery.name());
            match watched(|| scene.kill(&case)).and_then(|looks| low_after(&looks, recovery)) {
                Ok(low) => {
                    (line.killed, line.limit_low_micros) = (true, Some(low.as_micros() as u64));
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
    let mut guarded: Vec<u64> = lines[..KILLS].iter().filter_map(|line| line.limit_low_micros).collect();
    guarded.sort_unstable();
    // The median: under emulation a processor of the guest may stand still for longer than the bound.
    if is_timed
        && let Some(line) = lines.first_mut()
        && guarded.get(guarded.len() / 2).is_some_and(|micros| u128::from(*micros) > BOUND.as_micros())
    {
        line.faults.push(format!("the guardian took {guarded:?} µs, allowed are {BOUND:?}"));
        line.ok = false;
    }
    Ok(lines)
}

/// One look at the limit: microseconds of the monotonic clock, and whether it was low.
type Look = (u64, bool);

/// Carries `kill` out while the limit is looked at.
fn watched(kill: impl FnOnce() -> Result<()>) -> Result<Vec<Look>> {
    let path = Path::new(zswap::PARAMETERS).join("max_pool_percent");
    let limit = std::fs::File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(&limit, &is_over));
        let killed = kill();
        std::thread::sleep(AFTER);
        is_over.store(true, Ordering::Relaxed);
        let looks = looking.join();
        killed?;
        looks.map_err(|_| anyhow::anyhow!("the looking thread panicked"))
    })
}

fn look(limit: &std::fs::File, is_over: &AtomicBool) -> Vec<Look> {
    use std::os::unix::fs::FileExt;
    let mut looks = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let mut text = [0; 16];
        let is_low = limit.read_at(&mut text, 0).is_ok_and(|read| text[..read].starts_with(b"0"));
        looks.push((now(), is_low));
        std::thread::sleep(LOOK);
    }
    looks
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// How long after the kill the limit was back at the latest: seen back by the first look after it, and for good where no
/// agent lives to lower it again.
fn low_after(looks: &[Look], recovery: Recovery) -> Result<Duration> {
    let text = said("swaptier-agent");
    let at = text.split_once("fault point pump.limit.low reached at ").context("the pump says no time")?.1;
    let at: u64 = at.split_once(' ').context("a unit")?.0.parse().context("a time")?;
    let after = &looks[looks.partition_point(|(time, _)| *time < at)..];
    let back = match recovery {
        Recovery::Itself => after.iter().position(|(_, is_low)| !is_low),
        _ => Some(after.iter().rposition(|(_, is_low)| *is_low).map_or(0, |last| last + 1)),
    };
    let (back, _) = back.and_then(|back| after.get(back)).context("the limit was not seen back")?;
    Ok(Duration::from_micros(back - at))
}
