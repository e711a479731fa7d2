//! Talking to the person at the terminal: steps, heartbeats, and running a program with both.
//! All of it goes to stderr; stdout belongs to what a guest prints. Called by every task.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A step that is silent longer than this says that it is still alive.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Announces a step.
pub(crate) fn step(text: &str) {
    eprintln!("==> {text}");
}

/// Adds a detail to the step before.
pub(crate) fn note(text: &str) {
    eprintln!("    {text}");
}

/// Does `work`, printing every few seconds that it still goes on.
pub(crate) fn patiently<T>(label: &str, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = waiting.recv_timeout(HEARTBEAT) {
                note(&format!("… {label}: {} s", started.elapsed().as_secs()));
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Runs a program quietly with a heartbeat; its output is shown only when it fails.
pub(crate) fn run(label: &str, command: &mut Command) -> Result<Output> {
    let shown = format!("{command:?}");
    let output = patiently(label, || command.stdin(Stdio::null()).output())
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    if !output.status.success() {
        let mut err = std::io::stderr();
        let _ = err.write_all(&output.stdout).and_then(|()| err.write_all(&output.stderr));
        bail!("{label} failed with {}: {shown}", output.status);
    }
    Ok(output)
}

/// Runs a program quietly and returns what it wrote to stdout.
pub(crate) fn capture(label: &str, command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&run(label, command)?.stdout).into_owned())
}

/// Runs a program whose own output is the progress (cargo, apt).
pub(crate) fn show(label: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{label} failed with {status}");
    }
    Ok(())
}
