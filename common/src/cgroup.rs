//! Counters of one memory cgroup, written by the probes.

/// Buckets of the age histograms: bucket *n* counts ages from 2^(n−1) up to 2^n − 1 seconds, bucket 0 those
/// under a second. Ages have 24 bits, so 25 are used; a power of two lets the probes bound an index by a mask.
pub const AGE_BUCKETS: usize = 32;

/// What happened to the pages of one cgroup itself (its descendants have their own). Index = the kernel's
/// 16-bit memory cgroup id. All but `id` only rise, until the index passes to another cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// kernfs id of the cgroup's directory; 0 when this index was never seen.
    pub id: u64,
    /// Pages stored in zswap.
    pub stored_pages: u64,
    /// *Compressed* bytes stored in zswap.
    pub stored_bytes: u64,
    /// Pages whose zswap copy was dropped, for whatever reason.
    pub dropped_pages: u64,
    /// *Compressed* bytes of them.
    pub dropped_bytes: u64,
    /// Pages read out of zswap.
    pub loaded_pages: u64,
    /// Pages written back: zswap → device.
    pub written_back_pages: u64,
    /// *Compressed* bytes they had in zswap.
    pub written_back_bytes: u64,
    /// Pages written straight to the device.
    pub direct_pages: u64,
    /// Pages found to be all zero on swap-out.
    pub zero_pages: u64,
    /// Pages read from the device.
    pub read_pages: u64,
    /// Of these: pages that write-back had put there (regret).
    pub regret_pages: u64,
    /// Age of pages when they were read out of zswap.
    pub load_age: [u64; AGE_BUCKETS],
    /// Age of pages when they were written back.
    pub written_back_age: [u64; AGE_BUCKETS],
}

/// The bucket of an age in seconds: 0, or one more than the place of its highest bit.
///
/// Halved step by step: counting leading zeros is an instruction on most machines and three dozen for the probes.
#[inline(always)]
pub const fn age_bucket(seconds: u64) -> usize {
    if seconds >> (AGE_BUCKETS - 1) != 0 {
        return AGE_BUCKETS - 1;
    }
    let (mut rest, mut bucket, mut step) = (seconds, 0, 16);
    while step > 0 {
        if rest >> step != 0 {
            rest >>= step;
            bucket += step;
        }
        step /= 2;
    }
    bucket + rest as usize
}

const _: () = assert!(size_of::<Counters>() == (12 + 2 * AGE_BUCKETS) * 8);

#[cfg(feature = "user")]
// SAFETY: plain words, every bit pattern valid, no padding (the size is asserted above).
unsafe impl aya::Pod for Counters {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two_and_the_last_is_open() {
        // 0 → 0; 1 → 1; 2, 3 → 2; 4 → 3; 2^24 − 1 → 24; anything beyond → 31.
        let seen: [usize; 7] = [0, 1, 2, 3, 4, (1 << 24) - 1, u64::MAX].map(age_bucket);
        assert_eq!(seen, [0, 1, 2, 2, 3, 24, 31]);
    }
}
