//! Which swap areas the kernel could not read or write, from its log: no counter tells. Reading is [`KernelLog`]'s, all else
//! is pure. Callers: the agent, each tick, and `act/writeback/pump`, in the middle of a round.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, SeekFrom};

use crate::root::{DeviceNumber, Root};

/// One record a read, from where the last one ended.
const LOG: &str = "dev/kmsg";
/// A record is at most 2 KiB, of which a buffer must hold all.
const RECORD: usize = 8 << 10;
/// Records of one look: a log that is written faster than it is read must not hold up a tick.
const MOST: usize = 4096;

/// Pages of one device that could not be read or written: the least there were, since the kernel says so ten times in
/// five seconds at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Errors {
    /// Not read: lost.
    pub reads: u64,
    /// Not written: still in memory.
    pub writes: u64,
}

/// One message about a page of a swap area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapError {
    /// The device of the area.
    pub device: DeviceNumber,
    /// Not written, rather than not read.
    pub is_write: bool,
    /// The kernel's words.
    pub text: String,
}

/// The kernel's log, from when it was opened.
#[derive(Debug)]
pub struct KernelLog(Option<OwnedFd>);

impl KernelLog {
    /// What was said before counts for nothing. A log that cannot be read says nothing.
    #[must_use]
    pub fn open(root: &Root) -> KernelLog {
        let opened = root.open(LOG, OFlags::RDONLY | OFlags::NONBLOCK).ok();
        KernelLog(opened.filter(|log| rustix::fs::seek(log, SeekFrom::End(0)).is_ok()))
    }

    /// Whether it can be read: else no disk that fails is ever told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// What was said since the last look.
    pub fn said(&mut self) -> Vec<SwapError> {
        let mut said = Vec::new();
        let Some(log) = &self.0 else { return said };
        let mut record = [0; RECORD];
        for _ in 0..MOST {
            match rustix::io::read(log, &mut record) {
                Ok(read) if read > 0 => said.extend(parse(&String::from_utf8_lossy(&record[..read]))),
                // The log went on faster than it was read: what is left of it is next.
                Err(rustix::io::Errno::PIPE) => {}
                _ => break,
            }
        }
        said
    }

    /// The same, counted by the device of the area.
    pub fn errors(&mut self) -> BTreeMap<DeviceNumber, Errors> {
        let mut errors: BTreeMap<DeviceNumber, Errors> = BTreeMap::new();
        for SwapError { device, is_write, .. } in self.said() {
            let of = errors.entry(device).or_default();
            *(if is_write { &mut of.writes } else { &mut of.reads }) += 1;
        }
        errors
    }
}

/// What a record says of swap areas (mm/page_io.c): `Write-error on swap-device
/// (MAJOR:MINOR:SECTOR)`. Before the `;` are numbers only; others may write these words into the log, but not with the kernel
/// as their source.
fn parse(record: &str) -> impl Iterator<Item = SwapError> {
    /// Priority and source are one number; the source of the kernel is 0.
    const SOURCES: u32 = 8;
    record.lines().filter_map(|line| {
        let (head, text) = line.split_once(';')?;
        let source: u32 = head.split(',').next()?.parse().ok()?;
        let (what, place) = text.split_once("-error on swap-device (").filter(|_| source < SOURCES)?;
        let is_write = match what {
            "Write" => true,
            "Read" => false,
            _ => return None,
        };
        let mut numbers = place.split(':').map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(SwapError { device: DeviceNumber { major, minor }, is_write, text: text.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    const DM: DeviceNumber = DeviceNumber { major: 253, minor: 4 };

    #[test]
    fn only_what_was_said_since_the_last_look_counts() {
        let fake = FakeRoot::host();
        let mut all = "1,100,5000,-;Write-error on swap-device (253:4:8)\n".to_owned();
        fake.write(LOG, &all);
        let mut log = KernelLog::open(fake.root());
        assert_eq!(log.errors(), BTreeMap::new());
        all += "1,101,5001,-;Write-error on swap-device (253:4:64)\n1,102,5002,-;Read-error on swap-device (253:4:72)\n";
        fake.write(LOG, &all);
        assert_eq!(log.errors(), BTreeMap::from([(DM, Errors { reads: 1, writes: 1 })]));
        assert_eq!(log.errors(), BTreeMap::new());
    }

    #[test]
    fn only_the_kernel_can_say_so() {
        let of = |record: &str| parse(record).collect::<Vec<_>>();
        let text = "Read-error on swap-device (253:4:8)".to_owned();
        let known = SwapError { device: DM, is_write: false, text };
        assert_eq!(of("1,7,8,-;Read-error on swap-device (253:4:8)\n"), [known]);
        // 12 is a warning of a program: 8 is the source of user space, and 4 the priority.
        for strange in [
            "12,7,8,-;Write-error on swap-device (253:4:8)\n",
            "1,7,8,-;a Write-error on swap-device (253:4:8)\n",
            "1,7,8,-;Write-error on swap-device (253)\n",
            "1,7,8,-;Write-error on swap-device (a:b:c)\n",
            "nonsense",
        ] {
            assert_eq!(of(strange), [], "{strange}");
        }
    }

    #[test]
    fn a_log_that_cannot_be_read_says_nothing() {
        assert_eq!(KernelLog::open(FakeRoot::host().root()).errors(), BTreeMap::new());
    }
}
