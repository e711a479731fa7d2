//! `cargo xtask size`: how large the house is. Lines of Rust of what is shipped, by room, without tests, and packages that the
//! agent is linked with. Tests are files and folders with the name of one (`is_test`), and in a file all from its module of
//! tests on, which is its end.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, say};

/// What is shipped. The rooms of the first are its folders.
const SOURCES: [&str; 4] = ["controller/src", "policies/src", "common/src", "ebpf/src"];
/// Where the module of tests begins that ends a file.
const TESTS: &str = "#[cfg(test)]\nmod ";

/// Lines of some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    files: usize,
    code: usize,
    comments: usize,
}

/// Prints the table.
///
/// # Errors
/// A source cannot be read, or cargo does not tell the packages.
pub(crate) fn run() -> Result<()> {
    let mut all = Lines::default();
    println!("{:<26} {:>6} {:>7} {:>9}", "room", "files", "code", "comments");
    for (room, files) in rooms()? {
        let mut sum = Lines::default();
        for file in files {
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            sum.add(count(&text));
        }
        println!("{room:<26} {:>6} {:>7} {:>9}", sum.files, sum.code, sum.comments);
        all.add(sum);
    }
    println!("{:<26} {:>6} {:>7} {:>9}", "all", all.files, all.code, all.comments);
    println!("the agent is linked with {} packages", packages()?);
    Ok(())
}

impl Lines {
    fn add(&mut self, other: Lines) {
        self.files += other.files;
        self.code += other.code;
        self.comments += other.comments;
    }
}

/// Each room with its files. Files that lie in no folder of the controller are rooms of their own.
fn rooms() -> Result<Vec<(String, Vec<PathBuf>)>> {
    let mut rooms = Vec::new();
    for source in SOURCES {
        let dir = paths::root().join(source);
        if source != SOURCES[0] {
            rooms.push((source.to_owned(), product(&dir)?));
            continue;
        }
        for entry in entries(&dir)?.into_iter().filter(|entry| !is_test(entry)) {
            let files = if entry.is_dir() { product(&entry)? } else { vec![entry.clone()] };
            let name = entry.file_name().unwrap_or_default().display();
            rooms.push((
                format!("{source}/{name}"),
                files.into_iter().filter(|file| !is_test(file)).collect(),
            ));
        }
    }
    rooms.retain(|(_, files)| !files.is_empty());
    Ok(rooms)
}

/// The Rust files below a folder that are no tests.
fn product(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in entries(dir)?.into_iter().filter(|entry| !is_test(entry)) {
        match entry.is_dir() {
            true => files.extend(product(&entry)?),
            false => files.extend((entry.extension().is_some_and(|it| it == "rs")).then_some(entry)),
        }
    }
    Ok(files)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut entries = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// `scenarios`, `fake` and `generate` are compiled for tests alone.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default();
    ["tests", "laws", "scenarios", "fake", "generate"].iter().any(|test| name == *test)
}

fn count(text: &str) -> Lines {
    let end = text.find(TESTS).filter(|at| text[at + TESTS.len()..].lines().next().is_some_and(opens));
    let mut lines = Lines { files: 1, ..Lines::default() };
    for line in text[..end.unwrap_or(text.len())].lines().map(str::trim).filter(|line| !line.is_empty()) {
        *if line.starts_with("//") { &mut lines.comments } else { &mut lines.code } += 1;
    }
    lines
}

/// The rest of a line that opens a module, and does not only name its file.
fn opens(rest: &str) -> bool {
    rest.ends_with('{')
}

fn packages() -> Result<usize> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(["tree", "--quiet", "--locked", "--package", "swaptier"]);
    cargo.args(["--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}"]);
    let tree = say::capture("cargo tree", &mut cargo)?;
    Ok(tree.lines().filter(|line| !line.is_empty()).collect::<BTreeSet<_>>().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_tests_do_not_count() {
        let text = "//! A room.\n\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert_eq!(count(text), Lines { files: 1, code: 1, comments: 1 });
        // A file of tests is named, and what comes after counts.
        let text = "#[cfg(test)]\nmod tests;\nfn f() {}\n";
        assert_eq!(count(text), Lines { files: 1, code: 3, comments: 0 });
    }

    #[test]
    fn a_test_is_no_room() {
        let rooms = rooms().expect("the sources");
        assert!(rooms.iter().any(|(room, _)| room == "controller/src/agent"), "{rooms:?}");
        let tests = rooms.iter().flat_map(|(_, files)| files).filter(|file| is_test(file));
        assert_eq!(tests.count(), 0);
    }
}
