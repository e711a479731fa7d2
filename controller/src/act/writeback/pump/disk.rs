//! Whether the kernel can write to its swap disks. A page it could not write goes back to RAM, whole, so a round on a dead
//! disk makes memory shorter; and no counter tells. The kernel's log does, and it is read here. Called by `aim` and `round`.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::fs::{OFlags, SeekFrom};

use crate::root::Root;

/// One record a read, from where the last one ended.
const LOG: &str = "dev/kmsg";

/// How the kernel says it (mm/page_io.c): `Write-error on swap-device (MAJOR:MINOR:SECTOR)`.
const SAYS: &str = "Write-error on swap-device";

/// It says so ten times in this span at most, so for that long a dead disk may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// Between two looks while a round runs.
const LOOK: Duration = Duration::from_millis(1);

/// A record is at most 2 KiB, of which a buffer must hold all.
const RECORD: usize = 8 << 10;

/// The kernel's log since the pump began.
pub(super) struct Disk {
    /// `None`: it cannot be read, and a failing disk is not seen.
    log: Option<OwnedFd>,
    looked: Instant,
    /// The last error, and when it was read.
    failed: Option<(Instant, String)>,
}

impl Disk {
    pub(super) fn open(root: &Root) -> Self {
        let opened = root.open(LOG, OFlags::RDONLY | OFlags::NONBLOCK).ok();
        let at_end = opened.filter(|log| rustix::fs::seek(log, SeekFrom::End(0)).is_ok());
        Self { log: at_end, looked: Instant::now(), failed: None }
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
        let Some(log) = &self.log else { return };
        let mut record = [0; RECORD];
        loop {
            match rustix::io::read(log, &mut record) {
                Ok(read) if read > 0 => {
                    if let Some(said) = write_error(&String::from_utf8_lossy(&record[..read])) {
                        self.failed = Some((Instant::now(), said));
                    }
                }
                // The log went on faster than it was read: what is left of it is next.
                Err(rustix::io::Errno::PIPE) => {}
                _ => return,
            }
        }
    }
}

/// The message of a record that is about a swap disk. Before the `;` are numbers only; whoever else writes into the log may
/// write these words, but not with the kernel as their source.
fn write_error(record: &str) -> Option<String> {
    /// Priority and source are one number; the source of the kernel is 0.
    const SOURCES: u32 = 8;
    let mut said = record.lines().filter_map(|line| line.split_once(';'));
    said.find_map(|(head, text)| {
        let source: u32 = head.split(',').next()?.parse().ok()?;
        (source < SOURCES && text.starts_with(SAYS)).then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

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

    #[test]
    fn only_the_kernel_can_say_so() {
        assert!(write_error(ERROR).is_some());
        // 12 is a warning of a program: 8 is the source of user space, and 4 the priority.
        assert_eq!(write_error("12,7,8,-;Write-error on swap-device (1:2:3)\n"), None);
        assert_eq!(write_error("1,7,8,-;a Write-error on swap-device\n"), None);
        assert_eq!(write_error("nonsense"), None);
    }
}
