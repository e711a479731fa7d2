//! Every input that a fuzz target ever kept, tried again on stable Rust by the same bodies.
//!
//! The bodies are in `tests/fuzz/bodies`, the inputs in `tests/corpus/TARGET`; `cargo xtask fuzz` looks for new ones.
//! A crash that was found is put there under a name of its own, and stays.

#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot read its inputs has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../../tests/fuzz/bodies/mod.rs"]
#[expect(unreachable_pub, reason = "the bodies are a library of their own for libFuzzer")]
mod bodies;

/// One input never takes longer: what does is a loop over a loop. Fuzzing bears a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one target's folder may hold, in bytes and files, so that the suite stays quick.
const ROOM: (u64, usize) = (300 << 10, 200);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus")
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(corpus().join(target)).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

/// Tries every input of one target, and says which one it was that failed.
fn replay(target: &str) {
    let (_, body) = bodies::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let inputs = inputs(target);
    assert!(inputs.len() >= 4, "{} inputs for {target}", inputs.len());
    for (path, input) in inputs {
        let begun = Instant::now();
        if let Err(panic) = std::panic::catch_unwind(|| body(&input)) {
            eprintln!("the input was {}", path.display());
            std::panic::resume_unwind(panic);
        }
        assert!(begun.elapsed() < PATIENCE, "{} took {:?}", path.display(), begun.elapsed());
    }
}

macro_rules! replayed {
    ($($test:ident: $target:literal,)*) => {
        $(#[test] fn $test() { replay($target); })*

        #[test]
        fn every_target_has_its_body_its_inputs_and_its_test() {
            let tested = BTreeSet::from([$($target.to_owned()),*]);
            let bodies: BTreeSet<String> = bodies::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(tested, bodies);
            assert_eq!(names(&corpus()), bodies, "folders of inputs");
            assert_eq!(names(&corpus().join("../fuzz/targets")), bodies, "what libFuzzer runs");
        }
    };
}

replayed! {
    any_config_is_read_or_refused: "config",
    any_plan_obeys_the_laws: "decide",
    any_host_is_looked_at_and_decided_about: "host",
    any_line_of_the_journal_is_decided_about_or_passed_over: "journal",
    any_kernel_file_is_read_or_unknown: "kernel",
    any_policy_decides_by_the_laws_or_is_refused: "policy",
    any_recording_is_read_as_far_as_it_can_be: "recording",
    any_undo_log_gives_back_our_own_and_nothing_else: "restore",
    any_message_is_understood_or_refused: "socket",
    any_undo_log_is_read_or_refused: "undo",
    any_quantity_is_read_or_refused: "units",
}

/// The names in a folder, without what follows a dot.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_corpus_stays_small() {
    for (target, _) in bodies::TARGETS {
        let inputs = inputs(target);
        let bytes: usize = inputs.iter().map(|(_, input)| input.len()).sum();
        assert!(
            bytes as u64 <= ROOM.0 && inputs.len() <= ROOM.1,
            "{target}: {} files, {bytes} bytes",
            inputs.len()
        );
    }
}

/// The texts in `kernel` whose name begins so, with the kernel they are from.
fn kernel_files(name: &str) -> Vec<(String, String)> {
    let named =
        |path: &Path| path.file_name().unwrap().to_str().unwrap().strip_prefix(name).map(str::to_owned);
    let files = inputs("kernel").into_iter().filter_map(|(path, text)| {
        Some((named(&path)?.strip_prefix('-')?.to_owned(), String::from_utf8(text).unwrap()))
    });
    files.collect()
}

#[test]
fn the_files_of_every_kernel_are_read() {
    use swaptier::sense::procfs::parse_meminfo;
    use swaptier::sense::{MemoryStat, Pressure, VmStat, swaps};

    let kernels = ["6.12", "6.18", "7.2"].map(str::to_owned);
    for (file, is_read) in [
        (
            "meminfo",
            (|text| parse_meminfo(text).is_ok_and(|memory| memory.zswapped.is_some())) as fn(&str) -> bool,
        ),
        ("swaps", |text| matches!(&swaps::parse(text.as_bytes())[..], [area] if area.kind == "partition")),
        ("vmstat", |text| VmStat::parse(text).zswpwb.is_some()),
        ("memory.stat", |text| MemoryStat::parse(text).zswpwb.is_some()),
    ] {
        let files = kernel_files(file);
        assert_eq!(files.iter().map(|(kernel, _)| kernel.clone()).collect::<Vec<_>>(), kernels, "{file}");
        for (kernel, text) in files {
            assert!(is_read(&text), "{file} of {kernel}:\n{text}");
        }
    }
    for file in ["pressure-memory", "pressure-io", "memory.pressure"] {
        assert!(kernel_files(file).iter().all(|(_, text)| Pressure::parse(text).is_some()), "{file}");
    }
}
