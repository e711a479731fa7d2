//! Quantities with their unit in the type: bytes, pages, seconds, shares, rates and cgroup limits.
//!
//! Integers only: a plan must be the same on every machine, so no float ever enters. How text becomes a
//! quantity (`"64M"`, `"10m"`, `"0.1%"`, `"16M/s"`) is in [`parse`]; what a number *means* for a cgroup is in
//! `decide`. Called by everything that names an amount.

pub mod parse;
mod show;
mod wire;

pub use parse::UnitError;

use serde::{Deserialize, Serialize};

/// A number of bytes. Which bytes (compressed, original, on disk) is said by the field that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// A number of pages of the host's page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Pages(pub u64);

/// A span of time, or a point on the shadow map's monotonic clock, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seconds(pub u64);

/// A part of a whole, in parts per million: `Share(250_000)` is 25 %. Never more than the whole when parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(pub u32);

/// Bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteRate(pub u64);

/// Parts per million of a whole, per minute: `ShareRate(2_000)` is 0.2 %/min.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShareRate(pub u32);

/// The value of a `memory.*.max` or `memory.high` file: the word `max`, or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// A number of bytes.
    Bytes(Bytes),
    /// No limit: the file reads `max`.
    Max,
}

/// The whole of a [`Share`], in parts per million.
pub const WHOLE: u32 = 1_000_000;

impl Bytes {
    /// How many whole pages of `page_size` fit. A page size of zero is taken as one byte.
    #[must_use]
    pub fn whole_pages(self, page_size: Bytes) -> Pages {
        Pages(self.0 / page_size.0.max(1))
    }

    /// The largest multiple of `page_size` that is not more than this.
    #[must_use]
    pub fn page_floor(self, page_size: Bytes) -> Bytes {
        self.whole_pages(page_size).bytes(page_size)
    }

    /// `self − other`, and zero where that would be negative.
    #[must_use]
    pub fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }

    /// `self + other`, stopping at the largest number.
    #[must_use]
    pub fn saturating_add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl Pages {
    /// The original bytes of that many pages.
    #[must_use]
    pub fn bytes(self, page_size: Bytes) -> Bytes {
        Bytes(self.0.saturating_mul(page_size.0))
    }

    /// `self − other`, and zero where that would be negative.
    #[must_use]
    pub fn saturating_sub(self, other: Pages) -> Pages {
        Pages(self.0.saturating_sub(other.0))
    }
}

impl Share {
    /// This part of `whole`, rounded down to the byte.
    #[must_use]
    pub fn of(self, whole: Bytes) -> Bytes {
        let part = u128::from(whole.0) * u128::from(self.0) / u128::from(WHOLE);
        Bytes(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// What is left of the whole: `1 − self`, and zero for a share above the whole.
    #[must_use]
    pub fn rest(self) -> Share {
        Share(WHOLE.saturating_sub(self.0))
    }
}

impl ByteRate {
    /// How many bytes this rate gives in `span`.
    #[must_use]
    pub fn over(self, span: Seconds) -> Bytes {
        Bytes(self.0.saturating_mul(span.0))
    }
}

impl Limit {
    /// No swap at all, or no zswap at all.
    pub const ZERO: Limit = Limit::Bytes(Bytes(0));

    /// What the kernel shows after this limit was written: rounded down to the page, and `max` from the largest
    /// number of pages on (mm/page_counter.c, `page_counter_memparse`).
    #[must_use]
    pub fn as_kernel_keeps_it(self, page_size: Bytes) -> Limit {
        let most = Bytes(i64::MAX.unsigned_abs()).page_floor(page_size);
        match self {
            Limit::Bytes(bytes) if bytes < most => Limit::Bytes(bytes.page_floor(page_size)),
            Limit::Bytes(_) | Limit::Max => Limit::Max,
        }
    }

    /// The bytes of a finite limit.
    #[must_use]
    pub fn finite(self) -> Option<Bytes> {
        match self {
            Limit::Bytes(bytes) => Some(bytes),
            Limit::Max => None,
        }
    }
}

#[cfg(test)]
mod tests;
