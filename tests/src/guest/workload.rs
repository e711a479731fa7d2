//! The workload generator as a child in a cgroup: started, driven by commands, asked for its verdict.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::cgroup::Cgroup;
use super::process::{Process, ending, sibling};
use crate::workload::{Answer, Report};

/// Filling, one command or the closing verification may take this long under emulation while everything swaps.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running `swaptier-workload`.
#[derive(Debug)]
pub struct Workload {
    process: Process,
}

impl Workload {
    /// Starts it in `cgroup` with the words of `arguments`; returns as soon as it has filled its memory.
    ///
    /// # Errors
    /// When it cannot be started or does not get ready.
    pub fn spawn(cgroup: &Cgroup, arguments: &str) -> Result<Workload> {
        let mut workload = Workload::start(cgroup, arguments)?;
        workload.wait_ready()?;
        Ok(workload)
    }

    /// The same without waiting: [`Workload::wait_ready`] must follow.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(cgroup: &Cgroup, arguments: &str) -> Result<Workload> {
        let mut command = command(arguments)?;
        let name = format!("workload-{}", cgroup.path().replace('/', "-"));
        let process = Process::spawn(&name, cgroup.enter(&mut command)?)?;
        Ok(Workload { process })
    }

    /// Starts it in the root cgroup, where this program is, and waits until it has filled its memory.
    ///
    /// # Errors
    /// As [`Workload::spawn`].
    pub fn spawn_in_root(arguments: &str) -> Result<Workload> {
        let mut workload = Workload { process: Process::spawn("workload-root", &mut command(arguments)?)? };
        workload.wait_ready()?;
        Ok(workload)
    }

    /// Waits until its memory is filled.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.wait_ready_for(PATIENCE)
    }

    /// The same for one that has much to fill.
    ///
    /// # Errors
    /// When it ends or takes longer.
    pub fn wait_ready_for(&mut self, limit: Duration) -> Result<()> {
        match self.process.line(limit)?.as_str() {
            "ready" => Ok(()),
            other => bail!("the workload said `{other}` instead of `ready`"),
        }
    }

    /// Gives one command (it was started with `--commands`) and waits for the answer.
    ///
    /// # Errors
    /// When the command failed, or a mismatch was found.
    pub fn command(&mut self, command: &str) -> Result<Answer> {
        self.process.tell(command)?;
        let line = self.process.line(PATIENCE)?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("answer to `{command}`: {line}"))?;
        match &answer.error {
            Some(error) => bail!("workload: `{command}`: {error}"),
            None if answer.mismatches > 0 => {
                bail!(
                    "workload: {} pages wrong after `{command}`{}",
                    answer.mismatches,
                    self.process.complaints()
                )
            }
            None => Ok(answer),
        }
    }

    /// Ends it; its report, when every page held its contents.
    ///
    /// # Errors
    /// When a page did not, or when it ended in any way but well.
    pub fn finish(self) -> Result<Report> {
        self.process.signal(Signal::TERM)?;
        self.report()
    }

    /// Waits for the end of a run that was limited by `--loops` or `--seconds`.
    ///
    /// # Errors
    /// As [`Workload::finish`].
    pub fn report(self) -> Result<Report> {
        self.report_within(PATIENCE)
    }

    /// The same for one that has much to verify.
    ///
    /// # Errors
    /// As [`Workload::finish`].
    pub fn report_within(mut self, limit: Duration) -> Result<Report> {
        let line = self.process.line(limit);
        let status = self.process.end(PATIENCE)?;
        let line = line.with_context(|| format!("the workload ended without report: {}", ending(status)))?;
        let report: Report =
            serde_json::from_str(&line).with_context(|| format!("the workload's report: {line}"))?;
        if report.mismatches > 0 || !status.success() {
            let (count, end) = (report.mismatches, ending(status));
            bail!("the workload found {count} pages wrong ({end}){}", self.process.complaints());
        }
        Ok(report)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Is it still at work?
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        self.process.is_running()
    }
}

fn command(arguments: &str) -> Result<Command> {
    let mut command = Command::new(sibling("swaptier-workload")?);
    command.args(arguments.split_whitespace());
    Ok(command)
}
