//! Packs a guest's root file system: busybox, the init script, modules, programs and the command.
//! Uncompressed: the kernel unpacks it with a copy. `cpio.rs` knows the format, `kernel/modules.rs` the modules.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::Guest;
use super::cpio::Archive;
use crate::busybox;
use crate::kernel::{Kernel, modules};

/// Process 1.
const INIT: &str = include_str!("init.sh");
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
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("bin/busybox", 0o755, &read(&busybox::get()?)?);
    archive.symlink("bin/sh", "busybox");
    // The kernel calls this one by its path when it needs a module.
    archive.symlink("sbin/modprobe", "../bin/busybox");
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("etc/hostname", 0o644, b"guest\n");
    archive.file("etc/guest/command", 0o755, script(&guest.command).as_bytes());
    add_modules(&mut archive, kernel)?;
    for program in &guest.programs {
        let name = program.file_name().context("a program has a name")?.to_string_lossy();
        archive.file(&format!("usr/bin/{name}"), 0o755, &read(program)?);
    }
    for (host, inside) in &guest.files {
        let mode =
            fs::metadata(host).with_context(|| format!("reading {}", host.display()))?.permissions().mode();
        archive.file(inside.trim_start_matches('/'), mode & 0o777, &read(host)?);
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
            let _ = writeln!(text, "export {name}={}", quoted(&value));
        }
    }
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let _ = writeln!(text, "exec {}", words.join(" "));
    text
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_survives_the_shell_whatever_it_holds() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
