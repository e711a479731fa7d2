//! The little host of the kill runs: two cgroups with policies, two beside them, swap and zswap. Agents come and go.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::cases::{Case, Way};
use super::left::{self, Host, SOCKET};
use crate::guest::agent::swaptier;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{self, page_size};
use crate::guest::manager::Manager;
use crate::guest::process::{Process, ending, sibling};
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

const FOLDER: &str = "/etc/swaptier";
const FILES: [(&str, &str); 3] = [
    (
        "swaptier.toml",
        "[agent]\ntick = \"1s\"\ninterval = \"1s\"\n[zswap]\nmax_pool_percent = 35\naccept_threshold_percent = 80\n",
    ),
    (
        "policies.d/kill-cold.toml",
        "schema = 1\n[match]\ncgroup = [\"kill.slice/cold\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\nswap_max = \"512M\"\n\
         zswap_max = \"256M\"\noverflow = \"keep\"\n[demote]\nolder_than = \"1s\"\nbudget = { round = \"4M\" }\n",
    ),
    (
        "policies.d/kill-hot.toml",
        "schema = 1\n[match]\ncgroup = [\"kill.slice/hot\"]\n[tiers]\nuse = [\"zswap\"]\nswap_max = \"256M\"\nzswap_max = \"128M\"\n",
    ),
];
/// What somebody else writes into `memory.swap.max` of the hot cgroup: neither ours nor the one before us.
const FOREIGN: &str = "134217728";
/// The last value the agent sets, always in the hot cgroup: files of a cgroup are set in the order of a plan.
const LAST: (&str, &str) = ("memory.swap.max", "268435456");
pub(super) const STATE: &str = "/var/lib/swaptier";
/// Stores some thousand pages a second and leaves its processor alone in between, so that zswap's worker begins at once.
const CROWD: &str = "--hot 16M --warm 0 --cold 0 --hot-rate 4000 --seed 7";
/// What it may have in RAM. A limit that is only a wish: with stores refused, it is left waiting and not killed.
const CROWDED: &str = "10M";
/// A point that is not reached in this time is not reached: loading programs takes its time under emulation.
const PATIENCE: Duration = Duration::from_secs(60);
/// What an agent says that has the map of the one before it.
const SAME_MAP: &str = "shadow map: that of the agent before, kept up to date meanwhile";

/// Does the work while cgroups come and go beside the policies'.
fn visited<T>(work: impl FnOnce() -> Result<T>) -> Result<()> {
    let (is_over, path) = (AtomicBool::new(false), "/sys/fs/cgroup/kill.slice/visitor");
    std::thread::scope(|scope| {
        let visits = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                std::fs::create_dir(path)?;
                std::thread::sleep(Duration::from_millis(10));
                std::fs::remove_dir(path)?;
            }
            std::io::Result::Ok(())
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        visits.join().map_err(|_| anyhow!("the visits panicked"))??;
        done.map(drop)
    })
}

/// How the host is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// `swaptier restore`.
    Restore,
    /// A new agent, started and stopped.
    Agent,
    /// The agent that lives: it is only stopped.
    Itself,
}

impl Recovery {
    pub(super) fn name(self) -> &'static str {
        match self {
            Recovery::Restore => "restore",
            Recovery::Agent => "new agent",
            Recovery::Itself => "the agent",
        }
    }
}

/// Fields drop in order: processes, cgroups, swap.
#[derive(Debug)]
pub(super) struct Scene {
    /// An agent that survived the kill.
    survivor: Option<Process>,
    /// Who stores pages all the time, where the case wants it.
    crowd: Option<Workload>,
    cold_work: Workload,
    hot_work: Workload,
    cold: Cgroup,
    hot: Cgroup,
    beside: [Cgroup; 2],
    manager: Manager,
    _stage: Stage,
}

