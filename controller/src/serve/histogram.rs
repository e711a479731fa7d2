//! Histograms as they are published: buckets that double, without the empty ones at the end. Pure.

/// The seconds with which a bucket of ages begins, and the microseconds with which one of durations does.
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
