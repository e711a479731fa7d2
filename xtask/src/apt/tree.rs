//! Debian packages unpacked under `target/lab`, for what the lab uses and the machine lacks: nothing is installed, and
//! no root is needed. A folder appears by one rename when all of it is there. Called by those who know what to fetch.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Apt, Package, Suite};
use crate::{paths, say};

/// The folder `target/lab/NAME` with the packages `choose` picks of a suite, fetched when it is not there yet.
pub(crate) fn tree(
    name: &str,
    suite: Suite,
    choose: impl Fn(&Apt) -> Result<Vec<Package>>,
) -> Result<PathBuf> {
    let dir = paths::lab().join(name);
    let _lock = paths::lock(name)?;
    if dir.is_dir() {
        return Ok(dir);
    }
    say::step(&format!("{name}: fetching Debian's for the lab"));
    let apt = Apt::open(suite)?;
    let unfinished = dir.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    let tree = unfinished.join("tree");
    apt.unpack(&choose(&apt)?, &unfinished, &tree)?;
    fs::rename(&tree, &dir).with_context(|| format!("naming {}", dir.display()))?;
    let _ = fs::remove_dir_all(&unfinished);
    Ok(dir)
}
