//! The guest in which swaptier is installed as its README says: a Debian with systemd, with what the README's lines need of
//! the repository in `/root/swaptier`. What is tried there is `swaptier-guest host`'s business. Called by `check.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::guest::Guest;
use crate::{debian, paths};

/// Debian's own kernel of that release.
const KERNEL: &str = "6.12";
/// Where the repository lies in the guest.
const SOURCES: &str = "/root/swaptier";
/// The program that is installed; all others are the tests' own.
const PROGRAM: &str = "swaptier";

/// The guest, with the tests whose name contains `filter` as its command.
pub(crate) fn guest(programs: &[PathBuf], filter: Option<&str>, limit: Duration) -> Result<Guest> {
    let (ours, programs): (Vec<_>, Vec<_>) =
        programs.iter().cloned().partition(|path| path.file_name().is_some_and(|name| name == PROGRAM));
    let mut files = vec![file("README.md")];
    files.extend(ours.into_iter().map(|path| (path, format!("{SOURCES}/target/release/{PROGRAM}"))));
    let folder = paths::root().join("packaging");
    let found = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = found.flatten().filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
    files.extend(names.map(|name| file(&format!("packaging/{}", name.to_string_lossy()))));
    let mut command = vec!["swaptier-guest".to_owned(), "host".to_owned()];
    command.extend(filter.map(str::to_owned));
    // Once more when the tests ask for it.
    let (root, boots) = (Some(debian::image()?), 2);
    Ok(Guest { root, boots, programs, files, command, limit, ..Guest::with_disks(KERNEL) })
}

/// A file of the repository, and where it lies in the guest.
fn file(name: &str) -> (PathBuf, String) {
    (paths::root().join(Path::new(name)), format!("{SOURCES}/{name}"))
}
