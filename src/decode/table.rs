//! Typed rows to events, by the rules that records are judged by: what a backtest reads where a run reads JSON.

use std::collections::{BTreeMap, HashMap};

use ahash::RandomState;

use super::json::Scalar;
use super::reason::{Reason, Rejected};
use super::{in_range, missing, not_ahead, timestamp};
use crate::config::{Missing, SourceConfig, TimestampUnit};
use crate::context::ContextValue;
use crate::record::Key;
use crate::time::Millis;

/// The id of a key that is null.
pub const NO_KEY: u32 = u32::MAX;
/// The time of a row that has none.
pub const NO_TIME: Millis = Millis::MIN;

/// A cell of the column that holds the event time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeCell<'a> {
    /// Null, or no number.
    Null,
    /// An integer of the declared unit.
    Int(i64),
    /// The same beyond i64.
    Unsigned(u64),
    /// A number with a fraction, of the declared unit.
    Float(f64),
    /// Text.
    Text(&'a str),
}

/// The event time that a cell holds.
pub fn event_time(cell: TimeCell<'_>, unit: TimestampUnit, field: &str) -> Result<Millis, Rejected> {
    let (scalar, text) = match cell {
        TimeCell::Null => (Scalar::Null, ""),
        TimeCell::Int(value) => (Scalar::Int(value), ""),
        TimeCell::Unsigned(value) => (i64::try_from(value).map_or(Scalar::Unsigned(value), Scalar::Int), ""),
        // JSON has neither NaN nor infinities.
        TimeCell::Float(value) => (if value.is_finite() { Scalar::Float(value) } else { Scalar::Null }, ""),
        TimeCell::Text(text) => (Scalar::Text, text),
    };
    timestamp::read(scalar, text, unit, field)
}

/// The distinct keys of rows, in the order in which they come.
#[derive(Debug, Default)]
pub struct KeyIds {
    ids: HashMap<Key, u32, RandomState>,
    keys: Vec<Key>,
}

impl KeyIds {
    /// The id of a key.
    pub fn id(&mut self, key: &[u8]) -> u32 {
        if let Some(id) = self.ids.get(key) {
            return *id;
        }
        let (id, key) = (self.keys.len() as u32, Key::from(key));
        self.keys.push(key.clone());
        self.ids.insert(key, id);
        id
    }

    /// The keys by id.
    pub fn into_keys(self) -> Vec<Key> {
        self.keys
    }
}

/// A context field of all rows: its distinct or own values, and which of them each row has.
#[derive(Clone, Debug, Default)]
pub struct ContextColumn {
    /// Values.
    pub values: Vec<ContextValue>,
    /// The place in `values` of each row.
    pub ids: Vec<u32>,
}

impl ContextColumn {
    /// Adds a row.
    pub fn push(&mut self, value: ContextValue) {
        if self.values.last() != Some(&value) {
            self.values.push(value);
        }
        self.ids.push(self.values.len() as u32 - 1);
    }
}

/// Rows of a source, by column. NaN stands for a field that is missing.
#[derive(Debug, Default)]
pub struct Table {
    /// The distinct keys.
    pub keys: Vec<Key>,
    /// The place in `keys` of each row, or `NO_KEY`.
    pub key_ids: Vec<u32>,
    /// Event times, `NO_TIME` where `bad_times` says why there is none.
    pub times: Vec<Millis>,
    /// Why rows have no event time.
    pub bad_times: BTreeMap<usize, Rejected>,
    /// The fields, row after row.
    pub values: Vec<f64>,
    /// The context fields.
    pub contexts: Vec<ContextColumn>,
    /// Timestamps of the records, `NO_TIME` where there is none; empty where no record has one.
    pub stamps: Vec<Millis>,
    /// Partitions; empty where all are 0.
    pub partitions: Vec<i32>,
    /// Offsets; empty where they are the rows of the partition, counted.
    pub offsets: Vec<i64>,
}

impl Table {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.key_ids.len()
    }

    /// The partition of a row.
    #[inline]
    pub fn partition(&self, row: usize) -> i32 {
        self.partitions.get(row).copied().unwrap_or(0)
    }

    /// Partitions of the topic: one more than the highest one named.
    pub fn partition_count(&self) -> i32 {
        self.partitions.iter().max().map_or(1, |highest| highest + 1)
    }

    /// Numbers the rows of each partition where no offsets are given.
    pub fn number(&mut self) {
        if !self.offsets.is_empty() {
            return;
        }
        let mut next = vec![0; self.partition_count() as usize];
        self.offsets = (0..self.rows())
            .map(|row| {
                let next = &mut next[self.partition(row) as usize];
                *next += 1;
                *next - 1
            })
            .collect();
    }

    /// The timestamp of the record that a row was.
    pub(crate) fn stamp(&self, row: usize) -> Option<Millis> {
        self.stamps.get(row).copied().filter(|stamp| *stamp != NO_TIME)
    }

    /// Whether a row is an event, in the order of the checks of a record: key, event time, fields, context, future guard.
    pub(crate) fn look(&self, row: usize, source: &SourceConfig) -> Result<(), Rejected> {
        if self.key_ids[row] == NO_KEY {
            let detail = match &source.key {
                Some(field) => format!("key field {field:?} is null"),
                None => "the record has no key".to_owned(),
            };
            return Err(Rejected::new(Reason::MissingKey, detail));
        }
        let time = self.times[row];
        if time == NO_TIME
            && let Some(why) = self.bad_times.get(&row)
        {
            return Err(why.clone());
        }
        in_range(time)?;
        if source.missing == Missing::DeadLetter {
            let width = source.fields.len();
            let values = &self.values[row * width..(row + 1) * width];
            if let Some(index) = values.iter().position(|value| value.is_nan()) {
                return Err(missing(Scalar::Null, &source.fields[index]));
            }
            for (column, field) in self.contexts.iter().zip(&source.context) {
                if column.values[column.ids[row] as usize] == ContextValue::Missing {
                    return Err(missing(Scalar::Null, field));
                }
            }
        }
        if source.timestamp.is_some() {
            not_ahead(time, self.stamp(row), source.max_future_ms)
        } else {
            Ok(())
        }
    }
}
