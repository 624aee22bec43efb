//! Closed windows as one contiguous ragged batch: what a model is called with. It owns its memory, so a model that
//! keeps an array never pins live state.

use crate::config::DType;
use crate::context::Context;
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

/// The values of a batch, in the type that its model wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// As they were decoded.
    F64(Vec<f64>),
    /// Rounded to the nearest.
    F32(Vec<f32>),
}

impl Default for Values {
    fn default() -> Self {
        Self::F64(Vec::new())
    }
}

impl Values {
    /// None of a type.
    pub fn new(dtype: DType) -> Self {
        match dtype {
            DType::Float64 => Self::F64(Vec::new()),
            DType::Float32 => Self::F32(Vec::new()),
        }
    }

    /// The value at a place.
    pub fn get(&self, index: usize) -> f64 {
        match self {
            Self::F64(values) => values[index],
            Self::F32(values) => f64::from(values[index]),
        }
    }

    /// Makes room for as many more.
    pub fn reserve_exact(&mut self, more: usize) {
        match self {
            Self::F64(values) => values.reserve_exact(more),
            Self::F32(values) => values.reserve_exact(more),
        }
    }

    /// Adds values.
    pub fn extend_from_slice(&mut self, more: &[f64]) {
        self.extend(more.iter().copied());
    }
}

impl Extend<f64> for Values {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, more: I) {
        match self {
            Self::F64(values) => values.extend(more),
            Self::F32(values) => values.extend(more.into_iter().map(|value| value as f32)),
        }
    }
}

/// Windows of one model, gathered over keys and partitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The model, by its place in the plan.
    pub model: usize,
    /// The windows.
    pub windows: Vec<WindowMeta>,
    /// Row-major `(events, fields)`.
    pub values: Values,
    /// `windows + 1` bounds of each window's events.
    pub row_splits: Vec<i64>,
    /// The events' times, where the model reads them.
    pub timestamps: Option<Vec<Millis>>,
    /// The context of each window, where the model reads any.
    pub contexts: Option<Vec<Context>>,
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
