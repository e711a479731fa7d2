//! Recording without an agent: the host's files each tick, and what an agent would decide by them. Nothing is carried out,
//! and without the shadow map no page has an age.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use swaptier_policies::{History, MapHealth, PolicySet, Seconds, Snapshot, SourceFile, Writeback, decide};

use super::{Ending, Progress, report};
use crate::{
    act::Outcome,
    agent::record::terms,
    cli::{
        exit::{Exit, Failure, Result},
        settings,
    },
    config::{self, Config, Trust},
    map,
    recording::{Decision, Frame, Limits, Recorder},
    root::Root,
    sense::{self, Beside, CgroupTree, Sensed, assemble},
    serve::without_agent::{self, Rows},
};

/// Why a plan is not carried out, and what is not known.
const NO_AGENT: &str = "recorded without an agent";

pub(super) async fn run(root: &Root, config: &Config, limits: Limits, mut ending: Ending) -> Result {
    sense::cgroupfs::check(root).map_err(|error| Failure::new(Exit::Unsupported, error))?;
    let policies = settings::policies(root, config)?;
    let files: Vec<SourceFile> = config::policy_files(root, Trust::of(root), &config.agent.policy_dirs)
        .map_err(|errors| {
            Failure::say(Exit::Invalid, errors.iter().map(ToString::to_string).collect::<String>())
        })?;
    let folder = limits.folder.display().to_string();
    let begun = Recorder::start(limits, terms(root, "record", None, config, &files));
    let mut recorder = begun.map_err(|error| Failure::say(Exit::Failed, format!("{folder}: {error}")))?;
    eprintln!("no agent is asked: recording what cgroup files say in {folder}");
    let mut eyes = Eyes { tree: CgroupTree::default(), before: None, history: History::default(), tick: 0 };
    let every = (config.agent.interval.0 / config.agent.tick.0.max(1)).max(1);
    loop {
        match eyes.look(root, &policies, every, recorder.wants_key()) {
            Ok(frame) => recorder.take(frame),
            Err(error) => eprintln!("swaptier: this tick saw nothing: {error}"),
        }
        if ending.is_over_after(Duration::from_secs(config.agent.tick.0)).await {
            break;
        }
    }
    // Closed first: then all that could be written is.
    let counts = recorder.close();
    report(&Progress { folder, frames: counts.frames, bytes: counts.bytes, dropped: counts.dropped })
}

/// What is remembered from tick to tick.
struct Eyes {
    tree: CgroupTree,
    before: Option<(Sensed, Instant)>,
    history: History,
    tick: u64,
}

impl Eyes {
    fn look(
        &mut self,
        root: &Root,
        policies: &PolicySet,
        every: u64,
        is_key: bool,
    ) -> std::result::Result<Frame, sense::SenseError> {
        let (sensed, now) = (sense::collect(root, &mut self.tree)?, Instant::now());
        let history = is_key.then(|| self.history.clone());
        let before = self.before.as_ref().map(|(sensed, then)| (sensed, now - *then));
        let status = without_agent::of(&sensed, before, policies, vec![NO_AGENT.to_owned()], Rows::Concerned);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let snapshot = assemble(sensed.clone(), beside(unix));
        let decision = self.tick.is_multiple_of(every).then(|| self.decide(&snapshot, policies));
        self.before = Some((sensed, now));
        let tick = self.tick;
        self.tick += 1;
        Ok(Frame {
            tick,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            snapshot,
            decision,
            history,
            status: Some(status),
            ages: Default::default(),
            moved: Default::default(),
            events: Vec::new(),
        })
    }

    /// As an agent with `--dry-run` does.
    fn decide(&mut self, snapshot: &Snapshot, policies: &PolicySet) -> Decision {
        let plan = decide(snapshot, policies, &mut self.history);
        let would = |step: &swaptier_policies::Step| {
            let path = snapshot.cgroups.get(&step.action.cgroup()).map(|view| view.path.clone());
            Outcome::Would {
                path: path.unwrap_or_default(),
                from: step.reason.to_string(),
                to: step.action.to_string(),
            }
        };
        let outcomes = plan.steps.iter().map(would).collect();
        let decision = Decision { plan, outcomes };
        decision.book(&mut self.history, snapshot);
        decision
    }
}

fn beside(unix: Duration) -> Beside {
    Beside {
        at: Seconds(map::now()),
        day: u32::try_from(unix.as_secs() / 86_400).unwrap_or(u32::MAX),
        writeback: Writeback::None(NO_AGENT.to_owned()),
        health: MapHealth::Absent(NO_AGENT.to_owned()),
        counts: Default::default(),
        cold: Default::default(),
    }
}
