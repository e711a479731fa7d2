//! The lines of the undo log: what a change is and how it is written down and read back. Pure.
//!
//! The file itself is `undo.rs`'s, giving values back is `restore.rs`'s.

use serde::{Deserialize, Serialize};

/// The version of the lines written here.
pub(super) const VERSION: u32 = 1;

/// Numbers stay below this: every reader of JSON keeps them exact, and counting on from one never overflows.
const NUMBERS: u64 = 1 << 53;

/// Where everything is that is ever changed, relative to the root. A record of another place is not ours.
const PLACES: &str = "sys/";

/// One change of the host that can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is changed.
    pub kind: Kind,
    /// The file or directory, relative to the root: `sys/fs/cgroup/a/memory.swap.max`.
    pub path: String,
    /// The id of the cgroup the file belongs to; `None` for files of the host and for directories not made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u64>,
    /// What the file said before, trimmed. Empty for a directory.
    #[serde(default)]
    pub old: String,
    /// What is about to be written. Empty for a directory.
    #[serde(default)]
    pub new: String,
    /// For whom: the policy, the command or the part of the configuration.
    #[serde(default)]
    pub why: String,
}

impl Change {
    /// A file's value that is about to be changed.
    pub fn file(
        path: impl Into<String>,
        cgroup: Option<u64>,
        old: impl Into<String>,
        new: impl Into<String>,
        why: impl Into<String>,
    ) -> Change {
        let (path, old, new, why) = (path.into(), old.into(), new.into(), why.into());
        Change { kind: Kind::File, path, cgroup, old, new, why }
    }

    /// A directory that is about to be made.
    pub fn dir(path: impl Into<String>, why: impl Into<String>) -> Change {
        let (path, why) = (path.into(), why.into());
        Change { kind: Kind::Dir, path, cgroup: None, old: String::new(), new: String::new(), why }
    }

    /// Whether it is about a place that may be changed at all.
    fn is_ours(&self) -> bool {
        let goes_up = self.path.split('/').any(|part| part == "..");
        self.path.starts_with(PLACES) && !goes_up && !self.path.contains('\0')
    }

    /// Whether `other` is about the same file of the same cgroup.
    pub fn is_same_place(&self, other: &Change) -> bool {
        self.kind == other.kind && self.path == other.path && self.cgroup == other.cgroup
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

impl Line {
    pub(super) fn parse(text: &str) -> Result<Line, String> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if v != VERSION {
            return Err(format!("version {v} is not known here, only {VERSION}"));
        }
        let line = serde_json::from_str(text).map_err(|_| "no record of a change".to_owned())?;
        match &line {
            Line::Change { seq, .. } if *seq >= NUMBERS => Err(format!("{seq} is no number of a record")),
            Line::Change { change, .. } if !change.is_ours() => {
                Err(format!("{:?} is nothing that is changed here", change.path))
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
pub fn is_same_value(path: &str, a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    if a == b {
        return true;
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let numbers = (a.parse::<u64>(), b.parse::<u64>());
    match numbers {
        (Ok(a), Ok(b)) if is_limit(file) => a / page_size() == b / page_size(),
        (Ok(a), Ok(b)) => a == b,
        _ => path.contains("/parameters/") && switch(a).is_some() && switch(a) == switch(b),
    }
}

fn is_limit(file: &str) -> bool {
    matches!(file, "memory.max" | "memory.high" | "memory.swap.max" | "memory.swap.high" | "memory.zswap.max")
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
        let text = r#"{"seq":1,"v":1,"kind":"file","path":"sys/fs/cgroup/a/memory.swap.max","cgroup":77,"old":"max","new":"1073741824","why":"policy batch.toml"}"#;
        let change = Change::file(LIMIT, Some(77), "max", "1073741824", "policy batch.toml");
        assert_eq!(Line::parse(text), Ok(Line::Change { seq: 1, v: 1, change: change.clone() }));
        let mut written = Vec::new();
        Line::Change { seq: 1, v: 1, change }.append_to(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), format!("{text}\n"));
        assert_eq!(Line::parse(r#"{"v":1,"done":1}"#), Ok(Line::Done { v: 1, done: 1 }));
    }

    #[test]
    fn a_line_of_another_version_is_not_guessed_at() {
        let error = Line::parse(r#"{"v":2,"done":1}"#).unwrap_err();
        assert_eq!(error, "version 2 is not known here, only 1");
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
