//! Pages a second, made of counters that were read twice: one meaning for a cgroup and one for the host, whoever reads.
//! Pure.
//!
//! Callers: the agent's `traffic`, `without_agent`.

use super::status::{HostRates, Rates};
use crate::sense::{MemoryStat, VmStat};

/// Pages as a cgroup's or the host's counters have them, or between two readings of these. `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Stored in zswap.
    pub stored: Option<u64>,
    /// Read out of zswap.
    pub loaded: Option<u64>,
    /// Written back: zswap to a device.
    pub written_back: Option<u64>,
    /// Written to a device, write-back included.
    pub written: Option<u64>,
    /// Read from a device.
    pub read: Option<u64>,
}

impl Counted {
    /// Nothing moved.
    pub const NOTHING: Counted =
        Counted { stored: Some(0), loaded: Some(0), written_back: Some(0), written: Some(0), read: Some(0) };

    /// What the kernel counts of a cgroup.
    #[must_use]
    pub fn of_cgroup(stat: &MemoryStat) -> Counted {
        Counted {
            stored: stat.zswpout,
            loaded: stat.zswpin,
            written_back: stat.zswpwb,
            written: stat.pswpout,
            read: stat.pswpin,
        }
    }

    /// What the kernel counts of the host.
    #[must_use]
    pub fn of_host(stat: &VmStat) -> Counted {
        Counted {
            stored: stat.zswpout,
            loaded: stat.zswpin,
            written_back: stat.zswpwb,
            written: stat.pswpout,
            read: stat.pswpin,
        }
    }

    /// What was added since. A counter that fell began anew: nobody knows what was added to it.
    #[must_use]
    pub fn since(&self, before: &Counted) -> Counted {
        self.with(before, u64::checked_sub)
    }

    /// Both together. With one that is not known the sum is not.
    #[must_use]
    pub fn plus(&self, other: &Counted) -> Counted {
        self.with(other, u64::checked_add)
    }

    fn with(&self, other: &Counted, what: fn(u64, u64) -> Option<u64>) -> Counted {
        let both = |one: Option<u64>, other: Option<u64>| what(one?, other?);
        Counted {
            stored: both(self.stored, other.stored),
            loaded: both(self.loaded, other.loaded),
            written_back: both(self.written_back, other.written_back),
            written: both(self.written, other.written),
            read: both(self.read, other.read),
        }
    }

    /// As rates of a cgroup: this was added in so many seconds.
    #[must_use]
    pub fn rates(&self, seconds: f64) -> Rates {
        let HostRates { stored, loaded, written_back, written, read } = self.host_rates(seconds);
        Rates { stored, loaded, written_back, direct: direct(written, written_back), read }
    }

    /// As rates of the host.
    #[must_use]
    pub fn host_rates(&self, seconds: f64) -> HostRates {
        let a_second =
            |pages: Option<u64>| pages.filter(|_| seconds > 0.0).map(|pages| pages as f64 / seconds);
        HostRates {
            stored: a_second(self.stored),
            loaded: a_second(self.loaded),
            written_back: a_second(self.written_back),
            written: a_second(self.written),
            read: a_second(self.read),
        }
    }
}

/// Pages that were written to a device without zswap, of those that were written there in any way. The two are not counted at
/// one moment, so write-back may be ahead.
#[must_use]
pub fn direct(written: Option<f64>, written_back: Option<f64>) -> Option<f64> {
    Some((written? - written_back?).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_pages_a_second_and_a_counter_that_fell_has_none() {
        let before =
            Counted { stored: Some(10), written_back: Some(5), written: Some(50), ..Counted::default() };
        let now =
            Counted { stored: Some(40), written_back: Some(4), written: Some(90), ..Counted::default() };
        let rates = now.since(&before).rates(2.0);
        // 30 pages in 2 s. 40 were written to a device, and nobody knows how many of them were written back.
        assert_eq!((rates.stored, rates.written_back, rates.direct), (Some(15.0), None, None));
        assert_eq!(now.since(&before).host_rates(2.0).written, Some(20.0));
        assert_eq!(rates.loaded, None);
        assert_eq!(now.since(&before).rates(0.0), Rates::default());
    }

    #[test]
    fn what_is_written_back_is_not_written_without_zswap() {
        let moved = Counted { written: Some(100), written_back: Some(60), ..Counted::default() };
        // 100 written, of which 60 were written back.
        assert_eq!(moved.rates(1.0).direct, Some(40.0));
        assert_eq!(moved.host_rates(1.0).written, Some(100.0));
        let ahead = Counted { written_back: Some(101), ..moved };
        assert_eq!(ahead.rates(1.0).direct, Some(0.0));
    }
}
