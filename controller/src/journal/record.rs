//! The lines of the undo log: what a change is and how it is written down and read back. Pure.
//!
//! The file itself is `undo.rs`'s, giving values back is `restore.rs`'s.

use serde::{Deserialize, Serialize};
use swaptier_policies::{Asker, Knob, Setting};

use crate::root::FilePath;

/// The version of the lines written here.
pub(super) const VERSION: u32 = 1;

/// Numbers stay below this: every reader of JSON keeps them exact, and counting on from one never overflows.
const NUMBERS: u64 = 1 << 53;

/// Where everything is that is ever changed, relative to the root. A record of another place is not ours.
const PLACES: &[u8] = b"sys/";

/// One change of the host that can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Read")]
pub struct Change {
    /// What is changed.
    pub kind: Kind,
    /// The file or directory, relative to the root: `sys/fs/cgroup/a/memory.swap.max`.
    pub path: FilePath,
    /// The id of the cgroup the file belongs to; `None` for files of the host and for directories not made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u64>,
    /// What the file said before, trimmed. Empty for a directory.
    pub old: String,
    /// What is about to be written. Empty for a directory.
    pub new: String,
    /// Who asks for it.
    pub by: Asker,
    /// The same in words, for people. Nothing is decided by them.
    pub why: String,
}

/// A change as it is read.
#[derive(Deserialize)]
struct Read {
    kind: Kind,
    path: FilePath,
    #[serde(default)]
    cgroup: Option<u64>,
    #[serde(default)]
    old: String,
    #[serde(default)]
    new: String,
    /// Missing from what the versions before it wrote.
    #[serde(default)]
    by: Option<serde_json::Value>,
    #[serde(default)]
    why: String,
}

impl From<Read> for Change {
    fn from(Read { kind, path, cgroup, old, new, by, why }: Read) -> Change {
        let by = match by {
            Some(by) => Asker::deserialize(by).unwrap_or_else(|_| Asker::Other(why.clone())),
            None => of_words(&why),
        };
        Change { kind, path, cgroup, old, new, by, why }
    }
}

impl Change {
    /// A file's value that is about to be changed.
    pub fn file(
        path: impl Into<FilePath>,
        cgroup: Option<u64>,
        old: impl Into<String>,
        new: impl Into<String>,
        by: &Asker,
    ) -> Change {
        let (path, old, new, why) = (path.into(), old.into(), new.into(), words(by));
        Change { kind: Kind::File, path, cgroup, old, new, by: by.clone(), why }
    }

    /// A file's value that a round of write-back is about to change, and gives back itself. `why`: what round it is.
    pub fn round(
        path: impl Into<FilePath>,
        cgroup: Option<u64>,
        old: impl Into<String>,
        new: impl Into<String>,
        why: impl Into<String>,
    ) -> Change {
        Change { why: why.into(), ..Change::file(path, cgroup, old, new, &Asker::Round) }
    }

    /// A directory that is about to be made, for rounds of write-back.
    pub fn dir(path: impl Into<FilePath>, why: impl Into<String>) -> Change {
        Change { kind: Kind::Dir, ..Change::round(path, None, "", "", why) }
    }

    /// Whether it is about a place that may be changed at all.
    fn is_ours(&self) -> bool {
        let path: &[u8] = self.path.as_ref();
        let goes_up = path.split(|byte| *byte == b'/').any(|part| part == b"..");
        path.starts_with(PLACES) && !goes_up && !path.contains(&0)
    }

    /// Whether `other` is about the same file of the same cgroup.
    pub fn is_same_place(&self, other: &Change) -> bool {
        self.kind == other.kind && self.path == other.path && self.cgroup == other.cgroup
    }
}

/// Who asks, in the words of the log.
pub fn words(by: &Asker) -> String {
    match by {
        Asker::Policy(name) => format!("policy {name}"),
        other => other.to_string(),
    }
}

/// Who asked, by the words of a version that wrote down no more than these. The only place where they decide.
fn of_words(words: &str) -> Asker {
    match words {
        "the swap areas" => Asker::Areas,
        "swaptier.toml [zswap]" => Asker::Settings,
        "command writeback" | "the write-back pump's own cgroup" => Asker::Round,
        _ if words.starts_with("a round of ") => Asker::Round,
        _ => match words.strip_prefix("policy ") {
            Some(name) => Asker::Policy(name.to_owned()),
            None => Asker::Other(words.to_owned()),
        },
    }
}

