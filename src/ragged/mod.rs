//! Ragged windows to dense arrays: padded, on a grid of time, or summed up. Plain loops over slices, without an
//! interpreter; every result is memory of its own.

mod pad;
mod resample;
mod summary;
#[cfg(test)]
mod tests;

pub use pad::{Pad, Side};
pub use resample::{Grid, How, Resample};
pub use summary::Stat;

use crate::time::Millis;

/// An element of an array of values.
pub trait Float: Copy + Send + Sync + 'static {
    /// Its value.
    fn get(self) -> f64;
    /// The nearest element.
    fn of(value: f64) -> Self;
}

impl Float for f64 {
    fn get(self) -> f64 {
        self
    }

    fn of(value: f64) -> Self {
        value
    }
}

impl Float for f32 {
    fn get(self) -> f64 {
        f64::from(self)
    }

    fn of(value: f64) -> Self {
        value as f32
    }
}

/// The order of the axes of an array of windows, times and fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `(windows, times, fields)`.
    Ntf,
    /// `(windows, fields, times)`.
    Nft,
}

/// What a dense array is to hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The events themselves.
    Events(Pad),
    /// Values at evenly spaced times.
    Grid(Resample),
    /// A number for each field and statistic, in this order.
    Summary(Vec<Stat>),
}

/// Windows of `width` fields, one after the other: those of window i are rows `splits[i]..splits[i + 1]`.
#[derive(Clone, Copy, Debug)]
pub struct Ragged<'a, T> {
    /// Row-major `(events, fields)`.
    pub values: &'a [T],
    /// `windows + 1` bounds.
    pub splits: &'a [i64],
    /// Fields.
    pub width: usize,
    /// Event times; none where nobody reads them.
    pub times: Option<&'a [Millis]>,
    /// Start of each window.
    pub starts: &'a [Millis],
    /// End of each window; all are of one size.
    pub ends: &'a [Millis],
    /// Windows that a dense array is to have: the last one repeated, where there are fewer.
    pub pad_to: Option<usize>,
}

/// The events of one window.
struct Events<'a, T> {
    len: usize,
    rows: &'a [T],
    width: usize,
    times: &'a [Millis],
    start: Millis,
    size: Millis,
}

impl<T: Float> Events<'_, T> {
    /// The values of one field, in order.
    fn column(&self, field: usize) -> impl Iterator<Item = f64> {
        self.rows[field.min(self.rows.len())..].iter().step_by(self.width).map(|value| value.get())
    }

    /// The same where they are numbers, with their times since the window's start.
    fn points(&self, field: usize, points: &mut Vec<(Millis, f64)>) {
        let times = self.times.iter().map(|time| time - self.start);
        points.clear();
        points.extend(times.zip(self.column(field)).filter(|(_, value)| !value.is_nan()));
    }
}

impl<'a, T> Ragged<'a, T> {
    /// The same windows with other values.
    pub fn with_values<U>(self, values: &'a [U]) -> Ragged<'a, U> {
        let Self { splits, width, times, starts, ends, pad_to, .. } = self;
        Ragged { values, splits, width, times, starts, ends, pad_to }
    }
}

impl<T: Float> Ragged<'_, T> {
    /// Events of the longest window.
    pub fn longest(&self) -> usize {
        self.splits.windows(2).map(|bounds| (bounds[1] - bounds[0]) as usize).max().unwrap_or(0)
    }

    /// The shape of what is requested.
    pub fn shape(&self, request: &Request) -> Vec<usize> {
        let (length, layout) = match request {
            Request::Events(pad) => (pad.length, pad.layout),
            Request::Grid(resample) => (resample.points(self.size()), resample.layout),
            Request::Summary(stats) => {
                return vec![self.dense_windows(), self.width.saturating_mul(stats.len())];
            }
        };
        match layout {
            Layout::Ntf => vec![self.dense_windows(), length, self.width],
            Layout::Nft => vec![self.dense_windows(), self.width, length],
        }
    }

    /// What is requested, in row-major order. None where that is more than there is memory for.
    pub fn dense<U: Float>(&self, request: &Request) -> Option<Vec<U>> {
        let slot = self.shape(request)[1..].iter().try_fold(1_usize, |size, axis| size.checked_mul(*axis))?;
        match request {
            Request::Events(pad) => self.fill(slot, U::of(pad.value), |events, out| pad.write(events, out)),
            Request::Grid(resample) => {
                let mut points = Vec::new();
                self.fill(slot, U::of(f64::NAN), |events, out| resample.write(events, &mut points, out))
            }
            Request::Summary(stats) => {
                let mut points = Vec::new();
                self.fill(slot, U::of(f64::NAN), |events, out| {
                    summary::write(stats, events, &mut points, out);
                })
            }
        }
    }

    /// Which of the places in time of each window hold an event, `(windows, times)`.
    pub fn mask(&self, pad: &Pad) -> Option<Vec<bool>> {
        self.fill(pad.length, false, |events, out: &mut [bool]| {
            let range = pad.places(events.len).0;
            out[range].fill(true);
        })
    }

    /// How many windows a dense array has.
    pub fn dense_windows(&self) -> usize {
        match self.windows() {
            0 => 0,
            windows => self.pad_to.unwrap_or(0).max(windows),
        }
    }

    fn windows(&self) -> usize {
        self.splits.len().saturating_sub(1)
    }

    fn size(&self) -> Millis {
        self.starts.first().zip(self.ends.first()).map_or(0, |(start, end)| end - start)
    }

    fn fill<U: Copy>(
        &self,
        slot: usize,
        empty: U,
        mut write: impl FnMut(&Events<'_, T>, &mut [U]),
    ) -> Option<Vec<U>> {
        let size = slot.checked_mul(self.dense_windows())?;
        let mut dense = Vec::new();
        dense.try_reserve_exact(size).ok()?;
        dense.resize(size, empty);
        for (window, out) in (0..self.windows()).zip(dense.chunks_exact_mut(slot.max(1))) {
            let (from, to) = (self.splits[window] as usize, self.splits[window + 1] as usize);
            let events = Events {
                len: to - from,
                rows: &self.values[from * self.width..to * self.width],
                width: self.width,
                times: self.times.map_or(&[][..], |times| &times[from..to]),
                start: self.starts[window],
                size: self.ends[window] - self.starts[window],
            };
            write(&events, out);
        }
        for window in self.windows()..self.dense_windows() {
            dense.copy_within((window - 1) * slot..window * slot, window * slot);
        }
        Some(dense)
    }
}
