//! The recorder: takes frames from the tick and writes them on a thread of its own.
//!
//! A tick hands its frame over and goes on: a slow or full disk costs frames, which are counted, and never a tick. Files
//! are never written twice: each recorder begins a new one, and one that is full is left for the next. What is kept
//! is bounded, the oldest file goes first. Callers: the agent, `swaptier record`.
//!
//! No file is synced while it is written: a killed agent loses nothing (the page cache is the kernel's), a host that
//! loses its power loses the last seconds, and the reader gives up nothing that is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::block::{self, Kind};
use super::pack::{self, Parts};
use super::read::SUFFIX;
use super::{Frame, Terms};

/// How many frames may wait for the disk. More would be memory that grows while the host is short of it.
const WAITING: usize = 4;
/// How many frames rest on one key at most. A key costs ten to thirty of the others, and a damaged one costs them all.
const KEY_EVERY: u32 = 30;
/// The most files there may be, whatever their size: an agent that is started again and again makes small ones.
const MOST_FILES: usize = 1000;
const PREFIX: &str = "swaptier-";

/// Where it is written, and how much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The folder; made if it is missing, readable by its owner alone.
    pub folder: PathBuf,
    /// The most one file may hold, in bytes.
    pub file_size: u64,
    /// How many full files are kept, the one being written among them. Smaller ones count by their bytes.
    pub files: u64,
}

/// What has come of the frames.
#[derive(Debug, Default)]
struct Counts {
    frames: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    /// The writer can go on only with a key frame.
    wants_key: AtomicBool,
}

/// What has come of all frames of a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Frames written.
    pub frames: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Frames lost.
    pub dropped: u64,
}

enum Job {
    Terms(Box<Terms>),
    Frame(Box<Frame>),
}

/// A recording in the making.
#[derive(Debug)]
pub struct Recorder {
    /// `None` while it is being closed.
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
    since_key: u32,
    /// Terms that the writer has not taken yet.
    terms: Option<Box<Terms>>,
}

impl Recorder {
    /// Starts one. The first file is made with the first frame.
    ///
    /// # Errors
    /// The folder cannot be made, or its thread.
    pub fn start(limits: Limits, terms: Terms) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&limits.folder)?;
        let (jobs, waiting) = sync_channel(WAITING);
        let counts = Arc::new(Counts::default());
        let mut writer = Writer {
            limits,
            terms: Terms::default(),
            file: None,
            key: None,
            last: None,
            counts: counts.clone(),
            unix_ms: 0,
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        let writer = thread.spawn(move || {
            writer.terms = terms;
            writer.run(&waiting);
        })?;
        Ok(Self { jobs: Some(jobs), writer: Some(writer), counts, since_key: KEY_EVERY, terms: None })
    }

    /// Whether the next frame is to be a key: it needs [`Frame::history`].
    pub fn wants_key(&self) -> bool {
        self.since_key >= KEY_EVERY || self.counts.wants_key.load(Ordering::Relaxed)
    }

    /// Other policies are in force from the next frame on.
    pub fn change_terms(&mut self, terms: Terms) {
        self.since_key = KEY_EVERY;
        self.terms = Some(Box::new(terms));
    }

    /// Hands one frame to the writer. Never waits.
    pub fn take(&mut self, frame: Frame) {
        let is_key = frame.history.is_some();
        self.since_key = if is_key { 1 } else { self.since_key.saturating_add(1) };
        if is_key {
            self.counts.wants_key.store(false, Ordering::Relaxed);
        }
        if self.hand_over_terms() && self.hand_over(Job::Frame(Box::new(frame))).is_none() {
            return;
        }
        self.counts.lose();
    }

    /// Ends it: waits for what was handed over, and says what has come of all.
    pub fn close(mut self) -> Written {
        self.end();
        let ((frames, bytes), dropped) = (self.written(), self.dropped());
        Written { frames, bytes, dropped }
    }

    fn end(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has lost frames, nothing else.
            let _ = writer.join();
        }
    }

    /// Whether the writer knows the terms of the frames to come.
    fn hand_over_terms(&mut self) -> bool {
        let left = self.terms.take().and_then(|terms| self.hand_over(Job::Terms(terms)));
        if let Some(Job::Terms(terms)) = left {
            self.terms = Some(terms);
        }
        self.terms.is_none()
    }

    /// Gives the job back when the writer has no room for it.
    fn hand_over(&self, job: Job) -> Option<Job> {
        match self.jobs.as_ref()?.try_send(job) {
            Ok(()) => None,
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Some(job),
        }
    }

    /// Frames written so far, and their bytes on disk.
    pub fn written(&self) -> (u64, u64) {
        (self.counts.frames.load(Ordering::Relaxed), self.counts.bytes.load(Ordering::Relaxed))
    }

    /// Frames lost so far: the disk was slow, full or gone.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

impl Counts {
    /// What follows a lost frame does not know what was decided in it.
    fn lose(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.wants_key.store(true, Ordering::Relaxed);
    }
}

impl Drop for Recorder {
    /// Waits for the last frames.
    fn drop(&mut self) {
        self.end();
    }
}

/// A file being written.
#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
    /// The number of the next block.
    number: u32,
}

