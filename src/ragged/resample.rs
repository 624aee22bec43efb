//! Values at evenly spaced times of each window, from its start on. What is NaN counts as not there.

use super::{Events, Float, Layout};
use crate::time::Millis;

/// The times of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// So many, evenly over the window.
    Count(usize),
    /// One at the start and after each so many milliseconds, as long as the window lasts.
    Every(Millis),
}

/// How a value comes to a time of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// On the straight line between its neighbours; beyond the first and the last one their value.
    Linear,
    /// The latest one at or before it, NaN where there is none.
    Previous,
    /// The mean from it until before the next time, NaN where there is none.
    Mean,
}

/// A grid and how it is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resample {
    /// The times.
    pub grid: Grid,
    /// How values come to them.
    pub how: How,
    /// The order of the axes.
    pub layout: Layout,
}

impl Resample {
    /// Times of the grid in a window of `size`.
    pub(super) fn points(&self, size: Millis) -> usize {
        match self.grid {
            Grid::Count(count) => count,
            Grid::Every(step) => (size.max(0) as u64).div_ceil(step.max(1) as u64) as usize,
        }
    }

    /// The time of a place, since the window's start.
    fn time(&self, place: usize, size: Millis) -> f64 {
        match self.grid {
            Grid::Count(count) => place as f64 * size as f64 / count as f64,
            Grid::Every(step) => place as f64 * step as f64,
        }
    }

    /// The latest place at or before a time since the window's start.
    fn place(&self, time: Millis, size: Millis) -> usize {
        match self.grid {
            Grid::Count(count) => (i128::from(time) * count as i128 / i128::from(size)) as usize,
            Grid::Every(step) => (time / step) as usize,
        }
    }

    pub(super) fn write<T: Float, U: Float>(
        &self,
        events: &Events<'_, T>,
        points: &mut Vec<(Millis, f64)>,
        out: &mut [U],
    ) {
        let length = self.points(events.size);
        let mut sums = Vec::new();
        for field in 0..events.width {
            events.points(field, points);
            let mut set = |place: usize, value: f64| match self.layout {
                Layout::Ntf => out[place * events.width + field] = U::of(value),
                Layout::Nft => out[field * length + place] = U::of(value),
            };
            match self.how {
                How::Mean => {
                    sums.clear();
                    sums.resize(length, (0.0, 0_usize));
                    for (time, value) in points.iter() {
                        let (sum, count) = &mut sums[self.place(*time, events.size)];
                        *sum += value;
                        *count += 1;
                    }
                    for (place, (sum, count)) in sums.iter().enumerate().filter(|(_, (_, count))| *count > 0)
                    {
                        set(place, sum / *count as f64);
                    }
                }
                How::Linear | How::Previous => self.follow(points, length, events.size, set),
            }
        }
    }

    /// Goes along points and grid together.
    fn follow(&self, points: &[(Millis, f64)], length: usize, size: Millis, mut set: impl FnMut(usize, f64)) {
        let (Some(first), linear) = (points.first(), self.how == How::Linear) else { return };
        let mut at = 0;
        for place in 0..length {
            let time = self.time(place, size);
            while points.get(at + 1).is_some_and(|next| next.0 as f64 <= time) {
                at += 1;
            }
            let (before, value) = (points[at].0 as f64, points[at].1);
            if time < before {
                // No point has come yet.
                if linear {
                    set(place, first.1);
                }
                continue;
            }
            match points.get(at + 1) {
                Some((after, next)) if linear && before < time => {
                    set(place, (next - value) / (*after as f64 - before) * (time - before) + value);
                }
                _ => set(place, value),
            }
        }
    }
}
