//! Every `malformed/NAME.toml` is refused with exactly the faults in `malformed/NAME.expected`.
//!
//! A folder is a test: add a file, run with `BLESS=1`, read what was written, commit both. Where the messages are
//! made is `src/file/`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the harness reads its cases, and has failed if it cannot; the wall is for the crate itself"
)]

use std::fs;
use std::path::{Path, PathBuf};

use swaptier_policies::{PolicySet, SourceFile};

/// The malformed files, sorted.
fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    found.sort();
    found
}

/// What `check` prints for the file.
fn faults_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let source = SourceFile::text(name, fs::read_to_string(path).unwrap());
    match PolicySet::load(&[source]) {
        Ok(_) => "accepted\n".to_owned(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n")).collect(),
    }
}

#[test]
fn malformed_files_are_refused_with_the_golden_messages() {
    let mut different = String::new();
    for path in cases() {
        let found = faults_of(&path);
        assert_ne!(found, "accepted\n", "{} is not malformed", path.display());
        let golden = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            different.push_str(&format!("{}\nexpected:\n{expected}found:\n{found}\n", path.display()));
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn there_are_cases_and_no_orphans() {
    let cases = cases();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    for entry in fs::read_dir(cases[0].parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "expected") {
            assert!(path.with_extension("toml").exists(), "{} has no case", path.display());
        }
    }
}

#[test]
fn all_faults_of_all_files_come_at_once() {
    let sources: Vec<SourceFile> = cases()
        .iter()
        .map(|path| SourceFile::text(path.display().to_string(), fs::read_to_string(path).unwrap()))
        .collect();
    let faults = PolicySet::load(&sources).unwrap_err();
    for source in &sources {
        assert!(faults.iter().any(|fault| fault.file == source.name), "nothing about {}", source.name);
    }
}
