//! What those who look cost those who swap: the agent's tick with nobody looking, with followers that read, and with
//! followers that are stopped and read nothing. By the agent's own account of its ticks.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::Options;
use crate::guest::agent::{Agent, swaptier_json};
use crate::guest::cgroup::Cgroup;
use crate::guest::process::{Process, sibling};
use crate::guest::stage::Stage;

/// So many cgroups that a few statuses fill a socket.
const CGROUPS: usize = 300;
const FOLLOWERS: usize = 8;
const POLICY: &str = "/etc/swaptier/policies.d/faces.toml";
const TEXT: &str =
    "schema = 1\n[match]\ncgroup = [\"faces.slice/**\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n";

/// How long each part is watched in a measurement.
const LONG: Duration = Duration::from_secs(60);

/// What ticks took while something was so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::guest) struct Ticks {
    /// How many there were.
    pub(in crate::guest) ticks: f64,
    /// Milliseconds of processor time of one.
    pub(in crate::guest) cpu_ms: f64,
    /// Milliseconds of one.
    pub(in crate::guest) wall_ms: f64,
    /// Share of one processor that the whole agent used, in percent: its socket included.
    pub(in crate::guest) agent_percent: f64,
}

/// The three parts.
#[derive(Debug, Clone, Copy)]
pub(in crate::guest) struct Faces {
    /// Nobody looks.
    pub(in crate::guest) alone: Ticks,
    /// Followers read each status.
    pub(in crate::guest) followed: Ticks,
    /// The same followers are stopped.
    pub(in crate::guest) stopped: Ticks,
}

/// Guard: the policy is there; gone at drop.
struct Policy;

impl Policy {
    fn set() -> Result<Policy> {
        std::fs::create_dir_all(Path::new(POLICY).parent().context("a folder")?)?;
        std::fs::write(POLICY, TEXT).with_context(|| format!("writing {POLICY}"))?;
        Ok(Policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _gone_is_as_good = std::fs::remove_file(POLICY);
    }
}

/// Measures all three, each for so long.
///
/// # Errors
/// When the agent does not run, or nothing can be measured.
pub(in crate::guest) fn measure(each: Duration) -> Result<Faces> {
    let _stage = Stage::set(40)?;
    let _policy = Policy::set()?;
    let cgroups: Result<Vec<Cgroup>> =
        (0..CGROUPS).map(|n| Cgroup::create(&format!("faces.slice/n{n}"))).collect();
    let cgroups = cgroups?;
    let agent = Agent::start(&[])?;
    // The first ticks set what the policy asks for.
    std::thread::sleep(Duration::from_secs(3));
    let alone = watch(each)?;
    let followers: Result<Vec<Process>> = (0..FOLLOWERS)
        .map(|n| {
            let mut command = Command::new(sibling("swaptier")?);
            Process::spawn(&format!("follower-{n}"), command.args(["status", "--follow"]))
        })
        .collect();
    let mut followers = followers?;
    let followed = watch(each)?;
    for follower in &mut followers {
        ensure!(follower.is_running()?, "a follower ended by itself{}", follower.complaints());
        follower.signal(Signal::STOP)?;
    }
    let stopped = watch(each)?;
    for follower in followers {
        follower.signal(Signal::KILL)?;
    }
    agent.stop()?;
    drop(cgroups);
    Ok(Faces { alone, followed, stopped })
}

/// What the agent's ticks take from now on, for so long.
fn watch(span: Duration) -> Result<Ticks> {
    let before = cost()?;
    std::thread::sleep(span);
    let after = cost()?;
    let [ticks, cpu, wall, agent, clock] = std::array::from_fn(|n| after[n] - before[n]);
    ensure!(ticks >= 3.0, "only {ticks} ticks in {span:?}");
    Ok(Ticks {
        ticks,
        cpu_ms: cpu / ticks * 1e3,
        wall_ms: wall / ticks * 1e3,
        agent_percent: agent / clock * 1e2,
    })
}

/// Ticks, their processor time and their time, the agent's processor time, and when that was: seconds.
fn cost() -> Result<[f64; 5]> {
    let status = swaptier_json(&["status", "--json"])?;
    let number = |value: &Value| value.as_f64().context("the status lacks the agent's cost");
    let (agent, cost) = (&status["agent"], &status["agent"]["cost"]);
    Ok([
        number(&agent["tick"])?,
        number(&cost["ticks_cpu_seconds"])?,
        number(&cost["ticks_seconds"])?,
        number(&cost["cpu_seconds"])?,
        number(&status["unix_seconds"])?,
    ])
}

/// What stopped followers may add to a tick: what the emulated processor's own noise is, and no more.
#[must_use]
pub(in crate::guest) fn is_unchanged(faces: &Faces) -> bool {
    faces.stopped.cpu_ms <= faces.followed.cpu_ms.max(faces.alone.cpu_ms) * 1.25 + 1.0
}

/// Prints the three lines.
pub(in crate::guest) fn print(faces: &Faces, is_json: bool) {
    for (name, ticks) in [("alone", faces.alone), ("followed", faces.followed), ("stopped", faces.stopped)] {
        let Ticks { ticks, cpu_ms, wall_ms, agent_percent } = ticks;
        if is_json {
            println!(
                "{{\"bench\":\"faces\",\"part\":\"{name}\",\"cgroups\":{CGROUPS},\"followers\":{FOLLOWERS},\
                 \"ticks\":{ticks},\"tick_cpu_ms\":{cpu_ms:.3},\"tick_ms\":{wall_ms:.3},\
                 \"agent_percent\":{agent_percent:.2}}}"
            );
        } else {
            println!(
                "    {name:<9} {ticks:>4} ticks, {cpu_ms:>8.3} ms of processor time each, {wall_ms:>8.3} ms long; \
                 the agent uses {agent_percent:.2} % of a processor"
            );
        }
    }
}

/// The measurement.
pub(super) fn run(options: &Options) -> Result<bool> {
    let faces = measure(LONG)?;
    print(&faces, options.json);
    Ok(is_unchanged(&faces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_that_grows_by_its_half_is_not_unchanged() {
        let ticks = |cpu_ms| Ticks { ticks: 10.0, cpu_ms, wall_ms: cpu_ms, agent_percent: 1.0 };
        let faces = |stopped| Faces { alone: ticks(40.0), followed: ticks(42.0), stopped: ticks(stopped) };
        assert!(is_unchanged(&faces(45.0)) && !is_unchanged(&faces(60.0)));
    }
}