/// What kind of thing a change touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A kernel file's value: undone by writing the old one.
    File,
    /// A directory made by us, a cgroup of our own: undone by removing it.
    Dir,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// A change that is about to be made.
    Change {
        seq: u64,
        v: u32,
        #[serde(flatten)]
        change: Change,
    },
    /// The change is undone, or never happened.
    Done { v: u32, done: u64 },
    /// The change stands: it is folded into the earlier one of the same file.
    Settled { v: u32, settled: u64 },
    /// The boot in which everything below happened.
    Boot { v: u32, boot: String },
}

/// Why a line cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is of another version, and whole as far as that can be told.
    Version(u32),
    /// It says nothing, or what no agent wrote.
    Damaged(String),
}

impl Line {
    pub(super) fn parse(text: &str) -> Result<Line, Bad> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_str(text).map_err(|e| Bad::Damaged(e.to_string()))?;
        if v != VERSION {
            return Err(Bad::Version(v));
        }
        let line =
            serde_json::from_str(text).map_err(|_| Bad::Damaged("no record of a change".to_owned()))?;
        match &line {
            Line::Change { seq, .. } if *seq >= NUMBERS => {
                Err(Bad::Damaged(format!("{seq} is no number of a record")))
            }
            Line::Change { change, .. } if !change.is_ours() => {
                Err(Bad::Damaged(format!("{:?} is nothing that is changed here", change.path)))
            }
            _ => Ok(line),
        }
    }

    pub(super) fn append_to(&self, buffer: &mut Vec<u8>) {
        serde_json::to_writer(&mut *buffer, self).expect("a line is plain strings and numbers");
        buffer.push(b'\n');
    }
}

/// Whether two texts of the file at `path` say the same to the kernel.
///
/// Limits of memory are kept in whole pages (rounded down), switches of a module are written `1` and read `Y`.
pub fn is_same_value(path: &(impl AsRef<[u8]> + ?Sized), a: &str, b: &str) -> bool {
    let path = path.as_ref();
    let (a, b) = (a.trim(), b.trim());
    if a == b {
        return true;
    }
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let numbers = (a.parse::<u64>(), b.parse::<u64>());
    match numbers {
        (Ok(a), Ok(b)) if is_limit(file) => a / page_size() == b / page_size(),
        (Ok(a), Ok(b)) => a == b,
        _ => {
            path.windows(PARAMETERS.len()).any(|part| part == PARAMETERS)
                && switch(a).is_some()
                && switch(a) == switch(b)
        }
    }
}

/// What is in the path of every parameter of a module.
const PARAMETERS: &[u8] = b"/parameters/";

