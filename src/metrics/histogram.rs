//! Histograms of fixed, log-spaced buckets: observed from any thread without a lock, read as counts by bucket, a sum and
//! estimated quantiles. The bounds never change, so histograms of several processes can be added up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of what a call or a commit takes, in microseconds: five to a decade, 10 us to 100 s.
const MICROS: [u64; 36] = [
    10,
    16,
    25,
    40,
    63,
    100,
    160,
    250,
    400,
    630,
    1_000,
    1_600,
    2_500,
    4_000,
    6_300,
    10_000,
    16_000,
    25_000,
    40_000,
    63_000,
    100_000,
    160_000,
    250_000,
    400_000,
    630_000,
    1_000_000,
    1_600_000,
    2_500_000,
    4_000_000,
    6_300_000,
    10_000_000,
    16_000_000,
    25_000_000,
    40_000_000,
    63_000_000,
    100_000_000,
];
/// Upper bounds of how many windows: powers of two, up to the largest `max_batch`.
const WINDOWS: [u64; 21] = [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072,
    262_144, 524_288, 1_048_576,
];

/// What is measured, and in which buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// Seconds, kept as whole microseconds.
    Seconds,
    /// Windows.
    Windows,
}

impl Scale {
    fn bounds(self) -> &'static [u64] {
        match self {
            Self::Seconds => &MICROS,
            Self::Windows => &WINDOWS,
        }
    }

    /// A value in the base unit.
    fn unit(self, value: u64) -> f64 {
        match self {
            Self::Seconds => value as f64 / 1e6,
            Self::Windows => value as f64,
        }
    }
}

/// Counts by bucket; a value lies in the first one whose bound it does not exceed.
#[derive(Debug)]
struct Histogram {
    scale: Scale,
    /// One per bound, and one for what exceeds them all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Histogram {
    fn new(scale: Scale) -> Self {
        let counts = (0..=scale.bounds().len()).map(|_| AtomicU64::new(0)).collect();
        Self { scale, counts, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    fn observe(&self, value: u64, times: u64) {
        let bucket = self.scale.bounds().partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Snapshot {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Snapshot {
            bounds: self.scale.bounds().iter().map(|bound| self.scale.unit(*bound)).collect(),
            counts,
            sum: self.scale.unit(self.sum.load(Ordering::Relaxed)),
            max: self.scale.unit(self.max.load(Ordering::Relaxed)),
        }
    }
}

/// How long things took.
#[derive(Debug)]
pub struct Seconds(Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(Histogram::new(Scale::Seconds))
    }
}

impl Seconds {
    /// One of them took so long.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_micros().try_into().unwrap_or(u64::MAX), 1);
    }

    /// So many of them took so many milliseconds; less than none is none.
    pub fn observe_ms(&self, millis: i64, times: u64) {
        self.0.observe(millis.max(0).unsigned_abs().saturating_mul(1_000), times);
    }

    /// What has been observed so far, in seconds.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

/// How many windows things had.
#[derive(Debug)]
pub struct Windows(Histogram);

impl Default for Windows {
    fn default() -> Self {
        Self(Histogram::new(Scale::Windows))
    }
}

impl Windows {
    /// One of them had so many.
    pub fn observe(&self, windows: usize) {
        self.0.observe(windows as u64, 1);
    }

    /// What has been observed so far, in windows.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

/// A histogram at one moment, in its base unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Upper bounds of the buckets, included, in rising order.
    pub bounds: Vec<f64>,
    /// Observations in each bucket alone, and in a last one what exceeds all bounds.
    pub counts: Vec<u64>,
    /// Of all observations.
    pub sum: f64,
    /// The largest observation; 0 without any.
    pub max: f64,
}

impl Snapshot {
    /// Observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value that a share of `q` of the observations does not exceed, on a straight line within its bucket; none
    /// without observations. It is never above the largest observation.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let within = *count as f64;
            if below + within >= rank {
                let low = bucket.checked_sub(1).map_or(0.0, |before| self.bounds[before]);
                let high = self.bounds.get(bucket).copied().unwrap_or(self.max).min(self.max);
                return Some(low.min(high) + (high - low.min(high)) * ((rank - below) / within));
            }
            below += within;
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    #[test]
    fn nothing_observed_has_no_quantile() {
        let empty = Seconds::default().snapshot();
        assert_eq!((empty.quantile(0.5), empty.count(), empty.sum), (None, 0, 0.0));
    }

    #[test]
    fn a_value_on_a_bound_lies_in_its_bucket_and_one_above_in_the_next() {
        let windows = Windows::default();
        windows.observe(4);
        windows.observe(5);
        windows.observe(usize::MAX);
        let snapshot = windows.snapshot();
        assert_eq!(snapshot.counts.len(), snapshot.bounds.len() + 1);
        assert_eq!((snapshot.bounds[2], snapshot.counts[2], snapshot.counts[3]), (4.0, 1, 1));
        assert_eq!(snapshot.counts.last(), Some(&1));
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_exact_ones() {
        let seconds = Seconds::default();
        let mut values: Vec<u64> = (0..10_000_u64).map(|n| 20 + (n * n * 7_919) % 3_000_000).collect();
        for value in &values {
            seconds.observe(Duration::from_micros(*value));
        }
        values.sort_unstable();
        let snapshot = seconds.snapshot();
        for q in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let exact = values[((q * values.len() as f64) as usize).min(values.len() - 1)] as f64 / 1e6;
            let estimate = snapshot.quantile(q).unwrap();
            assert!(estimate <= exact * 1.6 && estimate >= exact / 1.6, "{q}: {estimate}, exactly {exact}");
        }
        assert!((snapshot.sum - values.iter().sum::<u64>() as f64 / 1e6).abs() < 1e-6);
    }

    #[test]
    fn no_quantile_exceeds_the_largest_observation() {
        let seconds = Seconds::default();
        seconds.observe(Duration::from_micros(1_100));
        let p99 = seconds.snapshot().quantile(0.99).unwrap();
        assert!((p99 - 0.001_099).abs() < 1e-9, "{p99}: between the bound below it and the largest");
        seconds.observe(Duration::from_secs(500));
        assert_eq!(seconds.snapshot().quantile(1.0), Some(500.0));
    }

    #[test]
    fn many_at_once_count_as_many_and_less_than_none_is_none() {
        let seconds = Seconds::default();
        seconds.observe_ms(250, 3);
        seconds.observe_ms(-5, 1);
        let snapshot = seconds.snapshot();
        assert_eq!((snapshot.count(), snapshot.counts[0], snapshot.sum), (4, 1, 0.75));
    }
}
