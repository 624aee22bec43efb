//! A made-up batch, for a model to warm up with.

use super::common::Declared;
use crate::batch::{Batch, Loan, Values, WindowMeta};
use crate::config::DType;
use crate::context::{Context, ContextValue};
use crate::record::Key;
use crate::strikes::Trust;

/// Windows of `events` each, one per second: a slow wave, finite, not constant, and the same each time.
pub(super) fn batch(
    declared: &Declared,
    windows: usize,
    events: usize,
    timestamps: bool,
    dtype: DType,
) -> Batch {
    let meta = |index: usize| WindowMeta {
        assignment: 0,
        epoch: 0,
        partition: 0,
        key: Key::from(format!("warmup-{index}").as_bytes()),
        start: 0,
        end: 1000 * events.max(1) as i64,
        events,
        offsets: (0, 0),
        trust: Trust::Full,
    };
    let total = windows * events;
    let mut values = Values::new(dtype);
    values.extend((0..total * declared.names.len()).map(|i| (i as f64 * 0.1).sin()));
    let context: Context = declared.context.iter().map(|_| ContextValue::Text("warmup".to_owned())).collect();
    Batch {
        model: 0,
        windows: (0..windows).map(meta).collect(),
        values,
        row_splits: (0..=windows).map(|window| (window * events) as i64).collect(),
        timestamps: timestamps.then(|| (0..total).map(|i| 1000 * (i % events.max(1)) as i64).collect()),
        contexts: (!declared.context.is_empty()).then(|| vec![context; windows]),
        loan: Loan::default(),
    }
}
