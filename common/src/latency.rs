//! How long swap-ins took, by the tier they came from. Kept only while somebody looks.

/// Buckets of a histogram of durations. Bucket *n* holds those from 2^(n−1) up to 2^n − 1 microseconds, bucket 0 those
/// under one; the last one is open, from 4.2 s on.
pub const LATENCY_BUCKETS: usize = 24;

/// Cgroups whose swap-ins can be timed at once; what further ones do is not timed. The table is allocated as it fills,
/// its head takes 16 bytes for each.
pub const TIMED_CGROUPS: u32 = 4096;

/// Swap-ins under way at once that are timed: a power of two.
pub const TIMED_FAULTS: u32 = 1024;

/// Durations of the swap-ins from one tier.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Sum of all, in microseconds.
    pub sum_micros: u64,
    /// Swap-ins by duration.
    pub buckets: [u64; LATENCY_BUCKETS],
}

/// Value of the `LATENCY` map: the swap-ins of one cgroup itself. Key = the kernel's 16-bit memory cgroup id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// kernfs id of the cgroup's directory: another cgroup may have taken over the index since.
    pub id: u64,
    /// Pages that were in zswap.
    pub zswap: Spread,
    /// Pages that were on a device.
    pub disk: Spread,
}

impl Spread {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            sum_micros: self.sum_micros + other.sum_micros,
            buckets: core::array::from_fn(|n| self.buckets[n] + other.buckets[n]),
        }
    }
}

impl Latency {
    /// Both together, under this one's id.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self { id: self.id, zswap: self.zswap.plus(&other.zswap), disk: self.disk.plus(&other.disk) }
    }
}

/// Element of the `FAULTS` map: a swap-in under way. Index = a hash of the address of the kernel's `struct vm_fault`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// That address; 0: none.
    pub fault: u64,
    /// When it began, nanoseconds of `CLOCK_MONOTONIC`.
    pub begun: u64,
    /// The page's slot as it was then.
    pub word: u64,
}

#[cfg(feature = "user")]
// SAFETY: plain words, every bit pattern valid, no padding.
unsafe impl aya::Pod for Latency {}
