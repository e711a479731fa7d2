//! Kernel modules that are asked for by name: those that no node or table loads by itself.

use std::process::{Command, Stdio};

/// Loads a module, if there is one of this name. Built in is as good; what is missing is told by what needs it.
pub(super) fn load(name: &str) {
    let mut command = Command::new("modprobe");
    command.args(["-q", name]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _absent_or_built_in = command.status();
}
