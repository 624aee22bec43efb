//! The outcome of a backtest as Arrow tables: results by window, and what has none.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, LargeListBuilder};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray,
    NullArray, RecordBatch, RecordBatchIterator, UInt64Array,
};
use arrow_schema::{ArrowError, Field, Schema};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use serde_json::Value;

use crate::backtest::{Cells, Dropped, Results};
use crate::config::Plan;
use crate::record::Key;

/// A table for whatever reads Arrow streams.
#[pyclass(frozen, module = "millstream._core")]
pub(super) struct ArrowTable(RecordBatch);

#[pymethods]
impl ArrowTable {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // Readers cast for themselves.
        let _ = requested_schema;
        let batches = RecordBatchIterator::new([Ok(self.0.clone())], self.0.schema());
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(batches)), c"arrow_array_stream")
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}

type Columns = Vec<(String, ArrayRef)>;

fn table(columns: Columns) -> PyResult<ArrowTable> {
    let fields = columns.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(schema, columns);
    batch.map(ArrowTable).map_err(|error: ArrowError| PyRuntimeError::new_err(error.to_string()))
}

/// The results of a sink: a row per window.
pub(super) fn results(results: Results) -> PyResult<ArrowTable> {
    // As in frames of a batch: the fields go before columns of ours.
    let own = |name: &str| {
        let clash = results.fields.iter().any(|(field, _)| field == name);
        if clash { format!("{name}_") } else { name.to_owned() }
    };
    let integers = |numbers: &Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(numbers.clone())) };
    let keys: Vec<Option<&Key>> = results.keys.iter().map(Some).collect();
    let mut columns = vec![
        (own("key"), key_column(&keys)),
        (own("start"), integers(&results.starts)),
        (own("end"), integers(&results.ends)),
        (own("n_events"), integers(&results.events)),
        (own("partition"), Arc::new(Int32Array::from(results.partitions.clone())) as ArrayRef),
    ];
    columns.extend(results.fields.into_iter().map(|(name, cells)| (name, cell_column(cells))));
    table(columns)
}

/// What has no result, and why.
pub(super) fn dropped(plan: &Plan, dropped: &[Dropped]) -> PyResult<ArrowTable> {
    let text = |of: &dyn Fn(&Dropped) -> Option<String>| -> ArrayRef {
        Arc::new(dropped.iter().map(of).collect::<LargeStringArray>())
    };
    let integer = |of: fn(&Dropped) -> Option<i64>| -> ArrayRef {
        Arc::new(dropped.iter().map(of).collect::<Int64Array>())
    };
    let keys: Vec<Option<&Key>> = dropped.iter().map(|d| d.key.as_ref()).collect();
    let rows: ArrayRef = Arc::new(dropped.iter().map(|d| d.row).collect::<UInt64Array>());
    let partitions: ArrayRef = Arc::new(dropped.iter().map(|d| Some(d.partition)).collect::<Int32Array>());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("reason", text(&|d| Some(d.cause.code().to_owned()))),
        ("detail", text(&|d| Some(d.detail.clone()))),
        ("topic", text(&|d| Some(plan.sources[d.source].topic.clone()))),
        ("row", rows),
        ("partition", partitions),
        ("offset", integer(|d| d.offset)),
        ("key", key_column(&keys)),
        ("model", text(&|d| d.model.map(|model| plan.models[model].name.clone()))),
        ("start", integer(|d| d.start)),
        ("end", integer(|d| d.end)),
        ("windows", integer(|d| Some(d.windows))),
    ];
    table(columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect())
}

/// Text, or bytes where a key is not UTF-8.
fn key_column(keys: &[Option<&Key>]) -> ArrayRef {
    let texts = keys.iter().map(|key| key.map(|key| std::str::from_utf8(key)).transpose());
    match texts.collect::<Result<Vec<Option<&str>>, _>>() {
        Ok(texts) => Arc::new(LargeStringArray::from(texts)),
        Err(_) => Arc::new(keys.iter().map(|key| key.map(|key| &**key)).collect::<LargeBinaryArray>()),
    }
}

fn cell_column(cells: Cells) -> ArrayRef {
    match cells {
        Cells::Nulls(rows) => Arc::new(NullArray::new(rows)),
        Cells::Bools(rows) => Arc::new(BooleanArray::from(rows)),
        Cells::Ints(rows) => Arc::new(Int64Array::from(rows)),
        Cells::Floats(rows) => Arc::new(Float64Array::from(rows)),
        Cells::Texts(rows) => Arc::new(LargeStringArray::from(rows)),
        Cells::Json(rows) => lists(&rows).unwrap_or_else(|| json(&rows)),
    }
}

/// Lists of numbers, where all are that.
fn lists(rows: &[Value]) -> Option<ArrayRef> {
    let mut lists = LargeListBuilder::new(Float64Builder::new());
    for row in rows {
        match row {
            Value::Null => lists.append(false),
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::Null => lists.values().append_null(),
                        Value::Number(number) => lists.values().append_option(number.as_f64()),
                        _ => return None,
                    }
                }
                lists.append(true);
            }
            _ => return None,
        }
    }
    Some(Arc::new(lists.finish()))
}

/// Anything, as JSON text.
fn json(rows: &[Value]) -> ArrayRef {
    let text = |row: &Value| (!row.is_null()).then(|| row.to_string());
    Arc::new(rows.iter().map(text).collect::<LargeStringArray>())
}
