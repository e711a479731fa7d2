//! Latencies by size: a log-linear histogram in fixed memory. Pure; `part` and `file_cache` fill it, `report` asks it.

/// Steps within each power of two: a value is known to an eighth.
const STEPS: usize = 8;

/// Counts of values; exact up to 7, then to an eighth of the value, for all 64 bits.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64; 64 * STEPS]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; 64 * STEPS]), total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The greatest value, exactly; 0 when there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// A value that `percent` percent of the values do not exceed, at most an eighth above the smallest such; 0 when
    /// there is none.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return highest(index).min(self.max);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    if value < STEPS as u64 {
        return value as usize;
    }
    let power = value.ilog2() as usize;
    // The three bits below the leading one choose the step.
    let step = (value >> (power - 3)) as usize & (STEPS - 1);
    (power - 2) * STEPS + step
}

fn highest(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let (power, step) = (index / STEPS + 2, (index % STEPS) as u64);
    let width = 1u64 << (power - 3);
    (1u64 << power) + step * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_at_most_an_eighth_above_it() {
        for value in (0..200).chain([1_000, 12_345, 1 << 40, u64::MAX - 1, u64::MAX]) {
            let end = highest(bucket(value));
            assert!(end >= value && end - value <= value / 8, "{value} {end}");
        }
    }

    #[test]
    fn percentiles_of_one_to_a_hundred() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|v| histogram.add(v));
        // The 50th value is 50, in the bucket 48..=51; the 99th is 99, in 96..=103, cut at the maximum 100.
        assert_eq!((histogram.percentile(50), histogram.percentile(99), histogram.max()), (51, 100, 100));
    }

    #[test]
    fn nothing_counted_reads_as_nothing() {
        let histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.percentile(50), histogram.max()), (0, 0, 0));
    }
}
