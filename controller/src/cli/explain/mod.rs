//! `swaptier explain`: which policy a cgroup has and why, what that wants of the kernel's files, who set them, what was
//! done last, and what is held back.
//!
//! Gathers; what a policy wants is `wanted`'s, what was done is `past`'s, the printing is `text`'s. Changes nothing.

mod past;
mod text;
mod wanted;

use std::ffi::OsString;

use serde::Serialize;
use swaptier_policies::{
    AreaView, CgroupId, CgroupPath, MapHealth, PolicySet, Seconds, Snapshot, Writeback, decide_afresh, fate,
};

use super::{
    cgroup,
    output::{Paint, say, say_json},
    settings, status,
};
use crate::{
    exit::{Exit, Result},
    journal::{Change, Undo, is_same_value},
    root::{FilePath, Root, cgroup_file},
    sense::{Beside, Sensed, SwapArea, assemble, cgroupfs},
    serve::{
        absence::Absence,
        status::{CgroupStatus, Status},
    },
    vswap::seen::unnoted,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The cgroup, as a path below /sys/fs/cgroup
    cgroup: OsString,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// All that is said. The JSON of `--json` is a versioned interface.
#[derive(Debug, Serialize)]
struct Explanation {
    schema: u32,
    cgroup: CgroupPath,
    /// `None`: there is no such cgroup now.
    id: Option<u64>,
    agent_running: bool,
    /// File name of the policy it has.
    policy: Option<String>,
    /// Every policy that names it, the winner first.
    contenders: Vec<Contender>,
    /// The age from which pages may be written back.
    older_than_seconds: Option<u64>,
    knobs: Vec<KnobRow>,
    /// Its row of the agent's status.
    now: Option<CgroupStatus>,
    /// The last steps taken for it, oldest first.
    steps: Vec<past::Done>,
    /// What is not done, and why.
    held: Vec<String>,
    /// Where `held` comes from.
    held_by: String,
    /// What else is worth knowing.
    notes: Vec<String>,
}

/// A policy that names the cgroup.
#[derive(Debug, Serialize)]
struct Contender {
    policy: String,
    standing: String,
}

/// One kernel file.
#[derive(Debug, PartialEq, Serialize)]
struct KnobRow {
    file: &'static str,
    /// What it says; `None`: it is not there.
    current: Option<String>,
    /// What the policy wants; `None`: it leaves the file alone, or cannot say.
    wanted: Option<String>,
    /// Where that comes from.
    because: String,
    /// Who set what it says.
    set_by: String,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let config = settings::config(root)?;
    let policies = settings::policies(root, &config)?;
    let dir = settings::state_dir(root, &config);
    let (agent, refusal) = match status::of_agent(root) {
        Ok(Err(absence @ (Absence::Silent(_) | Absence::NotAllowed))) => {
            (Err(absence), Some(format!("{absence}: {}", absence.remedy())))
        }
        Ok(agent) => (agent, None),
        Err(failure) => (Err(Absence::NotAllowed), Some(failure.text())),
    };
    let sensed = settings::sensed(root)?;
    let (areas, unread) = match settings::areas(root, &config, &sensed.swaps) {
        Ok(areas) => (areas.views, None),
        Err(failure) => (unnoted(root, &sensed.swaps).views, Some(format!("areas: {}", failure.text()))),
    };
    let mut explanation = explain(
        root,
        (sensed, areas),
        &cgroup::typed(root, &args.cgroup),
        &policies,
        agent.as_ref().map_err(|absence| *absence),
    );
    explanation.notes.extend(refusal.into_iter().chain(unread));
    explanation.remember(root, &dir, agent.is_ok());
    if args.json {
        say_json(&explanation)?
    } else {
        say(&text::render(&explanation, Paint::of_stdout()))?
    }
    Ok(Exit::Done)
}

fn explain(
    root: &Root,
    (sensed, areas): (Sensed, Vec<AreaView>),
    path: &CgroupPath,
    policies: &PolicySet,
    agent: std::result::Result<&Status, Absence>,
) -> Explanation {
    let mut notes = vec![order_of_areas(root, path, &sensed.swaps)];
    notes.extend(policies.resolve(path).and_then(|policy| fate(policy, &areas)).map(
        |fate| match fate.can_work {
            true => format!("with these areas: {}", fate.says),
            false => format!("with these areas it cannot work: {}", fate.says),
        },
    ));
    let snapshot = assemble(sensed, beside(agent.err().unwrap_or(Absence::NotRunning), areas));
    let found = snapshot.cgroups.iter().find(|(_, view)| view.path == *path).map(|(id, _)| *id);
    // One without the memory controller is there, and is no cgroup of the snapshot.
    let bare = root.cgroup_id(path).ok().filter(|_| found.is_none());
    let is_bare = bare.is_some();
    notes.extend(bare.map(|_| cgroupfs::why_absent(root, path)));
    if found.is_none() && !is_bare && path.parent().is_none_or(|above| above.is_root()) {
        // What `systemctl` calls a unit is the last name of its path.
        let same =
            snapshot.cgroups.values().filter(|view| !path.is_root() && view.path.name() == path.name());
        notes.extend(same.take(5).map(|view| format!("there is a cgroup of that name at {}", view.path)));
    }
    let policy = policies.resolve(path);
    let contender = |(policy, standing): (&swaptier_policies::Policy, swaptier_policies::Standing)| {
        Contender { policy: policy.name().to_owned(), standing: standing.to_string() }
    };
    let mut explanation = Explanation {
        schema: 1,
        cgroup: path.clone(),
        id: found.map(|id| id.0).or(bare),
        agent_running: agent != Err(Absence::NotRunning),
        policy: policy.map(|policy| policy.name().to_owned()),
        contenders: policies.contenders(path).into_iter().map(contender).collect(),
        older_than_seconds: policy.and_then(|policy| policy.older_than()).map(|age| age.0),
        knobs: found.map_or_else(Vec::new, |id| wanted::knobs(&snapshot, policies, id)),
        now: agent
            .ok()
            .and_then(|status| status.cgroups.iter().find(|row| row.path == path.to_string()).cloned()),
        steps: Vec::new(),
        held: Vec::new(),
        held_by: String::new(),
        notes,
    };
    explanation.closed_above(&snapshot);
    explanation.hold(&snapshot, policies, agent.ok());
    explanation
}

/// No map is looked at here: its numbers are in the agent's status.
pub(super) fn beside(absence: Absence, areas: Vec<AreaView>) -> Beside {
    Beside {
        at: Seconds(0),
        day: 0,
        areas,
        writeback: Writeback::None(absence.to_string()),
        health: MapHealth::Absent(absence.to_string()),
        counts: Default::default(),
        cold: Default::default(),
    }
}

/// Which disk its pages go to is nobody's choice yet.
fn order_of_areas(root: &Root, path: &CgroupPath, swaps: &[SwapArea]) -> String {
    let mut in_order: Vec<&SwapArea> = swaps.iter().collect();
    in_order.sort_by_key(|area| std::cmp::Reverse(area.priority));
    let names: Vec<String> =
        in_order.iter().map(|area| format!("{} (priority {})", area.shown(), area.priority)).collect();
    let order = if names.is_empty() { "none is on".to_owned() } else { names.join(", then ") };
    let file = "memory.swap.tiers.max";
    if root.exists(&cgroup_file(path, file)) {
        format!("{file} chooses among swap areas for this cgroup; no policy sets it yet. Areas: {order}")
    } else {
        format!(
            "this kernel has no {file}: among swap areas it goes by priority, for all cgroups alike. Areas: {order}"
        )
    }
}

impl Explanation {
    /// `memory.zswap.writeback` is hierarchical: a 0 above closes it here, whatever is written here.
    fn closed_above(&mut self, snapshot: &Snapshot) {
        let Some(id) = self.id else { return };
        let closed = snapshot.above(CgroupId(id)).find(|(_, view)| view.settings.valve() == Some(false));
        if let Some((_, view)) = closed {
            let path = if view.path.is_root() { "the root".to_owned() } else { view.path.to_string() };
            self.notes.push(format!(
                "memory.zswap.writeback is 0 in {path}, which closes the way to disk here too"
            ));
        }
    }

    /// What the agent holds back; without one, what it would hold back by cgroup files alone.
    fn hold(&mut self, snapshot: &Snapshot, policies: &PolicySet, agent: Option<&Status>) {
        if let Some(agent) = agent {
            let own = agent.held.iter().filter(|held| held.cgroup == self.cgroup.to_string());
            self.held = own.map(|held| held.reason.clone()).collect();
            self.held_by = "the agent, at its last decision".to_owned();
        } else if let Some(id) = self.id {
            let plan = decide_afresh(snapshot, policies);
            let own = plan.held.iter().filter(|held| held.cgroup.0 == id);
            self.held = own.map(|held| past::hold(&held.hold, snapshot)).collect();
            self.held_by = "a decision from cgroup files alone".to_owned();
        }
    }

    /// Adds what the state folder knows: who set the files, and what was done.
    fn remember(&mut self, root: &Root, dir: &std::path::Path, is_agent_there: bool) {
        let Some(id) = self.id else { return };
        match Undo::peek(root, dir) {
            Ok(pending) => {
                for knob in &mut self.knobs {
                    knob.set_by = setter(knob, &cgroup_file(&self.cgroup, knob.file), id, &pending);
                }
            }
            Err(error) => self.notes.push(format!("who set the files is not known: {error}")),
        }
        match past::read(dir, CgroupId(id)) {
            Ok(past) => {
                self.steps = past.steps;
                if let (false, Some((ago, held))) = (is_agent_there, past.held) {
                    self.held = held;
                    self.held_by = format!("the last decision of an agent, {} ago", Seconds(ago));
                }
            }
            Err(error) => self.notes.push(format!("what was done is not known: journal: {error}")),
        }
    }
}

/// Who set what the file says, by the undo log.
fn setter(knob: &KnobRow, path: &FilePath, id: u64, pending: &[Change]) -> String {
    let Some(current) = &knob.current else { return "-".to_owned() };
    let own = || pending.iter().filter(|change| change.path == *path && change.cgroup == Some(id));
    let (Some(first), Some(last)) = (own().next(), own().next_back()) else {
        return "not swaptier".to_owned();
    };
    if is_same_value(path, current, &last.new) {
        format!("swaptier, for {}; {} before", last.why, first.old)
    } else if is_same_value(path, current, &first.old) {
        "not swaptier".to_owned()
    } else {
        format!("somebody else: swaptier wrote {}, {} before", last.new, first.old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    fn policies(texts: &[(&str, &str)]) -> PolicySet {
        let file = |(name, text): &(&str, &str)| {
            swaptier_policies::SourceFile::text(*name, format!("schema = 1\n{text}"))
        };
        PolicySet::load(&texts.iter().map(file).collect::<Vec<_>>()).unwrap()
    }

    fn said(fake: &FakeRoot, path: &str, policies: &PolicySet) -> Explanation {
        let sensed = settings::sensed(fake.root()).unwrap();
        let areas = unnoted(fake.root(), &sensed.swaps).views;
        explain(fake.root(), (sensed, areas), &path.into(), policies, Err(Absence::NotRunning))
    }

    const ALL: (&str, &str) = ("all.toml", "[match]\ncgroup = [\"**\"]\npriority = 1\n[tiers]\nuse = []\n");
    const A: (&str, &str) = (
        "a.toml",
        "[match]\ncgroup = [\"a\"]\npriority = 5\n[tiers]\nuse = [\"zswap\"]\nswap_max = \"8K\"\n",
    );

    #[test]
    fn the_winner_and_the_loser_are_told_with_their_reasons() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let said = said(&fake, "a", &policies(&[ALL, A]));
        assert_eq!(said.policy.as_deref(), Some("a.toml"));
        let standings: Vec<&str> = said.contenders.iter().map(|one| one.standing.as_str()).collect();
        assert_eq!(standings, ["wins by \"a\"", "loses: priority 1, the winner has 5"]);
        assert!(said.notes[0].contains("/dev/vda (priority -2)"), "{:?}", said.notes);
    }

    #[test]
    fn each_file_says_what_it_is_what_it_should_be_and_who_set_it() {
        let fake = FakeRoot::host();
        let id = fake.cgroup("a");
        let dir = fake.path("var/lib/swaptier");
        let swap_max = cgroup_file("a", "memory.swap.max");
        let zswap_max = cgroup_file("a", "memory.zswap.max");
        let mut undo = Undo::open(fake.root(), &dir).unwrap();
        undo.note(&[
            Change::file(
                &swap_max,
                Some(id),
                "max",
                "8192",
                &swaptier_policies::Asker::Policy("a.toml".to_owned()),
            ),
            Change::file(
                &zswap_max,
                Some(id),
                "max",
                "4096",
                &swaptier_policies::Asker::Policy("old.toml".to_owned()),
            ),
        ])
        .unwrap();
        fake.write(&swap_max, "8192\n");
        fake.write(&zswap_max, "12288\n");
        let mut said = said(&fake, "a", &policies(&[A]));
        said.remember(fake.root(), &dir, false);
        let knob = |file, current: &str, wanted: Option<&str>, because: &str, set_by: &str| KnobRow {
            file,
            current: Some(current.into()),
            wanted: wanted.map(str::to_owned),
            because: because.into(),
            set_by: set_by.into(),
        };
        let expected = [
            knob(
                "memory.swap.max",
                "8192",
                Some("8192"),
                "the policy gives it",
                "swaptier, for policy a.toml; max before",
            ),
            knob(
                "memory.zswap.max",
                "12288",
                None,
                "the policy leaves it alone",
                "somebody else: swaptier wrote 4096, max before",
            ),
            knob("memory.zswap.writeback", "1", Some("0"), "`tiers.use` leaves `disk` out", "not swaptier"),
        ];
        assert_eq!(said.knobs, expected);
    }

    #[test]
    fn a_cgroup_that_is_not_there_yet_still_has_its_policy() {
        let fake = FakeRoot::host();
        let said = said(&fake, "nobody", &policies(&[ALL]));
        assert_eq!((said.id, said.policy.as_deref(), said.knobs.len()), (None, Some("all.toml"), 0));
        assert!(text::render(&said, Paint::NONE).starts_with("nobody: there is no such cgroup now"));
    }

    #[test]
    fn a_cgroup_without_the_memory_controller_is_told_from_one_that_is_not_there() {
        let fake = FakeRoot::host();
        fake.write("sys/fs/cgroup/cgroup.subtree_control", "memory\n");
        fake.cgroup("user");
        fake.write("sys/fs/cgroup/user/cgroup.subtree_control", "cpu\n");
        fake.write("sys/fs/cgroup/user/x/cgroup.events", "populated 1\n");
        let said = |path| said(&fake, path, &policies(&[ALL]));
        let bare = said("user/x");
        assert!(bare.id.is_some() && bare.knobs.is_empty() && said("user/y").id.is_none());
        assert!(bare.notes.iter().any(|note| note.contains("is not enabled for user/x")), "{:?}", bare.notes);
    }

    #[test]
    fn a_units_name_is_answered_with_its_path() {
        let fake = FakeRoot::host();
        fake.cgroup("batch.slice");
        fake.cgroup("batch.slice/cold.service");
        let told = said(&fake, "cold.service", &policies(&[ALL])).notes;
        assert!(
            told.contains(&"there is a cgroup of that name at batch.slice/cold.service".to_owned()),
            "{told:?}"
        );
        let told = said(&fake, "other/cold.service", &policies(&[ALL])).notes;
        assert!(!told.iter().any(|note| note.contains("of that name")), "{told:?}");
    }

    #[test]
    fn a_closed_valve_above_is_told() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        fake.cgroup("a/b");
        fake.write("sys/fs/cgroup/a/memory.zswap.writeback", "0\n");
        let said = said(&fake, "a/b", &policies(&[ALL]));
        assert!(said.notes.iter().any(|note| note.starts_with("memory.zswap.writeback is 0 in a,")));
    }
}
