//! The committed recording and the screen that goes through it: the same source, keys and effects as in `swaptier top
//! --from`, without its threads.
//!
//! `demotion.rec` is a minute and a half, a look each second, of which some are of a demotion; what it is made of is here,
//! and `BLESS=1` writes it anew when the format changes.

use std::{collections::BTreeMap, path::Path};

use ratatui::{
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::Size,
};
use swaptier::{
    recording::{Frame, Limits, Moved, Recorder, Recording, Terms},
    serve::detail::{Ages, Detail},
    top::{
        paint::Look,
        source::{Jump, Recorded, Source, Want},
        state::State,
        update::{Effect, Event},
    },
};
use swaptier_policies::{
    AreaKind, AreaView, Bytes, CgroupId, History, HostView, MapHealth, Pages, Seconds, Share, Snapshot,
    Writeback,
};

use super::scenes;

/// Below the package, which is where cargo runs tests.
const FILE: &str = "tests/frames/demotion.rec";
/// Looks in it.
const LOOKS: u64 = 90;
/// The first of them, in seconds since 1970: 14:05:00 UTC.
const BEGINNING: u64 = 1_763_647_500;
/// Looks during which pages are written back.
const DEMOTION: std::ops::Range<u64> = 40..50;

/// A recording whose file the keys go through.
pub(super) fn shown(size: Size, look: Look, keys: &str) -> State {
    let mut source = Recorded::open(Path::new(FILE)).unwrap();
    let mut state = State::new(size, look, source.origin());
    let look_at = |source: &mut Recorded, state: &mut State| {
        let want = Want { detail: state.focus().map(str::to_owned), ..Want::default() };
        if let Some(seen) = source.look(&want).unwrap() {
            state.update(Event::Seen(Box::new(seen), source.origin()));
        }
    };
    look_at(&mut source, &mut state);
    for key in keys.chars() {
        let before = state.focus().map(str::to_owned);
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        let effect = state.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        let jump = match effect {
            Some(Effect::Jump(jump)) => Some(jump),
            // The same look with other details.
            _ => (state.focus() != before.as_deref()).then_some(Jump::By(0)),
        };
        if let Some(jump) = jump {
            source.jump(jump);
            look_at(&mut source, &mut state);
        }
    }
    state
}

/// The shipped policy of the cgroups that are written back.
fn terms() -> Terms {
    let policy = ("batch.toml".to_owned(), include_str!("../../../policies/batch.toml").to_owned());
    Terms { by: "agent".into(), policies: vec![policy], ..Terms::default() }
}

fn frame(n: u64, is_key: bool) -> Frame {
    let mut seen = if DEMOTION.contains(&n) { scenes::demotion() } else { scenes::quiet() };
    seen.status.agent.tick = n;
    seen.status.unix_seconds = (BEGINNING + n) as f64;
    // What was on disk before, and what went there since.
    let written = n.clamp(DEMOTION.start, DEMOTION.end) - DEMOTION.start;
    for row in &mut seen.status.cgroups[..3] {
        row.zswap_pages = row.zswap_pages.map(|pages| pages - written * 1_600);
        row.phys_pages = row.phys_pages.map(|pages| pages + written * 1_600);
    }
    // As an agent publishes them.
    seen.status.cgroups.sort_by(|one, other| one.path.cmp(&other.path));
    let events = if n == DEMOTION.start { seen.events } else { Vec::new() };
    Frame {
        tick: n,
        unix_ms: (BEGINNING + n) * 1_000,
        snapshot: snapshot(n),
        ended: Vec::new(),
        decision: None,
        history: is_key.then(History::default),
        status: Some(seen.status),
        ages: BTreeMap::from([(CgroupId(11), vec![0, 0, 12, 40, 200, 900, 2_000, 1_200, 800, 6_000 + n])]),
        moved: seen.detail.and_then(|detail| Some((CgroupId(11), moved(detail)?))).into_iter().collect(),
        events,
    }
}

