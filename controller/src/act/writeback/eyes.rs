//! Who else writes a file during a round. A valve has two values and both are ours for a time, so its value does not
//! tell; the kernel's notifications do.
//!
//! Best effort: where the kernel gives no more watches, only a value that is not ours is seen.

use std::{
    collections::BTreeSet,
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, OwnedFd},
};

use rustix::fs::{
    OFlags,
    inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
};

use crate::root::{FilePath, Root};

/// The watched files.
pub(super) struct Eyes {
    events: Option<OwnedFd>,
    watched: Vec<(i32, FilePath)>,
}

impl Eyes {
    /// Watches nothing.
    pub(super) fn open() -> Self {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        Self { events, watched: Vec::new() }
    }

    /// Watches a file, from now on. By its descriptor: no link is followed, and it is this very file.
    pub(super) fn watch(&mut self, root: &Root, path: &FilePath) {
        let Some(events) = &self.events else { return };
        let Ok(file) = root.open(path, OFlags::PATH) else { return };
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        if let Ok(watch) = inotify::add_watch(events, link, WatchFlags::MODIFY) {
            self.watched.push((watch, path.clone()));
        }
    }

    /// The files that were written since the last call, by anybody.
    pub(super) fn touched(&mut self) -> BTreeSet<FilePath> {
        let mut touched = BTreeSet::new();
        let Some(events) = &self.events else { return touched };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(events, &mut buffer);
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                // Some are lost: any may be somebody's wish.
                touched.extend(self.watched.iter().map(|(_, path)| path.clone()));
            } else if event.events().contains(ReadFlags::MODIFY) {
                let of = self.watched.iter().filter(|(watch, _)| *watch == event.wd());
                touched.extend(of.map(|(_, path)| path.clone()));
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;
    use crate::root::change::Write as _;

    #[test]
    fn every_write_is_seen_once_and_only_of_what_is_watched() {
        let fake = FakeRoot::host();
        let mut eyes = Eyes::open();
        for path in ["a", "b", "c"] {
            fake.write(path, "1");
        }
        eyes.watch(fake.root(), &"a".into());
        eyes.watch(fake.root(), &"b".into());
        assert!(eyes.touched().is_empty());
        for path in ["b", "c"] {
            fake.root().write(path, "1").unwrap();
        }
        assert_eq!(eyes.touched(), BTreeSet::from([FilePath::from("b")]));
        assert!(eyes.touched().is_empty());
    }
}
