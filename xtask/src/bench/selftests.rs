//! The kernel's own cgroup selftests for a guest: their source of Debian's package, compiled here and linked statically.
//! They run on the Debian with systemd, whose kernel is of the same series; what they show is `swaptier-guest`'s business.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::{self, Archive, Suite};
use crate::guest::Guest;
use crate::{debian, paths, say};

/// Debian's kernel of the image's release, and the package with its source.
const KERNEL: &str = "6.12";
const SUITE: Suite = Suite { name: "trixie", archive: Archive::Debian };
const PACKAGE: &str = "linux-source-6.12";
/// Where the selftests lie in the source.
const FOLDER: &str = "tools/testing/selftests";
const PROGRAMS: [&str; 2] = ["test_zswap", "test_memcontrol"];
/// Where `swaptier-guest` looks for them.
const INSIDE: &str = "/usr/lib/kernel-selftests";

/// The guest that runs `command`.
pub(super) fn guest(command: Vec<String>, programs: Vec<PathBuf>) -> Result<Guest> {
    let files = programs_of_the_kernel()?;
    Ok(Guest { root: Some(debian::image()?), programs, files, command, ..Guest::with_disks(KERNEL) })
}

/// The compiled programs: on this machine, in the guest.
fn programs_of_the_kernel() -> Result<Vec<(PathBuf, String)>> {
    let tree = apt::tree("selftests", SUITE, |apt| Ok(vec![apt.newest(PACKAGE)?]))?;
    let archive = tree.join(format!("usr/src/{PACKAGE}.tar.xz"));
    let source = tree.join(PACKAGE).join(FOLDER);
    if !source.join("cgroup").is_dir() {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&tree).arg("-xJf").arg(&archive);
        tar.args(["cgroup", "clone3", "kselftest.h"].map(|part| format!("{PACKAGE}/{FOLDER}/{part}")));
        say::run("unpacking the kernel's selftests", &mut tar)?;
    }
    let folder = source.join("cgroup");
    let utilities = ["cgroup_util.c", "lib/cgroup_util.c"].map(|name| folder.join(name));
    let utility = utilities.iter().find(|path| path.is_file()).context("cgroup_util.c of the selftests")?;
    let into = paths::lab().join("selftests/bin");
    fs::create_dir_all(&into).with_context(|| format!("creating {}", into.display()))?;
    PROGRAMS
        .iter()
        .map(|name| {
            let program = into.join(name);
            let mut cc = Command::new("cc");
            cc.args(["-static", "-O1", "-D_GNU_SOURCE", "-o"]).arg(&program);
            cc.arg("-I").arg(&source).arg("-I").arg(folder.join("lib/include"));
            cc.arg(folder.join(format!("{name}.c"))).arg(utility).arg("-lpthread");
            say::run(&format!("compiling {name}"), &mut cc)?;
            Ok((program, format!("{INSIDE}/{name}")))
        })
        .collect()
}
