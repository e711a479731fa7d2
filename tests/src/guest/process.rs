//! Children of the guest tests: their output captured, their end awaited with a limit, killed when forgotten.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::cgroup::ROOT;
use super::kernel;

/// A running child: lines of its stdout on demand, its stderr in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`; `name` names it in messages and its stderr file in /tmp.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Process> {
        let stderr = std::env::temp_dir().join(format!("{name}.err"));
        let file = File::create(&stderr).with_context(|| format!("creating {}", stderr.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = channel();
        // Ends with the child's stdout; a full channel cannot block it, an abandoned one ends it.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Ok(Process { name: name.to_owned(), child, stdin, lines, stderr })
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line of output.
    ///
    /// # Errors
    /// When none comes within `limit` or the output ends; with the end of its stderr.
    pub fn line(&mut self, limit: Duration) -> Result<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!(
                    "{} printed nothing for {} s{}{}",
                    self.name,
                    limit.as_secs(),
                    self.complaints(),
                    plight(self.id())
                )
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{} ended its output{}", self.name, self.complaints())
            }
        }
    }

    /// Writes a line to its stdin.
    ///
    /// # Errors
    /// When it does not read any more.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        use std::io::Write;
        let stdin = self.stdin.as_mut().context("its stdin was closed")?;
        writeln!(stdin, "{line}")
            .with_context(|| format!("telling {} `{line}`{}", self.name, self.complaints()))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let last = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("waiting")? {
                return Ok(status);
            }
            if Instant::now() >= last {
                bail!(
                    "{} did not end within {} s{}{}",
                    self.name,
                    limit.as_secs(),
                    self.complaints(),
                    plight(self.id())
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Is it still running?
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("waiting")?.is_none())
    }

    /// All of its stderr so far.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// The end of its stderr, ready to be appended to a message; nothing when it said nothing.
    #[must_use]
    pub fn complaints(&self) -> String {
        complaints(&self.stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Both fail only when it has ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Where a process is that should have gone on: its state, the kernel functions it waits in, and what its cgroups have
/// and may have. Nothing of one that is gone.
fn plight(id: u32) -> String {
    let of = |file: &str| kernel::read(format!("/proc/{id}/{file}")).unwrap_or_default();
    let state = of("status").lines().find(|line| line.starts_with("State:")).map(str::to_owned);
    let Some(state) = state else { return String::new() };
    let mut said = format!("; {state}, in\n{}", of("stack"));
    let path = of("cgroup").trim().trim_start_matches("0::/").to_owned();
    let mut above = Path::new(ROOT).join(path);
    while above.starts_with(ROOT) && above != Path::new(ROOT) {
        let files = ["current", "high", "swap.current", "swap.max", "zswap.max", "zswap.writeback"];
        let values = files.map(|file| {
            let value = kernel::read(above.join(format!("memory.{file}")));
            format!("{file} {}", value.unwrap_or_else(|_| "-".to_owned()))
        });
        said.push_str(&format!("\n{}: {}", above.display(), values.join(", ")));
        above.pop();
    }
    said
}

/// How a process ended, in words.
#[must_use]
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "killed (signal 9; the OOM killer uses it)".to_owned(),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or(0)),
    }
}

/// The name of a process and the clock ticks it has had, out of its `/proc/PID/stat`. A name is in brackets, and may hold some.
#[must_use]
pub fn ticks(stat: &str) -> Option<(&str, u64)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    // proc_pid_stat(5): the state is the third field, the ticks of the process and of the kernel for it 14th and 15th.
    let mut fields = rest.split_whitespace().skip(11);
    Some((name, fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?))
}

/// The binary of this name beside the running one, where the guest image has all of ours.
///
/// # Errors
/// When it is not there.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("finding this program")?;
    let path = here.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing: the guest image should have it", path.display());
    }
    Ok(path)
}

fn complaints(stderr: &Path) -> String {
    const LAST: usize = 2000;
    let text = std::fs::read(stderr).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LAST)..]).trim().to_owned();
    if text.is_empty() { text } else { format!("; its stderr:\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> Process {
        Process::spawn(name, Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 50 6 70 80 20 0 1 0 9";
        assert_eq!(ticks(stat), Some(("a (b) c", 56)));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert!(ticks(&kernel::read("/proc/self/stat").unwrap()).is_some());
    }

    #[test]
    fn a_child_answers_and_ends() {
        let mut child = shell("process-test-answers", "read x; echo got $x; exit 3");
        child.tell("this").unwrap();
        assert_eq!(child.line(Duration::from_secs(10)).unwrap(), "got this");
        assert_eq!(ending(child.end(Duration::from_secs(10)).unwrap()), "exit code 3");
    }

    #[test]
    fn a_silent_child_is_an_error_with_its_complaints() {
        let mut child = shell("process-test-silent", "echo no memory >&2; exit 1");
        let error = format!("{:#}", child.line(Duration::from_secs(10)).unwrap_err());
        assert!(error.contains("no memory"), "{error}");
    }

    #[test]
    fn a_child_that_hangs_is_an_error_with_its_state() {
        let mut child = shell("process-test-hangs", "exec sleep 1000");
        let error = format!("{:#}", child.end(Duration::from_millis(50)).unwrap_err());
        assert!(error.contains("did not end within 0 s; State:"), "{error}");
    }

    #[test]
    fn a_forgotten_child_is_killed() {
        let child = shell("process-test-forgotten", "exec sleep 1000");
        let id = child.id();
        drop(child);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
