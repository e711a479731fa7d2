//! The kernel's own cgroup selftests, with no agent on the host and beside one whose policy has every cgroup: what passes
//! without must pass beside. Runs on an installed Debian, where the selftests find what they need.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Options, chosen};
use crate::guest::agent::{Agent, swaptier_json};
use crate::guest::preamble::SWAP_DISK;
use crate::guest::wait::wait_for;
use crate::guest::{kernel, preamble};

/// The programs, in the folder that xtask puts them in.
const PROGRAMS: [&str; 2] = ["test_zswap", "test_memcontrol"];
const FOLDER: &str = "/usr/lib/kernel-selftests";
const POLICY: &str = "/etc/swaptier/policies.d/every.toml";
/// Has every cgroup, those of the selftests too, and acts on all that it may.
const EVERY: &str = "schema = 1\n[match]\ncgroup = [\"**\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
                     [demote]\nolder_than = \"1s\"\n";
/// What the policy is for: while it writes back pages of one cgroup, no other is written back. This selftest demands
/// write-back of its own cgroup in such a moment; with `older_than = "1h"`, which makes no round, it passes.
const MEANT: [&str; 1] = ["test_zswap_writeback_enabled"];

/// What came of one selftest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// Runs them twice and compares.
pub(super) fn run(options: &Options) -> Result<bool> {
    preamble::require_host()?;
    let programs = chosen(&PROGRAMS, |name| name, options)?;
    prepare()?;
    let mut without = BTreeMap::new();
    for program in &programs {
        without.extend(results(program)?);
    }
    fs::create_dir_all(Path::new(POLICY).parent().context("a folder")?)?;
    fs::write(POLICY, EVERY).context(POLICY)?;
    let agent = Agent::start(&[])?;
    wait_for("the policy to have a cgroup", Duration::from_secs(60), || {
        let status = swaptier_json(&["status", "--json"])?;
        Ok(status["cgroups"].as_array().is_some_and(|all| all.iter().any(|it| it["policy"] == "every.toml")))
    })?;
    let mut beside = BTreeMap::new();
    for program in &programs {
        beside.extend(results(program)?);
    }
    agent.stop()?;
    let mut is_kept = true;
    for ((program, name), alone) in &without {
        let with = beside.get(&(*program, name.clone())).copied();
        let is_broken = *alone == Verdict::Passed && with != Some(Verdict::Passed);
        let is_meant = MEANT.contains(&name.as_str());
        is_kept &= !is_broken || is_meant;
        let note = match (is_broken, is_meant) {
            (true, true) => "what the policy is for",
            (true, false) => "BROKEN",
            _ => "",
        };
        if options.json {
            let line = serde_json::json!({ "scenario": program, "selftest": name, "without": alone, "beside": with,
                                           "verdict": if note.is_empty() { "ok" } else { note } });
            println!("{line}");
        } else {
            println!("{program:<16} {name:<44} without {alone:?}, beside an agent {with:?} {note}");
        }
    }
    ensure!(
        without.values().any(|verdict| *verdict == Verdict::Passed),
        "no selftest passed without an agent: this shows nothing"
    );
    Ok(is_kept)
}

/// A swap area on a disk, and zswap.
fn prepare() -> Result<()> {
    for line in [["mkswap", "-q", SWAP_DISK], ["swapon", "-p10", SWAP_DISK]] {
        let status = Command::new(line[0]).args(&line[1..]).status().with_context(|| line.join(" "))?;
        ensure!(status.success(), "{} ended with {status}", line.join(" "));
    }
    for (parameter, value) in [("enabled", "Y"), ("shrinker_enabled", "N")] {
        let path = format!("/sys/module/zswap/parameters/{parameter}");
        fs::write(&path, value).with_context(|| path.clone())?;
        ensure!(kernel::read(&path)? == value, "{path} does not take {value}");
    }
    Ok(())
}

/// What a program says of each of its selftests.
fn results(program: &'static str) -> Result<BTreeMap<(&'static str, String), Verdict>> {
    let path = format!("{FOLDER}/{program}");
    let output =
        Command::new(&path).stdin(Stdio::null()).output().with_context(|| format!("running {path}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let found: BTreeMap<_, _> =
        said.lines().filter_map(of_line).map(|(name, verdict)| ((program, name), verdict)).collect();
    // Why one failed.
    said.lines().filter(|line| line.starts_with('#')).for_each(|line| eprintln!("{program}: {line}"));
    if found.is_empty() {
        bail!(
            "{path} ended with {} and told of no selftest: {said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(found)
}

/// One line of TAP (tools/testing/selftests/kselftest.h): `ok 2 test_b`, `not ok 3 test_c`, `ok 4 # SKIP test_d`.
fn of_line(line: &str) -> Option<(String, Verdict)> {
    let (is_ok, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let name = rest.split_ascii_whitespace().find(|word| word.starts_with("test_"))?;
    let verdict = match is_ok {
        _ if rest.contains("# SKIP") => Verdict::Skipped,
        true => Verdict::Passed,
        false => Verdict::Failed,
    };
    Some((name.to_owned(), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tap_are_understood() {
        let of = |line| of_line(line);
        assert_eq!(of("ok 1 test_zswap_usage"), Some(("test_zswap_usage".to_owned(), Verdict::Passed)));
        assert_eq!(of("not ok 2 test_b"), Some(("test_b".to_owned(), Verdict::Failed)));
        assert_eq!(of("ok 3 # SKIP test_c"), Some(("test_c".to_owned(), Verdict::Skipped)));
        assert_eq!(of("# Totals: pass:5 fail:0"), None);
        assert_eq!(of("1..7"), None);
    }
}
