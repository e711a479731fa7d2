//! The journal of ticks: what was decided and done, with what was seen of those it concerns, one JSON line each. A decision
//! that changes nothing and says nothing new leaves no line: an idle host writes next to nothing. Recordings are there to
//! decide again.
//!
//! Lives here: what is worth a line, writing, rotation and reading back. A thread of its own writes, so that a slow or full disk costs a line
//! and never a tick; lost lines are counted. Callers: the agent writes; `status` and `explain` read the last line.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::mem::{Discriminant, discriminant};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use swaptier_policies::{Bytes, CgroupId, Event, Hold, Outcome, Plan, Settled, Snapshot};

use super::state_dir;
use crate::fault;

const NEW: &str = "journal.jsonl";
const OLD: &str = "journal.1.jsonl";
const VERSION: u32 = 2;

/// How many lines may wait for the disk. More would be memory that grows while the host is short of it.
const WAITING: usize = 4;

/// All that is held back is noted this often though nothing is new, in seconds: without an agent `explain` knows it from there.
const WHOLE: u64 = 600;
/// And no more often than this where it changes again and again.
const CHANGED: u64 = 60;

/// One tick, as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the line.
    pub v: u32,
    /// When it was written: seconds since 1970.
    pub unix: u64,
    /// What was seen of the host, and of the cgroups that the plan names.
    pub snapshot: Snapshot,
    /// What was decided.
    pub plan: Plan,
    /// What came of each step, in the order of the steps.
    pub outcomes: Vec<Outcome>,
    /// What happened to the swap areas since the line before.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Rounds that ended since the line before.
    #[serde(default)]
    pub ended: Vec<Settled>,
}

impl Entry {
    /// One line, with or without its end. `None`: damaged, or of another version.
    pub fn parse(line: &[u8]) -> Option<Entry> {
        serde_json::from_slice(line).ok().filter(|entry: &Entry| entry.v == VERSION)
    }
}

/// The same, as it is written.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    unix: u64,
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    outcomes: &'a [Outcome],
    #[serde(skip_serializing_if = "<[Event]>::is_empty")]
    events: &'a [Event],
    #[serde(skip_serializing_if = "<[Settled]>::is_empty")]
    ended: &'a [Settled],
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    /// `None` while it is being closed.
    lines: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    dropped: Arc<AtomicU64>,
    held: HeldBack,
}

/// What was noted last of what is held back.
#[derive(Debug, Default)]
struct HeldBack {
    /// Of each cgroup the kind of its hold; the numbers in it change with every look.
    kinds: Vec<(CgroupId, Discriminant<Hold>)>,
    /// When, in seconds since 1970.
    at: Option<u64>,
}

impl HeldBack {
    /// Whether all of it is to be noted now.
    fn is_due(&mut self, unix: u64, plan: &Plan) -> bool {
        let kinds: Vec<_> = plan.held.iter().map(|held| (held.cgroup, discriminant(&held.hold))).collect();
        // A clock that was set counts by how far.
        let passed = self.at.map_or(u64::MAX, |at| unix.abs_diff(at));
        let is_due = passed >= WHOLE || (passed >= CHANGED && kinds != self.kinds);
        if is_due {
            *self = HeldBack { kinds, at: Some(unix) };
        }
        is_due
    }
}

impl Journal {
    /// Starts the journal in the state folder `dir`. Its two files together stay below `limit`.
    pub fn start(dir: &Path, limit: Bytes) -> io::Result<Journal> {
        Journal::with_room(dir, limit, WAITING)
    }

    /// The same, with room for so many lines that wait for the disk.
    fn with_room(dir: &Path, limit: Bytes, room: usize) -> io::Result<Journal> {
        let (lines, waiting) = sync_channel(room);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer =
            Writer { dir: dir.to_path_buf(), limit: limit.0 / 2, file: None, dropped: dropped.clone() };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let writer = Some(thread.spawn(move || writer.run(&waiting))?);
        Ok(Journal { lines: Some(lines), writer, dropped, held: HeldBack::default() })
    }

    /// Hands one tick to the writer, if it is worth a line. Never waits.
    pub fn append(
        &mut self,
        unix: u64,
        snapshot: &Snapshot,
        plan: &Plan,
        outcomes: &[Outcome],
        events: &[Event],
        ended: &[Settled],
    ) {
        let is_whole = self.held.is_due(unix, plan);
        if !is_whole && plan.steps.is_empty() && events.is_empty() {
            return;
        }
        let (snapshot, plan) = &part(snapshot, plan, is_whole);
        let mut line = Vec::new();
        let entry = Line { v: VERSION, unix, snapshot, plan, outcomes, events, ended };
        let written = serde_json::to_writer(&mut line, &entry);
        line.push(b'\n');
        let taken = written.is_ok() && self.lines.as_ref().is_some_and(|lines| lines.try_send(line).is_ok());
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost so far: the disk was slow, full or gone.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Journal {
    /// Waits for the last lines.
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has lost lines, nothing else.
            let _ = writer.join();
        }
    }
}

