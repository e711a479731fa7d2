//! How the agent begins: everything is read and checked before anything is touched, and what a dead agent left is given
//! back before anything of our own is done.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use swaptier_policies::{History, Outcome, Plan, PolicySet, Session, SourceFile};

use super::{
    Agent, Options, areas::Areas, clock::Clock, days::Days, give_back::give_back_all, probes::Probes,
    recent::Recent, record, rounds::Rounds, self_cost::SelfCost, traffic::Traffic,
};
use crate::{
    act::{self, Writer},
    config::{self, Config, Trust},
    exit::{Exit, Failure},
    fault,
    hooks::handover,
    journal::{Journal, Undo, UndoError},
    leftovers, probe,
    root::Root,
    sense::{self, CgroupSample, CgroupTree},
    serve::{
        board::Board,
        events::{EventKind, News},
        lock::{LockError, SocketLock},
    },
};

impl Agent {
    pub(super) async fn start(root: Root, options: Options) -> Result<Self, Failure> {
        let invalid = |error| Failure::new(Exit::Invalid, error);
        let trust = Trust::of(&root);
        let config = config::load(&root, trust, options.config.as_deref())
            .map_err(|e| invalid(anyhow::Error::new(e)))?;
        let (policies, files) =
            load_policies(&root, &config).map_err(|text| Failure::say(Exit::Invalid, text))?;
        sense::cgroupfs::check(&root).map_err(|error| Failure::new(Exit::Unsupported, error))?;
        refuse_unfit(&root)?;
        let socket_lock = SocketLock::take(&root).map_err(|error| {
            let exit = if matches!(error, LockError::Held { .. }) { Exit::Busy } else { Exit::Failed };
            Failure::new(exit, error)
        })?;
        if let Err(error) = sense::cgroupfs::raise_file_limit() {
            tracing::debug!(%error, "the limit of open files stays");
        }
        let state = root.host_path(&config.agent.state_dir);
        let undo = Arc::new(Mutex::new(open_undo(&root, &state)?));
        fault::point("agent.locked");
        if !options.dry_run {
            leftovers::await_guardian(&root);
            give_back_all(&root, &state, &undo, "left by an agent that did not stop");
            leftovers::sweep(&root);
        }
        // From here on something may be changed, and must be noted first.
        undo.lock().unwrap_or_else(PoisonError::into_inner).renew().context("writing the undo log")?;
        fault::point("agent.restored");
        let deadline = Duration::from_secs(config.writeback.deadline.0);
        // A write that hangs is waited for no longer than a tick may take; it goes on by itself.
        let patience = deadline.min(Duration::from_secs(config.agent.tick.0) / 2);
        let writer = match options.dry_run {
            true => Writer::dry(root.clone(), patience),
            false => Writer::new(root.clone(), undo.clone(), patience),
        };
        let areas = Areas::start(&root, &config, &state, &writer).await?;
        let mut tree = CgroupTree::default();
        let cgroups =
            sense::collect(&root, &mut tree).map_err(|e| Failure::new(Exit::Unsupported, e))?.cgroups;
        let mut self_cost = SelfCost::default();
        self_cost.locked(lock_memory());
        if root.is_system() {
            match handover::take(act::writeback::pins(&root).parent().unwrap_or(Path::new("/"))) {
                Ok(0) => {}
                Ok(taken) => tracing::info!(
                    taken,
                    "the map of the agent before this one is here again: {taken} parts of it"
                ),
                Err(error) => tracing::warn!(%error, "the map of the agent before this one is lost: {error}"),
            }
        }
        let (probes, lost) = start_probes(&root, &options, &config, &cgroups);
        if probes.is_none() && !options.dry_run {
            leftovers::unpin(&root);
        }
        for outcome in act::zswap_params::apply(&writer, &config.zswap).await {
            log(&outcome);
        }
        let journal = Journal::start(&state, config.agent.journal).context("opening the journal")?;
        let tape = record::Tape::start(&root, &options, &config, &files);
        let rounds = Rounds::new(root.clone(), undo.clone(), &config.writeback)
            .context("starting the thread of the rounds")?;
        // A folder that stands for a host has no pages to write back.
        if !options.dry_run && root.is_system() {
            rounds.warm_up();
        }
        let (mut history, plan) = (History::default(), Plan::default());
        let (days, trouble) = Days::start(&root, &state, options.dry_run, &mut history);
        let tick = 0;
        fault::point("agent.started");
        let agent = Self {
            root,
            options,
            config,
            policies: Arc::new(policies),
            files,
            session: Session::of(history),
            days,
            undo,
            writer,
            rounds,
            areas,
            tree,
            cgroups,
            probes,
            lost,
            untaken: Vec::new(),
            journal,
            tape,
            tick,
            clock: Clock::default(),
            sensed_at: None,
            blind_ticks: 0,
            plan,
            board: Arc::new(Board::default()),
            _socket_lock: socket_lock,
            self_cost,
            recent: Recent::default(),
            traffic: Traffic::default(),
            taped: 0,
            events: Vec::new(),
            ended: Vec::new(),
            settled: Vec::new(),
            is_due: false,
            barred: BTreeMap::new(),
            is_postponed: false,
            by_area: BTreeMap::new(),
            refusal: None,
        };
        if let Some(text) = trouble {
            agent.tell(News { is_trouble: true, ..News::of(EventKind::Trouble, text) });
        }
        Ok(agent)
    }
}

