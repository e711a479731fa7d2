//! Strokes by which the kernel is only asked: it writes back before the write returns, and what it is asked for is never
//! more than what is left. Nothing is refused to anybody, and no worker runs on.

use std::{cell::Cell, io};

use rustix::fs::OFlags;

use super::{aim::Aim, knob::Knob};
use crate::root::{FilePath, Root, RootError};

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
    pub(super) fn open(root: &Root, file: &FilePath, key: &'a str) -> Result<Self, RootError> {
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

    use swaptier_policies::Ended;

    use super::*;
    use crate::{
        act::writeback::pump::{
            aim::Ways,
            beat::Beat,
            disk::Disk,
            ear::Ear,
            life::Life,
            meter::Meter,
            page::Page,
            round::{Learned, Round},
            wire::{Done, Gauge, Job, Stroke},
        },
        fake::FakeRoot,
        root::change::Write as _,
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

    /// So many pages written, all of the cgroup.
    fn set(fake: &FakeRoot, written: u64) {
        fake.write("sys/fs/cgroup/a/memory.stat", &format!("zswapped 8192\nzswpwb {written}\n"));
        set_host(fake, written);
    }

    fn set_host(fake: &FakeRoot, written: u64) {
        fake.write("proc/vmstat", &format!("zswpin 1\nzswpout 9\nzswpwb {written}\n"));
    }

    fn scan() -> Stroke {
        Stroke::Scan { files: vec![SCAN.into()], lists: vec!["7 0".into()] }
    }

    /// A round for so many pages.
    fn job(stroke: Stroke, pages: u64) -> Job {
        Job {
            stroke,
            cgroup: "sys/fs/cgroup/a".into(),
            valve: VALVE.into(),
            brake: None,
            give_up: None,
            gauge: Gauge::Files,
            pages,
            cold_after: 0,
            candidates: 0,
            deadline_ms: 20_000,
        }
    }

    fn round(fake: &FakeRoot, stroke: Stroke, pages: u64) -> Done {
        run(fake, &job(stroke, pages))
    }

    fn run(fake: &FakeRoot, job: &Job) -> Done {
        let (life, mut learned) = (Life::of_parent(fake.root()), Learned::open(fake.root()));
        let (beat, pins) = (Beat::new().unwrap(), Path::new("/nowhere"));
        let mut round = Round::open(fake.root(), pins, job, &life, (&mut learned, &beat)).unwrap();
        let (mut ear, _agent) = Ear::of_nobody();
        round.run(&mut Page::new().unwrap(), &mut ear).unwrap()
    }

    #[test]
    fn a_shrinker_is_told_list_and_count_and_never_more_than_is_left() {
        let fake = fake();
        let life = Life::of_parent(fake.root());
        let meter = Meter::open(fake.root(), Path::new("/nowhere"), &Gauge::Files).unwrap();
        let ways = Ways::open(fake.root(), &"sys/fs/cgroup/a".into(), &VALVE.into(), None, false).unwrap();
        let mut disk = Disk::open(fake.root());
        let aim = Aim::new(&life, meter, ways, (None, &mut disk), 40);
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
    fn a_round_that_writes_pages_of_others_ends_and_closes_every_way() {
        const ROOT: &str = "sys/fs/cgroup/memory.zswap.writeback";
        let fake = fake();
        let done = thread::scope(|scope| {
            // The kernel: what is written is not the cgroup's.
            scope.spawn(|| {
                while fake.read(SCAN).is_empty() {
                    thread::sleep(Duration::from_micros(50));
                }
                set_host(&fake, 1000);
                // It goes on until the root's valve is closed.
                while fake.read(ROOT) == "1" {
                    thread::sleep(Duration::from_micros(50));
                }
            });
            let job = Job { brake: Some(ROOT.into()), ..job(scan(), 5000) };
            run(&fake, &job)
        });
        assert_eq!(done.ended, Ended::Strayed);
        assert_eq!((fake.read(VALVE).as_str(), fake.read(ROOT).as_str()), ("0", "1"), "the root's is back");
    }

    #[test]
    fn a_valve_that_somebody_else_writes_ends_the_round_and_their_value_is_told() {
        let fake = fake();
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                while fake.read(SCAN).is_empty() {
                    thread::sleep(Duration::from_micros(50));
                }
                fake.root().write(VALVE, "1").unwrap();
            });
            run(&fake, &job(scan(), 5000))
        });
        assert_eq!((done.ended, done.theirs.as_deref()), (Ended::Foreign, Some("1")), "{done:?}");
        assert_eq!(fake.read(VALVE), "0", "closed until the agent gives it back as they wrote it");
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
        let key = Key::open(fake.root(), &RECLAIM.into(), "source=zswap").unwrap();
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
