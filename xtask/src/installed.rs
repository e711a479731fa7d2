//! The guest in which swaptier is installed as its README says: a Debian with systemd, with what the README's lines need of
//! the repository in `/root/swaptier`, the package among it. What is tried there is `swaptier-guest host`'s business. Called by `check.rs`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::guest::Guest;
use crate::{binaries, debian, package, paths};

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
    let program = ours.first().context("the program was not built")?;
    let package = package::of(program, Some((binaries::TARGET, &paths::guest_target())))?;
    let name = package.file_name().context("a package has a name")?.to_string_lossy().into_owned();
    let files = vec![
        (paths::root().join("README.md"), format!("{SOURCES}/README.md")),
        (package, format!("{SOURCES}/target/package/{name}")),
    ];
    let mut command = vec!["swaptier-guest".to_owned(), "host".to_owned()];
    command.extend(filter.map(str::to_owned));
    // Once more when the tests ask for it.
    let (root, boots) = (Some(debian::image()?), 2);
    Ok(Guest { root, boots, programs, files, command, limit, ..Guest::with_disks(KERNEL) })
}
