//! Packs a guest's root file system: busybox, the init script, modules, programs and the command.
//! Uncompressed: the kernel unpacks it with a copy. `cpio.rs` knows the format, `kernel/modules.rs` the modules.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::Guest;
use super::cpio::Archive;
use crate::kernel::{Kernel, modules};
use crate::{busybox, setup};

/// Process 1.
const INIT: &str = include_str!("init.sh");
/// Process 1 of a guest that boots an installed system, and what it copies into it: the unit of the command.
const INIT_DEBIAN: &str = include_str!("init-debian.sh");
const SERVICE: &str = include_str!("lab.service");
const RUN: &str = include_str!("run.sh");
/// The folder of what is copied into an installed system.
const COPIED: &str = "lab/";
/// Mount points and folders programs expect.
const FOLDERS: [&str; 9] = ["proc", "sys", "dev", "tmp", "run", "var", "root", "sbin", "usr/sbin"];
/// Variables of the caller that also hold inside.
const PASSED_ON: [&str; 6] = ["TERM", "COLUMNS", "LINES", "NO_COLOR", "RUST_LOG", "RUST_BACKTRACE"];

/// The whole archive for one guest.
pub(super) fn pack(guest: &Guest, kernel: &Kernel) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder);
    }
    // Process 1 has no stdio without it.
    archive.device("dev/console", 5, 1);
    // What the command sees: the archive itself, or what is copied from it.
    let inside = if guest.root.is_some() { COPIED } else { "" };
    let init = if guest.root.is_some() { INIT_DEBIAN } else { INIT };
    archive.file("init", 0o755, init.as_bytes());
    archive.file("bin/busybox", 0o755, &read(&busybox::get()?)?);
    archive.symlink("bin/sh", "busybox");
    // The kernel calls this one by its path when it needs a module.
    archive.symlink("sbin/modprobe", "../bin/busybox");
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("etc/hostname", 0o644, b"guest\n");
    archive.file(&format!("{inside}etc/guest/command"), 0o755, script(&guest.command).as_bytes());
    if guest.root.is_some() {
        archive.file(&format!("{COPIED}etc/systemd/system/lab.service"), 0o644, SERVICE.as_bytes());
        archive.file(&format!("{COPIED}etc/guest/run"), 0o755, RUN.as_bytes());
    }
    add_modules(&mut archive, kernel)?;
    for program in &guest.programs {
        let name = program.file_name().context("a program has a name")?.to_string_lossy();
        archive.file(&format!("{inside}usr/bin/{name}"), 0o755, &read(program)?);
    }
    for (host, path) in &guest.files {
        let mode =
            fs::metadata(host).with_context(|| format!("reading {}", host.display()))?.permissions().mode();
        let path = path.trim_start_matches('/');
        archive.file(&format!("{inside}{path}"), mode & 0o777, &read(host)?);
    }
    Ok(archive.finish())
}

fn add_modules(archive: &mut Archive, kernel: &Kernel) -> Result<()> {
    let prepared = modules::prepare(kernel)?;
    let base = format!("lib/modules/{}", kernel.release);
    let mut dependencies = String::new();
    for module in &prepared.modules {
        archive.file(&format!("{base}/kernel/{}.ko", module.name), 0o644, &read(&module.file)?);
        let _ = write!(dependencies, "kernel/{}.ko:", module.name);
        for need in &module.needs {
            let _ = write!(dependencies, " kernel/{need}.ko");
        }
        dependencies.push('\n');
    }
    archive.file(&format!("{base}/modules.dep"), 0o644, dependencies.as_bytes());
    archive.file(&format!("{base}/modules.alias"), 0o644, prepared.aliases.as_bytes());
    for name in ["modules.builtin", "modules.order"] {
        if let Ok(content) = fs::read(kernel.modules().join(name)) {
            archive.file(&format!("{base}/{name}"), 0o644, &content);
        }
    }
    Ok(())
}

/// The command as a shell script, each word quoted.
fn script(command: &[String]) -> String {
    let mut text = String::new();
    for name in PASSED_ON {
        if let Ok(value) = std::env::var(name) {
            let _ = writeln!(text, "export {name}={}", setup::quoted(&value));
        }
    }
    let words: Vec<String> = command.iter().map(|word| setup::quoted(word)).collect();
    let _ = writeln!(text, "exec {}", words.join(" "));
    text
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
