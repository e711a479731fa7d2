//! One glob over cgroup v2 paths: what it matches, how much of it is literal, and what makes it useless.
//!
//! `*` and `?` stay within one component, `**` alone in a component crosses them, `{a,b}` and `[ab]` choose. A
//! backslash is itself: systemd writes `\x2d` into cgroup names. Called by `[match]` and by `policy`.
//!
//! A path is bytes, and a pattern is tried on them; `?` is one byte of what is not UTF-8. It is tried on the path's text
//! too (`path::text`), so that what a person reads can be written: `caf\xe9.scope`.

use std::{borrow::Cow, ffi::OsStr, os::unix::ffi::OsStrExt as _};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::path::text;

/// What patterns are tried on.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    bytes: &'a [u8],
    text: Cow<'a, str>,
}

impl<'a> Subject<'a> {
    /// The path of a cgroup below the cgroup root.
    #[must_use]
    pub fn new(path: &'a [u8]) -> Subject<'a> {
        Subject { bytes: path, text: text::shown(path) }
    }

    /// Whether it is the root cgroup, which no policy governs.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    /// Of this one glob: a set says when the automaton would be too large, a lone matcher panics.
    matcher: GlobSet,
    literal: usize,
}

/// The longest glob, in bytes: a path of systemd or of Kubernetes is a fifth of it.
const LONGEST: usize = 1024;

/// The most `{` of a glob: its compiler calls itself for each that stands in another.
const MOST_CHOICES: usize = 32;

/// Why a glob is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing stands there.
    #[error("empty pattern")]
    Empty,
    /// It begins with a slash.
    #[error("`{0}` begins with `/`")]
    Absolute(String),
    /// A component is empty, `.` or `..`.
    #[error("`{text}` has {}, which no cgroup path has", component(.part))]
    Component {
        /// The whole pattern.
        text: String,
        /// The component, empty between two slashes.
        part: String,
    },
    /// `**` beside other characters.
    #[error("`{0}`: `**` must stand alone between slashes")]
    DoubleStar(String),
    /// Longer than [`LONGEST`].
    #[error("a pattern of {0} bytes is longer than {LONGEST}")]
    TooLong(usize),
    /// More `{` than [`MOST_CHOICES`].
    #[error("`{0}` has more than {MOST_CHOICES} `{{`")]
    TooManyChoices(String),
    /// The glob itself does not parse, or is too large.
    #[error("`{0}` is not a glob: {1}")]
    Glob(String, String),
}

impl PatternError {
    /// What to write instead, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            PatternError::Absolute(text) => {
                let below = text.strip_prefix("/sys/fs/cgroup").unwrap_or(text).trim_matches('/');
                let below = if below.is_empty() { "**" } else { below };
                Some(format!("paths begin below the cgroup root: write \"{below}\""))
            }
            PatternError::Component { text, part } if part.is_empty() => {
                let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
                Some(format!("write \"{}\"", parts.join("/")))
            }
            PatternError::DoubleStar(_) => {
                Some("`a/**` matches all below `a`; `a*` matches within one component".to_owned())
            }
            _ => None,
        }
    }
}

impl Pattern {
    /// Checks and compiles a glob.
    ///
    /// # Errors
    /// When it could never match a cgroup path, or is not a glob.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        check(text)?;
        let bad = |error: globset::Error| PatternError::Glob(text.to_owned(), error.kind().to_string());
        let glob =
            GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build().map_err(bad)?;
        let matcher = GlobSetBuilder::new().add(glob).build().map_err(bad)?;
        Ok(Pattern { text: text.to_owned(), matcher, literal: literal_prefix(text) })
    }

    /// Whether it matches the whole of the path, or of its text.
    #[must_use]
    pub fn matches(&self, path: &Subject<'_>) -> bool {
        let is_match = |bytes: &[u8]| self.matcher.is_match(OsStr::from_bytes(bytes));
        is_match(path.bytes) || (path.text.as_bytes() != path.bytes && is_match(path.text.as_bytes()))
    }

    /// Bytes before the first wildcard. A pattern without one counts its end as well: an exact path is longer than
    /// the same text with a `*` behind it.
    #[must_use]
    pub fn literal_prefix(&self) -> usize {
        self.literal
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn component(part: &str) -> String {
    if part.is_empty() { "an empty component".to_owned() } else { format!("the component `{part}`") }
}

fn check(text: &str) -> Result<(), PatternError> {
    if text.trim().is_empty() {
        return Err(PatternError::Empty);
    }
    if text.starts_with('/') {
        return Err(PatternError::Absolute(text.to_owned()));
    }
    if text.len() > LONGEST {
        return Err(PatternError::TooLong(text.len()));
    }
    if text.matches('{').count() > MOST_CHOICES {
        return Err(PatternError::TooManyChoices(text.to_owned()));
    }
    for part in text.split('/') {
        if matches!(part, "" | "." | "..") {
            return Err(PatternError::Component { text: text.to_owned(), part: part.to_owned() });
        }
        if part.contains("**") && part != "**" {
            return Err(PatternError::DoubleStar(text.to_owned()));
        }
    }
    Ok(())
}

fn literal_prefix(text: &str) -> usize {
    text.find(['*', '?', '[', '{']).unwrap_or(text.len() + 1)
}
