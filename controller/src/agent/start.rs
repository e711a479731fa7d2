//! How the agent begins: everything is read and checked before anything is touched, and what a dead agent left is given
//! back before anything of our own is done.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use swaptier_policies::{History, Plan, PolicySet, SourceFile};

use super::{
    Agent, Options, areas::Areas, back::give_back_all, own::Own, past::Past, probes::Probes, record,
    rounds::Rounds, traffic::Traffic,
};
use crate::{
    act::{self, Hands, Outcome},
    cli::{Exit, Failure},
    config::{self, Config, Trust},
    fault,
    journal::{Journal, Undo, UndoError},
    leftovers, probe,
    root::Root,
    sense::{self, CgroupSample, CgroupTree},
    serve::board::Board,
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
        fault::point("agent.restored");
        let deadline = Duration::from_secs(config.writeback.deadline.0);
        let hands = match options.dry_run {
            true => Hands::dry(root.clone(), deadline),
            false => Hands::new(root.clone(), undo.clone(), deadline),
        };
        let areas = Areas::start(&root, &config, &state, &hands).await?;
        let mut tree = CgroupTree::default();
        let cgroups =
            sense::collect(&root, &mut tree).map_err(|e| Failure::new(Exit::Unsupported, e))?.cgroups;
        let mut own = Own::default();
        own.locked(lock_memory());
        let (probes, lost) = start_probes(&root, &options, &config, &cgroups);
        if probes.is_none() && !options.dry_run {
            leftovers::unpin(&root);
        }
        for outcome in act::zswap_params::apply(&hands, &config.zswap, "swaptier.toml [zswap]").await {
            log(&outcome);
        }
        let journal = Journal::start(&state, config.agent.journal).context("opening the journal")?;
        let tape = record::Tape::start(&root, &options, &config, &files);
        let rounds = Rounds::new(root.clone(), undo.clone(), &config.writeback);
        let (history, plan) = (History::default(), Plan::default());
        let tick = 0;
        fault::point("agent.started");
        Ok(Self {
            root,
            options,
            config,
            policies: Arc::new(policies),
            files,
            history,
            undo,
            hands,
            rounds,
            areas,
            tree,
            cgroups,
            probes,
            lost,
            journal,
            tape,
            tick,
            sensed_at: None,
            blind_ticks: 0,
            plan,
            board: Arc::new(Board::default()),
            own,
            past: Past::default(),
            traffic: Traffic::default(),
            taped: 0,
            events: Vec::new(),
            is_due: false,
            by_area: BTreeMap::new(),
            refusal: None,
        })
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
    tracing::warn!(reason, "no shadow map: ages are unknown, and nothing is written back by age");
    (None, vec![reason])
}

/// A host without which nothing here can work is refused before anything is touched.
fn refuse_unfit(root: &Root) -> Result<(), Failure> {
    let findings = probe::judge(&probe::read(root));
    let missing: Vec<String> = findings
        .iter()
        .filter(|finding| finding.level == probe::Level::Missing)
        .map(|finding| format!("{}: {}", finding.area, finding.says))
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
        tracing::warn!(%error, "the agent's memory is not locked");
    }
    locked.is_ok()
}
