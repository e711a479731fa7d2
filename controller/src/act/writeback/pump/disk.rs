//! Whether the kernel can write to its swap disks. A page it could not write goes back to RAM, whole, so a round on a dead
//! disk makes memory shorter; and no counter tells. The kernel's log does. Called by `aim` and `round`.

use std::time::{Duration, Instant};

use crate::{root::Root, sense::swap_errors::KernelLog};

/// The kernel says so ten times in this span at most, so for that long a dead disk may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// Between two looks while a round runs.
const LOOK: Duration = Duration::from_millis(1);

/// The kernel's log since the pump began.
pub(super) struct Disk {
    log: KernelLog,
    looked: Instant,
    /// The last error, and when it was read.
    failed: Option<(Instant, String)>,
}

impl Disk {
    pub(super) fn open(root: &Root) -> Self {
        Self { log: KernelLog::open(root), looked: Instant::now(), failed: None }
    }

    /// A round begins: what the kernel said so lately that it might be silent about the next error. Errors of the time between
    /// two rounds count as of now.
    pub(super) fn failed_lately(&mut self) -> Option<String> {
        let said = self.error();
        if self.failed.as_ref().is_some_and(|(at, _)| at.elapsed() >= SILENCE) {
            self.failed = None;
        }
        said.filter(|_| self.failed.is_some())
    }

    /// Whether a write failed since the round began. Looks now and then: it is a system call.
    pub(super) fn has_failed(&mut self) -> bool {
        if self.failed.is_none() && self.looked.elapsed() >= LOOK {
            self.look();
        }
        self.failed.is_some()
    }

    /// The last error since the round began, looked for anew.
    pub(super) fn error(&mut self) -> Option<String> {
        self.look();
        self.failed.as_ref().map(|(_, said)| said.clone())
    }

    /// Reads what was said since the last look.
    fn look(&mut self) {
        self.looked = Instant::now();
        if let Some(last) = self.log.said().into_iter().rfind(|said| said.is_write) {
            self.failed = Some((Instant::now(), last.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    const LOG: &str = "dev/kmsg";

    const BEFORE: &str = "1,100,5000,-;Write-error on swap-device (254:16:8)\n";
    const ERROR: &str = "1,101,6000,-;Write-error on swap-device (254:16:64)\n";

    fn say(fake: &FakeRoot, text: &str) {
        let all = std::fs::read_to_string(fake.path(LOG)).unwrap_or_default() + text;
        fake.write(LOG, &all);
    }

    #[test]
    fn an_error_since_the_pump_began_is_seen_and_one_before_it_is_not() {
        let fake = FakeRoot::host();
        say(&fake, BEFORE);
        let mut disk = Disk::open(fake.root());
        assert_eq!(disk.failed_lately(), None);
        say(&fake, "6,100,5500,-;something else\n SUBSYSTEM=block\n");
        std::thread::sleep(LOOK);
        assert!(!disk.has_failed());
        say(&fake, ERROR);
        std::thread::sleep(LOOK);
        assert!(disk.has_failed());
        assert_eq!(disk.failed_lately().as_deref(), Some("Write-error on swap-device (254:16:64)"));
    }

    #[test]
    fn a_disk_that_failed_is_tried_again_once_the_kernel_would_say_so_again() {
        let fake = FakeRoot::host();
        fake.write(LOG, "");
        let mut disk = Disk::open(fake.root());
        say(&fake, ERROR);
        assert!(disk.failed_lately().is_some() && disk.failed_lately().is_some());
        disk.failed = disk.failed.map(|(at, said)| (at - SILENCE, said));
        assert_eq!(disk.failed_lately(), None);
    }

    #[test]
    fn a_log_that_cannot_be_read_says_nothing() {
        let mut disk = Disk::open(FakeRoot::host().root());
        assert!(disk.failed_lately().is_none() && !disk.has_failed());
    }
}
