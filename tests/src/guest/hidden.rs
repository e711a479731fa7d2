//! A `/dev` of its own: commands that have one, and a ghost whose name leads nowhere since the mount namespace it was
//! switched on in is gone. So it is for a unit with `PrivateDevices=yes`.

use std::process::Command;

use anyhow::{Result, ensure};

use super::agent::swaptier;
use super::kernel;
use super::process::sibling;

/// `swaptier` with these arguments in a mount namespace of its own, with a file system of this type on its `/dev`.
///
/// # Errors
/// The program is not where it should be.
pub fn command(dev: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new("busybox");
    // The kernel refuses a file system over itself (EBUSY), and devtmpfs is there already: an empty folder lies between.
    let script =
        "mount -t tmpfs none /dev && { [ $0 = tmpfs ] || mount -t \"$0\" none /dev; } && exec \"$@\"";
    command.args(["unshare", "-m", "sh", "-c", script, dev]).arg(sibling("swaptier")?).args(arguments);
    Ok(command)
}

/// Guard of a ghost by device-mapper whose name in `/proc/swaps` leads nowhere.
#[derive(Debug)]
pub struct Ghost {
    /// `None`: it is removed.
    name: Option<&'static str>,
}

impl Ghost {
    /// Makes and switches on one of this name and size, before every area of a lower priority.
    ///
    /// # Errors
    /// It is not made, its name still leads somewhere, or the list of ghosts does not know that it is on.
    pub fn make(name: &'static str, size: &str, priority: &str) -> Result<Ghost> {
        let create = ["ghost", "create", name, "--size", size, "--priority", priority, "--kind", "dm"];
        ensure!(command("devtmpfs", &create)?.status()?.success(), "the ghost was not made");
        let ghost = Ghost { name: Some(name) };
        let swaps = kernel::read("/proc/swaps")?;
        ensure!(!swaps.contains("/dev/dm-"), "its name still leads somewhere: {swaps}");
        let listed = swaptier(&["ghost", "list"])?.stdout;
        ensure!(listed.contains(name) && !listed.contains("(off)"), "the list: {listed}");
        Ok(ghost)
    }

    /// Switches it off and removes it.
    ///
    /// # Errors
    /// It stays.
    pub fn remove(mut self) -> Result<()> {
        let Some(name) = self.name.take() else { return Ok(()) };
        let on = kernel::swaps()?.len();
        let removed = swaptier(&["ghost", "remove", name])?;
        ensure!(removed.code == 0 && kernel::swaps()?.len() < on, "not removed: {}", removed.stderr);
        Ok(())
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            let _gone_is_as_good = swaptier(&["ghost", "remove", name]);
        }
    }
}
