//! Closed windows as one contiguous ragged batch: what a model is called with. It owns its memory, so a model that
//! keeps an array never pins live state.

use std::fmt;
use std::ops::Range;

use crate::config::{DType, Unit};
use crate::context::Context;
use crate::record::Key;
use crate::strikes::Trust;
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
    /// Offsets of the source between which all its events lie, both included.
    pub offsets: (i64, i64),
    /// Whether it may be in one call with others.
    pub trust: Trust,
}

impl WindowMeta {
    /// A single event as a unit of its own: the window of the millisecond that it is in, with nothing else in it.
    pub(crate) fn of_event(
        (assignment, epoch): (u64, u64),
        partition: i32,
        key: Key,
        time: Millis,
        offset: i64,
    ) -> Self {
        Self {
            assignment,
            epoch,
            partition,
            key,
            start: time,
            end: time + 1,
            events: 1,
            offsets: (offset, offset),
            trust: Trust::Full,
        }
    }
}

impl Unit {
    /// Where a window stands among those of its partition: at its end; an event at its offset.
    pub fn place(self, window: &WindowMeta) -> i64 {
        match self {
            Self::Window => window.end,
            Self::Event => window.offsets.0,
        }
    }
}

/// Arrays that a model has taken out of a batch, as it holds them.
pub trait Lent: Send + Sync {
    /// Puts them back.
    fn give_back(&self, batch: &mut Batch);
}

/// What a model has taken out of a batch, where it has.
#[derive(Default)]
pub struct Loan(Option<Box<dyn Lent>>);

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loan").field(&self.0.is_some()).finish()
    }
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

    /// None of the type of these.
    fn like(&self) -> Self {
        match self {
            Self::F64(_) => Self::F64(Vec::new()),
            Self::F32(_) => Self::F32(Vec::new()),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds some of the values of another batch of the same model.
    fn extend_from_range(&mut self, other: &Self, range: Range<usize>) {
        match (self, other) {
            (Self::F64(mine), Self::F64(other)) => mine.extend_from_slice(&other[range]),
            (Self::F32(mine), Self::F32(other)) => mine.extend_from_slice(&other[range]),
            (mine, other) => mine.extend(range.map(|index| other.get(index))),
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
#[derive(Debug, Default)]
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
    /// What the model has taken.
    pub loan: Loan,
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

    /// A model takes the arrays.
    pub fn lend(&mut self, to: Box<dyn Lent>) {
        self.loan = Loan(Some(to));
    }

    /// The arrays are in it again, whatever a model has taken.
    pub fn take_back(&mut self) {
        if let Some(lent) = self.loan.0.take() {
            lent.give_back(self);
        }
    }

    /// The events of a window, as a range of rows.
    pub fn rows(&self, window: usize) -> Range<usize> {
        self.row_splits[window] as usize..self.row_splits[window + 1] as usize
    }

    /// A batch of some of its windows, in the order given.
    #[must_use]
    pub fn pick(&self, windows: impl Iterator<Item = usize>) -> Self {
        let width = self.values.len() / self.row_splits.last().map_or(1, |events| (*events).max(1) as usize);
        let values = self.values.like();
        let mut part = Self { model: self.model, row_splits: vec![0], values, ..Self::default() };
        part.contexts = self.contexts.as_ref().map(|_| Vec::new());
        part.timestamps = self.timestamps.as_ref().map(|_| Vec::new());
        for window in windows {
            let rows = self.rows(window);
            part.windows.push(self.windows[window].clone());
            part.values.extend_from_range(&self.values, rows.start * width..rows.end * width);
            if let (Some(times), Some(all)) = (part.timestamps.as_mut(), &self.timestamps) {
                times.extend_from_slice(&all[rows.clone()]);
            }
            if let (Some(contexts), Some(all)) = (part.contexts.as_mut(), &self.contexts) {
                contexts.push(all[window].clone());
            }
            part.row_splits.push(part.row_splits.last().copied().unwrap_or(0) + rows.len() as i64);
        }
        part
    }
}
