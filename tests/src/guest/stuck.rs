//! Tasks that wait where no signal reaches them (state D): the longest that any of them did without running in between,
//! seen by a thread that looks at all tasks a few times a second.
//!
//! A task seen waiting twice may have run in between: it counts as one wait only if it was switched in no more often.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::kernel;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest wait so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Longest {
    /// How long it was at least.
    pub wait: Duration,
    /// Name and number of the task.
    pub who: String,
}

/// The thread that looks.
#[derive(Debug)]
pub struct Watch {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Longest>>,
}

impl Watch {
    /// Begins to look.
    #[must_use]
    pub fn start() -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut seen, mut longest) = (BTreeMap::new(), Longest::default());
            while !told.load(Ordering::Relaxed) {
                look(&mut seen, &mut longest);
                thread::sleep(PAUSE);
            }
            longest
        });
        Watch { is_over, thread: Some(thread) }
    }

    /// The longest wait since the beginning.
    #[must_use]
    pub fn stop(mut self) -> Longest {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Tasks that wait, each with how often it was switched and since when it is seen so.
type Seen = BTreeMap<u32, (u64, Instant)>;

fn look(seen: &mut Seen, longest: &mut Longest) {
    let now = Instant::now();
    let mut waiting = Seen::new();
    for process in numbers("/proc") {
        for task in numbers(format!("/proc/{process}/task")) {
            let Some((name, switches)) = waits(&format!("/proc/{process}/task/{task}")) else { continue };
            let since = seen.get(&task).filter(|(before, _)| *before == switches).map_or(now, |it| it.1);
            if now - since > longest.wait {
                *longest = Longest { wait: now - since, who: format!("{name} ({task})") };
            }
            waiting.insert(task, (switches, since));
        }
    }
    *seen = waiting;
}

fn numbers(folder: impl AsRef<Path>) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The name of a task in state D, and how often it was switched. A task may be gone by now.
fn waits(task: &str) -> Option<(String, u64)> {
    let stat = kernel::read(format!("{task}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    if !rest.trim_start().starts_with('D') {
        return None;
    }
    let status = kernel::read(format!("{task}/status")).ok()?;
    let counts = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    let counts = counts.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    Some((name.to_owned(), counts.sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_sleeps_or_runs_is_not_waiting() {
        assert_eq!(waits("/proc/self"), None);
        assert_eq!(waits("/proc/0"), None);
    }
}