/// What of a decision is noted: its steps, with `is_whole` all that is held back, and the cgroups these name.
fn part(snapshot: &Snapshot, plan: &Plan, is_whole: bool) -> (Snapshot, Plan) {
    let mut named: BTreeSet<CgroupId> = plan.steps.iter().map(|step| step.action.cgroup()).collect();
    let held: Vec<_> =
        plan.held.iter().filter(|held| is_whole || named.contains(&held.cgroup)).cloned().collect();
    for held in &held {
        named.insert(held.cgroup);
        if let Hold::LeftToBelow(other) | Hold::ClosedAbove(other) = held.hold {
            named.insert(other);
        }
    }
    let cgroups = named.iter().filter_map(|id| Some((*id, snapshot.cgroups.get(id)?.clone()))).collect();
    let Snapshot { at, day, page_size, ref host, .. } = *snapshot;
    let seen = Snapshot { at, day, page_size, host: host.clone(), cgroups };
    (seen, Plan { steps: plan.steps.clone(), held, ..Plan::default() })
}

/// The last tick in the journal of `dir`. `None`: there is none, or none that this version can read.
pub fn last(dir: &Path) -> io::Result<Option<Entry>> {
    for name in [NEW, OLD] {
        let text = match fs::read(dir.join(name)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        if let Some(entry) = text.rsplit(|&b| b == b'\n').find_map(Entry::parse) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Every tick in the journal of `dir`, oldest first. Lines that cannot be read are passed over.
pub fn entries(dir: &Path) -> io::Result<impl Iterator<Item = Entry>> {
    let mut files = Vec::new();
    for name in [OLD, NEW] {
        match File::open(dir.join(name)) {
            Ok(file) => files.push(BufReader::new(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let lines = files.into_iter().flat_map(|file| file.split(b'\n').map_while(Result::ok));
    Ok(lines.filter_map(|line| Entry::parse(&line)))
}

struct Writer {
    dir: PathBuf,
    /// The most one file may hold.
    limit: u64,
    /// The open file and its length.
    file: Option<(File, u64)>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<Vec<u8>>) {
        while let Ok(line) = waiting.recv() {
            if self.write(&line).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                // Opened again, and by then perhaps elsewhere, with the next line.
                self.file = None;
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let more = line.len() as u64;
        if more > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (file, len) = match self.file.take() {
            Some(open) => open,
            None => self.open()?,
        };
        let (mut file, len) = if len + more > self.limit { self.rotate()? } else { (file, len) };
        file.write_all(line)?;
        fault::point("journal.written");
        self.file = Some((file, len + more));
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let path = self.dir.join(NEW);
        let mut file = state_dir::options().append(true).create(true).open(&path)?;
        let len = file.metadata()?.len();
        if len > 0 && last_byte(&path, len)? != b'\n' {
            // A crash left half a line: what follows must not run into it.
            file.write_all(b"\n")?;
            return Ok((file, len + 1));
        }
        Ok((file, len))
    }

    fn rotate(&self) -> io::Result<(File, u64)> {
        fs::rename(self.dir.join(NEW), self.dir.join(OLD))?;
        self.open()
    }
}

fn last_byte(path: &Path, len: u64) -> io::Result<u8> {
    let mut byte = [0];
    state_dir::options().read(true).open(path)?.read_exact_at(&mut byte, len - 1)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use swaptier_policies::{MapHealth, Seconds, Writeback};

    use super::*;
    use crate::fake::FakeRoot;
    use crate::sense::{Beside, CgroupTree, assemble, collect};

    fn snapshot(at: u64) -> Snapshot {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
        let beside = Beside {
            at: Seconds(at),
            day: 0,
            areas: Vec::new(),
            writeback: Writeback::Ready("worker".into()),
            health: MapHealth::Exact,
            counts: Default::default(),
            cold: Default::default(),
        };
        assemble(sensed, beside)
    }

    fn size(dir: &Path, name: &str) -> u64 {
        fs::metadata(dir.join(name)).map_or(0, |meta| meta.len())
    }

    /// Waits until the writer has taken what was handed to it.
    fn append_all(dir: &Path, limit: u64, ticks: std::ops::Range<u64>) -> u64 {
        let outcome = Outcome::Gone { path: "a".into() };
        let mut dropped = 0;
        for at in ticks {
            let mut journal = Journal::start(dir, Bytes(limit)).unwrap();
            let events = [Event::GateFree];
            journal.append(at, &snapshot(at), &Plan::default(), std::slice::from_ref(&outcome), &events, &[]);
            let count = journal.dropped.clone();
            drop(journal);
            dropped += count.load(Ordering::Relaxed);
        }
        dropped
    }

    #[test]
    fn a_tick_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(append_all(dir.path(), 1 << 20, 1..3), 0);
        let read: Vec<_> = entries(dir.path()).unwrap().collect();
        assert_eq!(read.iter().map(|e| e.unix).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(read[1].outcomes, [Outcome::Gone { path: "a".into() }]);
        assert_eq!(read[1].snapshot.cgroups.len(), 0, "the plan names none");
        assert_eq!(read[1].events, [Event::GateFree]);
        assert_eq!(last(dir.path()).unwrap(), read.into_iter().last());
    }

    #[test]
    fn two_files_stay_below_the_limit_and_the_newest_ticks_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        append_all(dir.path(), 1 << 20, 0..1);
        let line = size(dir.path(), NEW);
        fs::remove_file(dir.path().join(NEW)).unwrap();
        // Room for three lines and a half in each of the two files.
        let limit = 7 * line;
        assert_eq!(append_all(dir.path(), limit, 0..20), 0);
        assert!(size(dir.path(), NEW) + size(dir.path(), OLD) <= limit);
        let kept: Vec<_> = entries(dir.path()).unwrap().map(|e| e.unix).collect();
        assert!(kept.len() >= 3 && kept.len() <= 7, "{kept:?}");
        let newest: Vec<_> = (20 - kept.len() as u64..20).collect();
        assert_eq!(kept, newest);
    }

    #[test]
    fn a_disk_that_fails_costs_a_counted_line_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(append_all(&dir.path().join("missing"), 1 << 20, 0..2), 2);
        // A line longer than a file may be.
        assert_eq!(append_all(dir.path(), 64, 0..1), 1);
        assert_eq!(last(dir.path()).unwrap(), None);
    }

    #[test]
    fn half_a_line_is_passed_over_and_the_next_one_does_not_run_into_it() {
        let dir = tempfile::tempdir().unwrap();
        append_all(dir.path(), 1 << 20, 1..2);
        let path = dir.path().join(NEW);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole, &whole[..whole.len() / 2]].concat()).unwrap();
        assert_eq!(last(dir.path()).unwrap().unwrap().unix, 1);
        append_all(dir.path(), 1 << 20, 3..4);
        assert_eq!(entries(dir.path()).unwrap().map(|e| e.unix).collect::<Vec<_>>(), [1, 3]);
    }

    /// A plan that holds something back from each of these cgroups.
    fn held(cgroups: &[CgroupId], hold: &Hold) -> Plan {
        let held = cgroups.iter().map(|cgroup| swaptier_policies::Held {
            cgroup: *cgroup,
            by: swaptier_policies::Asker::Settings,
            hold: hold.clone(),
        });
        Plan { held: held.collect(), ..Plan::default() }
    }

    /// What is left of decisions made every five seconds for an hour, each with its plan.
    fn an_hour(plan: impl Fn(u64, &[CgroupId]) -> Plan) -> Vec<Entry> {
        let dir = tempfile::tempdir().unwrap();
        // Room for a line of each: how fast the writer is makes no difference.
        let mut journal = Journal::with_room(dir.path(), Bytes(64 << 20), 3600 / 5).unwrap();
        let seen = snapshot(0);
        let ids: Vec<CgroupId> = seen.cgroups.keys().copied().collect();
        for at in (0..3600).step_by(5) {
            journal.append(at, &seen, &plan(at, &ids), &[], &[], &[]);
        }
        assert_eq!(journal.dropped(), 0);
        drop(journal);
        entries(dir.path()).unwrap().collect()
    }

    #[test]
    fn an_idle_host_leaves_a_line_every_ten_minutes_and_no_cgroup_that_nobody_names() {
        let idle = an_hour(|_, _| Plan::default());
        assert_eq!(idle.iter().map(|entry| entry.unix).collect::<Vec<_>>(), [0, 600, 1200, 1800, 2400, 3000]);
        assert!(idle.iter().all(|entry| entry.snapshot.cgroups.is_empty()));
    }

    #[test]
    fn what_is_held_back_is_noted_when_its_kind_changes_and_not_when_its_numbers_do() {
        let numbers = |at, ids: &[CgroupId]| held(ids, &Hold::NoDialect(format!("{at} pages")));
        let same = an_hour(numbers);
        assert_eq!(same.len(), 6);
        assert_eq!(same[0].snapshot.cgroups.len(), 2, "those it names");
        // One change at 1,000 s, and one in every look from 2,000 s on: no more than one line a minute.
        let changing = an_hour(|at, ids| match at {
            0..1000 => held(ids, &Hold::NoMap("a".to_owned())),
            2000.. if at % 10 == 0 => held(ids, &Hold::NoMap("a".to_owned())),
            _ => numbers(at, ids),
        });
        let times: Vec<u64> = changing.iter().map(|entry| entry.unix).collect();
        assert!(times.starts_with(&[0, 600, 1000, 1600]), "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= CHANGED), "{times:?}");
    }
}
