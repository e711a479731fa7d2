//! Tests of swaptier as an installed service: a Debian with systemd, booted by the lab. They run in their order on one system
//! and build on each other, as the days of a host do; then the system boots again, and the rest looks at what that left.
//!
//! `ground` are the words an operator types · `install` the README's · `areas` swap areas by configuration · `manners` what a
//! service owes its manager · `session` a user's own units · `boot` shutting down and coming up. Called by `swaptier-guest host`.

mod areas;
mod boot;
mod ground;
mod install;
mod manners;
mod session;

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::runner::{Test, attempt, each};
use super::{kernel, preamble};

/// Written when the tests begin; on a second boot without [`COUNTS`] the machine went down in the middle.
const BEGUN: &str = "/var/lib/swaptier-lab.begun";
/// What the tests before the second boot counted.
const COUNTS: &str = "/var/lib/swaptier-lab.counts";

/// Before the system boots again.
const FIRST: &[Test] = &[
    Test::each("installed_as_the_readme_says", install::as_the_readme_says),
    Test::each("areas_of_every_kind_by_configuration", areas::of_every_kind_by_configuration),
    Test::each("areas_outlive_a_restart", areas::outlive_a_restart),
    Test::each("areas_by_command_beside_the_service", areas::by_command_beside_the_service),
    Test::each("a_faulty_policy_fails_the_reload", manners::a_faulty_policy_fails_the_reload),
    Test::each("members_of_the_group_may_look", manners::members_of_the_group_may_look),
    Test::each("a_units_own_limit_stands", session::a_units_own_limit_stands),
    Test::each("a_users_session_has_its_policy", session::a_users_session_has_its_policy),
    Test::each(
        "a_hung_agent_is_ended_and_its_values_are_back",
        manners::a_hung_agent_is_ended_and_its_values_are_back,
    ),
    Test::each("an_idle_host_writes_next_to_nothing", manners::an_idle_host_writes_next_to_nothing),
    Test::each("a_stop_gives_all_back", manners::a_stop_gives_all_back),
    Test::each("the_log_says_what_and_why", manners::the_log_says_what_and_why),
];

/// After that.
const SECOND: &[Test] = &[
    Test::each("a_boot_brings_it_all_back", boot::brings_it_all_back),
    Test::each("uninstalled_as_the_readme_says", install::undone_as_the_readme_says),
];

/// Runs the tests whose name contains `filter` (all without): the first half ends with a boot, and the second with the count of
/// both; `true` when all passed.
///
/// # Errors
/// When this is no host of the lab, or it went down when nobody asked.
pub fn run(filter: Option<&str>) -> Result<bool> {
    preamble::require_host()?;
    let is_chosen = |test: &&Test| {
        test.name.starts_with("installed") || filter.is_none_or(|part| test.name.contains(part))
    };
    if Path::new(COUNTS).exists() {
        let (before, failed_before) = counts(&kernel::read(COUNTS)?).context("what was counted before")?;
        let (passed, failed) = each(&SECOND.iter().filter(is_chosen).collect::<Vec<_>>(), attempt);
        println!("{} passed, {} failed", before + passed, failed_before + failed);
        return Ok(failed_before + failed == 0);
    }
    if Path::new(BEGUN).exists() {
        bail!("the system went down in the middle of the tests");
    }
    std::fs::write(BEGUN, "").context(BEGUN)?;
    println!("kernel {}, systemd {}", kernel::release(), ground::run("systemctl --version | head -n 1")?);
    let (passed, failed) = each(&FIRST.iter().filter(is_chosen).collect::<Vec<_>>(), attempt);
    std::fs::write(COUNTS, format!("{passed} {failed}")).context(COUNTS)?;
    println!("booting again");
    ground::run("journalctl --sync; systemctl --no-block reboot")?;
    // The manager ends this process.
    loop {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

fn counts(text: &str) -> Option<(u64, u64)> {
    let (passed, failed) = text.trim().split_once(' ')?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_again() {
        assert_eq!(counts("4 1\n"), Some((4, 1)));
        assert_eq!(counts(""), None);
    }
}
