//! The claims of the room: what is written is read, whatever is lost costs itself alone, and what is kept is bounded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use swaptier_policies::{
    Bytes, CgroupId, Cold, Decision, MapHealth, Outcome, Pages, PolicySet, Seconds, Session, Settled,
    Snapshot, Writeback,
};

use super::*;
use crate::fake::FakeRoot;
use crate::sense::{Beside, CgroupTree, assemble, collect};
use crate::serve::status::{CgroupStatus, Durations, Status, SwapIns};
use crate::vswap::seen::unnoted;

const POLICY: &str = "schema = 1\n[match]\ncgroup = [\"*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\n\
                      older_than = \"1m\"\nbudget = { round = \"1M\", rate = \"64K/s\" }\n";

pub(super) fn terms() -> Terms {
    Terms {
        swaptier: "0.1.0".into(),
        by: "agent".into(),
        kernel: "7.2".into(),
        tick: 1,
        interval: 2,
        policies: vec![("all.toml".into(), POLICY.into())],
        ..Terms::default()
    }
}

/// What an agent sees of `cgroups` cgroups, tick by tick.
pub(super) struct World {
    snapshot: Snapshot,
    policies: PolicySet,
    pub(super) session: Session,
    running: Vec<Settled>,
    tick: u64,
}

impl World {
    pub(super) fn of(cgroups: u64) -> World {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
        let beside = Beside {
            at: Seconds(1000),
            day: 3,
            areas: unnoted(fake.root(), &sensed.swaps).views,
            writeback: Writeback::Ready("worker".into()),
            health: MapHealth::Exact,
            counts: Default::default(),
            cold: Default::default(),
        };
        let mut snapshot = assemble(sensed, beside);
        let with = |is_root: bool| {
            snapshot.cgroups.values().find(|view| view.path.is_root() == is_root).cloned().unwrap()
        };
        let (root, like) = (with(true), with(false));
        // Inodes of a folder are not the same twice.
        snapshot.cgroups = BTreeMap::from([(CgroupId::ROOT, root)]);
        for n in 0..cgroups {
            let view = swaptier_policies::CgroupView {
                path: format!("unit-{n}.service").into(),
                parent: Some(CgroupId::ROOT),
                ..like.clone()
            };
            snapshot.cgroups.insert(CgroupId(100 + n), view);
        }
        World {
            snapshot,
            policies: terms().policy_set().unwrap(),
            session: Session::default(),
            running: Vec::new(),
            tick: 0,
        }
    }

    /// One tick: a second later a twentieth of the cgroups has moved; every other tick decides and writes back.
    pub(super) fn tick(&mut self, is_key: bool) -> Frame {
        let history = is_key.then(|| self.session.history().clone());
        let tick = self.tick;
        self.tick += 1;
        self.snapshot.at.0 += 1;
        for (id, view) in self.snapshot.cgroups.iter_mut().filter(|(_, view)| !view.path.is_root()) {
            if (id.0 + tick).is_multiple_of(20) {
                view.memory_current = Some(Bytes((id.0 * 7919 + tick * 104_729) % 1_000_000 * 4096));
            }
            let pages = Pages(40 + (id.0 + tick / 8) % 50);
            let compressed = Bytes(pages.0 * 1000);
            view.cold = Some(Cold { older_than: Seconds(60), pages, compressed, oldest: Seconds(60 + tick) });
        }
        let ended = std::mem::take(&mut self.running);
        let turn = self.session.turn(&self.snapshot, &ended);
        let decision = tick.is_multiple_of(2).then(|| {
            let (plan, made) = self.session.decide(turn, &self.snapshot, &self.policies);
            let outcome = |step: &swaptier_policies::Step| Outcome::WroteBack {
                path: "x".into(),
                asked: Pages(40),
                written: Pages(step.action.cgroup().0 % 40),
                report: serde_json::json!({"ended": "target", "took_ms": 1.5}).into(),
            };
            // All rounds run beside, and have ended by the next tick.
            let queued = |_| Outcome::Queued { path: "x".into(), asked: Pages(40) };
            self.running = plan
                .steps
                .iter()
                .map(|step| Settled { step: step.clone(), outcome: outcome(step) })
                .collect();
            let outcomes = plan.steps.iter().map(queued).collect();
            let decision = Decision { plan, outcomes };
            self.session.done(made, &decision, self.snapshot.at);
            decision
        });
        let row = |(id, view): (&CgroupId, &swaptier_policies::CgroupView)| CgroupStatus {
            path: view.path.to_string(),
            id: id.0,
            memory_current_bytes: view.memory_current.map(|bytes| bytes.0),
            oldest_seconds: view.cold.map(|cold| cold.oldest.0),
            cold_pages: view.cold.map(|cold| cold.pages.0),
            ..CgroupStatus::default()
        };
        let mut rows: Vec<CgroupStatus> = self.snapshot.cgroups.iter().map(row).collect();
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        let status = Status { schema: 1, cgroups: rows, ..Status::default() };
        Frame {
            tick,
            unix_ms: 1_700_000_000_000 + tick * 1000,
            snapshot: self.snapshot.clone(),
            ended,
            decision,
            history,
            status: Some(status),
            ages: BTreeMap::from([(CgroupId(100), vec![0, tick, 7])]),
            moved: moved(tick),
            events: Vec::new(),
        }
    }
}

