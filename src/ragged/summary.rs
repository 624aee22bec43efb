//! Statistics of each field of a window. All but `count` and `missing` leave out what is NaN.

use super::{Events, Float};
use crate::time::Millis;

/// A statistic of one field of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// How many values there are.
    Count,
    /// Their mean.
    Mean,
    /// Their standard deviation as a population.
    Std,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The first.
    First,
    /// The last.
    Last,
    /// The slope of the least-squares line, per second.
    Slope,
    /// The sum of their squares.
    Energy,
    /// The share of events without a value.
    Missing,
}

impl Stat {
    /// All of them, in the order of their names here.
    pub const ALL: [Self; 10] = [
        Self::Count,
        Self::Mean,
        Self::Std,
        Self::Min,
        Self::Max,
        Self::First,
        Self::Last,
        Self::Slope,
        Self::Energy,
        Self::Missing,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Mean => "mean",
            Self::Std => "std",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::Slope => "slope",
            Self::Energy => "energy",
            Self::Missing => "missing",
        }
    }
}

/// Writes the statistics of all fields of a window, field by field.
pub(super) fn write<T: Float, U: Float>(
    stats: &[Stat],
    events: &Events<'_, T>,
    points: &mut Vec<(Millis, f64)>,
    out: &mut [U],
) {
    for (field, out) in out.chunks_exact_mut(stats.len().max(1)).enumerate() {
        if stats.contains(&Stat::Slope) {
            events.points(field, points);
        }
        let values = Values::of(events.column(field));
        let column = || events.column(field).filter(|value| !value.is_nan());
        for (stat, out) in stats.iter().zip(out) {
            *out = U::of(match stat {
                Stat::Count => values.count as f64,
                Stat::Mean => values.mean(),
                Stat::Std => {
                    let mean = values.mean();
                    let squares: f64 = column().map(|value| (value - mean).powi(2)).sum();
                    (squares / values.count as f64).sqrt()
                }
                Stat::Min => column().fold(f64::NAN, f64::min),
                Stat::Max => column().fold(f64::NAN, f64::max),
                Stat::First => column().next().unwrap_or(f64::NAN),
                Stat::Last => values.last,
                Stat::Slope => slope(points),
                // The sum of nothing is -0.
                Stat::Energy => column().map(|value| value * value).sum::<f64>() + 0.0,
                Stat::Missing => values.missing as f64 / (values.count + values.missing) as f64,
            });
        }
    }
}

/// What one pass over a column says.
struct Values {
    count: usize,
    missing: usize,
    sum: f64,
    last: f64,
}

impl Values {
    fn of(column: impl Iterator<Item = f64>) -> Self {
        let mut values = Self { count: 0, missing: 0, sum: 0.0, last: f64::NAN };
        for value in column {
            if value.is_nan() {
                values.missing += 1;
            } else {
                values.count += 1;
                values.sum += value;
                values.last = value;
            }
        }
        values
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// NaN where all times are the same.
fn slope(points: &[(Millis, f64)]) -> f64 {
    let count = points.len() as f64;
    let time = points.iter().map(|(time, _)| *time as f64).sum::<f64>() / count;
    let value = points.iter().map(|(_, value)| value).sum::<f64>() / count;
    let (mut shared, mut spread) = (0.0, 0.0);
    for (at, reading) in points {
        let along = *at as f64 - time;
        shared += along * (reading - value);
        spread += along * along;
    }
    if spread > 0.0 { shared / spread * 1000.0 } else { f64::NAN }
}
