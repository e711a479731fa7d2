//! The kills whose time counts: the agent while its pump holds the pool limit at zero, and the pump itself.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::scene::{Limit, Recovery, Scene, agent, stop};
use super::{Line, judge};
use crate::guest::kernel;
use crate::guest::process::{Process, sibling};

/// The pool limit must be back so soon after the agent died.
const BOUND: Duration = Duration::from_millis(10);
/// Kills of each kind.
const KILLS: usize = 3;
/// How long the limit is watched after the kill: no later stroke may lower it again.
const WATCH: Duration = Duration::from_millis(300);
const PROCESSES: &str = "/sys/fs/cgroup/swaptier-pump/cgroup.procs";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Pump,
}

/// One line a kill.
pub(super) fn lines(scene: &mut Scene) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for victim in [Victim::Agent, Victim::Pump] {
        for _ in 0..KILLS {
            let before = scene.look()?;
            let begun = Instant::now();
            let mut line = match victim {
                Victim::Agent => Line::of("kill -9 of the agent, limit low", "guardian"),
                Victim::Pump => Line::of("kill -9 of the pump, limit low", "the agent"),
            };
            match kill(scene, victim) {
                Ok(low) => {
                    (line.killed, line.limit_low_micros) = (true, Some(low.as_micros() as u64));
                    if low > BOUND {
                        line.faults.push(format!("the limit was back after {low:?}, allowed are {BOUND:?}"));
                    }
                }
                Err(error) => line.faults.push(format!("{error:#}")),
            }
            judge(scene, &before, &mut line)?;
            line.seconds = begun.elapsed().as_secs_f64();
            lines.push(line);
        }
    }
    Ok(lines)
}

/// Kills the victim at a moment at which the limit is low; how long it was seen low after that.
fn kill(scene: &mut Scene, victim: Victim) -> Result<Duration> {
    let mut agent = agent("", &[])?;
    scene.wait_set(&mut agent)?;
    let limit = Limit::open()?;
    let until = Instant::now() + Duration::from_secs(60);
    let low = loop {
        ensure!(Instant::now() < until, "the limit was never low{}", agent.complaints());
        scene.refill()?;
        std::thread::sleep(Duration::from_millis(1200));
        let mut writeback = writeback(scene)?;
        let low = watch(&limit, &agent, victim)?;
        if let Some(low) = low {
            break low;
        }
        writeback.end(Duration::from_secs(30))?;
    };
    match victim {
        Victim::Agent => {
            agent.end(Duration::from_secs(10))?;
            scene.restore()?;
        }
        Victim::Pump => drop(stop(agent)?),
    }
    Ok(low)
}

fn writeback(scene: &Scene) -> Result<Process> {
    let mut command = Command::new(sibling("swaptier")?);
    command.args(["writeback", scene.cold().path(), "--older-than", "1s", "--max", "2000"]);
    Process::spawn("swaptier-writeback", &mut command)
}

/// Waits for the low limit, kills, and goes on looking. `None`: it was not seen low.
fn watch(limit: &Limit, agent: &Process, victim: Victim) -> Result<Option<Duration>> {
    let until = Instant::now() + Duration::from_secs(3);
    while !limit.is_low() {
        if Instant::now() > until {
            return Ok(None);
        }
    }
    let pid = match victim {
        Victim::Agent => agent.id(),
        Victim::Pump => kernel::read(PROCESSES)?.lines().next().context("a pump")?.trim().parse()?,
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
    let killed = Instant::now();
    kill_process(pid, Signal::KILL).context("killing it")?;
    let mut last = Duration::ZERO;
    while killed.elapsed() < WATCH {
        if limit.is_low() {
            last = killed.elapsed();
        } else if victim == Victim::Pump {
            // The agent lives, and its next round may lower the limit again.
            break;
        }
    }
    Ok(Some(last))
}

impl Scene {
    fn restore(&mut self) -> Result<()> {
        let case = super::CASES.first().context("the table is not empty")?;
        self.recover(case, Recovery::Restore)
    }
}