fn moved(detail: Detail) -> Option<Moved> {
    let Ages { loaded_pages, written_back_pages, .. } = detail.ages?;
    Some(Moved { loaded_pages, written_back_pages, swap_ins: detail.swap_ins })
}

/// A host of which only the status says something.
fn snapshot(n: u64) -> Snapshot {
    let host = HostView {
        ram: Bytes(4 << 30),
        zswap_enabled: true,
        pool_compressed: None,
        pool_original: None,
        pool_limit: None,
        accept_threshold: Some(Share(900_000)),
        swap_total: Bytes(8 << 30),
        swap_free: Bytes(7 << 30),
        areas: vec![AreaView {
            name: "/dev/vda2".to_owned(),
            path: "/dev/vda2".to_owned(),
            number: None,
            kind: AreaKind::Plain,
            priority: -2,
            slots: Pages(2 << 20),
            used: Pages(150_000),
            pool: None,
        }],
        writeback: Writeback::Ready("worker".to_owned()),
        map: MapHealth::Exact,
    };
    Snapshot { at: Seconds(n), day: 0, page_size: Bytes(4096), host, cgroups: BTreeMap::new() }
}

/// What the committed recording tells of a look: a field that a type gets later is not in it.
fn told(frame: &Frame) -> impl PartialEq + std::fmt::Debug {
    let status = frame.status.as_ref().unwrap();
    let rows: Vec<_> = status
        .cgroups
        .iter()
        .map(|row| (row.path.clone(), row.zswap_pages, row.phys_pages, row.policy.clone()))
        .collect();
    (frame.tick, frame.unix_ms, rows, frame.ages.clone(), frame.moved.clone(), frame.events.clone())
}

#[test]
fn what_was_recorded_is_read_and_the_committed_one_still_is() {
    let (dir, mut made) = (tempfile::tempdir().unwrap(), Vec::new());
    let limits = Limits { folder: dir.path().to_path_buf(), file_size: 1 << 30, files: 2 };
    let mut recorder = Recorder::start(limits, terms()).unwrap();
    for n in 0..LOOKS {
        let frame = frame(n, recorder.wants_key());
        made.push(frame.clone());
        recorder.take(frame);
        while recorder.written().0 + recorder.dropped() <= n {
            std::thread::yield_now();
        }
    }
    assert_eq!(recorder.close().dropped, 0);
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(frames(&file), made);
    if std::env::var_os("BLESS").is_some() {
        std::fs::copy(file, FILE).unwrap();
    }
    let committed = frames(Path::new(FILE));
    let other = (0..made.len()).find(|n| committed.get(*n).map(told) != made.get(*n).map(told));
    assert_eq!(other, None, "{FILE}: BLESS=1 cargo test -p swaptier --test frames, twice");
}

fn frames(file: &Path) -> Vec<Frame> {
    let mut recording = Recording::open(file).unwrap();
    (0..recording.len()).map(|n| recording.frame(n).unwrap()).collect()
}

/// Where each key leads, by the look's own number.
#[test]
fn keys_go_through_a_recording_by_looks_minutes_and_times() {
    let size = Size { width: 80, height: 24 };
    let tick =
        |keys: &str| shown(size, scenes::COLOURS, keys).seen.map_or(u64::MAX, |seen| seen.status.agent.tick);
    assert_eq!(tick(""), 0);
    assert_eq!(tick("]]]"), 3);
    assert_eq!(tick("]]]["), 2);
    assert_eq!(tick("["), 0, "there is nothing before the first");
    assert_eq!(tick("}"), 60);
    assert_eq!(tick("}}"), LOOKS - 1, "nor behind the last");
    assert_eq!(tick("}}{"), 29);
    // 14:05:45 is 45 s after the first.
    assert_eq!(tick("s14:05:45\n"), 45);
    assert_eq!(tick("s09:00\n"), 0);
    assert_eq!(tick("s23:59:59\n"), LOOKS - 1);
    assert_eq!(tick("snonsense\n"), 0);
}