fn limits(folder: &Path) -> Limits {
    Limits { folder: folder.to_path_buf(), file_size: 1 << 20, files: 3 }
}

/// Records so many ticks; waits for the writer after each, which no agent does.
pub(super) fn record(limits: Limits, world: &mut World, ticks: u64) -> Vec<Frame> {
    let mut recorder = Recorder::start(limits, terms()).unwrap();
    let mut frames = Vec::new();
    for n in 0..ticks {
        let frame = world.tick(recorder.wants_key());
        frames.push(frame.clone());
        recorder.take(frame);
        while recorder.written().0 + recorder.dropped() <= n {
            std::thread::yield_now();
        }
    }
    assert_eq!(recorder.dropped(), 0);
    frames
}

fn all(recording: &mut Recording) -> Vec<Frame> {
    (0..recording.len()).map(|n| recording.frame(n).unwrap()).collect()
}

pub(super) fn only_file(folder: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let frames = record(limits(dir.path()), &mut World::of(5), 70);
    let mut recording = Recording::open(dir.path()).unwrap();
    assert_eq!(recording.losses(), []);
    assert_eq!(all(&mut recording), frames);
    assert_eq!(recording.frame_and_terms(3).unwrap().1, &terms());
    // Keys at 0, 30 and 60.
    let keys: Vec<u64> = frames.iter().filter(|f| f.history.is_some()).map(|f| f.tick).collect();
    assert_eq!(keys, [0, 30, 60]);
}

#[test]
fn a_time_finds_the_last_frame_before_it() {
    let dir = tempfile::tempdir().unwrap();
    record(limits(dir.path()), &mut World::of(1), 10);
    let recording = Recording::open(dir.path()).unwrap();
    let begin = 1_700_000_000_000;
    assert_eq!([0, begin, begin + 999, begin + 1000, u64::MAX].map(|t| recording.seek(t)), [0, 0, 0, 1, 9]);
    assert!(matches!(Recording::open(dir.path()).unwrap().frame(10), Err(RecordingError::NoFrame(10))));
}

#[test]
fn truncated_anywhere_every_whole_frame_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let frames = record(limits(dir.path()), &mut World::of(1), 5);
    let whole = fs::read(only_file(dir.path())).unwrap();
    let cut = dir.path().join("cut.rec");
    // Where each frame ends: behind the header and the terms.
    let (mut ends, mut at) = (Vec::new(), block::HEADER);
    while at < whole.len() {
        at += block::head(&whole[at..]).unwrap().len();
        ends.push(at);
    }
    ends.remove(0);
    for len in 0..whole.len() {
        fs::write(&cut, &whole[..len]).unwrap();
        let expected = ends.iter().filter(|end| **end <= len).count();
        match Recording::open(&cut) {
            Ok(mut recording) => {
                assert_eq!(all(&mut recording), frames[..expected], "cut at {len}");
                let is_between = ends.contains(&len);
                assert_eq!(recording.losses().is_empty(), is_between, "cut at {len}");
                assert!(recording.losses().iter().all(|loss| loss.fault == Fault::CutOff), "cut at {len}");
            }
            Err(error) => {
                assert_eq!(expected, 0, "cut at {len}: {error}");
                assert!(error.to_string().contains("cut.rec: "), "{error}");
            }
        }
    }
}

