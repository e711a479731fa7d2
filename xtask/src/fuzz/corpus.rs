//! What is kept of a run: `tests/corpus/TARGET`, small enough for the suite to try all of it.
//!
//! Inputs with a name of their own (seeds, and crashes that were mended) stay for ever. The others are named after
//! their contents, as libFuzzer does it, and are chosen anew after each run: the fewest that reach all the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::run;
use crate::{paths, say};

/// The most that one target keeps: bytes, files. The suite checks the same.
const ROOM: (u64, usize) = (300 << 10, 200);

/// The folder of one target in the repository.
pub(super) fn folder(target: &str) -> PathBuf {
    paths::root().join("tests/corpus").join(target)
}

/// Where one target's runs live: everything ever found, crashes, the last log.
pub(super) fn home(target: &str) -> PathBuf {
    paths::lab().join("fuzz").join(target)
}

/// The inputs in the repository.
pub(super) fn committed(target: &str) -> Result<Vec<PathBuf>> {
    files(&folder(target))
}

/// The names of the files in a folder without what follows the dot, sorted.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(files(folder)?.iter().filter_map(stem).collect())
}

/// Chooses the inputs in the repository anew out of them and of everything found.
pub(super) fn renew(target: &str, program: &Path) -> Result<()> {
    let (kept, chosen) = (folder(target), home(target).join("chosen"));
    let _none_before = fs::remove_dir_all(&chosen);
    paths::create(&chosen)?;
    let (found, named): (Vec<PathBuf>, Vec<PathBuf>) =
        committed(target)?.into_iter().partition(|path| is_found(path));
    for path in &named {
        copy(path, &chosen)?;
    }
    let mut merge = Command::new(program);
    // Without counters one input is enough for each piece of code, however often it runs it.
    merge.args(["-set_cover_merge=1", "-use_counters=0"]).args(run::limits());
    merge.arg(&chosen).arg(home(target).join("found")).arg(&kept).stdin(Stdio::null());
    say::run(&format!("choosing the inputs of {target}"), &mut merge)?;
    for path in found {
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    for path in fitting(files(&chosen)?, ROOM)? {
        if is_found(&path) {
            copy(&path, &kept)?;
        }
    }
    Ok(())
}

/// As many as there is room for: first those with a name of their own, then the smallest.
fn fitting(inputs: Vec<PathBuf>, (mut bytes, most): (u64, usize)) -> Result<Vec<PathBuf>> {
    let mut sized = Vec::new();
    for path in inputs {
        let size = fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len();
        sized.push((is_found(&path), size, path));
    }
    sized.sort();
    sized.truncate(most);
    let fits = |(is_found, size, path): (bool, u64, PathBuf)| {
        let is_room = size <= bytes;
        bytes = bytes.saturating_sub(size);
        (is_room || !is_found).then_some(path)
    };
    Ok(sized.into_iter().filter_map(fits).collect())
}

/// Whether libFuzzer named it: the forty digits of a SHA-1.
fn is_found(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == 40 && name.iter().all(u8::is_ascii_hexdigit)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn copy(path: &Path, to: &Path) -> Result<()> {
    let to = to.join(path.file_name().unwrap_or_default());
    fs::copy(path, &to).with_context(|| format!("copying {} to {}", path.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_found;

    #[test]
    fn only_a_hash_is_libfuzzers_name() {
        assert!(is_found(Path::new("a/da39a3ee5e6b4b0d3255bfef95601890afd80709")));
        assert!(!is_found(Path::new("a/memory.stat-7.2")) && !is_found(Path::new("a/da39a3ee")));
        assert!(!is_found(Path::new("a/forty-characters-and-none-of-them-a-hash")));
    }
}
