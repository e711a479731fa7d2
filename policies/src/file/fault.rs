//! Where text comes from and what is wrong with it: one fault per mistake, each with its place.
//!
//! Lines and columns start at 1; a column counts characters, as editors do. Called by the walk, by `PolicySet`, and by
//! the controller's reader of `swaptier.toml`.

use std::fmt;
use std::ops::Range;

/// One policy file as it was read. The caller has made sure that it is UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path or file name, shown in faults as it is given. For people: no file is opened or removed by it.
    pub name: String,
    /// Where it lies.
    pub place: Place,
    /// The whole text.
    pub text: String,
}

/// Where the text of a policy came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// No file of this host: a recording, or a text made here.
    Nowhere,
    /// A file at this absolute path below the root: `/etc/swaptier/policies.d/batch.toml`.
    File(String),
}

impl Place {
    /// The path of a file that lies right in `folder`, an absolute path.
    #[must_use]
    pub fn path_in(&self, folder: &str) -> Option<&str> {
        let Place::File(path) = self else { return None };
        let (parent, _) = path.rsplit_once('/')?;
        (parent == folder).then_some(path)
    }
}

impl SourceFile {
    /// A text that is no file of this host.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> SourceFile {
        SourceFile { name: name.into(), place: Place::Nowhere, text: text.into() }
    }

    /// The last component of `name`: the name by which drop-ins replace each other and policies are called.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// [`SourceFile::name`].
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Collects the faults of one file.
#[derive(Debug)]
pub struct Faults<'a> {
    source: &'a SourceFile,
    found: Vec<Fault>,
    /// Those that came when there were [`Faults::MOST`] already.
    more: usize,
}

impl<'a> Faults<'a> {
    /// How many are kept. A file with more is not one that somebody wrote and wants to mend.
    const MOST: usize = 100;

    /// None yet.
    #[must_use]
    pub fn of(source: &'a SourceFile) -> Self {
        Faults { source, found: Vec::new(), more: 0 }
    }

    /// Notes a mistake at the byte range `at` of the file.
    pub fn add(&mut self, at: &Range<usize>, message: impl Into<String>, help: Option<String>) {
        if self.found.len() >= Self::MOST {
            self.more += 1;
            return;
        }
        let (line, column) = place(&self.source.text, at.start);
        let file = self.source.name.clone();
        let help = help.as_deref().map(one_line);
        self.found.push(Fault { file, line, column, message: one_line(&message.into()), help });
    }

    /// Takes over those of `others` whose line has no fault yet.
    pub(super) fn add_where_silent(&mut self, others: Faults<'_>) {
        let spoken: Vec<usize> = self.found.iter().map(|fault| fault.line).collect();
        self.found.extend(others.found.into_iter().filter(|fault| !spoken.contains(&fault.line)));
        self.more += others.more;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All faults in the order of the text, equal ones once; what was too much is counted at the end.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|fault| (fault.line, fault.column));
        self.found.dedup();
        if self.more > 0 {
            let (line, column) = place(&self.source.text, self.source.text.len());
            let message = format!("{} more faults are not listed", self.more);
            self.found.push(Fault { file: self.source.name.clone(), line, column, message, help: None });
        }
        self.found
    }
}

/// The text on one line: control characters escaped, cut where nobody reads on. Words of the file are quoted in
/// messages, and a file may hold anything.
fn one_line(text: &str) -> String {
    const MOST: usize = 240;
    let mut line = String::new();
    for c in text.chars() {
        if line.len() >= MOST {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Line and column of a byte offset; an offset past the end is the end.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    // A byte order mark takes no column.
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The known word that a person most likely meant, if one is near enough: at most a third of the letters differ, or
/// the first four agree.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let folded = word.to_lowercase().replace(['-', ' '], "_");
    let alike = |candidate: &str| folded.chars().zip(candidate.chars()).take_while(|(a, b)| a == b).count();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, candidate), candidate))
        .filter(|(distance, near)| *distance <= near.len().max(word.len()) / 3 || alike(near) >= 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b`, `c` ``.
pub(super) fn listed<'k>(words: impl IntoIterator<Item = &'k str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
