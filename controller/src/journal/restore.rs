//! Giving back what was changed: values of the whole host first, newest change first, and only where the file still
//! says what we wrote.
//!
//! Lives here: the comparison before each write and the report. What is pending is `undo.rs`'s. Callers: the agent when
//! it stops, `swaptier restore`, and the guardian of a write-back round.
//!
//! Properties
//! - A value somebody else wrote since is left alone and reported, and so are our older records of that file.
//! - A cgroup made again at the same path is another cgroup: it is left alone.
//! - Doing it twice does nothing the second time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{Change, Kind, is_same_value};
use super::undo::Undo;
use crate::fault;
use crate::root::{
    CgroupDir, FilePath, Root, RootError,
    change::{Make as _, Write as _},
};

/// What became of every pending change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they were looked at: newest change first.
    pub items: Vec<Item>,
}

/// What became of one pending change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The file or directory, relative to the root.
    pub path: FilePath,
    /// The value before us: what is written back.
    pub old: String,
    /// The value we wrote.
    pub new: String,
    /// What the file said when it was looked at; `None` when it could not be read.
    pub current: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Undone,
}

/// What became of a pending change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Undone {
    /// The old value is back (or, in a dry run, would be written).
    Restored,
    /// The old value was there already.
    Already,
    /// Somebody else has changed it since: left alone.
    Foreign,
    /// The cgroup, the file or the directory is no longer there, or another cgroup is at its place.
    Gone,
    /// It could not be given back. It stays in the log.
    Failed {
        /// What the system said.
        error: String,
    },
}

impl Report {
    /// How many items had the fate that `is` accepts.
    pub fn count(&self, is: impl Fn(&Undone) -> bool) -> usize {
        self.items.iter().filter(|item| is(&item.fate)).count()
    }

    /// Nothing failed. Foreign values are no failure: they are somebody's wish.
    pub fn is_complete(&self) -> bool {
        self.count(|fate| matches!(fate, Undone::Failed { .. })) == 0
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Item { path, old, new, current, fate } = self;
        let current = current.as_deref().unwrap_or("?");
        match fate {
            // A directory of ours has no value.
            Undone::Restored if old.is_empty() && new.is_empty() => write!(f, "removed  /{path}"),
            Undone::Foreign if old.is_empty() && new.is_empty() => {
                write!(f, "foreign  /{path}: not of our name; left alone")
            }
            Undone::Failed { error } if old.is_empty() && new.is_empty() => {
                write!(f, "failed   /{path}: {error}")
            }
            Undone::Restored => write!(f, "restored /{path}: {current} -> {old}"),
            Undone::Already => write!(f, "already  /{path}: {old}"),
            Undone::Foreign => {
                write!(f, "foreign  /{path}: {current}, we wrote {new}; left alone (before us: {old})")
            }
            Undone::Gone => write!(f, "gone     /{path}"),
            Undone::Failed { error } => write!(f, "failed   /{path}: {error} (before us: {old})"),
        }
    }
}

/// Gives everything back. With `dry_run` nothing is written, and the report says what would have been.
pub fn restore(root: &Root, undo: &mut Undo, dry_run: bool) -> Report {
    restore_where(root, undo, dry_run, |_| true)
}

/// Gives back the changes that `chosen` picks: those of one cgroup, or of a policy that is no longer there.
pub fn restore_where(
    root: &Root,
    undo: &mut Undo,
    dry_run: bool,
    chosen: impl Fn(&Change) -> bool,
) -> Report {
    let mut records: Vec<(u64, Change)> =
        undo.records().rev().filter(|(_, c)| chosen(c)).map(|(seq, c)| (seq, c.clone())).collect();
    records.sort_by_key(|(_, change)| !is_of_the_host(change));
    let mut pass = Pass::new(root, dry_run);
    let mut report = Report::default();
    fault::point("restore.begun");
    for (seq, change) in records {
        let item = pass.give_back(&change);
        fault::point("restore.written");
        if !dry_run && !matches!(item.fate, Undone::Failed { .. }) {
            undo.done(&[seq]);
            fault::point("restore.marked");
        }
        report.items.push(item);
    }
    report
}

