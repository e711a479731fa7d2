//! The emulator: the machine's own when it is new enough, else Debian's, unpacked under `target/lab` with all it is linked
//! with. Called by `guest/mod.rs` and `accel.rs`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Archive, Suite};
use crate::{say, setup};

/// Its program.
const PROGRAM: &str = "qemu-system-x86_64";
/// The package that brings it.
const PACKAGE: &str = "qemu-system-x86";
/// The first version that translates a page of code while it holds that page's lock. One before it can keep what it read
/// while another processor was patching that code: each attaching and detaching of a probe patches the kernel's, and
/// 7.2 ran into breakpoints and calls that were not there any more (`Oops: int3`, a call of address 0) within seconds
/// where 10.0 swapped 1.7 million pages under the same patching.
const FIRST_GOOD: (u32, u32) = (8, 1);
/// Overrides the choice.
const VARIABLE: &str = "SWAPTIER_QEMU";
/// Which suite's is fetched.
const SUITE: Suite = Suite { name: "trixie", archive: Archive::Debian };

/// How it is started.
pub(super) struct Qemu {
    /// The program and the arguments that come before all others.
    words: Vec<OsString>,
    /// The first line of what it says of itself.
    pub(super) version: String,
}

impl Qemu {
    /// Finds it, or fetches it. `SWAPTIER_QEMU` names another, whatever its version.
    pub(super) fn get() -> Result<Self> {
        if let Some(path) = std::env::var_os(VARIABLE) {
            return Self::new(vec![path]).with_context(|| format!("the program {VARIABLE} names"));
        }
        let own = setup::program(PROGRAM).ok().and_then(|path| Self::new(vec![path.into()]).ok());
        if let Some(own) = own.filter(|own| parse_version(&own.version).is_some_and(|it| it >= FIRST_GOOD)) {
            return Ok(own);
        }
        let tree = apt::tree("qemu", SUITE, |apt| apt.with_dependencies(PACKAGE))?;
        Self::new(words(&tree)).with_context(|| format!("{} is of no use; please delete it", tree.display()))
    }

    fn new(words: Vec<OsString>) -> Result<Self> {
        let mut qemu = Self { words, version: String::new() };
        let said = say::capture(
            "asking QEMU",
            Command::new(&qemu.words[0]).args(&qemu.words[1..]).arg("--version"),
        )?;
        said.lines().next().unwrap_or_default().clone_into(&mut qemu.version);
        Ok(qemu)
    }

    /// The program and the arguments that come before all others.
    pub(super) fn words(&self) -> &[OsString] {
        &self.words
    }
}

/// An unpacked program is started by its own loader, which finds its own libraries; it is told where its firmware lies.
fn words(tree: &Path) -> Vec<OsString> {
    let at = |path: &str| -> PathBuf { tree.join(path) };
    let libraries = at("usr/lib/x86_64-linux-gnu");
    let mut words =
        vec![at("usr/lib64/ld-linux-x86-64.so.2").into(), "--library-path".into(), libraries.into()];
    words.push(at("usr/bin").join(PROGRAM).into());
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        words.extend(["-L".into(), at(firmware).into()]);
    }
    words
}

/// `QEMU emulator version 10.0.13 (Debian …)`: the first two numbers.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let numbers = line.split_once("version ")?.1;
    let mut numbers = numbers.split(|it: char| !it.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)";
        assert_eq!(parse_version(debian), Some((7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.0.13"), Some((10, 0)));
        assert!(parse_version("QEMU emulator version 10.0.13") > Some(FIRST_GOOD));
        assert_eq!(parse_version("something else"), None);
    }
}
