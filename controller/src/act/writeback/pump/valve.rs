//! The target's own valve. For the length of a round the pump alone writes it; whoever else does is seen.

use std::io;

use rustix::fs::OFlags;

use super::{
    super::eyes::Eyes,
    knob::{Knob, Obstacle},
};
use crate::root::{FilePath, Root};

/// The open valve.
pub(super) struct Valve {
    knob: Knob,
    eyes: Eyes,
    /// As it was left.
    says: String,
    /// What somebody else wrote last.
    theirs: Option<String>,
}

impl Valve {
    /// # Errors
    /// It is gone.
    pub(super) fn open(root: &Root, path: &FilePath) -> io::Result<Self> {
        let knob = Knob::open(root, path, OFlags::RDWR).map_err(io::Error::other)?;
        let mut eyes = Eyes::open();
        eyes.watch(root, path);
        Ok(Self { says: knob.value()?, knob, eyes, theirs: None })
    }

    /// Nobody else has written it since, and its cgroup is there.
    pub(super) fn look(&mut self) -> Result<(), Obstacle> {
        let found = self.knob.value()?;
        if self.eyes.touched().is_empty() && found == self.says {
            return Ok(());
        }
        self.says.clone_from(&found);
        self.theirs = Some(found.clone());
        Err(self.knob.foreign(found))
    }

    /// Opens it.
    ///
    /// # Errors
    /// Somebody else has written it, or it is gone.
    pub(super) fn open_up(&mut self) -> io::Result<()> {
        self.look()?;
        self.put("1")
    }

    /// Closes it, also over somebody else's value, which is remembered: a worker under way is ended by nothing else.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self.look() {
            Err(gone @ Obstacle::Kernel { .. }) => Err(gone.into()),
            Ok(()) | Err(_) => self.put("0"),
        }
    }

    /// What somebody else wrote, and is to stand after the round.
    pub(super) fn theirs(&self) -> Option<&str> {
        self.theirs.as_deref()
    }

    fn put(&mut self, value: &str) -> io::Result<()> {
        if self.says != value {
            self.knob.put(value)?;
            value.clone_into(&mut self.says);
            // Our own write. Somebody else's in the same moment is not told from it.
            self.eyes.touched();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;
    use crate::root::change::Write as _;

    const PATH: &str = "sys/fs/cgroup/a/memory.zswap.writeback";

    #[test]
    fn our_own_writes_are_ours_and_anothers_are_seen_also_of_the_same_value() {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        let mut valve = Valve::open(fake.root(), &PATH.into()).unwrap();
        valve.close().unwrap();
        valve.open_up().unwrap();
        assert!(valve.look().is_ok() && valve.theirs().is_none());
        assert_eq!(fake.read(PATH), "1");
        // Open, as it is already: without an event nobody could tell.
        fake.root().write(PATH, "1").unwrap();
        assert!(matches!(valve.look(), Err(Obstacle::Foreign { found, .. }) if found == "1"));
        valve.close().unwrap();
        assert_eq!((fake.read(PATH).as_str(), valve.theirs()), ("0", Some("1")));
    }
}
