//! Arrow columns to the typed rows of a backtest, batch by batch. A column of a type that no record could have, or
//! none at all, is a mistake in the call and stops it; single nulls are judged row by row later.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};

use crate::config::{SourceConfig, TimestampUnit};
use crate::context::ContextValue;
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
        let missing: Vec<&str> = needed.filter(|name| schema.index_of(name).is_err()).collect();
        if !missing.is_empty() {
            let there: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
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

    fn integers(&self, name: &str, column: &ArrayRef, range: std::ops::RangeInclusive<i64>) -> Result<Vec<i64>> {
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

/// A value of a column.
enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    /// In milliseconds.
    Time(Millis),
    Text(&'a str),
    Bytes(&'a [u8]),
    Other,
}

/// The value at a row.
#[inline]
fn cell(column: &dyn Array, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Null => Cell::Null,
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        DataType::Int8 => Cell::Int(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Cell::Int(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Cell::Int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Cell::Int(column.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Cell::Int(column.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Cell::Int(column.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Cell::Unsigned(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float16 => Cell::Float(column.as_primitive::<Float16Type>().value(row).into()),
        DataType::Float32 => Cell::Float(column.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(unit, _) => Cell::Time(match unit {
            TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1000),
            TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row),
            TimeUnit::Microsecond => {
                column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1000)
            }
            TimeUnit::Nanosecond => {
                column.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000_000)
            }
        }),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Cell::Text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Cell::Text(column.as_string_view().value(row)),
        DataType::Binary => Cell::Bytes(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Cell::Bytes(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Cell::Bytes(column.as_binary_view().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            match cell(dictionary.keys(), row) {
                Cell::Int(place) => cell(dictionary.values(), place as usize),
                Cell::Unsigned(place) => cell(dictionary.values(), place as usize),
                _ => Cell::Null,
            }
        }
        _ => Cell::Other,
    }
}

/// Writes a column of numbers; false where it is none.
fn numbers<'a>(column: &ArrayRef, cells: impl Iterator<Item = &'a mut f64>) -> bool {
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        for ((row, to), value) in cells.enumerate().zip(floats.values()) {
            *to = if value.is_finite() && floats.is_valid(row) { *value } else { f64::NAN };
        }
        return true;
    }
    for (row, to) in cells.enumerate() {
        *to = match cell(column, row) {
            Cell::Null => f64::NAN,
            Cell::Bool(value) => f64::from(u8::from(value)),
            Cell::Int(value) => value as f64,
            Cell::Unsigned(value) => value as f64,
            // JSON has no infinities.
            Cell::Float(value) => if value.is_finite() { value } else { f64::NAN },
            _ => return false,
        };
    }
    true
}

/// Adds a column of context; false where it is none.
fn context(column: &ArrayRef, to: &mut ContextColumn, texts: &mut HashMap<String, u32>) -> bool {
    for row in 0..column.len() {
        let value = match cell(column, row) {
            Cell::Null => ContextValue::Missing,
            Cell::Bool(value) => ContextValue::Bool(value),
            Cell::Int(value) => ContextValue::Int(value),
            Cell::Unsigned(value) => i64::try_from(value).map_or(ContextValue::Unsigned(value), ContextValue::Int),
            Cell::Float(value) if value.is_finite() => ContextValue::Float(value),
            Cell::Float(_) => ContextValue::Missing,
            Cell::Text(text) => {
                if let Some(known) = texts.get(text) {
                    to.ids.push(*known);
                    continue;
                }
                texts.insert(text.to_owned(), to.values.len() as u32);
                ContextValue::Text(text.to_owned())
            }
            _ => return false,
        };
        to.push(value);
    }
    true
}
