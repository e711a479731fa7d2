//! The one way a kernel file is changed: read, note, write, read back.
//!
//! Lives here: that sequence, and the rule about foreign values. Callers: `set` of a file that policies set, and
//! `zswap_params.rs`.
//!
//! Properties
//! - Nothing is written before its undo record is on disk; when it cannot be noted, nothing is written.
//! - The cgroup is the one that was meant: its id is compared with that of the open directory.
//! - A value that is neither ours nor the one before us is somebody's wish: it is reported and left alone.
//! - In a dry run all is read and compared, and nothing is noted or written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swaptier_policies::{Asker, CgroupId, CgroupPath, Outcome};

use super::Busy;
use crate::fault;
use crate::journal::{Change, Undo, UndoError, is_same_value};
use crate::root::{CgroupDir, FilePath, Root, RootError, cgroup_file, change::Write as _};

/// What every hand needs. Clones share the undo log and the list of busy places.
#[derive(Debug, Clone)]
pub struct Writer {
    root: Root,
    /// `None`: a dry run.
    undo: Option<Arc<Mutex<Undo>>>,
    deadline: Duration,
    busy: Busy,
}

impl Writer {
    /// A writer that acts. `deadline` is how long one write is waited for.
    pub fn new(root: Root, undo: Arc<Mutex<Undo>>, deadline: Duration) -> Writer {
        Writer { root, undo: Some(undo), deadline, busy: Busy::default() }
    }

    /// A writer that only says what it would do.
    pub fn dry(root: Root, deadline: Duration) -> Writer {
        Writer { root, undo: None, deadline, busy: Busy::default() }
    }

    /// Whether these only say what they would do.
    pub fn is_dry(&self) -> bool {
        self.undo.is_none()
    }

    /// The places whose write has not returned.
    pub fn busy(&self) -> &Busy {
        &self.busy
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Makes the file at `target` say `value`.
    pub(super) async fn set(&self, target: Target, file: &'static str, value: String, by: Asker) -> Outcome {
        let path = target.path(file);
        let writer = self.clone();
        let write = Write { path: path.clone(), file, target, value, by };
        self.busy.run(&path, self.deadline, move || write.carry_out(&writer)).await
    }
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In a cgroup's directory.
    Cgroup {
        /// Which one.
        id: CgroupId,
        /// Its path below the cgroup root.
        path: CgroupPath,
    },
    /// In a directory of the host, relative to the root.
    Host(&'static str),
}

impl Target {
    /// The cgroup `id` at `path`.
    pub fn cgroup(id: CgroupId, path: &CgroupPath) -> Target {
        Target::Cgroup { id, path: path.clone() }
    }

    pub(super) fn path(&self, file: &str) -> FilePath {
        match self {
            Target::Cgroup { path, .. } => cgroup_file(path, file),
            Target::Host(dir) => FilePath::from(*dir).join(file),
        }
    }

    fn cgroup_id(&self) -> Option<u64> {
        match self {
            Target::Cgroup { id, .. } => Some(id.0),
            Target::Host(_) => None,
        }
    }

    /// Opens it; `None` when the cgroup is another one by now.
    pub(super) fn open<'a>(&'a self, root: &'a Root) -> Result<Option<Opened<'a>>, RootError> {
        match self {
            Target::Host(dir) => Ok(Some(Opened::Host(root, dir))),
            Target::Cgroup { id, path } => {
                let dir = root.cgroup(path)?;
                Ok((dir.id() == id.0).then_some(Opened::Cgroup(dir)))
            }
        }
    }
}

/// An open place.
pub(super) enum Opened<'a> {
    Cgroup(CgroupDir),
    Host(&'a Root, &'a str),
}

impl Opened<'_> {
    pub(super) fn read(&self, file: &str) -> Result<String, RootError> {
        match self {
            Opened::Cgroup(dir) => dir.read_value(file),
            Opened::Host(root, dir) => root.read_value(&format!("{dir}/{file}")),
        }
    }

    pub(super) fn write(&self, file: &str, value: &str) -> Result<(), RootError> {
        match self {
            Opened::Cgroup(dir) => dir.write(file, value),
            Opened::Host(root, dir) => root.write(&format!("{dir}/{file}"), value),
        }
    }
}

/// Why a write was not made, or not well.
enum Stop {
    Said(Outcome),
    Root(RootError),
    Undo(UndoError),
}

