//! `cargo xtask package`: a Debian package. What is in it stands in `controller/Cargo.toml`, what its scripts do in
//! `packaging/deb`; cargo-deb puts it together. The manual page and the completions are asked of the program itself.
//! Called by `main.rs`, and by `installed.rs` for the program of the guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools::Tool;
use crate::{paths, say, setup};

const CARGO_DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0", says: "cargo-deb 3.8.0", how: &[] };

/// What the program prints about itself: its words, and the file that the package takes.
const PRINTED: [(&[&str], &str); 4] = [
    (&["man"], "swaptier.8"),
    (&["completions", "bash"], "swaptier.bash"),
    (&["completions", "zsh"], "_swaptier"),
    (&["completions", "fish"], "swaptier.fish"),
];

/// Builds the program as it is given away, and its package; says where that is.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    say::step("building swaptier");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args([
        "build",
        "--release",
        "--quiet",
        "--locked",
        "--package",
        "swaptier",
    ]);
    say::patiently("compiling", || say::show("building swaptier", &mut cargo))?;
    let package = of(&paths::root().join("target/release/swaptier"), None)?;
    say::note(&format!("{}: `dpkg -i` installs it", package.display()));
    Ok(())
}

/// The package of a program that is built: in cargo's target folder, or for `target` in another one.
pub(crate) fn of(program: &Path, target: Option<(&str, &Path)>) -> Result<PathBuf> {
    let dir = paths::root().join("target/package");
    // One package, so that nobody installs an older one.
    let _ = fs::remove_dir_all(&dir);
    paths::create(&dir)?;
    for (words, file) in PRINTED {
        let output = Command::new(program).args(words).output();
        let output = output.with_context(|| format!("running {}", program.display()))?;
        if !output.status.success() {
            bail!("{} {} ended with {}", program.display(), words.join(" "), output.status);
        }
        fs::write(dir.join(file), output.stdout).with_context(|| format!("writing {file}"))?;
    }
    let mut deb = Command::new(CARGO_DEB.get()?);
    deb.current_dir(paths::root())
        .args(["--package", "swaptier", "--no-build", "--locked", "--output"])
        .arg(&dir);
    if let Some((target, folder)) = target {
        deb.args(["--target", target]).env("CARGO_TARGET_DIR", folder);
    }
    say::run("cargo deb", &mut deb)?;
    let made = fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut packages = made.flatten().map(|entry| entry.path());
    packages.find(|path| path.extension().is_some_and(|it| it == "deb")).context("cargo deb made no package")
}
