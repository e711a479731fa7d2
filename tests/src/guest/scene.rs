//! The scene of the write-back measurements: a cgroup with aged pages in zswap *and* a hot file cache, beside a
//! sibling that swaps hard. The agent runs from before the first page is stored, so that every age is known.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::agent::Agent;
use super::cgroup::{self, Cgroup};
use super::kernel::{self, page_size};
use super::preamble::SCRATCH_DISK;
use super::stage::Stage;
use super::wait::wait_for;
use super::workload::Workload;
use super::zswap;

/// The host's settings.
const CONFIG: &str = "/etc/swaptier/swaptier.toml";

/// Where the sibling swaps this hard under emulation, so few of its stores may be refused that a round takes its time.
const SETTINGS: &str = "[writeback]\ndeadline = \"100s\"\n";

/// Everything the measurements need; fields drop in order: workloads, cgroups, agent, swap.
#[derive(Debug)]
pub struct Scene {
    cold: Workload,
    cache: Workload,
    churn: Workload,
    busy: Workload,
    /// The cgroup whose pages are to be written back.
    pub victim: Cgroup,
    /// The one that must not lose any.
    pub sibling: Cgroup,
    /// The running agent; it has no policies. A test may take and kill it.
    pub agent: Option<Agent>,
    _settings: Settings,
    _stage: Stage,
}

/// Guard: the settings are there; gone at drop.
#[derive(Debug)]
struct Settings;

impl Settings {
    fn set() -> Result<Settings> {
        std::fs::create_dir_all(Path::new(CONFIG).parent().context("a folder")?)?;
        std::fs::write(CONFIG, SETTINGS).with_context(|| format!("writing {CONFIG}"))?;
        Ok(Settings)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        let _gone_is_as_good = std::fs::remove_file(CONFIG);
    }
}

/// Kernel counters before and after a round.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Pages written back in the victim.
    pub victim: u64,
    /// Pages written back in the sibling.
    pub sibling: u64,
    /// Pages written back on the host.
    pub host: u64,
    /// Pages reclaimed from LRU lists of every cgroup but the sibling.
    pub reclaimed: u64,
    /// Bytes of frames the zswap pool holds.
    pub pool: u64,
}

impl Scene {
    /// Sets it: 40 MiB of cold memory, 100 MiB of file and 8 MiB that can be kept going through zswap in the victim,
    /// 84 MiB in 64 for the sibling.
    ///
    /// # Errors
    /// When any of it is refused.
    pub fn set() -> Result<Scene> {
        Scene::set_with(&[])
    }

    /// The same with an agent that has these environment variables.
    ///
    /// # Errors
    /// As [`Scene::set`].
    pub fn set_with(variables: &[(&str, &str)]) -> Result<Scene> {
        ensure!(
            Path::new(SCRATCH_DISK).exists(),
            "{SCRATCH_DISK} is missing: the guest needs a disk for files"
        );
        let stage = Stage::set(40)?;
        let settings = Settings::set()?;
        let agent = Agent::start_with(&[], variables)?;
        let victim = Cgroup::create("bench.slice/victim")?;
        let sibling = Cgroup::create("bench.slice/sibling")?;
        let cold = Workload::spawn(&victim, "--hot 1M --warm 0 --cold 40M --commands --seed 1")?;
        let file = format!("--hot 4M --warm 0 --cold 0 --file-cache 100M --file-dir {SCRATCH_DISK} --seed 2");
        let cache = Workload::spawn(&victim, &file)?;
        let churn = Workload::spawn(&victim, "--hot 8M --warm 0 --cold 0 --commands --seed 4")?;
        let busy = Workload::spawn(&sibling, "--hot 24M --warm 60M --cold 0 --seed 3")?;
        sibling.set("memory.high", "64M")?;
        Ok(Scene {
            cold,
            cache,
            churn,
            busy,
            victim,
            sibling,
            agent: Some(agent),
            _settings: settings,
            _stage: stage,
        })
    }

    /// Brings all cold pages into zswap anew and lets them age.
    ///
    /// # Errors
    /// When fewer than nine in ten can be brought there.
    pub fn refill(&mut self, age: Duration) -> Result<()> {
        // Written, not only read: a page that came from the disk unchanged would go back there without zswap.
        self.cold.command("write cold")?;
        // 40 MiB are 10,240 pages.
        wait_for("the cold pages to be in zswap", Duration::from_secs(30), || {
            self.cold.command("pageout cold")?;
            Ok(self.victim.stat("zswapped")? / page_size() > 9_000)
        })?;
        std::thread::sleep(age);
        Ok(())
    }

    /// Does `work` while the victim itself swaps: 8 MiB of it go out and come back all the time.
    ///
    /// # Errors
    /// Those of the work, or when the victim cannot swap.
    pub fn while_swapping<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (churn, is_over) = (&mut self.churn, AtomicBool::new(false));
        thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    churn.command("pageout hot")?;
                    churn.command("touch hot")?;
                }
                anyhow::Ok(())
            });
            let done = work();
            is_over.store(true, Ordering::Relaxed);
            swapping.join().map_err(|_| anyhow!("the swapping thread panicked"))??;
            done
        })
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When one is missing.
    pub fn counters(&self) -> Result<Counters> {
        Ok(Counters {
            victim: self.victim.stat("zswpwb")?,
            sibling: self.sibling.stat("zswpwb")?,
            host: zswap::debug("written_back_pages")?,
            reclaimed: reclaimed(Path::new(cgroup::ROOT), &self.sibling.file(""))?,
            pool: zswap::debug("pool_total_size")?,
        })
    }

    /// Ends the workloads, all of which must have kept their contents, then the agent.
    ///
    /// # Errors
    /// When one did not, or the agent does not stop well.
    pub fn finish(self) -> Result<()> {
        self.sibling.set("memory.high", "max")?;
        self.cold.finish().context("the cold memory")?;
        self.cache.finish().context("the file cache")?;
        self.churn.finish().context("what went through zswap")?;
        self.busy.finish().context("the sibling")?;
        self.agent.map_or(Ok(()), Agent::stop)
    }
}

/// `pgsteal` of every cgroup without children, but one. memory.stat counts a subtree, so leaves count once.
fn reclaimed(directory: &Path, except: &Path) -> Result<u64> {
    let below: Vec<_> = std::fs::read_dir(directory)
        .with_context(|| format!("listing {}", directory.display()))?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
        .collect();
    if directory.components().eq(except.components()) || !directory.join("memory.stat").exists() {
        return Ok(0);
    }
    if below.is_empty() {
        return kernel::stat(directory.join("memory.stat"), "pgsteal");
    }
    below.iter().map(|entry| reclaimed(&entry.path(), except)).sum()
}
