//! The journal of ticks: what was seen, decided and done, one JSON line each. Enough to decide again.
//!
//! Lives here: writing, rotation and reading back. A thread of its own writes, so that a slow or full disk costs a line
//! and never a tick; lost lines are counted. Callers: the agent writes; `status` and `explain` read the last line.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use swaptier_policies::{Bytes, Event, Plan, Snapshot};

use super::state_dir;
use crate::act::Outcome;
use crate::fault;

const NEW: &str = "journal.jsonl";
const OLD: &str = "journal.1.jsonl";
const VERSION: u32 = 1;

/// How many lines may wait for the disk. More would be memory that grows while the host is short of it.
const WAITING: usize = 4;

/// One tick, as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the line.
    pub v: u32,
    /// When it was written: seconds since 1970.
    pub unix: u64,
    /// What was seen.
    pub snapshot: Snapshot,
    /// What was decided.
    pub plan: Plan,
    /// What came of each step, in the order of the steps.
    pub outcomes: Vec<Outcome>,
    /// What happened to the swap areas since the line before.
    #[serde(default)]
    pub events: Vec<Event>,
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
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    /// `None` while it is being closed.
    lines: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    dropped: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the journal in the state folder `dir`. Its two files together stay below `limit`.
    pub fn start(dir: &Path, limit: Bytes) -> io::Result<Journal> {
        let (lines, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut writer =
            Writer { dir: dir.to_path_buf(), limit: limit.0 / 2, file: None, dropped: dropped.clone() };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let writer = Some(thread.spawn(move || writer.run(&waiting))?);
        Ok(Journal { lines: Some(lines), writer, dropped })
    }

    /// Hands one tick to the writer. Never waits.
    pub fn append(
        &self,
        unix: u64,
        snapshot: &Snapshot,
        plan: &Plan,
        outcomes: &[Outcome],
        events: &[Event],
    ) {
        let mut line = Vec::new();
        let entry = Line { v: VERSION, unix, snapshot, plan, outcomes, events };
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
            let journal = Journal::start(dir, Bytes(limit)).unwrap();
            let events = [Event::GateFree];
            journal.append(at, &snapshot(at), &Plan::default(), std::slice::from_ref(&outcome), &events);
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
        assert_eq!(read[1].snapshot.cgroups.len(), 2);
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
}
