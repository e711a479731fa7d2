//! How readily the kernel takes a processor away from a task inside it: the boot option `preempt=`, changed while it
//! runs (`CONFIG_PREEMPT_DYNAMIC`, debugfs). The more readily, the more runs of probes are skipped (`docs/kernel.md`).

use anyhow::{Context, Result, ensure};

use crate::guest::kernel;

/// All modes of this kernel, the one in force in brackets: `none voluntary (full)`.
const FILE: &str = "/sys/kernel/debug/sched/preempt";

/// Guard: the former mode comes back at drop.
#[derive(Debug)]
pub struct Preemption {
    before: String,
}

impl Preemption {
    /// Changes the mode to `none`, `voluntary`, `lazy` or `full`.
    ///
    /// # Errors
    /// When this kernel cannot change it, or has no such mode.
    pub fn set(mode: &str) -> Result<Preemption> {
        let before = current()?;
        kernel::write(FILE, mode)?;
        ensure!(current()? == mode, "{FILE}: {mode} was taken and is not in force");
        Ok(Preemption { before })
    }
}

impl Drop for Preemption {
    fn drop(&mut self) {
        if let Err(error) = kernel::write(FILE, &self.before) {
            eprintln!("preemption is not as it was: {error:#}");
        }
    }
}

/// The mode in force.
///
/// # Errors
/// When this kernel does not say.
pub fn current() -> Result<String> {
    let modes = kernel::read(FILE)?;
    parse(&modes).with_context(|| format!("{FILE}: {modes}"))
}

fn parse(modes: &str) -> Option<String> {
    Some(modes.split_once('(')?.1.split_once(')')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_mode_in_brackets_is_in_force() {
        assert_eq!(parse("none voluntary (full)").as_deref(), Some("full"));
        assert_eq!(parse("full (lazy) ").as_deref(), Some("lazy"));
        assert_eq!(parse("full"), None);
    }
}
