//! Arrow columns to the typed rows of a backtest, batch by batch. A column of a type that no record could have, or
//! none at all, is a mistake in the call and stops it; single nulls are judged row by row later.

use std::collections::HashMap;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::cell::{Cell, cell, context, numbers};
use crate::config::{SourceConfig, TimestampUnit};
use crate::decode::{ContextColumn, KeyIds, NO_KEY, NO_TIME, Table, TimeCell, event_time};
use crate::error::{Error, Result};
use crate::time::Millis;

/// What a column that is not declared is called.
const KEY: &str = "key";
const TIMESTAMP: &str = "timestamp";
const PARTITION: &str = "partition";
const OFFSET: &str = "offset";
/// The highest partition, as for records of a test.
const LAST_PARTITION: i64 = 9_999;
/// Columns that an error names.
const MOST_NAMED: usize = 30;
const MOST_ROWS: usize = u32::MAX as usize - 1;

/// Fills the table of one source.
pub(super) struct Filler<'a> {
    source: &'a SourceConfig,
    schema: &'a Schema,
    keys: KeyIds,
    /// Per context field: where its texts are among its values.
    texts: Vec<HashMap<String, u32>>,
    table: Table,
    /// Whether the frame has a column beside the declared ones.
    stamps: bool,
    partitions: bool,
    offsets: bool,
}

impl<'a> Filler<'a> {
    /// For frames of this schema.
    pub(super) fn new(source: &'a SourceConfig, schema: &'a Schema) -> Result<Self> {
        let declared = |name: &str| {
            source.timestamp.as_deref() == Some(name)
                || source.fields.iter().chain(&source.context).any(|field| field == name)
        };
        let has = |name: &str| !declared(name) && schema.index_of(name).is_ok();
        let contexts = vec![ContextColumn::default(); source.context.len()];
        let filler = Self {
            source,
            schema,
            keys: KeyIds::default(),
            texts: vec![HashMap::new(); source.context.len()],
            table: Table { contexts, ..Table::default() },
            stamps: has(TIMESTAMP) && source.timestamp.is_some(),
            partitions: has(PARTITION),
            offsets: has(OFFSET),
        };
        let needed = [filler.key_name(), filler.time_name()].into_iter();
        let needed = needed.chain(source.fields.iter().chain(&source.context).map(String::as_str));
        let needed: Vec<&str> = needed.collect();
        filler.check_columns(&needed)?;
        let missing: Vec<&str> = needed.into_iter().filter(|name| schema.index_of(name).is_err()).collect();
        if !missing.is_empty() {
            let there: Vec<&String> =
                schema.fields().iter().map(|field| field.name()).take(MOST_NAMED).collect();
            return Err(Error::config(format!(
                "the frame of topic {:?} has no column {}; it has {there:?}. Give it the declared fields, \
                 {:?} for the event time and {:?} for the key",
                source.topic,
                missing.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
                filler.time_name(),
                filler.key_name(),
            )));
        }
        Ok(filler)
    }

    /// Refuses a column that is there twice, and one of periods, which come as numbers of any unit.
    fn check_columns(&self, needed: &[&str]) -> Result<()> {
        let topic = &self.source.topic;
        for (at, field) in self.schema.fields().iter().enumerate() {
            let name = field.name();
            if !needed.contains(&name.as_str()) {
                continue;
            }
            if self.schema.index_of(name).is_ok_and(|first| first != at) {
                return Err(Error::config(format!(
                    "the frame of topic {topic:?} has two columns {name:?}: give it one"
                )));
            }
            if field.metadata().get("ARROW:extension:name").is_some_and(|kind| kind == "pandas.period") {
                return Err(Error::config(format!(
                    "topic {topic:?}: column {name:?} is of periods, not datetimes or numbers: cast it"
                )));
            }
        }
        Ok(())
    }

