//! Recording without an agent: the host's files each tick, and what an agent would decide by them. Nothing is carried out,
//! and without the shadow map no page has an age.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use swaptier_policies::{
    AreaView, Decision, MapHealth, Outcome, PolicySet, Seconds, Session, Snapshot, SourceFile, Turn,
    Writeback,
};

use super::{Ending, Progress, report};
use crate::{
    cli::settings,
    config::{self, Config, Trust},
    exit::{Exit, Failure, Result},
    map,
    recording::{Frame, Limits, Recorder, Terms},
    root::{FilePath, Root},
    sense::{self, Beside, CgroupTree, Sensed, assemble},
    serve::{
        absence::Absence,
        without_agent::{self, Rows},
    },
    vswap::seen::unnoted,
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
    let begun = Recorder::start(limits, Terms::of(root, "record", None, config, &files));
    let mut recorder = begun.map_err(|error| Failure::say(Exit::Failed, format!("{folder}: {error}")))?;
    eprintln!("no agent is asked: recording what cgroup files say in {folder}");
    let mut eyes = Eyes { tree: CgroupTree::default(), before: None, session: Session::default(), tick: 0 };
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
    session: Session,
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
        let history = is_key.then(|| self.session.history().clone());
        let before = self.before.as_ref().map(|(sensed, then)| (sensed, now - *then));
        let lost = (Absence::NotRunning, vec![NO_AGENT.to_owned()]);
        let areas = unnoted(root, &sensed.swaps).views;
        let status = without_agent::of((&sensed, &areas), before, policies, lost, Rows::Concerned);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let snapshot = assemble(sensed.clone(), beside(unix, areas));
        let turn = self.session.turn(&snapshot, &[]);
        let decision = self.tick.is_multiple_of(every).then(|| self.decide(turn, &snapshot, policies));
        self.before = Some((sensed, now));
        let tick = self.tick;
        self.tick += 1;
        Ok(Frame {
            tick,
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            snapshot,
            ended: Vec::new(),
            decision,
            history,
            status: Some(status),
            ages: Default::default(),
            moved: Default::default(),
            events: Vec::new(),
        })
    }

    /// As an agent with `--dry-run` does.
    fn decide(&mut self, turn: Turn, snapshot: &Snapshot, policies: &PolicySet) -> Decision {
        let (plan, made) = self.session.decide(turn, snapshot, policies);
        let would = |step: &swaptier_policies::Step| {
            let path = snapshot.cgroups.get(&step.action.cgroup()).map(|view| FilePath::from(&view.path));
            Outcome::Would {
                path: path.unwrap_or_default(),
                from: step.reason.to_string(),
                to: step.action.to_string(),
            }
        };
        let outcomes = plan.steps.iter().map(would).collect();
        let decision = Decision { plan, outcomes };
        self.session.done(made, &decision, snapshot.at);
        decision
    }
}

fn beside(unix: Duration, areas: Vec<AreaView>) -> Beside {
    Beside {
        at: Seconds(map::now()),
        day: u32::try_from(unix.as_secs() / 86_400).unwrap_or(u32::MAX),
        areas,
        writeback: Writeback::None(NO_AGENT.to_owned()),
        health: MapHealth::Absent(NO_AGENT.to_owned()),
        counts: Default::default(),
        cold: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::FakeRoot, recording::replay::Replay};

    #[test]
    fn what_is_recorded_alone_decides_again_to_the_same_and_remembers_the_same() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let text = "schema = 1\n[match]\ncgroup = [\"a\"]\n[tiers]\nuse = [\"zswap\"]\n";
        fake.write("etc/swaptier/policies.d/p.toml", text);
        let config = settings::config(fake.root()).unwrap();
        let policies = settings::policies(fake.root(), &config).unwrap();
        let files = config::policy_files(fake.root(), Trust::Anyone, &config.agent.policy_dirs).unwrap();
        let terms = Terms::of(fake.root(), "record", None, &config, &files);
        let mut eyes =
            Eyes { tree: CgroupTree::default(), before: None, session: Session::default(), tick: 0 };
        let mut replay = Replay::new(None);
        // Between two decisions, which are at ticks 0, 3 and 6, the area runs empty and fills again.
        for (number, used) in [400, 400, 0, 0, 400, 400, 0, 0].into_iter().enumerate() {
            let swaps =
                format!("Filename\tType\tSize\tUsed\tPriority\n/dev/vda\tpartition\t1048572\t{used}\t-2\n");
            fake.write("proc/swaps", &swaps);
            let frame = eyes.look(fake.root(), &policies, 3, true).unwrap();
            replay.frame(number, &frame, &terms);
        }
        let report = replay.finish();
        assert_eq!((report.decisions, report.same, report.histories), (3, 3, 0));
    }
}
