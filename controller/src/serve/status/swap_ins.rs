//! How long swap-ins took: of the host in its status, of one cgroup in its detail. Pure data.

use serde::{Deserialize, Serialize};
use swaptier_common::latency::{LATENCY_BUCKETS, Latency, Spread};

use crate::serve::histogram::trimmed;

/// How long swap-ins took, from a page that is not in memory to the end of the fault. They are timed only while somebody
/// looks at a cgroup in detail, if the configuration does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SwapIns {
    /// They are timed now.
    pub is_timed: bool,
    /// Pages that were in zswap.
    pub zswap: Durations,
    /// Pages that were on a device.
    pub disk: Durations,
}

/// Swap-ins by their duration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// Of all of them together.
    pub sum_seconds: f64,
    /// Bucket 0 holds those below a microsecond, bucket *n* those from 2^(n-1) to 2^n - 1 microseconds; the last of
    /// [`LATENCY_BUCKETS`] is open. Empty buckets at the end are left out.
    pub swap_ins: Vec<u64>,
}

impl SwapIns {
    /// As the probes counted them.
    #[must_use]
    pub fn of(latency: &Latency, is_timed: bool) -> SwapIns {
        let durations = |spread: &Spread| Durations {
            sum_seconds: spread.sum_micros as f64 / 1e6,
            swap_ins: trimmed(&spread.buckets),
        };
        SwapIns { is_timed, zswap: durations(&latency.zswap), disk: durations(&latency.disk) }
    }
}

impl Durations {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.swap_ins.iter().sum()
    }

    /// Upper bound in seconds of every bucket, and how many are in it. That of the open one is the largest number.
    #[must_use]
    pub fn by_bound(&self) -> Vec<(f64, u64)> {
        let bound = |bucket: usize| match bucket {
            bucket if bucket == LATENCY_BUCKETS - 1 => f64::MAX,
            bucket => (1u64 << bucket) as f64 / 1e6,
        };
        let count = |bucket: usize| self.swap_ins.get(bucket).copied().unwrap_or(0);
        (0..LATENCY_BUCKETS).map(|bucket| (bound(bucket), count(bucket))).collect()
    }

    /// The microseconds below which at least `percent` of them stayed; `None`: there is none, or it is in the open bucket.
    #[must_use]
    pub fn below(&self, percent: u64) -> Option<u64> {
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut sum = 0;
        let reached = |swap_ins: &u64| {
            sum += swap_ins;
            sum >= wanted
        };
        let bucket = self.swap_ins.iter().position(reached)?;
        (bucket < LATENCY_BUCKETS - 1).then(|| 1 << bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_end_of_the_bucket_it_falls_into() {
        let durations = |swap_ins: &[u64]| Durations { swap_ins: swap_ins.to_vec(), ..Durations::default() };
        // 90 below 1 µs, 9 from 2 to 3 µs, 1 from 8 to 15 µs.
        let mixed = durations(&[90, 0, 9, 0, 1]);
        assert_eq!([50, 90, 91, 99, 100].map(|percent| mixed.below(percent)), [1, 1, 4, 4, 16].map(Some));
        assert_eq!(durations(&[]).below(50), None);
        let mut open = vec![0; LATENCY_BUCKETS];
        open[LATENCY_BUCKETS - 1] = 1;
        assert_eq!(durations(&open).below(50), None, "nobody knows how long it took");
    }

    #[test]
    fn every_bucket_has_its_bound_and_the_last_has_none() {
        let durations = Durations { swap_ins: vec![3, 0, 4], ..Durations::default() };
        let by_bound = durations.by_bound();
        assert_eq!(by_bound[..3], [(1e-6, 3), (2e-6, 0), (4e-6, 4)]);
        assert_eq!((by_bound.len(), by_bound[LATENCY_BUCKETS - 1]), (LATENCY_BUCKETS, (f64::MAX, 0)));
    }
}