impl Scene {
    pub(super) fn set() -> Result<Scene> {
        let stage = Stage::set(40)?;
        for (name, text) in FILES {
            let path = Path::new(FOLDER).join(name);
            std::fs::create_dir_all(path.parent().context("a folder")?)?;
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        let (cold, hot) = (Cgroup::create("kill.slice/cold")?, Cgroup::create("kill.slice/hot")?);
        let beside = [Cgroup::create("kill.slice/beside")?, Cgroup::create("kill.slice/more")?];
        let cold_work = Workload::spawn(&cold, "--hot 1M --warm 0 --cold 12M --commands --seed 5")?;
        let hot_work = Workload::spawn(&hot, "--hot 1M --warm 0 --cold 4M --commands --seed 6")?;
        let manager = Manager::start()?;
        let mut scene = Scene {
            survivor: None,
            crowd: None,
            cold_work,
            hot_work,
            cold,
            hot,
            beside,
            manager,
            _stage: stage,
        };
        scene.refill(|| Ok(true))?;
        Ok(scene)
    }

    /// The host as it must be again afterwards.
    pub(super) fn look(&self) -> Result<Host> {
        Host::read()
    }

    /// Brings the pages of both into zswap, stored anew, while `goes_on`: a limit that was left low keeps them out.
    fn refill(&mut self, mut goes_on: impl FnMut() -> Result<bool>) -> Result<()> {
        for (work, cgroup, pages) in
            [(&mut self.cold_work, &self.cold, 1_500), (&mut self.hot_work, &self.hot, 800)]
        {
            wait_for("the pages to be in zswap", PATIENCE, || {
                // Each time: the policy's rounds take pages meanwhile, and what is on the disk stays there.
                work.command("write cold")?;
                work.command("pageout cold")?;
                // The flush of memory.stat may lag behind by two seconds.
                Ok(cgroup.stat("zswapped")? / page_size() > pages || !goes_on()?)
            })?;
        }
        Ok(())
    }

    /// Both workloads find their pages as they wrote them.
    pub(super) fn verify(&mut self) -> Result<()> {
        self.cold_work.command("verify").context("the cold memory")?;
        self.hot_work.command("verify").context("the hot memory").map(drop)
    }

    /// Goes the case's way until the process died at its point.
    ///
    /// # Errors
    /// It was not reached, or the process ended otherwise.
    pub(super) fn kill(&mut self, case: &Case) -> Result<()> {
        let mut agent = self.go(case)?;
        match case.way {
            Way::Pump => {
                ensure!(agent.is_running()?, "the agent died with its pump{}", agent.complaints());
                self.survivor = Some(agent);
                Ok(())
            }
            _ => dies(agent, case),
        }
    }

    /// Goes the same way; whoever stopped at the point is continued by somebody else. Then what was begun must come to
    /// its end as if nothing had been.
    ///
    /// # Errors
    /// The point was not reached, or something ended otherwise.
    pub(super) fn go_through(&mut self, case: &Case) -> Result<()> {
        let mut process = self.go(case)?;
        wait_for("the point to be reached", PATIENCE, || {
            Ok(has_reached(&process, case) || !process.is_running()?)
        })?;
        ensure!(has_reached(&process, case), "the point was not reached{}", process.complaints());
        match case.way {
            Way::Stop | Way::StopAfterRound | Way::Restore | Way::Handover => ended_well(process).map(drop),
            _ => {
                self.wait_set(&mut process)?;
                stop(process).map(drop)
            }
        }
    }

    /// Starts what the case is about and takes it as far as its point, or past it. The process whose end matters.
    fn go(&mut self, case: &Case) -> Result<Process> {
        let fault = case.variable();
        match case.way {
            Way::Plain => agent(&fault, &["--no-bpf"]),
            Way::Probes => agent(&fault, &[]),
            Way::Round | Way::Visited | Way::GivenUp | Way::Gate => {
                let mut agent = agent(&fault, &[])?;
                self.rounds(&mut agent, case, |agent| Ok(agent.is_running()? && !has_reached(agent, case)))?;
                Ok(agent)
            }
            Way::Pump => {
                let mut agent = agent(&fault, &[])?;
                self.rounds(&mut agent, case, |agent| Ok(!has_reached(agent, case)))?;
                Ok(agent)
            }
            Way::Stop => {
                let mut agent = agent(&fault, &["--no-bpf"])?;
                self.wait_set(&mut agent)?;
                agent.signal(Signal::TERM)?;
                Ok(agent)
            }
            Way::StopAfterRound => {
                let mut agent = agent(&fault, &[])?;
                let start = self.cold.stat("zswpwb")?;
                let cold = Cgroup::file(&self.cold, "memory.stat");
                self.rounds(&mut agent, case, |_| Ok(kernel::stat(&cold, "zswpwb")? == start))?;
                agent.signal(Signal::TERM)?;
                Ok(agent)
            }
            Way::Handover => {
                let mut agent = self.managed(&fault)?;
                self.wait_set(&mut agent)?;
                agent.signal(Signal::TERM)?;
                Ok(agent)
            }
            Way::Taken => {
                let mut first = self.managed("")?;
                self.wait_set(&mut first)?;
                stop(first)?;
                ensure!(self.manager.stored() > 0, "the map is not with the manager");
                self.managed(&fault)
            }
            Way::Successor | Way::Restore => {
                let mut first = agent("", &["--no-bpf"])?;
                self.wait_set(&mut first)?;
                first.signal(Signal::KILL)?;
                first.end(PATIENCE)?;
                match case.way {
                    Way::Successor => agent(&fault, &["--no-bpf"]),
                    _ => spawn("swaptier-restore", &fault, &["restore"]),
                }
            }
        }
    }

    /// An agent of the service manager, with all that this keeps; `fault` may be empty.
    fn managed(&self, fault: &str) -> Result<Process> {
        let mut command = self.manager.next_agent()?;
        if !fault.is_empty() {
            command.env("SWAPTIER_FAULT", fault);
        }
        Process::spawn("swaptier-agent", &mut command)
    }

    /// Keeps pages coming for rounds, of the policy and of the command, while `goes_on`.
    pub(super) fn rounds(
        &mut self,
        agent: &mut Process,
        case: &Case,
        goes_on: impl Fn(&mut Process) -> Result<bool>,
    ) -> Result<()> {
        let dialect = if case.way == Way::Gate { "gate" } else { "worker" };
        let until = Instant::now() + PATIENCE;
        self.wait_set(agent)?;
        if case.crowded {
            self.beside[0].set("memory.high", CROWDED)?;
            self.crowd = Some(Workload::spawn(&self.beside[0], CROWD)?);
        }
        while goes_on(agent)? {
            ensure!(Instant::now() < until, "not reached in {} s{}", PATIENCE.as_secs(), agent.complaints());
            self.refill(|| goes_on(agent))?;
            std::thread::sleep(Duration::from_millis(1200));
            if goes_on(agent)? {
                let arguments = [
                    "writeback",
                    self.cold.path(),
                    "--older-than",
                    "1s",
                    "--max",
                    "400",
                    "--dialect",
                    dialect,
                ];
                // Refused where there is no page that old any more: the policy took them. The agent may die meanwhile.
                match case.way {
                    Way::Visited => visited(|| swaptier(&arguments))?,
                    Way::GivenUp => self.given_up(&arguments)?,
                    _ => drop(swaptier(&arguments)?),
                }
            }
        }
        Ok(())
    }

    /// Asks for a round, and is killed as soon as that is under way.
    fn given_up(&self, arguments: &[&str]) -> Result<()> {
        let mut client = spawn("swaptier-writeback", "", arguments)?;
        let is_open = || anyhow::Ok(self.cold.get("memory.zswap.writeback")? == "1");
        // It may be refused, or over, before that is seen.
        let _not_seen =
            wait_for(
                "the round to begin",
                Duration::from_secs(5),
                || Ok(is_open()? || !client.is_running()?),
            );
        client.signal(Signal::KILL)?;
        client.end(PATIENCE).map(drop)
    }

    /// Ends whoever stored pages beside, and who must have kept them. The service is stopped by now: nothing is kept of it.
    pub(super) fn calm(&mut self) -> Result<()> {
        self.manager.drop_all();
        let Some(crowd) = self.crowd.take() else { return Ok(()) };
        self.beside[0].set("memory.high", "max")?;
        crowd.finish().context("the memory beside").map(drop)
    }

    /// Waits until the agent has set the last value of its policies, or is dead.
    pub(super) fn wait_set(&self, agent: &mut Process) -> Result<()> {
        wait_for("the agent to have set its values", PATIENCE, || {
            Ok(!agent.is_running()?
                || (Path::new(SOCKET).exists()
                    && self.cold.get("memory.zswap.writeback")? == "0"
                    && self.hot.get(LAST.0)? == LAST.1))
        })
        .with_context(|| agent.complaints())
    }

    /// Brings the host back. With a foreign value in between, which must be there afterwards and be named.
    pub(super) fn recover(&mut self, case: &Case, recovery: Recovery) -> Result<()> {
        let file = "memory.swap.max";
        let original = "max";
        if case.foreign {
            self.hot.set(file, FOREIGN)?;
        }
        let said = match recovery {
            Recovery::Restore => {
                let outcome = swaptier(&["restore"])?;
                ensure!(
                    outcome.code == 0,
                    "restore ended with {}: {}",
                    outcome.code,
                    outcome.stdout + &outcome.stderr
                );
                outcome.stdout
            }
            Recovery::Agent => {
                let stale = socket();
                let mut agent = match case.is_managed() {
                    true => self.managed("")?,
                    false => agent("", &["--no-bpf"])?,
                };
                // It must come up, whatever was left: set its values, and take them back.
                wait_for("the new agent's socket", PATIENCE, || {
                    ensure!(agent.is_running()?, "it ended{}", agent.complaints());
                    Ok(socket().is_some_and(|now| stale != Some(now)))
                })?;
                self.wait_set(&mut agent)?;
                let said = stop(agent)?;
                ensure!(!case.is_managed() || said.contains(SAME_MAP), "the map is lost:\n{said}");
                said
            }
            Recovery::Itself => stop(self.survivor.take().context("a living agent")?)?,
        };
        if case.foreign {
            let now = self.hot.get(file)?;
            self.hot.set(file, original)?;
            ensure!(now == FOREIGN, "somebody else's value {FOREIGN} is now {now}");
            // `restore` names the kind, an agent says it in its log.
            let is_named =
                said.to_lowercase().contains("foreign") || said.contains("somebody wrote over our");
            ensure!(is_named, "somebody else's value is not named:\n{said}");
        }
        Ok(())
    }

    /// After a bad run: ends what runs, removes what is left, and sets the values back, so that the next run counts.
    pub(super) fn clear(&mut self, before: &Host) -> Result<()> {
        self.survivor = None;
        for pid in left::processes() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // Gone is as good.
            let _gone = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
        wait_for("the killed processes to be gone", PATIENCE, || Ok(left::processes().is_empty()))?;
        let _nothing_to_restore = swaptier(&["restore", "--force"]);
        for (path, value) in before.knobs.changed_since()? {
            kernel::write(&path, &value)?;
        }
        let _not_there = std::fs::remove_dir_all(STATE);
        let _not_there = std::fs::remove_dir("/sys/fs/cgroup/swaptier-pump");
        let _not_there = std::fs::remove_dir_all("/sys/fs/bpf/swaptier");
        let _not_there = std::fs::remove_file(SOCKET);
        before.settled_differences().map(drop)
    }

    pub(super) fn finish(self) -> Result<()> {
        for (name, _) in FILES {
            std::fs::remove_file(Path::new(FOLDER).join(name))?;
        }
        self.cold_work.finish().context("the cold memory")?;
        self.hot_work.finish().context("the hot memory").map(drop)
    }
}

/// What tells one socket from another at the same path.
fn socket() -> Option<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(SOCKET).ok()?;
    Some((meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

/// Starts an agent; `fault` may be empty.
pub(super) fn agent(fault: &str, arguments: &[&str]) -> Result<Process> {
    let arguments: Vec<&str> = ["agent"].iter().chain(arguments).copied().collect();
    spawn("swaptier-agent", fault, &arguments)
}

fn spawn(name: &str, fault: &str, arguments: &[&str]) -> Result<Process> {
    let mut command = Command::new(sibling("swaptier")?);
    command.args(arguments);
    if !fault.is_empty() {
        command.env("SWAPTIER_FAULT", fault);
    }
    Process::spawn(name, &mut command)
}

/// All that the process of this name, and its pump, have said so far.
pub(super) fn said(name: &str) -> String {
    let text = std::fs::read(std::env::temp_dir().join(format!("{name}.err"))).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}

/// Throws away what processes of this name have said.
pub(super) fn forget(name: &str) -> Result<()> {
    match std::fs::remove_file(std::env::temp_dir().join(format!("{name}.err"))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The process has said that it reached the point.
fn has_reached(process: &Process, case: &Case) -> bool {
    said(process.name()).contains(&format!("fault point {} reached", case.name()))
}

/// Waits until it died at its point.
fn dies(mut process: Process, case: &Case) -> Result<()> {
    let status = process.end(PATIENCE).context("the point was not reached")?;
    let is_killed = ending(status).contains("signal 9");
    // The last of several points may be the guardian's, who takes its time.
    let reached =
        wait_for("the point to be reached", Duration::from_secs(10), || Ok(has_reached(&process, case)));
    if !is_killed || reached.is_err() {
        bail!("the point was not reached: {}{}", ending(status), process.complaints());
    }
    Ok(())
}

/// Stops an agent; what it had to say.
pub(super) fn stop(agent: Process) -> Result<String> {
    agent.signal(Signal::TERM)?;
    ended_well(agent)
}

/// Waits for its end with exit code 0; what it had to say.
fn ended_well(mut process: Process) -> Result<String> {
    let status = process.end(PATIENCE)?;
    let name = process.name();
    ensure!(status.code() == Some(0), "{name} ended with {}{}", ending(status), process.complaints());
    Ok(said(name))
}
