//! Strokes by which the kernel is only asked: it writes back before the write returns, and what it is asked for is never
//! more than what is left. Nothing is refused to anybody, and no worker runs on.

use std::{cell::Cell, io};

use rustix::fs::OFlags;

use super::{aim::Aim, knob::Knob};
use crate::root::{Root, RootError};

/// Pages asked for at once: so many come before the meter is looked at.
const BATCH: u64 = 32;

/// The kernel's own key of `memory.reclaim`. It counts *compressed* bytes, and whole pages of them: the amount follows
/// from how many pages the asks before brought.
pub(super) struct Key<'a> {
    file: Knob,
    key: &'a str,
    page: u64,
    /// Compressed bytes of a page, as far as is known.
    size: Cell<u64>,
}

impl<'a> Key<'a> {
    pub(super) fn open(root: &Root, file: &str, key: &'a str) -> Result<Self, RootError> {
        let page = rustix::param::page_size() as u64;
        // Small to begin with: too little is asked for once more, too much is written.
        Ok(Self { file: Knob::open(root, file, OFlags::WRONLY)?, key, page, size: Cell::new(page / 8) })
    }

    pub(super) fn stroke(&self, aim: &Aim<'_>) -> io::Result<()> {
        let (left, bytes) = (aim.left(), self.bytes(aim.left()));
        match self.file.put(&format!("{bytes} {}", self.key)) {
            Ok(()) => self.learn(bytes, left.saturating_sub(aim.left())),
            // Less came than was asked for: entries that got a second chance, or there are no more.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What to ask for when so many pages are left: the kernel takes nothing below a page.
    fn bytes(&self, left: u64) -> u64 {
        (left.min(BATCH) * self.size.get() / self.page).max(1) * self.page
    }

    fn learn(&self, bytes: u64, pages: u64) {
        if let Some(size) = bytes.checked_div(pages) {
            self.size.set(size.clamp(1, self.page));
        }
    }
}

/// zswap's shrinker by debugfs: it looks at so many entries of a list, and writes at most these.
pub(super) struct Scan<'a> {
    files: Vec<Knob>,
    lists: &'a [String],
}

impl<'a> Scan<'a> {
    pub(super) fn open(root: &Root, files: &[String], lists: &'a [String]) -> Result<Self, RootError> {
        let open = |file: &String| Knob::open(root, file, OFlags::WRONLY);
        Ok(Self { files: files.iter().map(open).collect::<Result<_, _>>()?, lists })
    }