    fn key_name(&self) -> &'a str {
        self.source.key.as_deref().unwrap_or(KEY)
    }

    fn time_name(&self) -> &'a str {
        self.source.timestamp.as_deref().unwrap_or(TIMESTAMP)
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.table.rows() + batch.num_rows() > MOST_ROWS {
            return Err(Error::config(format!(
                "the frame of topic {:?} has more than {MOST_ROWS} rows: split it by key",
                self.source.topic
            )));
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let schema = self.schema;
        let column = |name: &str| schema.index_of(name).map(|index| batch.column(index).clone()).ok();
        let source = self.source;
        if let Some(column) = column(self.key_name()) {
            self.add_keys(&column)?;
        }
        if let Some(column) = column(self.time_name()) {
            self.add_times(&column)?;
        }
        if let Some(column) = column(TIMESTAMP).filter(|_| self.stamps) {
            let stamps = self.whole_times(&column)?;
            self.table.stamps.extend(stamps.into_iter().map(|stamp| stamp.unwrap_or(NO_TIME)));
        }
        if let Some(column) = column(PARTITION).filter(|_| self.partitions) {
            let numbers = self.integers(PARTITION, &column, 0..=LAST_PARTITION)?;
            self.table.partitions.extend(numbers.into_iter().map(|number| number as i32));
        }
        if let Some(column) = column(OFFSET).filter(|_| self.offsets) {
            let numbers = self.integers(OFFSET, &column, 0..=i64::MAX - 1)?;
            self.table.offsets.extend(numbers);
        }
        let (width, from) = (source.fields.len(), self.table.values.len());
        self.table.values.resize(from + batch.num_rows() * width, f64::NAN);
        for (place, field) in source.fields.iter().enumerate() {
            let Some(column) = column(field) else { continue };
            let cells = self.table.values[from + place..].iter_mut().step_by(width.max(1));
            if !numbers(&column, cells) {
                return Err(self.refused(field, &column, "numbers or booleans"));
            }
        }
        for (place, field) in source.context.iter().enumerate() {
            let Some(column) = column(field) else { continue };
            if !context(&column, &mut self.table.contexts[place], &mut self.texts[place]) {
                return Err(self.refused(field, &column, "text, numbers or booleans"));
            }
        }
        Ok(())
    }

    /// The rows of all batches.
    pub(super) fn finish(mut self) -> Table {
        self.table.keys = self.keys.into_keys();
        self.table
    }

    fn refused(&self, name: &str, column: &ArrayRef, wanted: &str) -> Error {
        Error::config(format!(
            "topic {:?}: column {name:?} is of type {}, not {wanted}: cast it",
            self.source.topic,
            column.data_type()
        ))
    }

    fn add_keys(&mut self, column: &ArrayRef) -> Result<()> {
        let mut text = itoa::Buffer::new();
        for row in 0..column.len() {
            let id = match cell(column, row) {
                Cell::Null => NO_KEY,
                Cell::Text(text) => self.keys.id(text.as_bytes()),
                Cell::Bytes(bytes) if self.source.key.is_none() => self.keys.id(bytes),
                Cell::Int(value) => self.keys.id(text.format(value).as_bytes()),
                Cell::Unsigned(value) => self.keys.id(text.format(value).as_bytes()),
                _ => return Err(self.refused(self.key_name(), column, "text or integers")),
            };
            self.table.key_ids.push(id);
        }
        Ok(())
    }

    fn add_times(&mut self, column: &ArrayRef) -> Result<()> {
        let (name, from) = (self.time_name(), self.table.times.len());
        let own = self.source.timestamp.is_some();
        let unit = self.source.timestamp_unit.unwrap_or_default();
        let dated = matches!(column.data_type(), DataType::Timestamp(..));
        for row in 0..column.len() {
            let (value, unit) = match cell(column, row) {
                Cell::Null => (TimeCell::Null, unit),
                Cell::Time(time) => (TimeCell::Int(time), TimestampUnit::Ms),
                Cell::Int(value) => (TimeCell::Int(value), unit),
                Cell::Unsigned(value) => (TimeCell::Unsigned(value), unit),
                Cell::Float(value) => (TimeCell::Float(value), unit),
                Cell::Text(text) if unit == TimestampUnit::Rfc3339 => (TimeCell::Text(text), unit),
                _ => {
                    let wanted = format!("datetimes or {}", unit.wants());
                    return Err(self.refused(name, column, &wanted));
                }
            };
            let time = if own || dated {
                event_time(value, unit, name)
            } else {
                event_time(value, TimestampUnit::Ms, name)
            };
            self.table.times.push(time.unwrap_or_else(|why| {
                self.table.bad_times.insert(from + row, why);
                NO_TIME
            }));
        }
        Ok(())
    }

    /// Timestamps of records: datetimes or whole milliseconds.
    fn whole_times(&self, column: &ArrayRef) -> Result<Vec<Option<Millis>>> {
        let time = |row| match cell(column, row) {
            Cell::Null => Ok(None),
            Cell::Time(time) | Cell::Int(time) => Ok(Some(time)),
            Cell::Float(time) => Ok(time.is_finite().then_some(time.floor() as Millis)),
            _ => Err(self.refused(TIMESTAMP, column, "datetimes or milliseconds since 1970")),
        };
        (0..column.len()).map(time).collect()
    }

    fn integers(
        &self,
        name: &str,
        column: &ArrayRef,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Vec<i64>> {
        let number = |row| {
            let value = match cell(column, row) {
                Cell::Int(value) => Some(value),
                Cell::Unsigned(value) => i64::try_from(value).ok(),
                Cell::Null => None,
                _ => return Err(self.refused(name, column, "integers")),
            };
            value.filter(|value| range.contains(value)).ok_or_else(|| {
                Error::config(format!(
                    "topic {:?}: column {name:?} is null or beyond {} to {} in row {}",
                    self.source.topic,
                    range.start(),
                    range.end(),
                    self.table.rows() - column.len() + row
                ))
            })
        };
        (0..column.len()).map(number).collect()
    }
}
