//! `cargo xtask test`: everything that must hold before a change is good. The machine's own checks first, then the
//! guest tests, one guest per kernel. Every stage runs even when one before failed; the summary tells them apart.
//! A guest test that failed gets one second chance, in a guest of its own; one that passes there is told as unsteady.
//! What a guest test is and how it judges is `swaptier-guest test`'s business (`tests/`).

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::failures::{Failure, Failures};
use crate::guest::{Ending, Guest};
use crate::lines::Lines;
use crate::{binaries, deny, ebpf, installed, kernel::NEWEST, paths, promtool, say, setup, tmux};

/// Kernels every change is tested on, and their place among them: a guest test says for which places it is (`runner::Test`).
/// The last must be refused, which costs little more than its boot.
const KERNELS: [(&str, Option<&str>); 4] =
    [("6.12", Some("oldest")), (NEWEST, Some("newest")), ("6.18", Some("between")), ("6.1", None)];
/// How long one guest's tests may take under TCG on a busy machine: two and a half times those of 6.12 on a calm one.
const LIMIT: Duration = Duration::from_secs(1800);
/// Failures of one guest that get a second chance: an emulated guest on a busy machine has its hiccups, and more of them than
/// these are no hiccup.
const SECOND_CHANCES: usize = 2;

/// Runs all tests: formatting, lints, the probes' object, cargo's tests, and the guest tests on real kernels.
#[derive(Args)]
pub(crate) struct Test {
    /// Kernel series for the guest tests; may be repeated. Default: 6.12, 7.3, the map's tests on 6.18, and 6.1, which must
    /// be refused.
    #[arg(long)]
    kernel: Vec<String>,
    /// Runs only the guest tests.
    #[arg(long, conflicts_with = "no_guest")]
    guest_only: bool,
    /// Runs only the tests of the installed service, on a Debian with systemd.
    #[arg(long, conflicts_with_all = ["no_guest", "guest_only", "kernel"])]
    systemd: bool,
    /// Leaves the guest tests out: quick, but it proves nothing about a kernel.
    #[arg(long)]
    no_guest: bool,
    /// Takes the guest's programs as they were last built.
    #[arg(long)]
    no_build: bool,
    /// Only guest tests whose name contains this.
    filter: Option<String>,
}

/// What became of a stage.
struct Stage {
    name: String,
    result: Result<()>,
    took: Duration,
}

/// Guest tests counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// What the guests said.
#[derive(Default)]
struct Guests {
    total: Count,
    /// Who reads the end of the output sees why.
    failures: Vec<Failure>,
    /// Tests that failed and passed in a guest of their own: what they said when they failed.
    unsteady: Vec<Failure>,
}

/// Runs the task and returns the process's exit code.
pub(crate) fn run(args: &Test) -> Result<u8> {
    setup::run()?;
    let mut stages = Vec::new();
    if !args.guest_only && !args.systemd {
        host(&mut stages);
    }
    let mut said = Guests::default();
    if !args.no_guest {
        guests(args, &mut stages, &mut said);
    }
    Ok(summary(&stages, (!args.no_guest).then_some(&said)))
}

