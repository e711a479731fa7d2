//! The writer on a fake root: what is written, what is refused, what is left alone.

use std::fs::{self, File};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swaptier_policies::{
    Action, Asker, Bytes, CgroupId, Limit, MapHealth, Pages, Reason, Seconds, Snapshot, Step, Writeback,
};
use swaptier_policies::{Because, Knob, plan::Valve};

use super::*;
use crate::config::ZswapSettings;
use crate::fake::FakeRoot;
use crate::journal::{Undo, restore};
use crate::sense::{Beside, CgroupTree, assemble, collect};

const SWAP_MAX: &str = "sys/fs/cgroup/a/memory.swap.max";
const DEADLINE: Duration = Duration::from_secs(20);

/// A host with the cgroup `a`, a writer, and what the agent would know of it.
struct World {
    fake: FakeRoot,
    undo: Arc<Mutex<Undo>>,
    writer: Writer,
    id: CgroupId,
}

impl World {
    fn new() -> World {
        let fake = FakeRoot::host();
        let id = CgroupId(fake.cgroup("a"));
        let undo = Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        let undo = Arc::new(Mutex::new(undo));
        let writer = Writer::new(fake.root().clone(), undo.clone(), DEADLINE);
        World { fake, undo, writer, id }
    }

    fn snapshot(&self) -> Snapshot {
        let sensed = collect(self.fake.root(), &mut CgroupTree::default()).unwrap();
        let beside = Beside {
            at: Seconds(1),
            day: 0,
            areas: Vec::new(),
            writeback: Writeback::None("test".into()),
            health: MapHealth::Absent("test".into()),
            counts: Default::default(),
            cold: Default::default(),
        };
        assemble(sensed, beside)
    }

    async fn apply(&self, action: Action) -> Outcome {
        self.apply_with(&self.writer, action).await
    }

    async fn apply_with(&self, writer: &Writer, action: Action) -> Outcome {
        let reason = Reason::Differs {
            from: true.into(),
            to: false.into(),
            because: Because::Valve(Valve::DiskUnused),
        };
        let step = Step { action, by: Asker::Policy("batch.toml".into()), reason };
        apply(writer, &step, &self.snapshot(), |order| async move {
            let report = serde_json::json!({ "why": order.why(), "dry_run": order.dry_run }).into();
            Outcome::WroteBack { path: (&order.path).into(), asked: order.pages, written: Pages(0), report }
        })
        .await
    }

    fn swap_max(&self, bytes: u64) -> Action {
        Action::Set { cgroup: self.id, knob: Knob::SwapMax, to: Limit::Bytes(Bytes(bytes)).into() }
    }

    fn pending(&self) -> Vec<(String, String, String)> {
        let undo = self.undo.lock().unwrap();
        undo.pending().map(|c| (c.path.to_string(), c.old.clone(), c.new.clone())).collect()
    }
}

fn set(path: &str, from: &str, to: &str) -> Outcome {
    Outcome::Set { path: path.into(), from: from.into(), to: to.into() }
}

#[tokio::test]
async fn each_action_writes_its_own_file_and_nothing_else() {
    let a = "sys/fs/cgroup/a";
    type Make = fn(CgroupId) -> Action;
    let cases: [(Make, &str, &str, &str); 3] = [
        (
            |cgroup| Action::Set { cgroup, knob: Knob::SwapMax, to: Limit::Bytes(Bytes(8192)).into() },
            "memory.swap.max",
            "max",
            "8192",
        ),
        (
            |cgroup| Action::Set { cgroup, knob: Knob::ZswapMax, to: Limit::ZERO.into() },
            "memory.zswap.max",
            "max",
            "0",
        ),
        (
            |cgroup| Action::Set { cgroup, knob: Knob::ZswapWriteback, to: false.into() },
            "memory.zswap.writeback",
            "1",
            "0",
        ),
    ];
    for (make, file, from, to) in cases {
        let world = World::new();
        let before = tree(&world.fake);
        let outcome = world.apply(make(world.id)).await;
        assert_eq!(outcome, set(&format!("{a}/{file}"), from, to));
        let changed: Vec<_> = tree(&world.fake).into_iter().filter(|entry| !before.contains(entry)).collect();
        assert_eq!(changed, [(format!("{a}/{file}"), to.to_owned())]);
        restore(world.fake.root(), &mut world.undo.lock().unwrap(), false);
        assert_eq!(world.fake.read(&format!("{a}/{file}")), from);
    }
}

