//! The meter of a write-back round: the counters it needs and no more of the map. It is opened by the process that
//! runs the round, and read as often as it likes: no system call, no lock.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use aya::maps::{Map, MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use swaptier_common::{
    BLOCK_CGROUPS,
    cgroup::{AGE_BUCKETS, Counters},
    control::Control,
};

use super::{ShadowError, map_whole, memory::Mapping, open_outer, open_pin};

/// The counters of some cgroups, and the alarm.
pub struct Meter {
    control: Mapping,
    /// For each owner: its block of counters and its place in it.
    owners: Vec<(usize, usize)>,
    blocks: Vec<Mapping>,
    alarms: RingBuf<MapData>,
}

/// What the meter shows at one moment, since the map was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Pages written back of the metered cgroups.
    pub written: u64,
    /// Pages written back of all cgroups.
    pub total: u64,
    /// Of these, pages at least as old as the round asks for.
    pub cold: u64,
    /// Entries that write-back looked at and left alone, all cgroups.
    pub passed_over: u64,
}

/// Stores that were seen while they were watched, since the map was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// zswap took the page.
    pub taken: u64,
    /// It did not.
    pub refused: u64,
}

impl Meter {
    /// A meter for the cgroups with these indexes, on the map pinned in this folder.
    ///
    /// # Errors
    /// There is no map, or it has no counters for one of them.
    pub fn open(pins: &Path, owners: &[u16]) -> Result<Self, ShadowError> {
        let outer = open_outer(pins, "CGROUPS")?;
        let (mut numbers, mut blocks, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for owner in owners.iter().map(|owner| usize::from(*owner)) {
            let number = owner / BLOCK_CGROUPS;
            let found = numbers.iter().position(|known| *known == number);
            let place = match found {
                Some(place) => place,
                None => {
                    let error = |source| ShadowError::Grow { what: "counters", source };
                    let block = outer.get(&(number as u32), 0).map_err(error)?;
                    blocks.push(Mapping::new(&block, "counters", BLOCK_CGROUPS * size_of::<Counters>())?);
                    numbers.push(number);
                    blocks.len() - 1
                }
            };
            places.push((place, owner % BLOCK_CGROUPS));
        }
        let alarms = Map::from_map_data(open_pin(pins, "ALARMS")?).and_then(RingBuf::try_from);
        Ok(Self {
            control: map_whole(pins, "CONTROL", size_of::<Control>())?,
            owners: places,
            blocks,
            alarms: alarms.map_err(|source| ShadowError::Pin { path: pins.join("ALARMS"), source })?,
        })
    }

    /// What it shows now.
    pub fn read(&self) -> Reading {
        let words = size_of::<Counters>() / 8;
        let field = std::mem::offset_of!(Counters, written_back_pages) / 8;
        let of = |(block, place): &(usize, usize)| {
            self.blocks[*block].word(place * words + field).load(Ordering::Relaxed)
        };
        Reading {
            written: self.owners.iter().map(of).sum(),
            total: field!(self.control, Control, written_back_pages).load(Ordering::Relaxed),
            cold: field!(self.control, Control, written_back_cold).load(Ordering::Relaxed),
            passed_over: field!(self.control, Control, passed_over).load(Ordering::Relaxed),
        }
    }

    /// Runs of zswap's worker that have begun, since the map was made. Stays 0 where they are not seen.
    pub fn worker_begun(&self) -> u64 {
        field!(self.control, Control, worker_begun).load(Ordering::Acquire)
    }

    /// Runs of zswap's worker that ended, since the map was made. Stays 0 where they are not seen.
    pub fn worker_ended(&self) -> u64 {
        field!(self.control, Control, worker_ended).load(Ordering::Acquire)
    }

    /// Whether zswap's worker is running. Where its runs are not seen the answer is no.
    pub fn is_worker_running(&self) -> bool {
        let ended = self.worker_ended();
        self.worker_begun() != ended
    }

    /// Pages of the metered cgroups written back so far, by the age they had in zswap: buckets as in
    /// [`swaptier_common::cgroup::age_bucket`].
    pub fn ages(&self) -> [u64; AGE_BUCKETS] {
        let words = size_of::<Counters>() / 8;
        let field = std::mem::offset_of!(Counters, written_back_age) / 8;
        let mut ages = [0; AGE_BUCKETS];
        for (block, place) in &self.owners {
            let found = self.blocks[*block].words(place * words + field, AGE_BUCKETS);
            ages.iter_mut().zip(found).for_each(|(sum, word)| *sum += word.load(Ordering::Relaxed));
        }
        ages
    }

    /// Says what age counts as cold from now on, in seconds.
    pub fn set_cold_after(&self, seconds: u64) {
        field!(self.control, Control, cold_after).store(seconds, Ordering::Relaxed);
    }

    /// Asks to be woken when this many pages of all cgroups have been written back; 0 takes it back.
    pub fn set_alarm(&self, total: u64) {
        field!(self.control, Control, written_back_alarm).store(total, Ordering::Relaxed);
    }

    /// Counts stores of all processes but the one with this id from now on; 0 ends it.
    pub fn watch_stores(&self, but: u64) {
        field!(self.control, Control, watch_stores).store(but, Ordering::Release);
    }

    /// Stores seen so far while they were watched. Stay 0 where they are not seen.
    pub fn stores(&self) -> Stores {
        Stores {
            taken: field!(self.control, Control, stores_taken).load(Ordering::Acquire),
            refused: field!(self.control, Control, stores_refused).load(Ordering::Acquire),
        }
    }

    /// Sleeps until the alarm rings, at most this long.
    pub fn wait(&mut self, at_most: Duration) {
        use std::os::fd::{AsRawFd as _, BorrowedFd};
        // SAFETY: the descriptor belongs to `self.alarms`, which outlives the call.
        let alarms = unsafe { BorrowedFd::borrow_raw(self.alarms.as_raw_fd()) };
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(at_most.subsec_nanos()) };
        let is_rung = poll(&mut [PollFd::new(&alarms, PollFlags::IN)], Some(&timeout));
        if is_rung.is_ok_and(|ready| ready > 0) {
            while self.alarms.next().is_some() {}
        }
    }
}
