//! The order of the rooms of `controller/src`: each may use those below it, and none above. Which rooms there are, and in
//! which order they stand, is [`ROOMS`]; what each is for is the code map of `ARCHITECTURE.md`.
//!
//! Tests keep the order as well: a room whose tests need one above it cannot be understood, or changed, without that one.
//! The only exception is `fake`, the tests' little host, which the tests of every room may use; the compiler itself keeps
//! it from all else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::reach::{self, Reach};
use crate::paths;

/// From the ground up.
const ROOMS: [&str; 21] = [
    // What everybody may use.
    "root",
    "fake",
    "fault",
    "text",
    "logs",
    "exit",
    // What the kernel has.
    "hooks",
    "map",
    "sense",
    // What is asked for, and how it is undone.
    "journal",
    "vswap",
    "config",
    // What is done.
    "act",
    "probe",
    // What others see.
    "serve",
    "recording",
    "leftovers",
    // Who does it.
    "agent",
    "top",
    "cli",
    // Who plays with all of it: tests alone.
    "scenarios",
];
/// The room of the tests' little host.
const FAKE: &str = "fake";

/// Rooms in which no files need each other either. What such a room's own file holds is which files there are, what of them
/// others may call by a short name, and constants. Tests do not count here: they use the files of their room together.
const WITHOUT_CIRCLES: [&str; 5] = ["journal", "recording", "serve", "top", "vswap"];

/// A file of the crate.
#[derive(Clone)]
pub(super) struct Source {
    /// From the repository on.
    pub(super) path: PathBuf,
    /// Its module, from the crate's root on.
    pub(super) module: Vec<String>,
    pub(super) reaches: Vec<Reach>,
}

/// Every file of the library but the one that declares the rooms.
pub(super) fn sources() -> Vec<Source> {
    let texts = texts();
    let mut tests = Vec::new();
    for (_, module, text) in &texts {
        let declared = reach::test_modules(text).expect("Rust");
        tests.extend(declared.into_iter().map(|name| [module.as_slice(), &[name]].concat()));
    }
    let (mut faults, mut sources) = (Vec::new(), Vec::new());
    for (path, module, text) in texts.into_iter().filter(|(_, module, _)| !module.is_empty()) {
        let is_test = tests.iter().any(|tests| module.starts_with(tests));
        match reach::reaches(&text, &module, "swaptier", is_test) {
            Ok(reaches) => sources.push(Source { path, module, reaches }),
            Err(fault) => faults.push(format!("{}: {fault}", path.display())),
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(sources.len() > 200, "the search is broken");
    sources
}

/// Every file of the library, with its module and its text.
fn texts() -> Vec<(PathBuf, Vec<String>, String)> {
    let root = paths::root();
    let read = |path: PathBuf| {
        let path = path.strip_prefix(&root).ok()?.to_owned();
        let module = module_of(path.strip_prefix("controller/src").ok()?);
        let text = std::fs::read_to_string(root.join(&path)).expect("a file of the repository");
        Some((path, module, text))
    };
    super::files(&["rs"]).into_iter().filter_map(read).collect()
}

/// The module of a file below the sources' folder; empty: the crate's root, or the program's.
fn module_of(rel: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        rel.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|last| last == "mod") || names == ["lib"] || names == ["main"] {
        names.pop();
    }
    names
}

/// The file of the deepest module on a path.
fn home<'a>(names: &[String], sources: &'a [Source]) -> Option<&'a Source> {
    sources.iter().filter(|source| names.starts_with(&source.module)).max_by_key(|source| source.module.len())
}

/// Why a room may not use what another has; `None`: it may.
fn fault_of(room: &str, reach: &Reach, rooms: &[&str]) -> Option<String> {
    let used = reach.names.first()?;
    let level = |wanted: &str| rooms.iter().position(|room| *room == wanted);
    match (level(room), level(used)) {
        (None, _) => Some(format!("`{room}` is no room of the list")),
        (_, None) => Some(format!("`{used}` is no room of the list")),
        (_, Some(_)) if used == FAKE && reach.is_test => None,
        (Some(own), Some(other)) => (own < other).then(|| format!("`{room}` stands below `{used}`")),
    }
}