struct Writer {
    limits: Limits,
    terms: Terms,
    file: Option<Open>,
    /// The key frame that the next ones rest on: its number and its parts.
    key: Option<(u32, Parts)>,
    /// The frame before, if it is not the key.
    last: Option<Parts>,
    counts: Arc<Counts>,
    /// The name of the last file: no two files begin at the same time.
    unix_ms: u64,
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<Job>) {
        while let Ok(job) = waiting.recv() {
            match job {
                Job::Terms(terms) => (self.terms, self.key) = (*terms, None),
                Job::Frame(frame) => match self.write(*frame) {
                    Ok(bytes) => {
                        self.counts.frames.fetch_add(1, Ordering::Relaxed);
                        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a frame of the recording is lost");
                        self.counts.lose();
                        // A new file with the next key: this one may end in half a block.
                        (self.file, self.key) = (None, None);
                    }
                },
            }
        }
    }

    /// Writes a frame; says how many bytes that took.
    fn write(&mut self, frame: Frame) -> io::Result<u64> {
        let terms =
            pack::to_bytes(&self.terms).ok_or_else(|| io::Error::other("the terms cannot be packed"))?;
        let (unix_ms, is_key, id) = (frame.unix_ms, frame.history.is_some(), crc32fast::hash(&terms));
        let none = Parts::default();
        let last = self.last.take().or_else(|| self.key.as_ref().map(|(_, parts)| parts.clone()));
        let base = match &self.key {
            Some((number, parts)) if !is_key => Some((*number, parts)),
            _ if is_key => None,
            _ => return Err(io::Error::other("it waits for a key frame")),
        };
        let against = base.map_or(&none, |(_, parts)| parts);
        let (plain, parts) = pack::pack(frame, last.as_ref(), against, id)
            .ok_or_else(|| io::Error::other("the frame cannot be packed"))?;
        let too_long = || io::Error::from(io::ErrorKind::FileTooLarge);
        let kind = if is_key { Kind::Key } else { Kind::Delta };
        let seal =
            |number: u32, base: u32| block::seal(kind, number, unix_ms, base, &plain).ok_or_else(too_long);
        let mut next = self.file.as_ref().map_or(1, |open| open.number);
        let mut bytes = seal(next, base.map_or(next, |(number, _)| number))?;
        let is_new_host = is_key && self.key.is_none();
        let room = self.limits.file_size;
        if is_new_host || self.file.as_ref().is_none_or(|open| open.len + bytes.len() as u64 > room) {
            if !is_key {
                return Err(too_long());
            }
            let head = block::seal(Kind::Terms, 0, unix_ms, 0, &terms).ok_or_else(too_long)?;
            next = 1;
            bytes = seal(next, next)?;
            if (block::HEADER + head.len() + bytes.len()) as u64 > room {
                return Err(too_long());
            }
            self.file = Some(self.begin(unix_ms, &head)?);
        }
        let open = self.file.as_mut().ok_or_else(too_long)?;
        open.file.write_all(&bytes)?;
        (open.len, open.number) = (open.len + bytes.len() as u64, next + 1);
        // A key opens the next file before this one is full.
        if open.len > room / 8 * 7 {
            self.counts.wants_key.store(true, Ordering::Relaxed);
        }
        if is_key {
            (self.key, self.last) = (Some((next, parts)), None)
        } else {
            self.last = Some(parts)
        }
        Ok(bytes.len() as u64)
    }

    /// Makes the next file, after making room for it.
    fn begin(&mut self, unix_ms: u64, terms: &[u8]) -> io::Result<Open> {
        if let Some(full) = self.file.take() {
            // At leisure: this thread has nothing else to do.
            full.file.sync_data()?;
        }
        make_room(&self.limits)?;
        self.unix_ms = unix_ms.max(self.unix_ms + 1);
        loop {
            let path = self.limits.folder.join(format!("{PREFIX}{:015}.{SUFFIX}", self.unix_ms));
            let mut options = OpenOptions::new();
            options.append(true).create_new(true).mode(0o600);
            match options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(&path) {
                Ok(mut file) => {
                    let head = [block::header().as_slice(), terms].concat();
                    file.write_all(&head)?;
                    return Ok(Open { file, len: head.len() as u64, number: 1 });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.unix_ms += 1,
                Err(e) => return Err(e),
            }
        }
    }
}

/// Removes the oldest files until one more fits.
fn make_room(limits: &Limits) -> io::Result<()> {
    let mut files = recordings(&limits.folder)?;
    let room = limits.file_size.saturating_mul(limits.files.saturating_sub(1));
    let mut bytes: u64 = files.iter().map(|(_, len)| len).sum();
    files.sort();
    for (n, (path, len)) in files.iter().enumerate() {
        if bytes <= room && files.len() - n < MOST_FILES {
            break;
        }
        fs::remove_file(path)?;
        bytes -= len;
    }
    Ok(())
}

/// The files of recorders in `folder`, and their lengths. Whatever else is there is not ours to count or remove.
fn recordings(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let time = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(&format!(".{SUFFIX}")));
        if time.is_some_and(|time| time.bytes().all(|digit| digit.is_ascii_digit()))
            && let Ok(meta) = fs::symlink_metadata(&path)
            && meta.is_file()
        {
            found.push((path, meta.len()));
        }
    }
    Ok(found)
}
