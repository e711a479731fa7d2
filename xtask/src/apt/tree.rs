//! Debian packages unpacked under `target/lab`, for what the lab uses and the machine lacks: nothing is installed, and
//! no root is needed. A folder appears by one rename when all of it is there. Called by those who know what to fetch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Apt, Package, Suite};
use crate::{paths, say};

/// The folder `target/lab/NAME` with the packages `choose` picks of a suite, fetched when it is not there yet. Of each only the
/// files under `only` are unpacked, all where it is empty: a path as in the package, `./usr/bin/promtool`.
pub(crate) fn tree(
    name: &str,
    suite: Suite,
    only: &str,
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
    paths::create(&tree)?;
    let packages = choose(&apt)?;
    for (package, file) in packages.iter().zip(apt.download(&packages, &unfinished)?) {
        unpack(package, &file, &tree, only)?;
    }
    fs::rename(&tree, &dir).with_context(|| format!("naming {}", dir.display()))?;
    let _ = fs::remove_dir_all(&unfinished);
    Ok(dir)
}

/// Unpacks one package's file into `tree`.
pub(crate) fn unpack(package: &Package, file: &Path, tree: &Path, only: &str) -> Result<()> {
    let mut command = Command::new("sh");
    let script = r#"dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" ${3:+"$3"}"#;
    command.args(["-e", "-c", script, "sh"]).arg(file).arg(tree).arg(only);
    say::run(&format!("unpacking {}", package.name), &mut command)?;
    Ok(())
}