fn host(stages: &mut Vec<Stage>) {
    stage(stages, "formatting", || cargo(&["fmt", "--all", "--check"]));
    stage(stages, "formatting of the probes", || {
        cargo(&["fmt", "--manifest-path", "ebpf/Cargo.toml", "--", "--check"])
    });
    stage(stages, "lints", || {
        // All features: what only a benchmark is built of is a part of it, too.
        cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
    });
    stage(stages, "the probes' object", ebpf::verify_build);
    stage(stages, "licences, duplicates and sources of crates", deny::check);
    stage(stages, "metrics and rules by promtool", promtool::check);
    stage(stages, "cargo test", || cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"]));
}

fn guests(args: &Test, stages: &mut Vec<Stage>, said: &mut Guests) {
    let mut programs = Vec::new();
    stage(stages, "programs for the guest", || {
        programs = if args.no_build { binaries::built() } else { binaries::build()? };
        Ok(())
    });
    if programs.is_empty() {
        said.total.failed += 1;
        return;
    }
    let chosen = args.kernel.iter().map(|kernel| (kernel.as_str(), None));
    let kernels = match (args.systemd, args.kernel.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => KERNELS.to_vec(),
        (false, false) => chosen.collect(),
    };
    for (kernel, place) in kernels {
        stage(stages, &format!("guest tests on {kernel}"), || {
            let files = tmux::files()?;
            let guest = |chosen: Option<String>| Guest {
                command: ["swaptier-guest", "test"].map(str::to_owned).into_iter().chain(chosen).collect(),
                programs: programs.clone(),
                files: files.clone(),
                limit: LIMIT,
                ..Guest::with_disks(kernel)
            };
            let chosen = args.filter.clone().or(place.map(|place| format!("--place={place}")));
            said.add(&guest(chosen), |failed| guest(Some(failed.to_owned())))
        });
    }
    if args.systemd || args.kernel.is_empty() && args.filter.is_none() {
        stage(stages, "the service on Debian", || {
            let guest = installed::guest(&programs, args.filter.as_deref(), LIMIT)?;
            // Its tests build on each other.
            said.add(&guest, |_| guest.clone())
        });
    }
}

impl Guests {
    /// Runs one guest's tests and adds what came of them; `again` makes the guest that is a failed test's second chance.
    fn add(&mut self, guest: &Guest, again: impl Fn(&str) -> Guest) -> Result<()> {
        let (count, failures) = in_guest(guest);
        let count = count.inspect_err(|_| self.total.failed += 1);
        let has_chance = count.as_ref().is_ok_and(|count| has_second_chance(*count, &failures));
        let (unsteady, failed): (Vec<_>, Vec<_>) =
            failures.into_iter().partition(|failure| has_chance && passes_alone(failure, &again));
        let again = unsteady.len() as u64;
        self.unsteady.extend(unsteady);
        self.failures.extend(failed);
        let count = count?;
        let (passed, failed) = (count.passed + again, count.failed - again);
        self.total.passed += passed;
        self.total.failed += failed;
        if failed > 0 {
            bail!("{failed} of {} failed", passed + failed)
        }
        Ok(())
    }
}

/// Whether all that failed in a guest may be tried once more: few, each of which came to its end.
fn has_second_chance(count: Count, failures: &[Failure]) -> bool {
    (1..=SECOND_CHANCES).contains(&failures.len())
        && failures.len() as u64 == count.failed
        && failures.iter().all(|failure| failure.test.is_some())
}

/// Whether a test passes in a guest of its own.
fn passes_alone(failure: &Failure, guest: impl Fn(&str) -> Guest) -> bool {
    let Some(test) = &failure.test else { return false };
    say::step(&format!("{test} once more, in a guest of its own"));
    in_guest(&guest(test)).0.is_ok_and(|count| count.failed == 0)
}

/// Runs one guest's tests: their count, and what those said that failed. A guest that ends without having counted, or counted
/// nothing, has failed.
fn in_guest(guest: &Guest) -> (Result<Count>, Vec<Failure>) {
    let (mut count, mut gathered) = (None, Failures::default());
    // The kernel's name before each line: who reads the end of the output must not count a guest's tests twice.
    let mut lines = Lines::new(|line: &str| {
        count = parse_count(line).or(count);
        let line = format!("{:>5} | {line}", guest.kernel);
        println!("{line}");
        gathered.take(line);
    });
    let run = guest.run(|bytes| lines.push(bytes));
    drop(lines);
    let judged = run.and_then(|run| match (run.ending, count) {
        (Ending::Exit(0), Some(count)) if count.failed == 0 && count.passed > 0 => Ok(count),
        (Ending::Exit(_), Some(count)) if count.failed > 0 => Ok(count),
        (ending, count) => bail!("the guest ended with {ending:?} and counted {count:?}"),
    });
    (judged, gathered.end(count.is_some()))
}

fn stage(stages: &mut Vec<Stage>, name: &str, work: impl FnOnce() -> Result<()>) {
    say::step(name);
    let start = Instant::now();
    let result = work();
    if let Err(error) = &result {
        say::note(&format!("FAILED: {error:#}"));
    }
    stages.push(Stage { name: name.to_owned(), result, took: start.elapsed() });
}

fn cargo(args: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(args);
    say::patiently(args[0], || say::show(&format!("cargo {}", args.join(" ")), &mut cargo))
}

/// Prints what became of everything; the exit code is 0 only when all of it is good.
fn summary(stages: &[Stage], guests: Option<&Guests>) -> u8 {
    let guest_tests = guests.map(|said| said.total);
    for Failure { text, .. } in guests.iter().flat_map(|said| &said.unsteady) {
        println!("\nunsteady: failed among the others, passed in a guest of its own:\n{text}");
    }
    for Failure { text, .. } in guests.iter().flat_map(|said| &said.failures) {
        println!("\nfailed:\n{text}");
    }
    println!("\nsummary");
    for stage in stages {
        let verdict = match &stage.result {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("FAILED: {}", error.to_string().lines().next().unwrap_or_default()),
        };
        println!("    {:<28} {:>5} s  {verdict}", stage.name, stage.took.as_secs());
    }
    match guest_tests {
        Some(Count { passed, failed }) => {
            let unsteady = guests.map_or(0, |said| said.unsteady.len());
            println!("{passed} passed ({unsteady} at the second try), {failed} failed");
        }
        None => println!("NO GUEST TEST WAS RUN: nothing is known about any kernel (--no-guest)"),
    }
    u8::from(
        stages.iter().any(|stage| stage.result.is_err()) || guest_tests.is_some_and(|count| count.failed > 0),
    )
}

/// `12 passed, 0 failed` alone on a line.
fn parse_count(line: &str) -> Option<Count> {
    let (passed, failed) = line.trim().split_once(" passed, ")?;
    Some(Count { passed: passed.parse().ok()?, failed: failed.strip_suffix(" failed")?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Count, Failure, has_second_chance, parse_count};

    #[test]
    fn a_second_chance_is_for_few_that_came_to_their_end() {
        let failure = |test: Option<&str>| Failure { test: test.map(str::to_owned), text: String::new() };
        let count = |failed| Count { passed: 40, failed };
        assert!(has_second_chance(count(2), &[failure(Some("a")), failure(Some("b"))]));
        assert!(
            !has_second_chance(count(3), &["a", "b", "c"].map(|name| failure(Some(name)))),
            "three are no hiccup"
        );
        assert!(!has_second_chance(count(1), &[failure(None)]), "the rest was not run");
        assert!(!has_second_chance(count(2), &[failure(Some("a"))]), "one that nobody knows");
        assert!(!has_second_chance(count(0), &[]));
    }

    #[test]
    fn only_a_line_that_is_nothing_but_the_count_counts() {
        assert_eq!(parse_count("12 passed, 3 failed"), Some(Count { passed: 12, failed: 3 }));
        assert_eq!(parse_count("test 12 passed, 3 failed"), None);
        assert_eq!(parse_count("12 passed, 3 failed, 1 ignored"), None);
    }
}
