//! Areas whose disk fails, told from the kernel's log: the first error at once, what follows in one event a minute.
//!
//! Reading the log is `sense/swap_errors.rs`'s. Caller: `watch.rs`, each tick.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use swaptier_policies::Event;

use crate::root::{DeviceNumber, Root};
use crate::sense::swap_errors::{Errors, KernelLog};

/// How long what follows an event is gathered.
const SPAN: Duration = Duration::from_secs(60);

/// What was read and not told yet, and when something was told last, by device.
#[derive(Debug)]
pub(super) struct Failing {
    log: KernelLog,
    gathered: BTreeMap<DeviceNumber, Errors>,
    told: BTreeMap<DeviceNumber, Instant>,
    /// The areas that are on, by the device of each.
    names: BTreeMap<DeviceNumber, String>,
}

impl Failing {
    /// From now on.
    pub(super) fn begin(root: &Root) -> Failing {
        Failing {
            log: KernelLog::open(root),
            gathered: BTreeMap::new(),
            told: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// What is not told of disks that fail, and why.
    pub(super) fn blind(&self) -> Option<String> {
        let text = "the kernel's log (/dev/kmsg) cannot be read: a swap disk that fails is not told, and a round goes on over it";
        (!self.log.is_open()).then(|| text.to_owned())
    }

    /// Which areas are on now.
    pub(super) fn name(&mut self, devices: Vec<(DeviceNumber, String)>) {
        self.names = devices.into_iter().collect();
    }

    /// What is to be told now of the areas that are on.
    pub(super) fn look(&mut self) -> Vec<Event> {
        let errors = self.log.errors();
        if errors.is_empty() && self.gathered.is_empty() {
            return Vec::new();
        }
        let names = std::mem::take(&mut self.names);
        let events = self.take(errors, &names, Instant::now());
        self.names = names;
        events
    }

    fn take(
        &mut self,
        errors: BTreeMap<DeviceNumber, Errors>,
        names: &BTreeMap<DeviceNumber, String>,
        now: Instant,
    ) -> Vec<Event> {
        for (device, more) in errors {
            let of = self.gathered.entry(device).or_default();
            *of = Errors { reads: of.reads + more.reads, writes: of.writes + more.writes };
        }
        // Of a device that is no area any more nothing is told.
        self.gathered.retain(|device, _| names.contains_key(device));
        self.told.retain(|device, at| names.contains_key(device) && now.duration_since(*at) < SPAN);
        let due: Vec<DeviceNumber> =
            self.gathered.keys().filter(|device| !self.told.contains_key(*device)).copied().collect();
        let tell = due.into_iter().filter_map(|device| {
            let Errors { reads, writes } = self.gathered.remove(&device)?;
            self.told.insert(device, now);
            Some(Event::AreaErrors { area: names.get(&device)?.clone(), reads, writes })
        });
        tell.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn the_first_error_is_told_at_once_and_the_next_ones_together() {
        let (dm, gone) = (DeviceNumber { major: 253, minor: 4 }, DeviceNumber { major: 8, minor: 0 });
        let names = BTreeMap::from([(dm, "main".to_owned())]);
        let mut failing = Failing::begin(FakeRoot::host().root());
        let start = Instant::now();
        let errors = |reads, writes| BTreeMap::from([(dm, Errors { reads, writes })]);
        let event = |reads, writes| Event::AreaErrors { area: "main".to_owned(), reads, writes };
        assert_eq!(failing.take(errors(0, 2), &names, start), [event(0, 2)]);
        assert_eq!(failing.take(errors(1, 3), &names, start + SPAN / 2), []);
        assert_eq!(failing.take(errors(1, 1), &names, start + SPAN), [event(2, 4)]);
        assert_eq!(failing.take(BTreeMap::new(), &names, start + SPAN * 3), []);
        let other = BTreeMap::from([(gone, Errors { reads: 1, writes: 1 })]);
        assert_eq!(failing.take(other, &names, start + SPAN * 3), []);
    }
}
