//! What has no result, and why: rows that are no events, events that were late, windows that a model failed on.

use crate::decode::Reason;
use crate::record::Key;
use crate::time::Millis;

/// Why something has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An event came too late for windows of a model.
    Late,
    /// A row is no event, or a window met an error.
    DeadLetter(Reason),
}

impl Cause {
    /// As it stands in frames.
    pub fn code(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::DeadLetter(reason) => reason.code(),
        }
    }
}

/// A row without an event, an event that was late, or a window that has no result because the model failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    /// The source, by place in the plan.
    pub source: usize,
    /// Why.
    pub cause: Cause,
    /// What exactly, for people.
    pub detail: String,
    /// The row of the table, where it is one of a table.
    pub row: Option<u64>,
    /// The partition.
    pub partition: i32,
    /// The offset, where it is a row.
    pub offset: Option<i64>,
    /// The key, where there is one.
    pub key: Option<Key>,
    /// The model, where it is about one.
    pub model: Option<usize>,
    /// The start of the window, or of the first one missed.
    pub start: Option<Millis>,
    /// The end of the window, or of the last one missed.
    pub end: Option<Millis>,
    /// How many windows.
    pub windows: i64,
}

/// Rows first, then by model and window.
pub(super) fn sort(dropped: &mut [Dropped]) {
    dropped.sort_by(|a, b| {
        let place = |d: &Dropped| (d.source, d.row.is_none(), d.row, d.partition, d.offset, d.end, d.model);
        place(a).cmp(&place(b)).then_with(|| a.key.cmp(&b.key))
    });
}
