//! What every scenario stands on: swap and zswap, an agent, a cgroup beside whose pages must stay where they are, and
//! victims with aged pages in zswap. Rounds are measured here, by the kernel's counters.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::SLICE;
use crate::guest::agent::{self, Agent, swaptier};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::page_size;
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap;

/// The host's settings: what is due is decided each second, and a round beside much traffic takes its time.
const CONFIG: (&str, &str) =
    ("/etc/swaptier/swaptier.toml", "[agent]\ninterval = \"1s\"\n[writeback]\ndeadline = \"100s\"\n");
/// Where operators put policies.
const POLICIES: &str = "/etc/swaptier/policies.d";

/// Age the pages must have, and have when a round begins.
const OLDER_THAN: &str = "2s";
const AGED: Duration = Duration::from_secs(4);

/// memory.stat may lag behind for so long: small changes are only summed up every two seconds (mm/memcontrol.c).
const STATS_DELAY: Duration = Duration::from_millis(2500);

/// Fields drop in order: workload, cgroup, agent, swap.
pub(super) struct Ground {
    still: Victim,
    /// `None`: the last one did not end well, or the next did not begin.
    agent: Option<Agent>,
    _settings: Placed,
    _stage: Stage,
}

impl Ground {
    /// Sets it: the agent runs from before the first page, without policies.
    pub(super) fn set() -> Result<Ground> {
        let stage = Stage::set(40)?;
        let settings = Placed::put(CONFIG.0, CONFIG.1)?;
        let agent = Agent::start(&[])?;
        let mut still = Victim::set("still", "12M")?;
        still.store()?;
        Ok(Ground { still, agent: Some(agent), _settings: settings, _stage: stage })
    }

    /// The agent itself.
    pub(super) fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().context("no agent runs")
    }

    /// Another agent instead of this one.
    pub(super) fn begin_anew(&mut self, start: impl FnOnce() -> Result<Agent>) -> Result<()> {
        if let Some(agent) = self.agent.take() {
            agent.stop()?;
        }
        self.agent = Some(start()?);
        Ok(())
    }

    /// The cgroup beside: as long as its valve is closed, a round is aimed at another.
    pub(super) fn is_aimed(&self) -> Result<bool> {
        Ok(self.still.cgroup.get("memory.zswap.writeback")? == "0")
    }

    /// Pages written back of the cgroup that must not lose any, so far.
    pub(super) fn still_written(&self) -> Result<u64> {
        self.still.cgroup.stat("zswpwb")
    }

    /// Puts policies in force for as long as the guard lives and the agent is told.
    pub(super) fn policies(&self, files: &[(&str, &str)]) -> Result<Vec<Placed>> {
        let put = |(name, text): &(&str, &str)| Placed::put(&format!("{POLICIES}/{name}"), text);
        let placed = files.iter().map(put).collect::<Result<_>>()?;
        self.agent()?.reload().map(|()| placed)
    }

    /// Takes them back, and waits until the agent has decided without them.
    pub(super) fn without(&self, policies: Vec<Placed>) -> Result<()> {
        drop(policies);
        self.agent()?.reload()?;
        thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        self.still.finish().context("the cgroup beside")?;
        self.agent.map_or(Ok(()), Agent::stop)
    }
}

/// Guard: a file that is there for a time.
#[derive(Debug)]
pub(super) struct Placed(PathBuf);

impl Placed {
    fn put(path: &str, text: &str) -> Result<Placed> {
        let path = PathBuf::from(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(Placed(path))
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let _gone_is_as_good = std::fs::remove_file(&self.0);
    }
}

/// A cgroup with cold pages; the workload drops first.
pub(super) struct Victim {
    pub(super) work: Workload,
    pub(super) cgroup: Cgroup,
    pages: u64,
}

impl Victim {
    /// `name` beneath the slice of all scenarios, with so much cold memory.
    pub(super) fn set(name: &str, cold: &str) -> Result<Victim> {
        Victim::set_of_bytes(OsStr::new(name), cold)
    }

    /// The same with a name that may be no text.
    pub(super) fn set_of_bytes(name: &OsStr, cold: &str) -> Result<Victim> {
        let cgroup = Cgroup::create_of_bytes(&Path::new(SLICE).join(name))?;
        let seed = name.as_bytes().iter().copied().map(u64::from).sum::<u64>();
        let arguments = format!("--hot 1M --warm 0 --cold {cold} --commands --seed {seed}");
        let work = Workload::spawn(&cgroup, &arguments)?;
        let pages = crate::workload::parse_size(cold).map_err(|error| anyhow!(error))? / page_size();
        Ok(Victim { work, cgroup, pages })
    }

    /// Brings all cold pages into zswap anew.
    pub(super) fn store(&mut self) -> Result<()> {
        // Written, not only read: a page that came from the disk unchanged would go back there without zswap.
        self.work.command("write cold")?;
        wait_for("the cold pages to be in zswap", Duration::from_secs(60), || {
            self.work.command("pageout cold")?;
            Ok(self.cgroup.stat("zswapped")? / page_size() > self.pages * 9 / 10)
        })
    }