/// The probes, and what this host lacks for them.
pub(super) fn start_probes(
    root: &Root,
    options: &Options,
    config: &Config,
    cgroups: &[CgroupSample],
) -> (Option<Probes>, Vec<String>) {
    let reason = if options.no_bpf {
        "started with --no-bpf".to_owned()
    } else if !root.is_system() {
        "the root is a folder, and the probes see only the host".to_owned()
    } else {
        match Probes::start(root, &config.map, cgroups) {
            Ok(probes) => {
                let lost = probes.lost().to_vec();
                return (Some(probes), lost);
            }
            Err(error) => error.to_string(),
        }
    };
    tracing::warn!(reason, "no shadow map, so ages are unknown and nothing is written back by age: {reason}");
    (None, vec![reason])
}

/// What this host lacks, one sentence each: for the probes, and otherwise what `doctor` calls lost.
pub(super) fn missing(root: &Root, of_probes: &[String]) -> Vec<String> {
    let findings = probe::judge(&probe::read(root));
    // The agent knows better what its own probes lack.
    let lost =
        findings.iter().filter(|it| it.level >= probe::Level::Lost && it.about != probe::About::Probes);
    let lost = lost.map(|finding| format!("{}: {}", finding.about, finding.says));
    of_probes.iter().cloned().chain(lost).collect()
}

/// The line that says that the agent is ready.
pub(super) fn ready(policies: usize, lost: &[String]) -> String {
    let policies = match policies {
        1 => "1 policy is in force".to_owned(),
        many => format!("{many} policies are in force"),
    };
    match lost {
        [] => format!("ready: {policies}, nothing is missing on this host"),
        [one] => format!("ready: {policies}; one thing is missing on this host: {one}"),
        more => {
            format!("ready: {policies}; {} things are missing on this host: {}", more.len(), more.join("; "))
        }
    }
}

/// A host without which nothing here can work is refused before anything is touched.
fn refuse_unfit(root: &Root) -> Result<(), Failure> {
    let findings = probe::judge(&probe::read(root));
    let missing: Vec<String> = findings
        .iter()
        .filter(|finding| finding.level == probe::Level::Missing)
        .map(|finding| format!("{}: {}", finding.about, finding.says))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Failure::say(Exit::Unsupported, missing.join("\n"))) }
}

pub(super) fn load_policies(root: &Root, config: &Config) -> Result<(PolicySet, Vec<SourceFile>), String> {
    let lines = |errors: Vec<String>| errors.join("\n");
    let files = config::policy_files(root, Trust::of(root), &config.agent.policy_dirs)
        .map_err(|errors| lines(errors.iter().map(ToString::to_string).collect()))?;
    let policies =
        PolicySet::load(&files).map_err(|faults| lines(faults.iter().map(ToString::to_string).collect()))?;
    Ok((policies, files))
}

fn open_undo(root: &Root, state: &Path) -> Result<Undo, Failure> {
    Undo::open(root, state).map_err(|error| {
        let exit = match error {
            UndoError::Held { .. } => Exit::Busy,
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    })
}

fn log(outcome: &Outcome) {
    if outcome.is_trouble() {
        tracing::warn!("{outcome}");
    } else {
        tracing::info!("{outcome}");
    }
}

/// The agent must run when there is no memory to be had: what it has stays in RAM, page by page as it is touched.
fn lock_memory() -> bool {
    use rustix::mm::{MlockAllFlags, mlockall};
    let what = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let locked = mlockall(what);
    if let Err(error) = &locked {
        tracing::warn!(%error, "the agent's memory is not locked, and it may stand still in a shortage: {error}");
    }
    locked.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_host_without_zswap_and_without_swap_lacks_something() {
        let fake = FakeRoot::host();
        assert!(ready(1, &[]).ends_with("1 policy is in force, nothing is missing on this host"));
        assert_eq!(missing(fake.root(), &[]), Vec::<String>::new());
        fake.write("sys/module/zswap/parameters/enabled", "N\n");
        fake.write("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        let lost = missing(fake.root(), &["regret is not counted".to_owned()]);
        let line = ready(2, &lost);
        assert!(
            line.contains("things are missing on this host: regret is not counted; zswap: off"),
            "{line}"
        );
        assert!(line.contains("swap: no swap area is on"), "{line}");
    }
}
