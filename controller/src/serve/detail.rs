//! What a face shows of one cgroup and asks for one at a time: histograms, its rounds, who set its files. Pure data.
//!
//! It goes with the status of the same tick and is not part of it: two thousand cgroups have two thousand rows, and
//! nobody looks at two thousand histograms.

use serde::{Deserialize, Serialize};

use super::status::{ActionStatus, CgroupStatus, HeldStatus, KnobStatus};

/// One cgroup, its subtree included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// [`super::status::SCHEMA`].
    pub schema: u32,
    /// The tick it is of.
    pub tick: u64,
    /// Its row of the status.
    pub row: CgroupStatus,
    /// Histograms. `None` without the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages: Option<Ages>,
    /// Its files that swaptier changed, and those of the cgroups above that bind it too.
    #[serde(default)]
    pub knobs: Vec<KnobStatus>,
    /// What was not done to it at the last decision, and why.
    #[serde(default)]
    pub held: Vec<HeldStatus>,
    /// The last things done to it, oldest first; at most [`ACTIONS`].
    #[serde(default)]
    pub actions: Vec<ActionStatus>,
    /// Its last rounds of write-back, oldest first; at most [`ACTIONS`].
    #[serde(default)]
    pub rounds: Vec<serde_json::Value>,
}

/// How much of its past a detail shows.
pub const ACTIONS: usize = 16;

/// Pages by age. Bucket 0 holds ages below a second, bucket *n* those from 2^(n-1) to 2^n - 1 seconds; empty buckets at
/// the end are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// Pages in zswap now, by how long they have been there.
    pub zswap_pages: Vec<u64>,
    /// Pages read out of zswap since the map was made, by how long they had been there.
    pub loaded_pages: Vec<u64>,
    /// Pages written back since the map was made, by how long they had been in zswap.
    pub written_back_pages: Vec<u64>,
}

/// The seconds with which a bucket of [`Ages`] begins.
#[must_use]
pub const fn bucket_start(bucket: usize) -> u64 {
    if bucket == 0 { 0 } else { 1 << (bucket - 1) }
}

/// A histogram without the empty buckets at its end.
#[must_use]
pub fn trimmed(buckets: &[u64]) -> Vec<u64> {
    let length = buckets.iter().rposition(|pages| *pages > 0).map_or(0, |last| last + 1);
    buckets[..length].to_vec()
}

#[cfg(test)]
mod tests {
    use swaptier_common::cgroup::{AGE_BUCKETS, age_bucket};

    use super::*;

    #[test]
    fn a_bucket_begins_with_the_first_age_that_is_in_it() {
        for bucket in 1..AGE_BUCKETS - 1 {
            assert_eq!(age_bucket(bucket_start(bucket)), bucket);
            assert_eq!(age_bucket(bucket_start(bucket) - 1), bucket - 1);
        }
    }

    #[test]
    fn empty_buckets_at_the_end_are_left_out_and_those_between_are_not() {
        assert_eq!(trimmed(&[0, 3, 0, 1, 0, 0]), [0, 3, 0, 1]);
        assert!(trimmed(&[0, 0]).is_empty());
    }
}