#[test]
fn a_damaged_block_costs_itself_and_a_damaged_key_what_rests_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let frames = record(limits(dir.path()), &mut World::of(2), 70);
    let path = only_file(dir.path());
    let whole = fs::read(&path).unwrap();
    let (mut begins, mut at) = (Vec::new(), block::HEADER);
    while at < whole.len() {
        begins.push(at);
        at += block::head(&whole[at..]).unwrap().len();
    }
    // Block 0 is the terms, block n + 1 frame n.
    for (hit, lost) in [(5, 5..6), (29, 29..30), (30, 30..60), (0, 0..30), (69, 69..70)] {
        let mut bytes = whole.clone();
        bytes[begins[hit + 1] + block::HEAD + 3] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let mut recording = Recording::open(&path).unwrap();
        let left: Vec<Frame> =
            frames.iter().filter(|f| !lost.contains(&(f.tick as usize))).cloned().collect();
        assert_eq!(all(&mut recording), left, "frame {hit}");
        let [loss] = recording.losses() else { panic!("{:?}", recording.losses()) };
        assert_eq!((loss.before, loss.fault), (lost.start, Fault::Checksum), "frame {hit}");
        assert_eq!(loss.offset, begins[hit + 1] as u64);
        assert_eq!(loss.frames, (hit < 69).then_some(lost.len() as u32), "frame {hit}: {loss}");
    }
}

#[test]
fn damaged_terms_are_told_and_the_frames_are_not_given_without_them() {
    let dir = tempfile::tempdir().unwrap();
    record(limits(dir.path()), &mut World::of(1), 3);
    let path = only_file(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[block::HEADER + block::HEAD] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut recording = Recording::open(&path).unwrap();
    assert_eq!((recording.len(), recording.losses().len()), (3, 1));
    let error = recording.frame_and_terms(0).unwrap_err().to_string();
    assert!(error.contains("the settings and policies it was decided by are lost"), "{error}");
    // What was seen needs no policies.
    assert!(recording.frame(2).is_ok());
}

#[test]
fn other_formats_and_other_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    record(limits(dir.path()), &mut World::of(1), 3);
    let path = only_file(dir.path());
    let whole = fs::read(&path).unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Recording::open(&path).unwrap_err().to_string()
    };
    let mut newer = whole.clone();
    newer[8] = u8::try_from(VERSION + 1).unwrap();
    let crc = crc32fast::hash(&newer[..12]);
    newer[12..16].copy_from_slice(&crc.to_le_bytes());
    let says = format!(
        ": it is in format {}, and this swaptier reads format {VERSION}: use the swaptier that wrote it, or a newer one",
        VERSION + 1
    );
    assert!(refusal(&newer).ends_with(&says));
    assert!(refusal(b"{}").ends_with("it does not begin with its magic bytes"));
    assert!(refusal(&[]).ends_with("it does not begin with its magic bytes"));
    fs::remove_file(&path).unwrap();
    assert!(Recording::open(dir.path()).unwrap_err().to_string().ends_with("there is no whole frame in it"));
}

#[test]
fn what_is_kept_is_bounded_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.rec"), "somebody's").unwrap();
    let limits = Limits { file_size: 24 << 10, ..limits(dir.path()) };
    let frames = record(limits.clone(), &mut World::of(10), 400);
    fs::remove_file(dir.path().join("notes.rec")).unwrap();
    let mut bytes = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let len = entry.unwrap().metadata().unwrap().len();
        assert!(len <= limits.file_size);
        bytes += len;
    }
    assert!(bytes <= limits.file_size * limits.files, "{bytes}");
    let mut recording = Recording::open(dir.path()).unwrap();
    assert!(recording.len() > 30 && recording.len() < 400, "{}", recording.len());
    assert_eq!(all(&mut recording), frames[400 - recording.len()..]);
}