    /// The same, and lets them age.
    pub(super) fn age(&mut self) -> Result<()> {
        self.store()?;
        thread::sleep(AGED);
        Ok(())
    }

    /// Ends it; every page must have kept its contents.
    pub(super) fn finish(self) -> Result<()> {
        self.work.finish().with_context(|| self.cgroup.path().to_owned()).map(drop)
    }
}

/// What the kernel says of a cgroup and of the host.
#[derive(Clone, Copy)]
pub(super) struct Counters {
    written: u64,
    reclaimed: u64,
    host: u64,
}

impl Counters {
    pub(super) fn read(cgroup: &Cgroup) -> Result<Counters> {
        Ok(Counters {
            written: cgroup.stat("zswpwb")?,
            reclaimed: cgroup.stat("pgsteal")?,
            host: zswap::debug("written_back_pages")?,
        })
    }
}

/// A round: what the kernel counted, and what swaptier said of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    pub(super) asked: u64,
    /// By the kernel, as the next two.
    pub(super) written: u64,
    /// Of all others.
    pub(super) elsewhere: u64,
    /// But for what it had written and gave up in RAM.
    pub(super) reclaimed: u64,
    /// By swaptier: pages given up in RAM.
    pub(super) given_up: u64,
    pub(super) refused: u64,
    pub(super) stored: u64,
    /// From the first stroke to the last page.
    pub(super) seconds: f64,
    /// Of the whole command.
    pub(super) whole: Duration,
    pub(super) ended: String,
    pub(super) dialect: String,
    /// By swaptier: pages written, pages of others, valves closed.
    pub(super) said: [u64; 3],
    /// Entries that were looked at and left.
    pub(super) passed_over: u64,
    pub(super) strokes: u64,
}

impl Round {
    /// What swaptier said of it; the rest is unknown yet.
    pub(super) fn said(report: &Value) -> Round {
        let number = |field: &str| report[field].as_u64().unwrap_or_default();
        let word = |field: &str| report[field].as_str().unwrap_or_default().to_owned();
        Round {
            asked: number("asked_pages"),
            refused: number("refused_stores"),
            stored: number("stored_pages"),
            seconds: report["seconds"].as_f64().unwrap_or_default(),
            ended: word("ended"),
            dialect: word("dialect"),
            said: [number("written_pages"), number("sibling_pages"), number("valves_closed")],
            given_up: number("cache_pages_freed"),
            passed_over: number("passed_over"),
            strokes: number("strokes"),
            ..Round::default()
        }
    }

    /// Fills in what the kernel counted since, once it has summed it up.
    pub(super) fn counted(self, cgroup: &Cgroup, before: Counters) -> Result<Round> {
        thread::sleep(STATS_DELAY);
        let after = Counters::read(cgroup)?;
        let written = after.written - before.written;
        Ok(Round {
            written,
            elsewhere: (after.host - before.host).saturating_sub(written),
            reclaimed: (after.reclaimed - before.reclaimed).saturating_sub(self.given_up),
            ..self
        })
    }
}

/// Asks for so many pages of the cgroup.
pub(super) fn round(cgroup: &Cgroup, pages: u64, more: &[&str]) -> Result<Round> {
    let before = Counters::read(cgroup)?;
    let (round, outcome) = ask(cgroup.path(), pages, more)?;
    round
        .with_context(|| format!("no round ({}): {}", outcome.code, outcome.stderr.trim()))?
        .counted(cgroup, before)
}

/// The same, where the cgroup may be gone by the end: what swaptier said of a round, if there was one, and the command.
pub(super) fn ask(path: &str, pages: u64, more: &[&str]) -> Result<(Option<Round>, agent::Outcome)> {
    let max = pages.to_string();
    let mut arguments = vec!["writeback", path, "--older-than", OLDER_THAN, "--max", &max, "--json"];
    arguments.extend(more);
    let start = Instant::now();
    let outcome = swaptier(&arguments)?;
    let whole = start.elapsed();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    Ok((report.is_object().then(|| Round { whole, ..Round::said(&report) }), outcome))
}

/// Does `work` while these workloads push their hot part out and take it back all the time.
pub(super) fn while_swapping<T>(busy: &mut [&mut Workload], work: impl FnOnce() -> Result<T>) -> Result<T> {
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let swap = |workload: &mut Workload| {
            while !is_over.load(Ordering::Relaxed) {
                workload.command("pageout hot")?;
                workload.command("touch hot")?;
            }
            anyhow::Ok(())
        };
        let running: Vec<_> = busy.iter_mut().map(|workload| scope.spawn(move || swap(workload))).collect();
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        for one in running {
            one.join().map_err(|_| anyhow!("a swapping thread panicked"))??;
        }
        done
    })
}

/// Bytes of the process that are in RAM, in KiB as the kernel says it.
pub(super) fn resident(workload: &Workload) -> Result<u64> {
    let path = Path::new("/proc").join(workload.id().to_string()).join("status");
    let text = crate::guest::kernel::read(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    line.and_then(|kib| kib.parse().ok()).with_context(|| format!("{} has no VmRSS", path.display()))
}
