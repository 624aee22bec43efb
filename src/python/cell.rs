//! Single values of Arrow columns, whatever integers, floats, text and dictionaries they are kept in.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use crate::context::ContextValue;
use crate::decode::ContextColumn;
use crate::time::Millis;

/// A value of a column.
pub(super) enum Cell<'a> {
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
pub(super) fn cell(column: &dyn Array, row: usize) -> Cell<'_> {
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
pub(super) fn numbers<'a>(column: &ArrayRef, cells: impl Iterator<Item = &'a mut f64>) -> bool {
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        for ((row, to), value) in cells.enumerate().zip(floats.values()) {
            *to = if value.is_finite() && floats.is_valid(row) { *value } else { f64::NAN };
        }
        return true;
    }
    for (row, to) in cells.enumerate() {
        *to = match cell(column, row) {
            Cell::Bool(value) => f64::from(u8::from(value)),
            Cell::Int(value) => value as f64,
            Cell::Unsigned(value) => value as f64,
            // JSON has no infinities.
            Cell::Float(value) if value.is_finite() => value,
            Cell::Null | Cell::Float(_) => f64::NAN,
            _ => return false,
        };
    }
    true
}

/// Adds a column of context; false where it is none.
pub(super) fn context(column: &ArrayRef, to: &mut ContextColumn, texts: &mut HashMap<String, u32>) -> bool {
    for row in 0..column.len() {
        let value = match cell(column, row) {
            Cell::Bool(value) => ContextValue::Bool(value),
            Cell::Int(value) => ContextValue::Int(value),
            Cell::Unsigned(value) => {
                i64::try_from(value).map_or(ContextValue::Unsigned(value), ContextValue::Int)
            }
            Cell::Float(value) if value.is_finite() => ContextValue::Float(value),
            Cell::Null | Cell::Float(_) => ContextValue::Missing,
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