#[test]
fn other_policies_begin_another_file_and_each_frame_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::of(1);
    let mut recorder = Recorder::start(limits(dir.path()), terms()).unwrap();
    let later = Terms { policies: vec![("b.toml".into(), POLICY.replace("1m", "2m"))], ..terms() };
    for n in 0..6 {
        if n == 3 {
            recorder.change_terms(later.clone());
        }
        recorder.take(world.tick(recorder.wants_key()));
        while recorder.written().0 + recorder.dropped() <= n {
            std::thread::yield_now();
        }
    }
    assert_eq!(recorder.close(), Written { frames: 6, bytes: recorder_bytes(dir.path()), dropped: 0 });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    let mut recording = Recording::open(dir.path()).unwrap();
    let terms_of: Vec<Terms> = (0..6).map(|n| recording.frame_and_terms(n).unwrap().1.clone()).collect();
    assert_eq!(terms_of, [vec![terms(); 3], vec![later; 3]].concat());
    assert_eq!((0..6).map(|n| recording.key_of(n)).collect::<Vec<_>>(), [0, 0, 0, 3, 3, 3]);
}

/// Bytes of the frames in all files: without headers and terms.
fn recorder_bytes(folder: &Path) -> u64 {
    let of = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        let terms = block::head(&bytes[block::HEADER..]).unwrap().len();
        (bytes.len() - block::HEADER - terms) as u64
    };
    fs::read_dir(folder).unwrap().map(|entry| of(entry.unwrap().path())).sum()
}

#[test]
fn a_disk_that_fails_costs_counted_frames_and_the_next_key_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    let mut world = World::of(1);
    let mut recorder = Recorder::start(limits(&folder), terms()).unwrap();
    let mut hand = |recorder: &mut Recorder, n: u64| {
        recorder.take(world.tick(recorder.wants_key()));
        while recorder.written().0 + recorder.dropped() < n {
            std::thread::yield_now();
        }
    };
    fs::remove_dir(&folder).unwrap();
    hand(&mut recorder, 1);
    assert_eq!((recorder.dropped(), recorder.wants_key()), (1, true));
    fs::create_dir(&folder).unwrap();
    hand(&mut recorder, 2);
    hand(&mut recorder, 3);
    drop(recorder);
    let mut recording = Recording::open(&folder).unwrap();
    assert_eq!(all(&mut recording).iter().map(|f| f.tick).collect::<Vec<_>>(), [1, 2]);
}

/// The file was written by the first swaptier of this format. What types have got since is missing in it, and what it says is
/// still there: it is made anew (`BLESS=1`) only with a new `VERSION`.
#[test]
fn a_recording_of_an_earlier_swaptier_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/recording/whole");
    let dir = tempfile::tempdir().unwrap();
    let made = record(limits(dir.path()), &mut World::of(2), 5);
    if std::env::var_os("BLESS").is_some() && Recording::open(&path).is_err() {
        fs::copy(only_file(dir.path()), &path).unwrap();
    }
    let mut recording = Recording::open(&path).unwrap();
    let read = all_of(&mut recording).unwrap();
    let facts = |frames: &[Frame]| -> Vec<_> {
        let steps = |frame: &Frame| frame.decision.as_ref().map(|made| made.plan.steps.clone());
        let rows = |frame: &Frame| frame.status.as_ref().map(|status| status.cgroups.len());
        let of = |frame: &Frame| {
            let cgroups =
                frame.snapshot.cgroups.values().map(|view| (view.path.clone(), view.cold)).collect();
            let cgroups: Vec<_> = cgroups;
            (
                frame.tick,
                frame.unix_ms,
                cgroups,
                steps(frame),
                frame.ended.clone(),
                rows(frame),
                frame.ages.clone(),
            )
        };
        frames.iter().map(of).collect()
    };
    assert_eq!(facts(&read), facts(&made));
    assert!(recording.frame_and_terms(0).unwrap().1.policy_set().is_ok());
}

fn all_of(recording: &mut Recording) -> Result<Vec<Frame>, RecordingError> {
    (0..recording.len()).map(|n| recording.frame(n)).collect()
}

/// Nothing at first, then a cgroup whose swap-ins are timed from the fourth tick on.
fn moved(tick: u64) -> BTreeMap<CgroupId, Moved> {
    let durations = Durations { sum_seconds: tick as f64 / 64.0, swap_ins: vec![0, tick] };
    let timed = SwapIns { is_timed: tick.is_multiple_of(2), zswap: durations, disk: Durations::default() };
    let moved = |tick: u64| Moved {
        loaded_pages: vec![1, tick],
        written_back_pages: Vec::new(),
        swap_ins: (tick > 3).then_some(timed),
    };
    (tick > 1).then(|| (CgroupId(100), moved(tick))).into_iter().collect()
}
