//! What `predict` returned, as rows: an array, a list of values, dicts or None, a dict of arrays or lists, or a frame.

use numpy::{PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};
use serde_json::Value;

use super::error::raised;
use super::json;
use crate::error::{Error, Result};
use crate::predict::{Column, Outputs};

/// The rows of a result; `names` are the fields that the model was declared to give.
pub(super) fn convert(model: &str, names: Option<&[String]>, result: &Bound<'_, PyAny>) -> Result<Outputs> {
    let reader = Reader { py: result.py(), model, names };
    if let Ok(dict) = result.cast::<PyDict>() {
        return reader.dict(dict);
    }
    if is_list(result) {
        return reader.list(result);
    }
    if let Some(columns) = reader.frame_columns(result)? {
        return reader.frame(result, &columns);
    }
    if let Some(list) = reader.nullable(result)? {
        let name = reader.single()?;
        return Ok(Outputs::Columns(vec![(name.to_owned(), reader.json_column(name, &list)?)]));
    }
    if let Some(array) = reader.as_array(result)? {
        return reader.array(&array);
    }
    let kind = reader.python(result.get_type().name())?;
    Err(reader.bad(if result.is_none() { "None".to_owned() } else { format!("a {kind}") }))
}

/// A value as an error names it.
pub(super) fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string())
}

fn is_list(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>()
}

/// Reads results of a model.
pub(super) struct Reader<'a> {
    py: Python<'a>,
    model: &'a str,
    names: Option<&'a [String]>,
}