impl From<RootError> for Stop {
    fn from(error: RootError) -> Stop {
        Stop::Root(error)
    }
}

struct Write {
    path: FilePath,
    file: &'static str,
    target: Target,
    value: String,
    by: Asker,
}

impl Write {
    fn carry_out(self, writer: &Writer) -> Outcome {
        let path = self.path.clone();
        match self.try_carry_out(writer) {
            Ok(outcome) | Err(Stop::Said(outcome)) => outcome,
            Err(Stop::Root(error)) if error.is_gone() => self.gone_or_unsupported(writer, &error),
            Err(Stop::Root(error)) => Outcome::Failed { path, error: error.to_string() },
            Err(Stop::Undo(error)) => Outcome::Failed { path, error: error.to_string() },
        }
    }

    fn try_carry_out(&self, writer: &Writer) -> Result<Outcome, Stop> {
        let Some(place) = self.target.open(&writer.root)? else {
            return Ok(Outcome::Gone { path: self.path.clone() });
        };
        let from = place.read(self.file)?;
        if self.says(&from, &self.value) {
            return Ok(Outcome::Already { path: self.path.clone(), value: from });
        }
        let Some(undo) = &writer.undo else {
            return Ok(Outcome::Would { path: self.path.clone(), from, to: self.value.clone() });
        };
        fault::point("file.read");
        let seq = self.note(undo, &from)?;
        fault::point("file.noted");
        let written = place.write(self.file, &self.value).and_then(|()| {
            fault::point("file.written");
            place.read(self.file)
        });
        let to = written.inspect_err(|_| self.take_back(undo, seq, &place, &from))?;
        fault::point("file.read-back");
        locked(undo).settle(seq);
        if !self.says(&to, &self.value) {
            let error = format!("wrote {}, it says {to}", self.value);
            return Err(Stop::Said(Outcome::Failed { path: self.path.clone(), error }));
        }
        Ok(Outcome::Set { path: self.path.clone(), from, to })
    }

    /// Puts the change on disk, unless somebody else has changed the file since we did.
    fn note(&self, undo: &Mutex<Undo>, from: &str) -> Result<u64, Stop> {
        let mut undo = locked(undo);
        let id = self.target.cgroup_id();
        let ours = undo.latest(&self.path, id).filter(|last| {
            // A record whose write never came about leaves the value it replaces.
            !self.says(from, &last.new) && !self.says(from, &last.old)
        });
        let original = undo.original(&self.path, id);
        if let (Some(last), Some(first)) = (ours, original)
            && !self.says(from, &first.old)
        {
            let (path, ours) = (self.path.clone(), last.new.clone());
            return Err(Stop::Said(Outcome::Foreign { path, ours, found: from.to_owned() }));
        }
        let change = Change::file(&self.path, id, from, &self.value, &self.by);
        let seqs = undo.note(&[change]).map_err(Stop::Undo)?;
        Ok(seqs[0])
    }

    /// The write failed: forgets its record if the file is as it was, or gone. When that cannot be told the record
    /// stays, and restoring will look again.
    fn take_back(&self, undo: &Mutex<Undo>, seq: u64, place: &Opened<'_>, from: &str) {
        let is_undone = match place.read(self.file) {
            Ok(now) => self.says(&now, from),
            Err(error) => error.is_gone(),
        };
        if is_undone {
            locked(undo).done(&[seq]);
        }
    }

    /// Without the file the cgroup is going, unless it is still there: then the kernel has no such file.
    fn gone_or_unsupported(&self, writer: &Writer, error: &RootError) -> Outcome {
        let path = self.path.clone();
        let is_there = matches!(self.target.open(&writer.root), Ok(Some(_)));
        if !is_there {
            return Outcome::Gone { path };
        }
        // The answer to a write is about the value: an unknown compressor is "no such file" too.
        let error = match error.action {
            "open" => format!("the kernel lacks this file, or the memory controller is off here ({error})"),
            _ => error.to_string(),
        };
        Outcome::Failed { path, error }
    }

    fn says(&self, found: &str, value: &str) -> bool {
        is_same_value(&self.path, found, value)
    }
}

/// A panic of another thread cannot have left the log in the middle of a line: its file is only ever behind.
fn locked(undo: &Mutex<Undo>) -> std::sync::MutexGuard<'_, Undo> {
    undo.lock().unwrap_or_else(PoisonError::into_inner)
}
