//! One run of one target: libFuzzer's program is started, watched and read. Called by `fuzz/mod.rs`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{corpus, workspace};
use crate::{paths, say};

/// The longest input, in bytes. What only a longer one shows (nesting, loops over loops) has tests of its own.
const LONGEST: u32 = 8192;
/// The most memory a target may take in MiB, and the most for one piece of it. The sanitizer's own is part of it.
const MEMORY: (u32, u32) = (2048, 512);
/// Seconds after which an input counts as a hang.
const HANG: u32 = 10;

/// What became of a run.
pub(super) struct Score {
    pub(super) name: String,
    pub(super) executions: u64,
    pub(super) seconds: u64,
    pub(super) peak_mib: u64,
    /// The inputs that crashed it.
    pub(super) crashes: Vec<PathBuf>,
    /// The line that says why, if it crashed.
    pub(super) why: String,
}

/// Runs `program` for that long, or until it crashes.
pub(super) fn run(name: &str, program: &Path, seconds: u64) -> Result<Score> {
    let home = corpus::home(name);
    let (found, crashes) = (home.join("found"), home.join("crashes"));
    paths::create(&found)?;
    // Crashes of earlier runs are either mended or found again.
    let _none_before = fs::remove_dir_all(&crashes);
    paths::create(&crashes)?;
    let log = home.join("log");
    let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut fuzzer = Command::new(program);
    fuzzer.arg(&found).arg(corpus::folder(name)).args(limits()).args(dictionary(name));
    fuzzer.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    fuzzer.arg(format!("-artifact_prefix={}/", crashes.display()));
    fuzzer.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).env("RUST_BACKTRACE", "1");
    let status = say::patiently(name, || fuzzer.status());
    let status = status.with_context(|| format!("starting {}", program.display()))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let mut score = read(name, &said);
    score.crashes = fs::read_dir(&crashes)?.flatten().map(|entry| entry.path()).collect();
    if !status.success() && score.crashes.is_empty() {
        // It ended without an input to show: the log is all there is.
        score.crashes.push(log);
    }
    Ok(score)
}

/// What bounds every input, also while the corpus is thinned out.
pub(super) fn limits() -> [String; 4] {
    let (all, one) = MEMORY;
    [
        format!("-max_len={LONGEST}"),
        format!("-rss_limit_mb={all}"),
        format!("-malloc_limit_mb={one}"),
        format!("-timeout={HANG}"),
    ]
}

fn dictionary(target: &str) -> Option<String> {
    let words = match target {
        "policy" | "config" | "units" => "toml",
        "undo" | "restore" | "journal" | "socket" => "json",
        "kernel" | "host" => "kernel",
        _ => return None,
    };
    Some(format!("-dict={}", workspace().join("dictionaries").join(words).with_extension("dict").display()))
}

/// Takes the score out of what libFuzzer printed.
fn read(name: &str, said: &str) -> Score {
    let stat = |key: &str| {
        let line = said.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(key));
        line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok())
    };
    let executions = stat("number_of_executed_units").unwrap_or(0);
    let per_second = stat("average_exec_per_sec").unwrap_or(0).max(1);
    Score {
        name: name.to_owned(),
        executions,
        seconds: executions / per_second,
        peak_mib: stat("peak_rss_mb").unwrap_or(0),
        crashes: Vec::new(),
        why: why(said),
    }
}

/// The panic with its message, else the sanitizer's or libFuzzer's own word.
fn why(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let at = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: "));
    at.map(|at| lines[at..].iter().take(4).copied().collect::<Vec<_>>().join("\n")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::read;

    const SAID: &str = "\
#65536\tpulse  cov: 2214 ft: 7012 corp: 571/40Kb lim: 1380 exec/s: 8192 rss: 120Mb
thread '<unnamed>' (7) panicked at policies/src/pattern.rs:86:1:
regex compilation shouldn't fail
stack backtrace:
stat::number_of_executed_units: 81920
stat::average_exec_per_sec:     8192
stat::new_units_added:          71
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              131
";

    #[test]
    fn the_score_is_what_libfuzzer_counted() {
        let score = read("policy", SAID);
        // 81,920 executions at 8,192 a second are 10 s.
        assert_eq!((score.executions, score.seconds, score.peak_mib), (81_920, 10, 131));
        assert!(
            score.why.starts_with("thread '<unnamed>' (7) panicked at policies/src/pattern.rs:86:1:\nregex")
        );
    }

    #[test]
    fn a_program_that_said_nothing_has_done_nothing() {
        let score = read("policy", "");
        assert_eq!((score.executions, score.seconds, score.why.as_str()), (0, 0, ""));
    }
}