/// Every file below `sys` with its value.
fn tree(fake: &FakeRoot) -> Vec<(String, String)> {
    fn visit(fake: &FakeRoot, rel: &str, into: &mut Vec<(String, String)>) {
        for name in fake.root().list(rel).unwrap() {
            let path = format!("{rel}/{name}");
            if fake.path(&path).is_dir() {
                visit(fake, &path, into)
            } else {
                into.push((path.clone(), fake.read(&path)))
            }
        }
    }
    let mut files = Vec::new();
    visit(fake, "sys", &mut files);
    files
}

#[tokio::test]
async fn a_write_back_goes_to_the_engine_with_everything_it_needs() {
    let world = World::new();
    let action = Action::Writeback { cgroup: world.id, older_than: Seconds(600), pages: Pages(2000) };
    let outcome = world.apply(action).await;
    let report = serde_json::json!({ "why": "a round of policy batch.toml", "dry_run": false }).into();
    assert_eq!(
        outcome,
        Outcome::WroteBack { path: "a".into(), asked: Pages(2000), written: Pages(0), report }
    );
}

#[tokio::test]
async fn the_record_is_on_disk_with_the_first_value_and_the_newest() {
    let world = World::new();
    world.apply(world.swap_max(8192)).await;
    world.apply(world.swap_max(16384)).await;
    assert_eq!(world.pending(), [(SWAP_MAX.into(), "max".into(), "16384".into())]);
    let on_disk = fs::read_to_string(world.fake.path("var/lib/swaptier/undo.jsonl")).unwrap();
    assert!(
        on_disk.contains(r#""new":"16384","by":{"policy":"batch.toml"},"why":"policy batch.toml""#),
        "{on_disk}"
    );
}

#[tokio::test]
async fn a_file_that_says_so_already_is_not_written_and_not_noted() {
    let world = World::new();
    world.fake.write(SWAP_MAX, "8192\n");
    let outcome = world.apply(world.swap_max(8192)).await;
    assert_eq!(outcome, Outcome::Already { path: SWAP_MAX.into(), value: "8192".into() });
    assert_eq!(world.pending(), []);
}

#[tokio::test]
async fn what_cannot_be_noted_is_not_written() {
    let world = World::new();
    world
        .undo
        .lock()
        .unwrap()
        .replace_log(File::options().write(true).open("/dev/full").unwrap(), "/dev/full");
    let outcome = world.apply(world.swap_max(8192)).await;
    assert!(matches!(&outcome, Outcome::Failed { error, .. } if error.contains("/dev/full")), "{outcome:?}");
    assert_eq!(world.fake.read(SWAP_MAX), "max");
}

#[tokio::test]
async fn a_dry_run_tells_and_writes_nothing() {
    let world = World::new();
    let before = tree(&world.fake);
    let dry = Writer::dry(world.fake.root().clone(), DEADLINE);
    let would = |path: &str, from: &str, to: &str| Outcome::Would {
        path: path.into(),
        from: from.into(),
        to: to.into(),
    };
    assert_eq!(world.apply_with(&dry, world.swap_max(8192)).await, would(SWAP_MAX, "max", "8192"));
    let target = Target::cgroup(world.id, &"a".into());
    let asked = reclaim::ask(&dry, target, Bytes(4096), Some(reclaim::Swappiness::Max)).await;
    assert_eq!(asked, would("sys/fs/cgroup/a/memory.reclaim", "", "4096 swappiness=max"));
    assert_eq!(tree(&world.fake), before);
}

#[tokio::test]
async fn a_value_of_somebody_else_is_left_alone_every_time() {
    let world = World::new();
    world.apply(world.swap_max(8192)).await;
    world.fake.write(SWAP_MAX, "4096\n");
    let foreign = Outcome::Foreign { path: SWAP_MAX.into(), ours: "8192".into(), found: "4096".into() };
    for _ in 0..2 {
        assert_eq!(world.apply(world.swap_max(8192)).await, foreign);
    }
    assert_eq!(world.fake.read(SWAP_MAX), "4096");
}

#[tokio::test]
async fn a_value_put_back_to_what_it_was_before_us_is_set_again() {
    let world = World::new();
    world.apply(world.swap_max(8192)).await;
    world.fake.write(SWAP_MAX, "max\n");
    assert_eq!(world.apply(world.swap_max(8192)).await, set(SWAP_MAX, "max", "8192"));
    assert_eq!(world.pending(), [(SWAP_MAX.into(), "max".into(), "8192".into())]);
}

#[tokio::test]
async fn a_foreign_value_is_known_after_a_restart_of_the_agent() {
    let World { fake, undo, writer, id } = World::new();
    let world = World { fake, undo, writer, id };
    world.apply(world.swap_max(8192)).await;
    let World { fake, undo, writer, id } = world;
    drop((undo, writer));
    let undo = Arc::new(Mutex::new(Undo::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap()));
    let writer = Writer::new(fake.root().clone(), undo.clone(), DEADLINE);
    let world = World { fake, undo, writer, id };
    world.fake.write(SWAP_MAX, "4096\n");
    assert!(matches!(world.apply(world.swap_max(8192)).await, Outcome::Foreign { .. }));
}

#[tokio::test]
async fn a_cgroup_that_is_gone_or_another_one_is_not_touched() {
    let world = World::new();
    let (action, snapshot) = (world.swap_max(8192), world.snapshot());
    world.fake.replace_cgroup("a");
    world.fake.cgroup("a");
    let reason =
        Reason::Differs { from: true.into(), to: false.into(), because: Because::Valve(Valve::DiskUnused) };
    let step = Step { action, by: Asker::Policy("batch.toml".into()), reason };
    let gone = Outcome::Gone { path: SWAP_MAX.into() };
    let engine = |_: Order| async { unreachable!("nothing is written back here") };
    assert_eq!(apply(&world.writer, &step, &snapshot, engine).await, gone);
    assert_eq!(world.fake.read(SWAP_MAX), "max");
    world.fake.remove("sys/fs/cgroup/a");
    assert_eq!(apply(&world.writer, &step, &snapshot, engine).await, gone);
    assert_eq!(world.pending(), []);
}

#[tokio::test]
async fn a_file_that_this_kernel_lacks_is_a_failure_and_not_a_gone_cgroup() {
    let world = World::new();
    world.fake.remove("sys/fs/cgroup/a/memory.zswap.writeback");
    let outcome =
        world.apply(Action::Set { cgroup: world.id, knob: Knob::ZswapWriteback, to: false.into() }).await;
    assert!(
        matches!(&outcome, Outcome::Failed { error, .. } if error.contains("the kernel lacks this file")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_unknown_cgroup_is_gone() {
    let world = World::new();
    let outcome = world
        .apply(Action::Set { cgroup: CgroupId(u64::MAX), knob: Knob::ZswapWriteback, to: false.into() })
        .await;
    assert!(matches!(outcome, Outcome::Gone { .. }));
}

#[tokio::test]
async fn a_write_the_kernel_refuses_leaves_no_record() {
    let world = World::new();
    // A running program can be read and not written, not even by root.
    fs::remove_file(world.fake.path(SWAP_MAX)).unwrap();
    fs::copy("/bin/sleep", world.fake.path(SWAP_MAX)).unwrap();
    let mut running = loop {
        match std::process::Command::new(world.fake.path(SWAP_MAX)).arg("60").spawn() {
            // Another test forked while the copy was open for writing.
            Err(e) if e.raw_os_error() == Some(libc::ETXTBSY) => std::thread::yield_now(),
            spawned => break spawned.unwrap(),
        }
    };
    let outcome = world.apply(world.swap_max(8192)).await;
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(matches!(&outcome, Outcome::Failed { error, .. } if error.contains("busy")), "{outcome:?}");
    assert_eq!(world.pending(), []);
}

#[tokio::test]
async fn an_overdue_write_parks_its_cgroup_and_no_other() {
    let world = World::new();
    let other = CgroupId(world.fake.cgroup("b"));
    // A pipe without a writer: opening it blocks, as a write to a cgroup under reclaim does.
    let (fifo, snapshot) = (world.fake.path("sys/fs/cgroup/a/pipe"), world.snapshot());
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    fs::rename(&fifo, world.fake.path(SWAP_MAX)).unwrap();
    // Writes that nothing blocks sync the undo log meanwhile, on a disk that may have other work.
    let deadline = Duration::from_secs(2);
    let writer = Writer::new(world.fake.root().clone(), world.undo.clone(), deadline);
    let engine = |_: Order| async { unreachable!("nothing is written back here") };
    let run = async |action: Action| {
        let reason = Reason::Differs {
            from: true.into(),
            to: false.into(),
            because: Because::Valve(Valve::DiskUnused),
        };
        let step = Step { action, by: Asker::Policy("batch.toml".into()), reason };
        apply(&writer, &step, &snapshot, engine).await
    };
    let overdue = run(world.swap_max(8192)).await;
    assert_eq!(overdue, Outcome::Overdue { path: SWAP_MAX.into(), after_ms: 2_000 });
    assert_eq!(writer.busy().places(), ["sys/fs/cgroup/a"]);
    let parked = run(Action::Set { cgroup: world.id, knob: Knob::ZswapMax, to: Limit::ZERO.into() }).await;
    assert_eq!(parked, Outcome::Parked { path: "sys/fs/cgroup/a/memory.zswap.max".into() });
    let beside = run(Action::Set { cgroup: other, knob: Knob::ZswapMax, to: Limit::ZERO.into() }).await;
    assert!(matches!(beside, Outcome::Set { .. }), "{beside:?}");

    // The write returns: its place is free again.
    let mut pipe = File::options().write(true).open(world.fake.path(SWAP_MAX)).unwrap();
    std::io::Write::write_all(&mut pipe, b"8192\n").unwrap();
    drop(pipe);
    while !writer.busy().places().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let free = run(Action::Set { cgroup: world.id, knob: Knob::ZswapMax, to: Limit::ZERO.into() }).await;
    assert!(matches!(free, Outcome::Set { .. }), "{free:?}");
}

#[tokio::test]
async fn reclaim_is_asked_of_the_cgroup_that_was_meant() {
    let world = World::new();
    let target = Target::cgroup(world.id, &"a".into());
    let file = "sys/fs/cgroup/a/memory.reclaim";
    let outcome = reclaim::ask(&world.writer, target.clone(), Bytes(65536), None).await;
    assert_eq!(outcome, Outcome::Reclaimed { path: file.into(), asked: Bytes(65536), whole: true });
    assert_eq!(world.fake.read(file), "65536");
    world.fake.replace_cgroup("a");
    world.fake.cgroup("a");
    assert_eq!(
        reclaim::ask(&world.writer, target, Bytes(65536), None).await,
        Outcome::Gone { path: file.into() }
    );
    assert_eq!(world.fake.read(file), "");
}

#[tokio::test]
async fn zswap_is_set_with_the_switch_last_and_given_back_with_the_switch_first() {
    let world = World::new();
    world.fake.write("sys/module/zswap/parameters/enabled", "N\n");
    let settings = ZswapSettings {
        compressor: Some("zstd".into()),
        max_pool_percent: Some(30),
        accept_threshold_percent: Some(80),
        shrinker_enabled: Some(true),
        enabled: Some(true),
    };
    let outcomes = zswap_params::apply(&world.writer, &settings).await;
    let at = |name: &str| format!("sys/module/zswap/parameters/{name}");
    let expected = [
        set(&at("compressor"), "lz4", "zstd"),
        set(&at("max_pool_percent"), "20", "30"),
        set(&at("accept_threshold_percent"), "90", "80"),
        set(&at("shrinker_enabled"), "N", "Y"),
        set(&at("enabled"), "N", "Y"),
    ];
    assert_eq!(outcomes, expected);
    let report = restore(world.fake.root(), &mut world.undo.lock().unwrap(), false);
    assert_eq!(report.items[0].path, at("enabled").as_str());
    assert_eq!(
        ["compressor", "max_pool_percent", "enabled"].map(|n| world.fake.read(&at(n))),
        ["lz4", "20", "N"]
    );
}

#[tokio::test]
async fn settings_that_are_not_given_touch_nothing() {
    let world = World::new();
    let settings = ZswapSettings { max_pool_percent: Some(20), ..ZswapSettings::default() };
    let outcomes = zswap_params::apply(&world.writer, &settings).await;
    let path = "sys/module/zswap/parameters/max_pool_percent".to_owned();
    assert_eq!(outcomes, [Outcome::Already { path: path.into(), value: "20".into() }]);
    assert!(zswap_params::apply(&world.writer, &ZswapSettings::default()).await.is_empty());
}

#[test]
fn an_outcome_reads_back_from_the_journal() {
    let foreign = Outcome::Foreign { path: SWAP_MAX.into(), ours: "1".into(), found: "2".into() };
    let text = serde_json::to_string(&foreign).unwrap();
    assert!(text.starts_with(r#"{"outcome":"foreign","path":"#), "{text}");
    assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), foreign);
}
