//! Drop-in folders laid over each other, by the systemd rules: a later folder replaces a file of the same name.
//!
//! An empty file, or a link to /dev/null, which reads as empty, masks the name. Listing and reading the folders is
//! the caller's.

use std::collections::BTreeMap;

use crate::file::fault::SourceFile;

/// Lays `folders` over each other, the weakest first (`/usr/lib`, `/etc`, `/run`), and gives what is left, sorted
/// by file name.
#[must_use]
pub fn layer(folders: &[Vec<SourceFile>]) -> Vec<SourceFile> {
    let mut kept = BTreeMap::new();
    for file in folders.iter().flatten() {
        kept.insert(file.file_name(), file);
    }
    kept.into_values().filter(|file| !file.text.is_empty()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile::text(name, text)
    }

    #[test]
    fn later_folders_replace_and_empty_files_mask() {
        let usr = vec![file("/usr/lib/p/20-b.toml", "usr b"), file("/usr/lib/p/10-a.toml", "usr a")];
        let etc = vec![file("/etc/p/20-b.toml", "etc b"), file("/etc/p/10-a.toml", "")];
        let run = vec![file("/run/p/30-c.toml", "run c")];
        let left = layer(&[usr, etc, run]);
        assert_eq!(left, [file("/etc/p/20-b.toml", "etc b"), file("/run/p/30-c.toml", "run c")]);
    }

    #[test]
    fn a_later_file_lifts_a_mask() {
        let left = layer(&[vec![file("a/x", "1")], vec![file("b/x", "")], vec![file("c/x", "3")]]);
        assert_eq!(left, [file("c/x", "3")]);
    }
}
