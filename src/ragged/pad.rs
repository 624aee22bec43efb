//! The latest events of each window, at one of the two ends of a fixed length.

use std::ops::Range;

use super::{Events, Float, Layout};

/// Where the places without an event are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the events.
    Left,
    /// After them.
    Right,
}

/// A fixed number of places for events; of longer windows the latest are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad {
    /// Places per window.
    pub length: usize,
    /// Which of them stay empty.
    pub side: Side,
    /// What stands there.
    pub value: f64,
    /// The order of the axes.
    pub layout: Layout,
}

impl Pad {
    /// Of a window of `events`: the places that hold one, and the first event that has a place.
    pub(super) fn places(&self, events: usize) -> (Range<usize>, usize) {
        let taken = events.min(self.length);
        let from = if self.side == Side::Left { self.length - taken } else { 0 };
        (from..from + taken, events - taken)
    }

    pub(super) fn write<T: Float, U: Float>(&self, events: &Events<'_, T>, out: &mut [U]) {
        let width = events.width;
        if width == 0 {
            return;
        }
        let (places, first) = self.places(events.len);
        let rows = &events.rows[first * width..];
        match self.layout {
            Layout::Ntf => {
                let out = &mut out[places.start * width..places.end * width];
                for (to, value) in out.iter_mut().zip(rows) {
                    *to = U::of(value.get());
                }
            }
            Layout::Nft => {
                for (field, out) in out.chunks_exact_mut(self.length.max(1)).enumerate() {
                    for (to, row) in out[places.clone()].iter_mut().zip(rows.chunks_exact(width)) {
                        *to = U::of(row[field].get());
                    }
                }
            }
        }
    }
}
