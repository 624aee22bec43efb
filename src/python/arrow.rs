//! A batch as an Arrow table: one row per event, or one row per window with its events in lists. Columns are copies,
//! so a table that is kept pins nothing else.

use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, LargeBinaryArray, LargeListArray,
    LargeStringArray, PrimitiveArray, RecordBatch, RecordBatchIterator, TimestampMillisecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::context::{Context, ContextValue};
use crate::ragged::Ragged;
use crate::record::Key;
use crate::time::Millis;

/// What a table is made of.
pub(super) struct Table<'a> {
    pub(super) names: &'a [String],
    pub(super) context_names: &'a [String],
    pub(super) keys: &'a [Key],
    pub(super) contexts: &'a [Context],
    pub(super) partitions: &'a [i32],
    pub(super) values: super::dense::Source<'a>,
}

/// The rows of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Events,
    Windows,
}

impl Table<'_> {
    /// The table as a stream of one record batch.
    pub(super) fn stream(&self, rows: Rows) -> Result<FFI_ArrowArrayStream, ArrowError> {
        let batch = match &self.values {
            super::dense::Source::F64(ragged) => {
                let column = |field| floats::<Float64Type>(ragged.values, ragged.width, field);
                self.record_batch(rows, ragged, column)?
            }
            super::dense::Source::F32(ragged) => {
                let column = |field| floats::<Float32Type>(ragged.values, ragged.width, field);
                self.record_batch(rows, ragged, column)?
            }
        };
        let schema = batch.schema();
        Ok(FFI_ArrowArrayStream::new(Box::new(RecordBatchIterator::new([Ok(batch)], schema))))
    }

    fn record_batch<T>(
        &self,
        rows: Rows,
        ragged: &Ragged<'_, T>,
        column: impl Fn(usize) -> ArrayRef,
    ) -> Result<RecordBatch, ArrowError> {
        let long = rows == Rows::Events;
        let lengths: Vec<usize> =
            ragged.splits.windows(2).map(|split| (split[1] - split[0]) as usize).collect();
        // Which window each row is of.
        let windows: Vec<usize> = if long {
            lengths.iter().enumerate().flat_map(|(window, len)| std::iter::repeat_n(window, *len)).collect()
        } else {
            (0..lengths.len()).collect()
        };
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        if long {
            let index = windows.iter().map(|window| *window as i64);
            columns.push((self.own("window"), Arc::new(Int64Array::from_iter_values(index))));
        }
        columns.push((self.own("key"), self.key(&windows)));
        columns.push((self.own("start"), times(windows.iter().map(|window| ragged.starts[*window]))));
        columns.push((self.own("end"), times(windows.iter().map(|window| ragged.ends[*window]))));
        let partitions = windows.iter().map(|window| self.partitions[*window]);
        columns.push((self.own("partition"), Arc::new(Int32Array::from_iter_values(partitions))));
        let events = |column: ArrayRef| -> Result<ArrayRef, ArrowError> {
            if long { Ok(column) } else { lists(ragged.splits, column) }
        };
        if !long {
            let lengths = lengths.iter().map(|len| *len as i64);
            columns.push((self.own("n_events"), Arc::new(Int64Array::from_iter_values(lengths))));
        }
        if let Some(all) = ragged.times {
            columns.push((self.own("timestamp"), events(times(all.iter().copied()))?));
        }
        for (index, name) in self.context_names.iter().enumerate() {
            if !self.names.contains(name) {
                let values: Vec<&ContextValue> =
                    windows.iter().map(|window| &self.contexts[*window][index]).collect();
                columns.push((name.clone(), context(&values)));
            }
        }
        for (index, name) in self.names.iter().enumerate() {
            columns.push((name.clone(), events(column(index))?));
        }
        let fields = columns.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect())
    }

    /// The name of a column of ours: the declared fields go before it.
    fn own(&self, name: &str) -> String {
        let taken = |field: &String| field == name;
        let clash = self.names.iter().any(taken) || self.context_names.iter().any(taken);
        if clash { format!("{name}_") } else { name.to_owned() }
    }

    fn key(&self, windows: &[usize]) -> ArrayRef {
        let texts: Option<Vec<&str>> = self.keys.iter().map(|key| std::str::from_utf8(key).ok()).collect();
        match texts {
            Some(texts) => {
                Arc::new(LargeStringArray::from_iter_values(windows.iter().map(|window| texts[*window])))
            }
            None => Arc::new(LargeBinaryArray::from_iter_values(
                windows.iter().map(|window| &*self.keys[*window]),
            )),
        }
    }
}

fn floats<T>(values: &[T::Native], width: usize, field: usize) -> ArrayRef
where
    T: arrow_array::ArrowPrimitiveType,
{
    let column = values.iter().skip(field).step_by(width.max(1)).copied();
    Arc::new(PrimitiveArray::<T>::from_iter_values(column))
}

fn times(times: impl Iterator<Item = Millis>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
}

fn lists(splits: &[i64], events: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let item = Arc::new(Field::new_list_field(events.data_type().clone(), true));
    let offsets = OffsetBuffer::new(splits.to_vec().into());
    Ok(Arc::new(LargeListArray::try_new(item, offsets, events, None)?))
}

/// Booleans, integers and floats where all are that, else text.
fn context(values: &[&ContextValue]) -> ArrayRef {
    let kinds = values.iter().filter(|value| ***value != ContextValue::Missing);
    let kind = kinds.map(|value| kind(value)).reduce(wider).unwrap_or(DataType::LargeUtf8);
    let values = values.iter().copied();
    match kind {
        DataType::Boolean => Arc::new(values.map(boolean).collect::<BooleanArray>()),
        DataType::Int64 => Arc::new(values.map(integer).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(values.map(float).collect::<Float64Array>()),
        _ => Arc::new(values.map(text).collect::<LargeStringArray>()),
    }
}

fn boolean(value: &ContextValue) -> Option<bool> {
    if let ContextValue::Bool(value) = value { Some(*value) } else { None }
}

fn integer(value: &ContextValue) -> Option<i64> {
    if let ContextValue::Int(value) = value { Some(*value) } else { None }
}

fn float(value: &ContextValue) -> Option<f64> {
    match value {
        ContextValue::Int(value) => Some(*value as f64),
        ContextValue::Unsigned(value) => Some(*value as f64),
        ContextValue::Float(value) => Some(*value),
        _ => None,
    }
}

fn text(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::Missing => None,
        ContextValue::Bool(value) => Some(value.to_string()),
        ContextValue::Int(value) => Some(value.to_string()),
        ContextValue::Unsigned(value) => Some(value.to_string()),
        ContextValue::Float(value) => Some(value.to_string()),
        ContextValue::Text(value) => Some(value.clone()),
    }
}

fn kind(value: &ContextValue) -> DataType {
    match value {
        ContextValue::Bool(_) => DataType::Boolean,
        ContextValue::Int(_) => DataType::Int64,
        ContextValue::Unsigned(_) | ContextValue::Float(_) => DataType::Float64,
        ContextValue::Text(_) | ContextValue::Missing => DataType::LargeUtf8,
    }
}

fn wider(one: DataType, other: DataType) -> DataType {
    match (one, other) {
        (one, other) if one == other => one,
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => DataType::Float64,
        _ => DataType::LargeUtf8,
    }
}
