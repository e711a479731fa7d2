//! The pins: which sets of links are in the folder, and which of them a new agent may take over.
//!
//! ```text
//! /sys/fs/bpf/swaptier/v5/        one for each layout of the maps
//!     CONTROL, FRAMES, …          the maps
//!     links-<build>/              one pin for each attached program: the set is complete
//!     attaching/                  a set that is not complete; renamed when it is
//! ```
//!
//! A pinned link stays attached without us, so the map goes on when the agent is killed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::links::{FdLink, PinnedLink};

use super::{HookError, coverage::Attach};

const COMPLETE: &str = "links-";
const ATTACHING: &str = "attaching";

/// A program's link, pinned.
pub(super) struct Pinned {
    /// Which of the programs to attach this is.
    pub(super) attach: usize,
    pub(super) link: FdLink,
}

/// The sets of links below one pin folder.
pub(super) struct Sets<'a> {
    pins: &'a Path,
}

impl<'a> Sets<'a> {
    pub(super) fn below(pins: &'a Path) -> Self {
        Self { pins }
    }

    /// The complete sets, by the build that attached them.
    fn complete(&self) -> Vec<PathBuf> {
        let is_set = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(COMPLETE))
        };
        let entries = fs::read_dir(self.pins).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_set).collect()
    }

    /// Whether an agent was complete here, of whatever build.
    pub(super) fn is_any_complete(&self) -> bool {
        !self.complete().is_empty()
    }

    /// All links of this build, if each one is there and no other set beside them.
    pub(super) fn adopt(&self, build: u64, attach: &[Attach]) -> Option<Vec<Pinned>> {
        let folder = self.pins.join(format!("{COMPLETE}{build:016x}"));
        if self.complete() != [folder.clone()] {
            return None;
        }
        self.forget_attaching().ok()?;
        let names =
            attach.iter().enumerate().flat_map(|(nth, each)| each.pins().map(move |name| (nth, name)));
        let open = |(attach, name): (usize, String)| {
            let link = PinnedLink::from_pin(folder.join(name)).ok()?;
            Some(Pinned { attach, link: link.into() })
        };
        names.map(open).collect()
    }

    /// Begins a new set.
    pub(super) fn begin(&self) -> io::Result<()> {
        self.forget_attaching()?;
        fs::create_dir(self.pins.join(ATTACHING))
    }

    /// Pins what was attached just now.
    pub(super) fn pin(&self, attach: usize, name: &str, link: FdLink) -> Result<Pinned, HookError> {
        let path = self.pins.join(ATTACHING).join(name);
        match link.pin(&path) {
            Ok(link) => Ok(Pinned { attach, link: link.into() }),
            Err(error) => Err(HookError::PinFolder { path, source: io::Error::other(error) }),
        }
    }

    /// Detaches every complete set: the new one has taken over.
    pub(super) fn detach_complete(&self) -> io::Result<()> {
        self.complete().iter().try_for_each(fs::remove_dir_all)
    }

    /// The new set is complete.
    pub(super) fn end(&self, build: u64) -> io::Result<()> {
        fs::rename(self.pins.join(ATTACHING), self.pins.join(format!("{COMPLETE}{build:016x}")))
    }

    fn forget_attaching(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.pins.join(ATTACHING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these sets, each an empty folder.
    fn folder(sets: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for set in sets {
            fs::create_dir(dir.path().join(set)).expect("a set");
        }
        dir
    }

    #[test]
    fn a_set_that_was_not_ended_is_not_complete() {
        let dir = folder(&[]);
        let sets = Sets::below(dir.path());
        sets.begin().expect("begun");
        assert!(!sets.is_any_complete());
        sets.end(7).expect("ended");
        assert!(sets.is_any_complete());
        assert!(sets.adopt(7, &[]).is_some_and(|links| links.is_empty()));
    }

    #[test]
    fn another_build_or_a_second_set_is_not_adopted() {
        let other = folder(&["links-0000000000000008"]);
        assert!(Sets::below(other.path()).adopt(7, &[]).is_none());
        let both = folder(&["links-0000000000000007", "links-0000000000000008"]);
        assert!(Sets::below(both.path()).adopt(7, &[]).is_none());
    }

    #[test]
    fn taking_over_leaves_the_new_set_alone() {
        let dir = folder(&["links-0000000000000008", ATTACHING]);
        let sets = Sets::below(dir.path());
        sets.begin().expect("what a dead agent began is forgotten");
        sets.detach_complete().expect("detached");
        sets.end(7).expect("ended");
        assert_eq!(sets.complete(), [dir.path().join("links-0000000000000007")]);
    }
}
