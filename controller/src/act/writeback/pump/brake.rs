//! The brake of a round: the root's valve, above every other.
//!
//! zswap's worker reads its threshold once, so one that began under a low limit goes on until the pool is empty, through
//! every cgroup whose valve is open. Closing the target's valve ends that while all others are closed. Where they are
//! not, or the target is gone with its valve, this closes all at once, for as long as the worker runs.

use std::io;

use rustix::fs::OFlags;

use super::knob::Knob;
use crate::root::{FilePath, Root};

/// The root's valve; without one nothing is done.
pub(super) struct Brake {
    valve: Option<Knob>,
    is_on: bool,
}

impl Brake {
    /// `path`: the valve, if it was open when the round began and the round has noted it.
    pub(super) fn open(root: &Root, path: Option<&FilePath>) -> io::Result<Self> {
        let valve = path.map(|path| Knob::open(root, path, OFlags::RDWR)).transpose()?;
        Ok(Self { valve, is_on: false })
    }

    /// Closes it. Somebody else's closed one is as good.
    pub(super) fn on(&mut self) {
        if let Some(valve) = self.valve.as_ref().filter(|valve| !self.is_on && valve.says("1")) {
            self.is_on = valve.put("0").is_ok();
        }
    }

    /// Opens it, if it was closed here. What cannot be written here is given back by the agent.
    pub(super) fn off(&mut self) {
        if let Some(valve) = self.valve.as_ref().filter(|valve| self.is_on && valve.says("0")) {
            let _by_the_agent = valve.put("1");
            self.is_on = false;
        }
    }
}
