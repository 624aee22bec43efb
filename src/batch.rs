//! Closed windows as one contiguous ragged batch: what a model is called with. It owns its memory, so a model that
//! keeps an array never pins live state.

use crate::record::Key;
use crate::time::Millis;

/// One window of a batch, apart from its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowMeta {
    /// The assignment of the partition it came from: results of an older one are ignored.
    pub assignment: u64,
    /// The epoch it closed in.
    pub epoch: u64,
    /// The source partition.
    pub partition: i32,
    /// The key.
    pub key: Key,
    /// Its start.
    pub start: Millis,
    /// Its end.
    pub end: Millis,
    /// Its number of events.
    pub events: usize,
}

/// Windows of one model, gathered over keys and partitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The model, by its place in the plan.
    pub model: usize,
    /// The windows.
    pub windows: Vec<WindowMeta>,
    /// Row-major `(events, fields)`.
    pub values: Vec<f64>,
    /// `windows + 1` bounds of each window's events.
    pub row_splits: Vec<i64>,
    /// The events' times, where the model reads them.
    pub timestamps: Option<Vec<Millis>>,
}

impl Batch {
    /// Windows in it.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether it has no window.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}