fn is_limit(file: &[u8]) -> bool {
    matches!(Knob::of_file(file).map(Knob::fresh), Some(Setting::Limit(_)))
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "Y" | "y" | "1" => Some(true),
        "N" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: &str = "sys/fs/cgroup/a/memory.swap.max";

    #[test]
    fn a_line_reads_as_the_documentation_shows_it() {
        let text = r#"{"seq":1,"v":1,"kind":"file","path":"sys/fs/cgroup/a/memory.swap.max","cgroup":77,"old":"max","new":"1073741824","by":{"policy":"batch.toml"},"why":"policy batch.toml"}"#;
        assert!(include_str!("../../../docs/undo.md").contains(text));
        let change = Change::file(LIMIT, Some(77), "max", "1073741824", &Asker::Policy("batch.toml".into()));
        assert_eq!(Line::parse(text), Ok(Line::Change { seq: 1, v: 1, change: change.clone() }));
        let mut written = Vec::new();
        Line::Change { seq: 1, v: 1, change }.append_to(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), format!("{text}\n"));
        assert_eq!(Line::parse(r#"{"v":1,"done":1}"#), Ok(Line::Done { v: 1, done: 1 }));
    }

    /// Lines as the version before wrote them, with nothing but words for who asked.
    #[test]
    fn who_asked_is_known_of_lines_that_say_it_in_words_alone() {
        let gate = r#"{"seq":1,"v":1,"kind":"file","path":"sys/fs/cgroup/memory.zswap.writeback","cgroup":1,"old":"1","new":"0","why":"WHY"}"#;
        for (why, by) in [
            ("policy batch.toml", Asker::Policy("batch.toml".into())),
            ("policy the swap areas", Asker::Policy("the swap areas".into())),
            ("the swap areas", Asker::Areas),
            ("swaptier.toml [zswap]", Asker::Settings),
            ("a round of policy batch.toml", Asker::Round),
            ("command writeback", Asker::Round),
            ("the write-back pump's own cgroup", Asker::Round),
            ("the swap areas of somebody", Asker::Other("the swap areas of somebody".into())),
            ("", Asker::Other(String::new())),
        ] {
            let Ok(Line::Change { change, .. }) = Line::parse(&gate.replace("WHY", why)) else {
                panic!("{why}")
            };
            assert_eq!((&change.by, change.why.as_str()), (&by, why));
        }
    }

    #[test]
    fn what_a_line_says_of_who_asked_goes_before_its_words() {
        let line = |by: &str| {
            let text = format!(
                r#"{{"seq":1,"v":1,"kind":"file","path":"sys/x","old":"1","new":"0","by":{by},"why":"policy a.toml"}}"#
            );
            let Ok(Line::Change { change, .. }) = Line::parse(&text) else { panic!("{text}") };
            change.by
        };
        assert_eq!(line(r#""areas""#), Asker::Areas);
        assert_eq!(line(r#"{"policy":"the swap areas"}"#), Asker::Policy("the swap areas".into()));
        // Of a version to come: the line is whole, and nobody that is known here asked for it.
        assert_eq!(line(r#"{"weather":[1,2]}"#), Asker::Other("policy a.toml".into()));
    }

    #[test]
    fn a_line_of_another_version_is_not_guessed_at() {
        let error = Line::parse(r#"{"v":2,"done":1}"#).unwrap_err();
        assert_eq!(error, Bad::Version(2));
    }

    #[test]
    fn a_line_that_says_nothing_is_refused() {
        for text in [
            "",
            "{}",
            "null",
            r#"{"v":1}"#,
            r#"{"v":1,"seq":3}"#,
            r#"{"v":1,"kind":"door","seq":1,"path":"sys/x"}"#,
        ] {
            assert!(Line::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_that_no_agent_wrote_is_refused() {
        for (seq, path) in [
            (1, "etc/shadow"),
            (1, "/sys/x"),
            (1, "sys/../etc/shadow"),
            (1, "sys/a\\u0000"),
            (NUMBERS, "sys/x"),
            (u64::MAX, "sys/x"),
        ] {
            let text = format!(r#"{{"seq":{seq},"v":1,"kind":"file","path":"{path}","old":"1","new":"0"}}"#);
            assert!(Line::parse(&text).is_err(), "{text}");
        }
        let text = r#"{"seq":9007199254740991,"v":1,"kind":"file","path":"sys/x","old":"1","new":"0"}"#;
        assert!(Line::parse(text).is_ok());
    }

    #[test]
    fn limits_are_compared_in_whole_pages() {
        let page = page_size();
        assert!(is_same_value(LIMIT, &page.to_string(), &(page + 1).to_string()));
        assert!(!is_same_value(LIMIT, &page.to_string(), &(2 * page).to_string()));
        assert!(!is_same_value(LIMIT, "max", "0"));
        assert!(is_same_value(LIMIT, "max\n", "max"));
    }

    #[test]
    fn a_closed_valve_is_not_an_open_one() {
        assert!(!is_same_value("sys/fs/cgroup/a/memory.zswap.writeback", "0", "1"));
        assert!(!is_same_value("sys/module/zswap/parameters/max_pool_percent", "0", "20"));
    }

    #[test]
    fn a_switch_of_the_module_is_compared_by_meaning() {
        let path = "sys/module/zswap/parameters/enabled";
        assert!(is_same_value(path, "Y", "1"));
        assert!(!is_same_value(path, "Y", "N"));
        assert!(!is_same_value("sys/module/zswap/parameters/compressor", "lzo", "lz4"));
    }
}
