//! Rules about the text of the house that no compiler checks, as tests: `cargo test -p xtask`.
//! Every Rust file says first what lives in it, stays below a size, and holds no stray white space. `rooms` holds the order
//! of the rooms, by the paths that `reach` finds in the sources, `writes` who may change what the kernel has, `plates` that
//! what is named in words is there.

mod plates;
mod reach;
mod rooms;
mod writes;

use std::fs;
use std::path::{Path, PathBuf};

use crate::paths;

/// No file is longer, tests apart: beyond it a room wants to be divided.
const HARD: usize = 600;
/// Longer ones are only named.
const SOFT: usize = 400;
/// Folders whose text is not ours.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// Every file of the repository with one of these extensions.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![paths::root()];
    while let Some(dir) = open.pop() {
        for path in
            fs::read_dir(&dir).expect("the repository is readable").flatten().map(|entry| entry.path())
        {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                open.push(path);
            } else if extensions.iter().any(|extension| path.extension().is_some_and(|it| it == *extension)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file with {extensions:?}: the search is broken");
    found
}

/// Names every file for which `fault` finds something.
fn check(extensions: &[&str], fault: impl Fn(&Path, &str) -> Option<String>) {
    let root = paths::root();
    let mut faults = Vec::new();
    for path in files(extensions) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let name = path.strip_prefix(&root).unwrap_or(&path);
        faults.extend(fault(name, &text).map(|fault| format!("{}: {fault}", name.display())));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[test]
fn every_rust_file_opens_with_what_lives_in_it() {
    check(&["rs"], |_, text| {
        (!text.starts_with("//! "))
            .then(|| "does not open with `//!`: what lives here, what does not, who calls it".into())
    });
}

#[test]
fn no_rust_file_outgrows_its_room() {
    check(&["rs"], |path, text| {
        let lines = text.lines().count();
        if lines > SOFT && !is_test(path) {
            println!("{}: {lines} lines, more than the usual {SOFT}", path.display());
        }
        (lines > HARD && !is_test(path)).then(|| format!("{lines} lines, more than {HARD}"))
    });
}

#[test]
fn no_line_ends_in_white_space_and_every_file_in_a_newline() {
    check(&["rs", "toml", "sh", "md"], |_, text| {
        let line = text.lines().position(|line| line.ends_with([' ', '\t']));
        let line = line.map(|index| format!("white space at the end of line {}", index + 1));
        line.or_else(|| (!text.is_empty() && !text.ends_with('\n')).then(|| "no newline at the end".into()))
    });
}

#[test]
fn no_file_is_half_merged() {
    check(&["rs", "toml", "sh", "md", "yml", "json"], |_, text| {
        let is_mark = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
        let line = text.lines().position(is_mark);
        line.map(|index| format!("line {} is a mark of a merge that was not finished", index + 1))
    });
}

/// `journalctl` prints the message alone: what and why must be in it, and none of it as Rust writes it for itself.
#[test]
fn every_line_of_the_log_says_in_its_message_what_and_why() {
    check(&["rs"], |path, text| {
        if !path.starts_with("controller/src") || path.ends_with("logs.rs") {
            return None;
        }
        let mut faults = Vec::new();
        for call in log_calls(text) {
            faults.extend(
                fault_of(call)
                    .map(|why| format!("{why}: {}", call.split_whitespace().collect::<Vec<_>>().join(" "))),
            );
        }
        (!faults.is_empty()).then(|| faults.join("\n    "))
    });
}

/// The arguments of each call that logs for an operator.
fn log_calls(text: &str) -> impl Iterator<Item = &str> {
    ["info", "warn", "error"].into_iter().flat_map(move |level| {
        let call = format!("tracing::{level}!(");
        let starts: Vec<usize> = text.match_indices(&call).map(|(at, _)| at + call.len()).collect();
        starts.into_iter().filter_map(move |start| {
            let end = text[start..].find(");").or_else(|| text[start..].find("),"))?;
            Some(&text[start..start + end])
        })
    })
}

fn fault_of(call: &str) -> Option<&'static str> {
    let call = match call.trim_start().strip_prefix("target: \"") {
        Some(rest) => rest.split_once("\",").map_or("", |(_, rest)| rest),
        None => call,
    };
    let (fields, message) = call.split_once('"')?;
    if fields.contains('?') {
        return Some("a field is written as Rust's Debug");
    }
    // The kind is for counting.
    let has_fields = fields.split(',').any(|field| !field.trim().is_empty() && !field.contains("kind ="));
    (has_fields && !message.contains('{')).then_some("its fields are not in its message")
}

#[test]
fn a_message_that_leaves_everything_to_its_fields_is_found() {
    assert!(fault_of("path, why, \"given back\"").is_some());
    assert!(fault_of("?due, \"it is {x}\"").is_some());
    assert!(fault_of("target: \"swaptier::areas\", \"{step}\"").is_none());
    assert!(fault_of("%error, \"it stays: {error}\"").is_none());
    assert!(fault_of("\"the host is well\"").is_none());
}
