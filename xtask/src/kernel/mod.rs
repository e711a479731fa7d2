//! Debian kernels for the guests: found, fetched, unpacked and cached under `target/lab/kernels/X.Y`.
//! The folder appears by one rename when all of it is there, so a half-finished download is never taken for a kernel.
//! Which package is taken decides `choose.rs`; which modules a guest gets decides `modules.rs`. Called by `guest/`.

mod choose;
pub(crate) mod modules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::apt::{Apt, Archive, Package, Suite};
use crate::{paths, say};

/// Where kernels are looked for, in this order: the small lists first, the two whole distributions last.
/// The first suite with a complete kernel of the series is taken.
const SUITES: [Suite; 6] = [
    Suite { name: "bookworm-security", archive: Archive::Security },
    Suite { name: "trixie-security", archive: Archive::Security },
    Suite { name: "trixie-backports", archive: Archive::Debian },
    Suite { name: "trixie", archive: Archive::Debian },
    Suite { name: "bookworm", archive: Archive::Debian },
    Suite { name: "sid", archive: Archive::Debian },
];

/// The newest series that every change is tested on, and that tasks take which boot one kernel.
pub(crate) const NEWEST: &str = "7.3";

/// Name of the stamp inside a kernel's folder.
const STAMP: &str = "kernel.json";

/// An unpacked kernel.
pub(crate) struct Kernel {
    /// What was asked for: `6.12`.
    pub(crate) version: String,
    /// What `uname -r` will say.
    pub(crate) release: String,
    /// The folder that holds it.
    pub(crate) dir: PathBuf,
}

/// What the stamp tells.
#[derive(Serialize, Deserialize)]
struct Stamp {
    release: String,
    suite: String,
    packages: Vec<String>,
}

impl Kernel {
    /// The newest Debian kernel of the series `version` (`X.Y`), from the cache or from Debian.
    pub(crate) fn get(version: &str) -> Result<Self> {
        check_version(version)?;
        let _lock = paths::lock("kernels")?;
        let dir = paths::lab().join("kernels").join(version);
        if !dir.join(STAMP).exists() {
            fetch(version, &dir)?;
        }
        let path = dir.join(STAMP);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let stamp: Stamp =
            serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))?;
        Ok(Self { version: version.to_owned(), release: stamp.release, dir })
    }

    /// The kernel image QEMU loads.
    pub(crate) fn image(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The module tree.
    pub(crate) fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules").join(&self.release)
    }
}

fn check_version(version: &str) -> Result<()> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match version.split_once('.') {
        Some((major, minor)) if is_number(major) && is_number(minor) => Ok(()),
        _ => bail!("a kernel is named by its series, as in 6.12, not {version:?}"),
    }
}

fn fetch(version: &str, dir: &Path) -> Result<()> {
    say::step(&format!("kernel {version}: looking for it in Debian"));
    for suite in SUITES {
        let apt = match Apt::open(suite) {
            Ok(apt) => apt,
            Err(error) => {
                say::note(&format!("{} is left out: {error:#}", suite.name));
                continue;
            }
        };
        let mut packages = Vec::new();
        for kind in ["image", "binary", "modules", "base"] {
            packages.extend(apt.packages(&format!("linux-{kind}-{version}."))?);
        }
        let candidates = choose::candidates(version, &packages);
        if candidates.is_empty() && !packages.is_empty() {
            // A mirror drops the modules of an older split kernel before it drops the kernel.
            say::note(&format!("{} has {version}, but not one with its modules", suite.name));
        }
        for candidate in candidates {
            match fetch_one(&apt, suite, &candidate, dir) {
                Ok(()) => return Ok(()),
                Err(error) => say::note(&format!("{}: {error:#}", candidate.release)),
            }
        }
    }
    bail!("no complete kernel {version} in {}", SUITES.map(|suite| suite.name).join(", "))
}

fn fetch_one(apt: &Apt, suite: Suite, candidate: &choose::Candidate, dir: &Path) -> Result<()> {
    let parent = dir.parent().context("the kernels' folder")?;
    let unfinished = parent.join(format!("unfinished-{}", candidate.release));
    let _ = fs::remove_dir_all(&unfinished);
    let tree = unfinished.join("tree");
    apt.unpack(&candidate.packages, &unfinished, &tree)?;
    let done = unfinished.join("kernel");
    arrange(&tree, &done, &candidate.release)?;
    let mut depmod = Command::new(crate::setup::program("depmod")?);
    say::run("resolving module dependencies", depmod.arg("-b").arg(&done).arg(&candidate.release))?;
    let names = candidate.packages.iter().map(|Package { name, version }| format!("{name}={version}"));
    let stamp =
        Stamp { release: candidate.release.clone(), suite: suite.name.to_owned(), packages: names.collect() };
    fs::write(done.join(STAMP), serde_json::to_string_pretty(&stamp)?)
        .context("writing the kernel's stamp")?;
    let _ = fs::remove_dir_all(dir);
    fs::rename(&done, dir).with_context(|| format!("moving the kernel to {}", dir.display()))?;
    let _ = fs::remove_dir_all(&unfinished);
    say::note(&format!("kernel {} is ready", candidate.release));
    Ok(())
}

/// Brings Debian's layouts (before and after the merged /usr, whole and split packages) into one.
fn arrange(tree: &Path, done: &Path, release: &str) -> Result<()> {
    let roots = [tree.join("lib/modules"), tree.join("usr/lib/modules")];
    let into = done.join("lib/modules").join(release);
    paths::create(&done.join("lib/modules"))?;
    let modules = roots.iter().map(|root| root.join(release)).find(|dir| dir.join("kernel").is_dir());
    let modules = modules.context("the packages hold no modules")?;
    let images = [
        tree.join("boot").join(format!("vmlinuz-{release}")),
        roots[0].join(release).join("vmlinuz"),
        roots[1].join(release).join("vmlinuz"),
    ];
    let image = images.iter().find(|path| path.is_file()).context("the packages hold no kernel image")?;
    fs::rename(image, done.join("vmlinuz")).context("moving the kernel image")?;
    fs::rename(&modules, &into).context("moving the modules")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn only_a_series_names_a_kernel() {
        assert!(check_version("6.12").is_ok());
        for wrong in ["", "6", "6.12.1", "6.x", "../6.1", "6."] {
            assert!(check_version(wrong).is_err(), "{wrong:?}");
        }
    }
}
