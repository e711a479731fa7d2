//! Runs the guest tests one by one (the kernel's state is shared) and judges: nothing skips itself into a pass.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::tests::{REFUSALS, TESTS};
use super::wait::wait_for;
use super::{bpf, kernel, preamble, swap, zswap};

/// A test that has not ended after this is hung: the guest's state is lost, the run ends.
const LIMIT: Duration = Duration::from_secs(300);

/// A guest test: a claim, and the function that fails when it is not so.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// The claim, unique.
    pub name: &'static str,
    /// Sets up, looks, compares; guards clean up however it ends.
    pub run: fn() -> Result<()>,
    /// On which of the kernels that every change is tested on.
    on: On,
}

/// What a claim rests on, and so on which kernels it is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// On functions of the kernel that each series has in another way.
    Each,
    /// On what the kernel does, which is settled when the oldest and the newest series do it.
    Ends,
    /// On swaptier alone: no kernel makes it different.
    Newest,
}

/// Where a kernel stands among those that every change is tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    /// The newest, on which all is tested.
    Newest,
    /// The oldest.
    Oldest,
    /// One of those between.
    Between,
}

impl Test {
    /// A claim that rests on functions which each series of kernels has in another way: tested on all of them.
    pub(super) const fn each(name: &'static str, run: fn() -> Result<()>) -> Test {
        Test { name, run, on: On::Each }
    }

    /// A claim that is settled when the oldest and the newest series keep it.
    pub(super) const fn ends(name: &'static str, run: fn() -> Result<()>) -> Test {
        Test { name, run, on: On::Ends }
    }

    /// A claim that no kernel makes different: tested on the newest.
    pub(super) const fn newest(name: &'static str, run: fn() -> Result<()>) -> Test {
        Test { name, run, on: On::Newest }
    }

    fn is_for(&self, place: Place) -> bool {
        match place {
            Place::Newest => true,
            Place::Oldest => self.on != On::Newest,
            Place::Between => self.on == On::Each,
        }
    }
}

/// Names of all tests.
pub fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().chain(REFUSALS).map(|test| test.name)
}

/// Runs the tests of this kernel whose name contains `filter` (all without), and that are for its `place` (any without);
/// `true` when all passed.
///
/// # Errors
/// When the guest cannot do what they need, or no test has such a name.
pub fn run(filter: Option<&str>, place: Option<Place>) -> Result<bool> {
    preamble::check()?;
    let tests = if preamble::is_before_our_kernels()? { REFUSALS } else { TESTS };
    let is_chosen = |test: &&Test| {
        filter.is_none_or(|part| test.name.contains(part)) && place.is_none_or(|place| test.is_for(place))
    };
    let chosen: Vec<&Test> = tests.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        bail!("no test of this kernel is called anything like `{}`; --list shows them", filter.unwrap_or(""));
    }
    println!("kernel {}, {} tests", kernel::release(), chosen.len());
    let (passed, failed) = each(&chosen, run_one);
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// Runs tests by `run`, one after the other, says what came of each, and counts those that passed and those that failed.
pub(super) fn each(tests: &[&Test], run: impl Fn(&Test) -> Result<(), Failure>) -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    for test in tests {
        let start = Instant::now();
        let result = run(test);
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                passed += 1;
                println!("test {} ... ok ({seconds:.1}s)", test.name);
            }
            Err(Failure::Test(error)) => {
                failed += 1;
                println!("test {} ... FAILED ({seconds:.1}s)\n{}", test.name, indent(&error));
            }
            Err(Failure::Hung) => {
                failed += 1;
                println!(
                    "test {} ... FAILED: no end after {} s, the rest is not run",
                    test.name,
                    LIMIT.as_secs()
                );
                break;
            }
        }
    }
    (passed, failed)
}

/// Why a test did not pass.
pub(super) enum Failure {
    /// It says so.
    Test(String),
    /// It did not end.
    Hung,
}

fn run_one(test: &Test) -> Result<(), Failure> {
    let parameters = zswap::parameters().map_err(|e| Failure::Test(format!("{e:#}")))?;
    let (programs, _maps) = bpf::objects();
    let result = attempt(test);
    if matches!(result, Err(Failure::Hung)) {
        return result;
    }
    await_detaching(programs);
    let leftovers = leftovers(&parameters);
    result?;
    if leftovers.is_empty() {
        return Ok(());
    }
    Err(Failure::Test(format!("passed, but left behind: {}", leftovers.join(", "))))
}

/// Runs a test to its end or its limit. A panic is a failure.
pub(super) fn attempt(test: &Test) -> Result<(), Failure> {
    let (sender, receiver) = channel();
    let run = test.run;
    std::thread::spawn(move || {
        let result =
            catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|cause| Err(anyhow!(panic_text(&*cause))));
        // Nobody listens any more only when the limit has passed.
        let _ = sender.send(result.map_err(|e| format!("{e:#}")));
    });
    receiver.recv_timeout(LIMIT).map_err(|_| Failure::Hung)?.map_err(Failure::Test)
}

/// The kernel detaches programs some time after their last owner is gone: the next test finds none of this one's. A test that
/// leaves an agent's programs behind on purpose costs the whole wait.
fn await_detaching(before: usize) {
    let _left_behind =
        wait_for("programs to be detached", Duration::from_secs(3), || Ok(bpf::objects().0 <= before));
}

/// What a test did not put back: named, and put back here so that the next one starts clean.
fn leftovers(parameters: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for area in kernel::swaps().unwrap_or_default() {
        let off = swap::switch_off(Path::new(&area.path));
        found.push(format!("swap area {} ({})", area.path, if off.is_ok() { "now off" } else { "still on" }));
    }
    for (name, value) in parameters {
        let now = zswap::parameter(name).unwrap_or_default();
        if now != *value {
            found.push(format!("zswap parameter {name} = {now}, was {value}"));
            // What cannot be put back shows again at the next test.
            let _ = zswap::set(name, value);
        }
    }
    found
}

fn panic_text(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let distinct: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(distinct.len(), names().count());
    }

    #[test]
    fn a_panic_is_a_failure_with_its_words() {
        let cause = catch_unwind(|| panic!("three is not {}", 4)).unwrap_err();
        assert_eq!(panic_text(&*cause), "three is not 4");
    }
}
