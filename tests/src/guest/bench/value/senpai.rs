//! A daemon after oomd's Senpai (facebookincubator/oomd, `src/oomd/plugins/Senpai.cpp`): every six seconds it reclaims a
//! hundredth of what is above the least a cgroup needs, while less than a thousandth of the time is lost to pressure.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::ground::SLICE;
use crate::guest::cgroup::ROOT;
use crate::guest::kernel;

/// Its constants, as shipped.
const INTERVAL: Duration = Duration::from_secs(6);
const PRESSURE_PERCENT: f64 = 0.1;
const STEP: f64 = 0.01;
const LEAST: u64 = 100 << 20;

/// Runs until it is ended.
pub(super) struct Senpai {
    over: Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Senpai {
    pub(super) fn begin() -> Senpai {
        let (over, ends) = channel();
        Senpai { over, thread: thread::spawn(move || watch(&ends)) }
    }

    pub(super) fn end(self) -> Result<()> {
        drop(self.over);
        self.thread.join().map_err(|_| anyhow!("Senpai panicked"))?
    }
}

fn watch(ends: &Receiver<()>) -> Result<()> {
    while ends.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        for entry in std::fs::read_dir(format!("{ROOT}/{SLICE}")).context(SLICE)?.flatten() {
            if entry.path().is_dir() {
                // A cgroup that goes has nothing to give.
                let _ = squeeze(&entry.path());
            }
        }
    }
    Ok(())
}

fn squeeze(cgroup: &std::path::Path) -> Result<()> {
    let worst = ["memory.pressure", "io.pressure"].map(|file| pressure(&kernel::read(cgroup.join(file))?));
    if worst.into_iter().collect::<Result<Vec<_>>>()?.into_iter().any(|worst| worst >= PRESSURE_PERCENT) {
        return Ok(());
    }
    let current: u64 = kernel::read(cgroup.join("memory.current"))?.parse().context("memory.current")?;
    let stat = kernel::stats(cgroup.join("memory.stat"))?;
    let reclaimable: u64 = ["active_anon", "inactive_anon", "active_file", "inactive_file"]
        .iter()
        .filter_map(|list| stat.get(*list))
        .sum();
    let least = current.saturating_sub(reclaimable) + LEAST;
    let bytes = (current.saturating_sub(least) as f64 * STEP) as u64;
    if bytes > 0 {
        // Less than was asked for is an answer, too.
        let _ = kernel::write(cgroup.join("memory.reclaim"), &bytes.to_string());
    }
    Ok(())
}

/// The worse of the last ten and sixty seconds, in percent.
fn pressure(text: &str) -> Result<f64> {
    let some =
        text.lines().find(|line| line.starts_with("some ")).context("pressure says nothing of `some`")?;
    let of = |key: &str| some.split(' ').find_map(|word| word.strip_prefix(key)?.parse::<f64>().ok());
    let (ten, sixty) = (of("avg10=").context("avg10")?, of("avg60=").context("avg60")?);
    Ok(ten.max(sixty))
}

#[cfg(test)]
mod tests {
    use super::pressure;

    #[test]
    fn the_worse_of_two_windows_counts() {
        let text =
            "some avg10=0.05 avg60=0.31 avg300=9.00 total=1\nfull avg10=7.00 avg60=7.00 avg300=0.00 total=0";
        assert_eq!(pressure(text).unwrap(), 0.31);
        assert!(pressure("full avg10=1.00").is_err());
    }
}