impl Reader<'_> {
    pub(super) fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::model(format!(
            "predict of model {} returned {what}: return one row per window or event, as a 1-D array, a 2-D array \
             with outputs=[...], a list, a dict of those, or a frame",
            self.model
        ))
    }

    /// Of a value that has no form in a result record.
    pub(super) fn not_json(&self, what: impl std::fmt::Display, field: &str) -> Error {
        Error::model(format!(
            "predict of model {} returned {what} in field {field:?}, which JSON does not have: turn it into numbers, \
             strings, booleans, None, or lists and dicts of those",
            self.model
        ))
    }

    pub(super) fn python<T>(&self, result: PyResult<T>) -> Result<T> {
        result.map_err(|error| raised(self.py, self.model, error))
    }

    /// The one field of a result without names.
    fn single(&self) -> Result<&str> {
        match self.names {
            None => Ok("prediction"),
            Some([name]) => Ok(name),
            Some(names) => Err(self.bad(format_args!("one column for outputs={names:?}"))),
        }
    }

    fn dict(&self, dict: &Bound<'_, PyDict>) -> Result<Outputs> {
        let mut columns = Vec::with_capacity(dict.len());
        for (name, rows) in dict.iter() {
            let name = self.name(&name, "a dict with the key")?;
            let column = self.column(&name, &rows)?;
            columns.push((name, column));
        }
        if columns.is_empty() {
            return Err(self.bad("an empty dict"));
        }
        self.in_order(columns).map(Outputs::Columns)
    }

    /// The names of a frame's columns; none where it is no frame. pandas and polars have `columns`, pyarrow
    /// `column_names`.
    fn frame_columns<'py>(&self, value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>> {
        let has = |name: &str| self.python(value.hasattr(name));
        // Of polars: to ask a plan for its columns may run it.
        if has("collect")? && has("lazy")? {
            return Err(self.bad("a LazyFrame, which is a plan and not yet rows (its `.collect()` has them)"));
        }
        for names in ["column_names", "columns"] {
            if has(names)? {
                return Ok(Some(self.python(value.getattr(names))?));
            }
        }
        Ok(None)
    }

    /// A column of something else than an array that has nulls: as an array its integers would be floats.
    fn nullable<'py>(&self, rows: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>> {
        if rows.cast::<PyUntypedArray>().is_ok() {
            return Ok(None);
        }
        let has = |name: &str| self.python(rows.hasattr(name));
        for method in ["to_pylist", "to_list"] {
            if has("null_count")? && has(method)? {
                return self.python(rows.call_method0(method)).map(Some);
            }
        }
        // Extension types of pandas have a value for what is not there; those of NumPy have none.
        let extension =
            has("dtype")? && self.python(self.python(rows.getattr("dtype"))?.hasattr("na_value"))?;
        if extension { self.python(rows.call_method0("tolist")).map(Some) } else { Ok(None) }
    }

    fn frame(&self, frame: &Bound<'_, PyAny>, names: &Bound<'_, PyAny>) -> Result<Outputs> {
        let names = self.python(names.try_iter())?;
        let names = names.map(|name| self.name(&self.python(name)?, "a frame with the column"));
        let names: Vec<String> = names.collect::<Result<_>>()?;
        // Not all libraries give such a column by its name.
        if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(self.bad(format_args!("a frame with the field {name:?} twice")));
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let rows = self.python(frame.get_item(&name))?;
            let column = self.column(&name, &rows)?;
            columns.push((name, column));
        }
        if columns.is_empty() {
            return Err(self.bad("a frame without columns"));
        }
        self.in_order(columns).map(Outputs::Columns)
    }

    fn name(&self, name: &Bound<'_, PyAny>, place: &str) -> Result<String> {
        let no_text = |_| self.bad(format_args!("{place} {}, which is no string of Unicode", shown(name)));
        name.cast::<PyString>()
            .map_err(PyErr::from)
            .and_then(|name| name.to_str())
            .map(str::to_owned)
            .map_err(no_text)
    }

    /// The columns in the order of the declared names, where there are any.
    fn in_order<T>(&self, mut fields: Vec<(String, T)>) -> Result<Vec<(String, T)>> {
        let Some(names) = self.names else { return Ok(fields) };
        let place = |name: &String| names.iter().position(|declared| declared == name);
        if fields.len() != names.len() || fields.iter().any(|(name, _)| place(name).is_none()) {
            let got: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
            return Err(self.bad(format_args!("the fields {got:?} for outputs={names:?}")));
        }
        fields.sort_by_key(|(name, _)| place(name));
        Ok(fields)
    }

    /// A list: of dicts, of rows for the declared names, or of one value per window; each may be None.
    fn list(&self, list: &Bound<'_, PyAny>) -> Result<Outputs> {
        let rows: Vec<Bound<'_, PyAny>> = self.python(self.python(list.try_iter())?.collect())?;
        if rows.iter().any(PyAnyMethods::is_instance_of::<PyDict>) {
            let each = rows.iter().map(|row| self.dict_row(row)).collect::<Result<_>>()?;
            return Ok(Outputs::Rows(each));
        }
        let is_row =
            |row: &Bound<'_, PyAny>| row.is_none() || row.len().is_ok() && !row.is_instance_of::<PyString>();
        if let Some(names) = self.names
            && (names.len() > 1 || rows.iter().any(|row| !row.is_none()))
            && rows.iter().all(is_row)
        {
            let each = rows.iter().map(|row| self.named_row(row, names)).collect::<Result<_>>()?;
            return Ok(Outputs::Rows(each));
        }
        let name = self.single()?;
        let values = rows
            .iter()
            .map(|row| if row.is_none() { Ok(None) } else { json::value(self, name, row).map(Some) });
        Ok(Outputs::Values(name.to_owned(), values.collect::<Result<_>>()?))
    }

    fn dict_row(&self, row: &Bound<'_, PyAny>) -> Result<Option<Vec<(String, Value)>>> {
        if row.is_none() {
            return Ok(None);
        }
        let Ok(dict) = row.cast::<PyDict>() else {
            return Err(self.bad(format_args!("a list of dicts with {} among them", shown(row))));
        };
        let fields = dict.iter().map(|(name, value)| {
            let name = self.name(&name, "a dict with the key")?;
            let value = json::value(self, &name, &value)?;
            Ok((name, value))
        });
        self.in_order(fields.collect::<Result<_>>()?).map(Some)
    }

    fn named_row(&self, row: &Bound<'_, PyAny>, names: &[String]) -> Result<Option<Vec<(String, Value)>>> {
        if row.is_none() {
            return Ok(None);
        }
        let values: Vec<Bound<'_, PyAny>> = self.python(self.python(row.try_iter())?.collect())?;
        if values.len() != names.len() {
            return Err(self.bad(format_args!("a row of {} values for outputs={names:?}", values.len())));
        }
        let fields = names.iter().zip(&values);
        let fields = fields.map(|(name, value)| Ok((name.clone(), json::value(self, name, value)?)));
        fields.collect::<Result<_>>().map(Some)
    }

    fn array(&self, array: &Bound<'_, PyUntypedArray>) -> Result<Outputs> {
        let parts = self.python(array.dtype().getattr("names"))?;
        match (array.ndim(), self.names) {
            (1, _) if !parts.is_none() => self.frame(array.as_any(), &parts),
            (1, _) if array.dtype().kind() == b'O' => self.list(&self.python(array.call_method0("tolist"))?),
            (1, _) => {
                let name = self.single()?;
                Ok(Outputs::Columns(vec![(name.to_owned(), self.array_column(name, array)?)]))
            }
            (2, Some(names)) => {
                if array.shape()[1] != names.len() {
                    let got = array.shape()[1];
                    return Err(self.bad(format_args!("an array of {got} columns for outputs={names:?}")));
                }
                let transposed = self.python(array.getattr("T"))?;
                let columns = names.iter().zip(self.python(transposed.try_iter())?).map(|(name, column)| {
                    let column = self.column(name, &self.python(column)?)?;
                    Ok((name.clone(), column))
                });
                Ok(Outputs::Columns(columns.collect::<Result<_>>()?))
            }
            (2, None) => Err(self.bad("an array of 2 dimensions without outputs=[...] to name its columns")),
            (dimensions, _) => Err(self.bad(format_args!("an array of {dimensions} dimensions"))),
        }
    }

    /// An array, and Series, tensors and whatever else knows how to be one.
    fn as_array<'py>(&self, value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyUntypedArray>>> {
        if let Ok(array) = value.cast::<PyUntypedArray>() {
            return Ok(Some(array.clone()));
        }
        if value.is_none() || value.is_instance_of::<PyFloat>() || !self.python(value.hasattr("__array__"))? {
            return Ok(None);
        }
        let numpy = self.python(value.py().import("numpy"))?;
        let array = self.python(numpy.call_method1("asarray", (value,)))?;
        Ok(array.cast_into::<PyUntypedArray>().ok())
    }

    /// A named column.
    fn column(&self, name: &str, rows: &Bound<'_, PyAny>) -> Result<Column> {
        if is_list(rows) {
            return self.json_column(name, rows);
        }
        if let Some(list) = self.nullable(rows)? {
            return self.json_column(name, &list);
        }
        if let Some(array) = self.as_array(rows)? {
            return match array.ndim() {
                0 => Err(self.bad(format_args!("an array of 0 dimensions in field {name:?}"))),
                1 => self.array_column(name, &array),
                _ => self.json_column(name, &self.python(array.call_method0("tolist"))?),
            };
        }
        let kind = self.python(rows.get_type().name())?;
        let what = if rows.is_none() { "None".to_owned() } else { format!("a {kind}") };
        Err(self.bad(format_args!("{what} in field {name:?}")))
    }

    /// A column of a 1-D array.
    fn array_column(&self, name: &str, array: &Bound<'_, PyUntypedArray>) -> Result<Column> {
        let cast = |to: &str| self.python(array.call_method1("astype", (to,)));
        if !array.is_exact_instance_of::<PyUntypedArray>() && self.python(array.hasattr("mask"))? {
            // What is masked is not there; the number beneath is no result.
            return self.json_column(name, &self.python(array.call_method0("tolist"))?);
        }
        match array.dtype().kind() {
            b'f' => Ok(Column::Floats(self.values(&cast("float64")?)?)),
            b'i' => Ok(Column::Ints(self.values(&cast("int64")?)?)),
            b'b' => Ok(Column::Bools(self.values(&cast("bool")?)?)),
            b'm' | b'M' => Err(self.not_json(format_args!("an array of {}", array.dtype()), name)),
            _ => self.json_column(name, &self.python(array.call_method0("tolist"))?),
        }
    }

    fn values<T: numpy::Element + Clone>(&self, array: &Bound<'_, PyAny>) -> Result<Vec<T>> {
        let array = array.cast::<PyArray1<T>>().map_err(|error| self.bad(error))?;
        Ok(array.readonly().as_array().to_vec())
    }

    fn json_column(&self, name: &str, rows: &Bound<'_, PyAny>) -> Result<Column> {
        let rows = self.python(rows.try_iter())?.map(|row| json::value(self, name, &self.python(row)?));
        Ok(Column::Json(rows.collect::<Result<_>>()?))
    }
}
