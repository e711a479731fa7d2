//! The guests' shell and tools: a statically linked busybox. The machine's own if it has one; where it has the
//! dynamic one (the two packages exclude each other, and nothing of the user's is removed) Debian's is unpacked
//! under `target/lab`. Called by `setup.rs` and `guest/initramfs.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{self, Archive, Suite};

/// Where Debian and Ubuntu put it, before and after the merged /usr.
const INSTALLED: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];
/// Which suite's busybox is fetched.
const SUITE: Suite = Suite { name: "bookworm", archive: Archive::Debian };

/// Whether `get` can succeed without installing anything on the machine.
pub(crate) fn can_be_had() -> bool {
    INSTALLED.iter().any(|path| Path::new(path).exists())
}

/// The static busybox's file.
pub(crate) fn get() -> Result<PathBuf> {
    if let Some(path) = INSTALLED.iter().map(PathBuf::from).find(|path| is_static(path)) {
        return Ok(path);
    }
    let dir = apt::tree("busybox", SUITE, |apt| Ok(vec![apt.newest("busybox-static")?]))?;
    let found = ["bin/busybox", "usr/bin/busybox"]
        .map(|path| dir.join(path))
        .into_iter()
        .find(|path| is_static(path));
    found.with_context(|| format!("{} holds no static busybox; please delete that folder", dir.display()))
}

/// An ELF file for x86-64 without a program header that names a loader (PT_INTERP).
fn is_static(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| has_no_loader(&bytes).unwrap_or(false))
}

fn has_no_loader(elf: &[u8]) -> Option<bool> {
    const X86_64: u16 = 62;
    const PT_INTERP: u32 = 3;
    let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    if elf.get(..5)? != b"\x7fELF\x02" || half(18)? != X86_64 {
        return Some(false);
    }
    let table = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
    for index in 0..count {
        let at = table.checked_add(index * size)?;
        if u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?) == PT_INTERP {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::has_no_loader;

    /// A header for x86-64 with one program header of type `kind` right behind it.
    fn elf(kind: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..5].copy_from_slice(b"\x7fELF\x02");
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn a_program_that_names_a_loader_is_not_static() {
        assert_eq!(has_no_loader(&elf(1)), Some(true), "PT_LOAD alone");
        assert_eq!(has_no_loader(&elf(3)), Some(false), "PT_INTERP");
        assert_eq!(has_no_loader(b"#!/bin/sh\nexit 0"), Some(false), "a script");
        assert_eq!(has_no_loader(&elf(1)[..60]), None, "cut off");
    }
}
