//! `swaptier` itself as the guest tests use it: a command run to its end, and the agent running beside.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use super::hidden;
use super::process::{Process, ending, sibling};
use super::wait::wait_for;

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code; 128 + n after signal n.
    pub code: i32,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs `swaptier` with these arguments to its end.
///
/// # Errors
/// When it cannot be started; any exit code is an outcome.
pub fn swaptier(arguments: &[&str]) -> Result<Outcome> {
    use std::os::unix::process::ExitStatusExt;
    let start = Instant::now();
    let output = Command::new(sibling("swaptier")?).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("running swaptier {arguments:?}"))?;
    Ok(Outcome {
        code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: start.elapsed(),
    })
}

/// The same, expecting exit code 0 and JSON.
///
/// # Errors
/// When it ends otherwise or prints anything but one JSON value.
pub fn swaptier_json(arguments: &[&str]) -> Result<Value> {
    swaptier_json_ending(arguments, &[0])
}

/// The same, expecting one of these exit codes.
///
/// # Errors
/// As [`swaptier_json`].
pub fn swaptier_json_ending(arguments: &[&str], codes: &[i32]) -> Result<Value> {
    let outcome = swaptier(arguments)?;
    if !codes.contains(&outcome.code) {
        let (said, complaint) = (outcome.stdout.trim(), outcome.stderr.trim());
        bail!("swaptier {} ended with {}: {said}\n{complaint}", arguments.join(" "), outcome.code);
    }
    serde_json::from_str(&outcome.stdout).with_context(|| {
        format!("swaptier {} printed no JSON:\n{}", arguments.join(" "), outcome.stdout.trim())
    })
}

/// A running agent; killed at drop when it was not stopped.
#[derive(Debug)]
pub struct Agent {
    process: Process,
}

impl Agent {
    /// Starts the agent and waits until `status` says that it runs.
    ///
    /// # Errors
    /// When it ends, or is not up within two minutes (loading programs takes its time under emulation).
    pub fn start(arguments: &[&str]) -> Result<Agent> {
        Agent::start_with(arguments, &[])
    }

    /// The same with environment variables.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Agent> {
        let mut command = Command::new(sibling("swaptier")?);
        command.arg("agent").args(arguments).envs(variables.iter().copied());
        Agent::start_by(&mut command)
    }

    /// The same with a `/dev` of its own in which there is nothing, as a unit with `PrivateDevices=yes` has.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_hidden() -> Result<Agent> {
        Agent::start_by(&mut hidden::command("tmpfs", &["agent"])?)
    }

    /// The same by a command that becomes the agent.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_by(command: &mut Command) -> Result<Agent> {
        let mut agent = Agent { process: Process::spawn("swaptier-agent", command)? };
        wait_for("the agent to answer `status`", Duration::from_secs(120), || {
            if !agent.process.is_running()? {
                let status = agent.process.end(Duration::ZERO)?;
                bail!("the agent ended at once: {}{}", ending(status), agent.process.complaints());
            }
            let status = swaptier(&["status", "--json"])?;
            let status: Value = serde_json::from_str(&status.stdout).unwrap_or_default();
            Ok(status["agent"]["running"] == true)
        })?;
        Ok(agent)
    }

    /// Asks it to stop, as systemd does, and waits; it must end well.
    ///
    /// # Errors
    /// When it does not end within half a minute or not with exit code 0 or 143.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.end(Duration::from_secs(30))?;
        match status.code() {
            Some(0 | 143) => Ok(()),
            _ => bail!("the stopped agent ended with {}{}", ending(status), self.process.complaints()),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to read its policies anew.
    ///
    /// # Errors
    /// When it is gone.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::HUP)
    }

    /// Holds it where it is, as a host does that has no time for it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn hold(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn go_on(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// kill -9, in the middle of whatever it does.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.end(Duration::from_secs(30)).map(drop)
    }

    /// All of its log.
    #[must_use]
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// The end of its log, for messages.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.complaints()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // After a failed test: a chance to give everything back. The process itself is killed at drop.
        if self.process.is_running().is_ok_and(|running| running) {
            let _ =
                self.process.signal(Signal::TERM).and_then(|()| self.process.end(Duration::from_secs(10)));
        }
    }
}