    pub(super) fn stroke(&self, aim: &Aim<'_>) -> io::Result<()> {
        for list in self.lists {
            for file in &self.files {
                let count = aim.left().min(BATCH);
                if count == 0 {
                    return Ok(());
                }
                match file.tell(&format!("{list} {count}\n")) {
                    // A cgroup that is gone has no list.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::atomic::{AtomicBool, Ordering},
        thread,
        time::Duration,
    };

    use super::*;
    use crate::{
        act::writeback::pump::{
            aim::RunOn,
            disk::Disk,
            life::Life,
            meter::Meter,
            page::Page,
            round::Round,
            wire::{Done, Ended, Gauge, Job, Stroke},
        },
        fake::FakeRoot,
    };

    const RECLAIM: &str = "sys/fs/cgroup/a/memory.reclaim";
    const VALVE: &str = "sys/fs/cgroup/a/memory.zswap.writeback";
    const SCAN: &str = "sys/kernel/debug/shrinker/mm-zswap-41/scan";

    fn fake() -> FakeRoot {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        fake.write(SCAN, "");
        set(&fake, 0);
        fake
    }

    fn set(fake: &FakeRoot, written: u64) {
        fake.write("proc/vmstat", &format!("zswpin 1\nzswpout 9\nzswpwb {written}\n"));
    }

    /// One round for so many pages.
    fn round(fake: &FakeRoot, stroke: Stroke, pages: u64) -> Done {
        let job = Job {
            stroke,
            valve: VALVE.into(),
            gauge: Gauge::Files,
            pages,
            cold_after: 0,
            candidates: 0,
            deadline_ms: 20_000,
        };
        let (life, mut run_on) = (Life::of_parent(), RunOn::default());
        let (mut disk, pins) = (Disk::open(fake.root()), Path::new("/nowhere"));
        let mut round = Round::open(fake.root(), pins, &job, &life, (&mut run_on, &mut disk)).unwrap();
        round.run(&mut Page::new().unwrap()).unwrap()
    }

    #[test]
    fn a_shrinker_is_told_list_and_count_and_never_more_than_is_left() {
        let fake = fake();
        let life = Life::of_parent();
        let meter = Meter::open(fake.root(), Path::new("/nowhere"), &Gauge::Files).unwrap();
        let valve = Knob::open(fake.root(), VALVE, OFlags::WRONLY).unwrap();
        let mut disk = Disk::open(fake.root());
        let aim = Aim::new(&life, meter, valve, (None, &mut disk), 40);
        let (files, lists) = ([SCAN.to_owned()], ["7 0".to_owned(), "8 0".to_owned()]);
        let scan = Scan::open(fake.root(), &files, &lists).unwrap();
        scan.stroke(&aim).unwrap();
        assert_eq!(fake.read(SCAN), "7 0 32\n8 0 32");
        set(&fake, 35);
        scan.stroke(&aim).unwrap();
        assert_eq!(fake.read(SCAN), "7 0 32\n8 0 32\n7 0 5\n8 0 5");
        set(&fake, 40);
        scan.stroke(&aim).unwrap();
        assert_eq!(fake.read(SCAN).lines().count(), 4, "nothing is left");
    }

    #[test]
    fn a_round_of_scans_ends_at_its_target_and_closes_the_valve() {
        let (fake, is_over) = (fake(), AtomicBool::new(false));
        let done = thread::scope(|scope| {
            // The kernel: every entry that is scanned of this list is written back.
            scope.spawn(|| {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let text = fake.read(SCAN);
                    let counts =
                        text.lines().filter_map(|line| line.strip_prefix("7 0 ")?.parse::<u64>().ok());
                    let written = counts.sum();
                    if written != std::mem::replace(&mut seen, written) {
                        set(&fake, written);
                    }
                    thread::sleep(Duration::from_micros(50));
                }
            });
            let stroke = Stroke::Scan { files: vec![SCAN.into()], lists: vec!["7 0".into()] };
            let done = round(&fake, stroke, 200);
            is_over.store(true, Ordering::Relaxed);
            done
        });
        assert_eq!((done.ended, done.refused, done.beside), (Ended::Target, Some(0), None));
        assert!(done.written >= 200, "{}", done.written);
        assert_eq!(fake.read(VALVE), "0");
    }

    #[test]
    fn a_round_on_a_disk_that_fails_ends_at_once_and_says_so() {
        let fake = fake();
        fake.write("dev/kmsg", "");
        let done = thread::scope(|scope| {
            // The kernel: the first pages leave zswap, and the disk takes none of them.
            scope.spawn(|| {
                while fake.read(SCAN).is_empty() {
                    thread::sleep(Duration::from_micros(50));
                }
                set(&fake, 32);
                fake.write("dev/kmsg", "1,9,9,-;Write-error on swap-device (254:16:8)\n");
            });
            round(&fake, Stroke::Scan { files: vec![SCAN.into()], lists: vec!["7 0".into()] }, 200)
        });
        assert_eq!(done.ended, Ended::DiskFailed);
        assert_eq!(done.error.as_deref(), Some("Write-error on swap-device (254:16:8)"));
        assert!(done.written < 200, "{}", done.written);
        assert_eq!(fake.read(VALVE), "0");
    }

    #[test]
    fn a_list_with_nothing_to_write_ends_the_round() {
        let fake = fake();
        let done = round(&fake, Stroke::Key { file: RECLAIM.into(), key: "source=zswap".into() }, 100);
        assert_eq!((done.ended, done.written), (Ended::Exhausted, 0));
        // 32 pages of an eighth: 4 pages of compressed bytes.
        assert_eq!(fake.read(RECLAIM), format!("{} source=zswap", 4 * rustix::param::page_size()));
    }

    #[test]
    fn the_key_is_asked_for_whole_pages_of_compressed_bytes_by_what_came_before() {
        let fake = fake();
        let key = Key::open(fake.root(), RECLAIM, "source=zswap").unwrap();
        let page = key.page;
        assert_eq!(key.bytes(1000), 4 * page, "an eighth of a page each, to begin with");
        // 8 pages for 4 pages of bytes: half a page each.
        key.learn(4 * page, 8);
        assert_eq!((key.bytes(1000), key.bytes(10), key.bytes(1)), (16 * page, 5 * page, page));
        key.learn(page, 0);
        assert_eq!(key.bytes(1000), 16 * page, "nothing came: nothing is learned");
        key.learn(4 * page, 1);
        assert_eq!(key.bytes(1000), BATCH * page, "a page is never more than itself");
    }
}