/// What giving back `changes` (oldest first, from [`Undo::peek`]) would do: a dry run beside a running agent.
pub fn preview(root: &Root, changes: &[Change]) -> Report {
    let mut pass = Pass::new(root, true);
    let mut changes: Vec<&Change> = changes.iter().rev().collect();
    changes.sort_by_key(|change| !is_of_the_host(change));
    Report { items: changes.into_iter().map(|change| pass.give_back(change)).collect() }
}

/// A value of the whole host: a pool limit of zero refuses every store there is, so nothing goes before it.
fn is_of_the_host(change: &Change) -> bool {
    change.kind == Kind::File && change.cgroup.is_none()
}

/// One way through the log.
struct Pass<'a> {
    root: &'a Root,
    dry_run: bool,
    /// Changes whose file was found with somebody else's value.
    foreign: Vec<Change>,
    /// What files would say by now, in a dry run.
    pretended: BTreeMap<FilePath, String>,
}

impl<'a> Pass<'a> {
    fn new(root: &'a Root, dry_run: bool) -> Pass<'a> {
        Pass { root, dry_run, foreign: Vec::new(), pretended: BTreeMap::new() }
    }

    fn give_back(&mut self, change: &Change) -> Item {
        let outcome = match change.kind {
            Kind::File => self.file(change),
            Kind::Dir => self.dir(change).map(|fate| (None, fate)),
        };
        let (current, fate) = match outcome {
            Ok(outcome) => outcome,
            Err(e) if e.is_gone() => (None, Undone::Gone),
            Err(e) => (None, Undone::Failed { error: e.to_string() }),
        };
        let Change { path, old, new, .. } = change.clone();
        Item { path, old, new, current, fate }
    }

    fn file(&mut self, change: &Change) -> Result<(Option<String>, Undone), RootError> {
        let Some(place) = Place::find(self.root, change)? else { return Ok((None, Undone::Gone)) };
        let current = match self.pretended.get(&change.path) {
            Some(pretended) => pretended.clone(),
            None => place.read()?,
        };
        let says = |value: &str| is_same_value(&change.path, &current, value);
        let fate = if self.foreign.iter().any(|other| other.is_same_place(change)) {
            Undone::Foreign
        } else if says(&change.old) {
            Undone::Already
        } else if !says(&change.new) {
            self.foreign.push(change.clone());
            Undone::Foreign
        } else if self.dry_run {
            self.pretended.insert(change.path.clone(), change.old.clone());
            Undone::Restored
        } else {
            place.write(&change.old)?;
            match place.read()? {
                now if is_same_value(&change.path, &now, &change.old) => Undone::Restored,
                now => Undone::Failed { error: format!("it still says {now}") },
            }
        };
        Ok((Some(current), fate))
    }

    fn dir(&self, change: &Change) -> Result<Undone, RootError> {
        // Only what carries our name is ours to remove.
        if !change.path.name().starts_with(b"swaptier") {
            return Ok(Undone::Foreign);
        }
        if self.dry_run {
            return Ok(if self.root.exists(&change.path) { Undone::Restored } else { Undone::Gone });
        }
        self.root.remove_dir(&change.path).map(|()| Undone::Restored)
    }
}

/// Where a change was made, reached again.
enum Place<'a> {
    /// A file of a cgroup that is the one it was.
    Cgroup(CgroupDir, &'a str),
    /// Any other file.
    Host(&'a Root, &'a FilePath),
}

impl<'a> Place<'a> {
    /// `None` when another cgroup is there now.
    fn find(root: &'a Root, change: &'a Change) -> Result<Option<Place<'a>>, RootError> {
        let Some(id) = change.cgroup else { return Ok(Some(Place::Host(root, &change.path))) };
        // A cgroup's file has a plain name: a record that says otherwise is of nothing that is there.
        let (Some(cgroup), Ok(file)) = (change.path.cgroup(), std::str::from_utf8(change.path.name())) else {
            return Ok(None);
        };
        let dir = root.cgroup(&cgroup)?;
        Ok((dir.id() == id).then_some(Place::Cgroup(dir, file)))
    }

    fn read(&self) -> Result<String, RootError> {
        match self {
            Place::Cgroup(dir, file) => dir.read_value(file),
            Place::Host(root, path) => root.read_value(path),
        }
    }

    fn write(&self, value: &str) -> Result<(), RootError> {
        match self {
            Place::Cgroup(dir, file) => dir.write(file, value),
            Place::Host(root, path) => root.write(path, value),
        }
    }
}
