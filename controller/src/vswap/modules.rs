//! Kernel modules: loaded by name where no node or table loads them by itself, and which of them a host has.

use std::process::{Command, Stdio};

use crate::root::Root;

/// There where systemd runs the host, sd_booted(3).
const MANAGER: &str = "/run/systemd/system";

/// Loads a module, if there is one of this name. Built in is as good; what is missing is told by what needs it.
pub(super) fn load(name: &str) {
    load_with(name, &[]);
}

/// The same with its parameters.
pub(super) fn load_with(name: &str, parameters: &[&str]) {
    let is_loaded = succeeds(Command::new("modprobe").args(["-q", name]).args(parameters));
    // The service has no right to load modules; the manager does it for root (modprobe@.service), without the parameters.
    if !is_loaded && std::path::Path::new(MANAGER).is_dir() {
        let unit = format!("modprobe@{name}.service");
        let _absent =
            succeeds(Command::new("systemctl").args(["--quiet", "--no-ask-password", "start", &unit]));
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The modules a host has on disk or built in.
#[derive(Debug)]
pub struct Modules<'a> {
    root: &'a Root,
    listed: String,
}

impl Modules<'_> {
    /// Those of the kernel that runs.
    #[must_use]
    pub fn read(root: &Root) -> Modules<'_> {
        let release = root.read_value("proc/sys/kernel/osrelease").unwrap_or_default();
        let list = |name| root.read(&format!("lib/modules/{release}/{name}")).unwrap_or_default();
        let listed = ["modules.dep", "modules.builtin"].map(list).concat().replace('-', "_");
        Modules { root, listed }
    }

    /// Whether it has this one, loaded or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.root.exists(&format!("sys/module/{name}")) || self.listed.contains(&format!("/{name}.ko"))
    }
}