/// What of a room's files needs what: the name of the one, of the other, and why.
type Ties = BTreeMap<String, BTreeMap<String, String>>;

/// The ties between the files and folders directly in a room. `short` are the names that its own file gives to what is in
/// them.
fn ties(room: &str, sources: &[Source], short: &BTreeMap<String, Vec<String>>) -> Ties {
    let mut ties = Ties::new();
    let files: Vec<&String> = sources
        .iter()
        .filter(|it| it.module.len() == 2 && it.module[0] == room)
        .map(|it| &it.module[1])
        .collect();
    for source in sources.iter().filter(|source| source.module[0] == room) {
        let Some(own) = source.module.get(1) else { continue };
        for reach in source.reaches.iter().filter(|reach| reach.names[0] == room && !reach.is_test) {
            let Some(named) = reach.names.get(1) else { continue };
            let named = short.get(named).and_then(|names| names.first()).unwrap_or(named);
            // All that the room has may be any of it.
            for other in
                files.iter().filter(|file| **file == named || named == "*").filter(|file| **file != own)
            {
                let why = format!("{}:{}: `{}`", source.path.display(), reach.line, reach.shown());
                ties.entry(own.clone()).or_default().entry((*other).clone()).or_insert(why);
            }
        }
    }
    ties
}

/// A circle among these, as the ties that close it.
fn circle(ties: &Ties) -> Option<Vec<String>> {
    /// Follows what `path` ends with. What is in `done` leads to no circle.
    fn follow(ties: &Ties, path: &mut Vec<String>, done: &mut Vec<String>) -> Option<Vec<String>> {
        let last = path.last()?.clone();
        for other in ties.get(&last).into_iter().flat_map(BTreeMap::keys) {
            if let Some(begin) = path.iter().position(|name| name == other) {
                let mut ring: Vec<&String> = path[begin..].iter().collect();
                ring.push(other);
                return Some(ring.windows(2).map(|pair| ties[pair[0]][pair[1]].clone()).collect());
            }
            if !done.contains(other) {
                path.push(other.clone());
                let found = follow(ties, path, done);
                if found.is_some() {
                    return found;
                }
                path.pop();
            }
        }
        done.push(last);
        None
    }
    let mut done = Vec::new();
    ties.keys().find_map(|name| follow(ties, &mut vec![name.clone()], &mut done))
}

