//! Settings and a policy where operators put theirs, for tests of swap areas. The agent's next start reads them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cgroup::ROOT;
use super::wait::wait_for;
use super::{kernel, swap};

const SETTINGS: &str = "/etc/swaptier/swaptier.toml";
const FOLDER: &str = "/etc/swaptier/policies.d";
const POLICY: &str = "/etc/swaptier/policies.d/areas.toml";
/// The file that is the way to disk.
pub const VALVE: &str = "memory.zswap.writeback";

/// Guard of the files: gone at drop, and with them whatever swap area a failed test leaves on.
#[derive(Debug)]
pub struct Settings(());

impl Settings {
    /// `areas`, the settings' `[[area]]` tables, and a policy that demotes what is cold in the slice of the scenarios.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(areas: &str) -> Result<Settings> {
        std::fs::create_dir_all(FOLDER).with_context(|| format!("creating {FOLDER}"))?;
        Settings::areas(areas)?;
        let policy = "schema = 1\n[match]\ncgroup = [\"areas.slice/*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
                      overflow = \"disk\"\n[demote]\nolder_than = \"1s\"\n";
        std::fs::write(POLICY, policy).context(POLICY)?;
        Ok(Settings(()))
    }

    /// Other areas.
    ///
    /// # Errors
    /// As [`Settings::write`].
    pub fn areas(areas: &str) -> Result<()> {
        std::fs::write(SETTINGS, format!("[agent]\ninterval = \"1s\"\n{areas}")).context(SETTINGS)
    }

    /// The same without a policy: nothing is demoted.
    ///
    /// # Errors
    /// As [`Settings::write`].
    pub fn without_policy() -> Result<Settings> {
        let settings = Settings::write("")?;
        std::fs::remove_file(POLICY).context(POLICY)?;
        Ok(settings)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        for path in [SETTINGS, POLICY] {
            // Gone is as good.
            let _ = std::fs::remove_file(path);
        }
        for line in kernel::swaps().unwrap_or_default() {
            let _ = swap::switch_off(Path::new(&line.path));
        }
        let _ = kernel::write(root_valve(), "1");
    }
}

/// The way to disk of all cgroups.
#[must_use]
pub fn root_valve() -> String {
    format!("{ROOT}/{VALVE}")
}

/// Waits until it says so; `what` is that in words.
///
/// # Errors
/// It does not within fifteen seconds.
pub fn root_valve_is(wanted: &str, what: &str) -> Result<()> {
    wait_for(what, Duration::from_secs(15), || Ok(kernel::read(root_valve())? == wanted))
}