#[test]
fn no_room_uses_one_above_it() {
    let sources = sources();
    let mut faults = Vec::new();
    for source in &sources {
        for reach in &source.reaches {
            if let Some(fault) = fault_of(&source.module[0], reach, &ROOMS) {
                let there = home(&reach.names, &sources)
                    .map_or_else(|| "no file".into(), |it| it.path.display().to_string());
                let (path, line, shown) = (source.path.display(), reach.line, reach.shown());
                faults.push(format!("{path}:{line}: {fault}, and uses `{shown}` of {there}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_room_is_in_the_list_and_declared_once() {
    let text =
        std::fs::read_to_string(paths::root().join("controller/src/lib.rs")).expect("the crate's root");
    let holds_nothing = |line: &str| line.is_empty() || line.starts_with("//") || line.starts_with("#![");
    let lines = text.lines().filter(|line| !holds_nothing(line) && *line != "#[cfg(test)]");
    let mut declared = Vec::new();
    for line in lines {
        let room =
            line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|line| line.strip_suffix(';'));
        declared.push(room.expect(line));
    }
    declared.sort_unstable();
    let mut rooms = ROOMS;
    rooms.sort_unstable();
    assert_eq!(declared, rooms);
}

#[test]
fn every_room_stands_in_the_code_map() {
    let text = std::fs::read_to_string(paths::root().join("ARCHITECTURE.md")).expect("the document");
    let stands = |room: &&str| {
        ["/", ".rs"].iter().any(|end| text.contains(&format!("| `controller/src/{room}{end}` |")))
    };
    let missing: Vec<&str> = ROOMS.into_iter().filter(|room| !stands(room)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn a_room_that_uses_one_above_it_is_found() {
    let rooms = ["low", FAKE, "high"];
    let reach = |text: &str, is_test: bool| {
        reach::reaches(text, &["x".to_owned()], "own", is_test).expect("Rust").remove(0)
    };
    let fault = |room: &str, text: &str| fault_of(room, &reach(text, false), &rooms);
    assert_eq!(fault("low", "use crate::high::A;").as_deref(), Some("`low` stands below `high`"));
    assert_eq!(fault("low", "use crate::other::A;").as_deref(), Some("`other` is no room of the list"));
    assert_eq!(fault("other", "use crate::low::A;").as_deref(), Some("`other` is no room of the list"));
    assert_eq!((fault("high", "use crate::low::A;"), fault("low", "use crate::low::B;")), (None, None));
    assert!(fault_of("low", &reach("use crate::high::A;", true), &rooms).is_some(), "tests as well");
    assert!(fault("low", "use crate::fake::A;").is_some());
    assert!(fault_of("low", &reach("use crate::fake::A;", true), &rooms).is_none());
}

#[test]
fn no_files_of_such_a_room_need_each_other() {
    let sources = sources();
    let mut faults = Vec::new();
    for room in WITHOUT_CIRCLES {
        let own = sources.iter().find(|source| source.module[..] == [room]).expect("the room is there");
        let text = std::fs::read_to_string(paths::root().join(&own.path)).expect("a file of the repository");
        if let Some(item) = reach::item_of(&text).expect("Rust") {
            faults
                .push(format!("{}: has `{item}` of its own, so circles cannot be told", own.path.display()));
        }
        let short = reach::taken_in(&text).expect("Rust");
        if let Some(circle) = circle(&ties(room, &sources, &short)) {
            faults.push(format!("a circle in `{room}`:\n    {}", circle.join("\n    ")));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_that_need_each_other_are_found_over_any_number_of_others() {
    let source = |module: &str, text: &str| {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let reaches = reach::reaches(text, &module, "own", false).expect("Rust");
        Source { path: module.join("/").into(), module, reaches }
    };
    let room = |last: &str| {
        vec![
            source("r", ""),
            source("r::a", "use super::b::B; use crate::r::own_constant;"),
            source("r::b", "use super::Short;"),
            source("r::c::deep", last),
        ]
    };
    let short = reach::taken_in("pub use c::{Long as Short, Other};").expect("Rust");
    let found = |last: &str| {
        let sources = [room(last), vec![source("r::c", "use super::super::s;")]].concat();
        circle(&ties("r", &sources, &short))
    };
    assert_eq!(found("use super::super::d; use super::X; use crate::s::a;"), None);
    let ring = found("fn f() { crate::r::a::g() }").expect("a circle");
    assert!(found("use super::super::*;").is_some(), "which may be any of them");
    assert_eq!(found("mod tests { use super::super::super::a; }").map(|ring| ring.len()), Some(3));
    assert_eq!(found("#[cfg(test)] mod tests { use super::super::super::a; }"), None);
    assert_eq!(ring, ["r/a:1: `crate::r::b::B`", "r/b:1: `crate::r::Short`", "r/c/deep:1: `crate::r::a::g`"]);
}

#[test]
fn a_file_is_the_module_that_its_place_says() {
    for (path, module) in [
        ("a.rs", "a"),
        ("a/mod.rs", "a"),
        ("a/b/c.rs", "a::b::c"),
        ("lib.rs", ""),
        ("main.rs", ""),
        ("a/lib.rs", "a::lib"),
    ] {
        assert_eq!(module_of(Path::new(path)).join("::"), module, "{path}");
    }
}
