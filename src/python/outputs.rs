//! What `predict` returned, as columns: a 1-D array or a list, or a dict of arrays or lists.

use numpy::{PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

use super::error::raised;
use crate::error::{Error, Result};
use crate::predict::{Column, Outputs};

/// Nesting of a result at the most.
const MAX_DEPTH: usize = 64;

/// The columns of a result.
pub(super) fn convert(model: &str, result: &Bound<'_, PyAny>) -> Result<Outputs> {
    let context = Context { model };
    let Ok(dict) = result.cast::<PyDict>() else {
        return Ok(vec![("prediction".to_owned(), context.column("prediction", result, true)?)]);
    };
    let mut outputs = Vec::with_capacity(dict.len());
    for (name, rows) in dict.iter() {
        let Ok(name) = name.cast::<PyString>().map(ToString::to_string) else {
            return Err(context.bad(format_args!("a dict with the key {}, which is no string", shown(&name))));
        };
        let column = context.column(&name, &rows, false)?;
        outputs.push((name, column));
    }
    if outputs.is_empty() {
        return Err(context.bad("an empty dict"));
    }
    Ok(outputs)
}

fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string())
}

struct Context<'a> {
    model: &'a str,
}

impl Context<'_> {
    fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::model(format!(
            "predict of model {} returned {what}: return one row per window, as a 1-D array, a list, or a dict of those",
            self.model
        ))
    }

    fn python<T>(&self, result: PyResult<T>) -> Result<T> {
        result.map_err(|error| raised(self.model, error))
    }

    fn column(&self, name: &str, rows: &Bound<'_, PyAny>, bare: bool) -> Result<Column> {
        if rows.is_none() {
            return Err(self.bad(if bare { "None".to_owned() } else { format!("None in field {name:?}") }));
        }
        if let Ok(array) = rows.cast::<PyUntypedArray>() {
            return self.array(name, array, bare);
        }
        if rows.is_instance_of::<PyList>() || rows.is_instance_of::<PyTuple>() {
            return self.list(name, rows);
        }
        // Series, tensors and whatever else knows how to be an array.
        if self.python(rows.hasattr("__array__"))? && !rows.is_instance_of::<PyFloat>() {
            let numpy = self.python(rows.py().import("numpy"))?;
            let array = self.python(numpy.call_method1("asarray", (rows,)))?;
            if let Ok(array) = array.cast::<PyUntypedArray>() {
                return self.array(name, array, bare);
            }
        }
        let kind = self.python(rows.get_type().name())?;
        let place = if bare { String::new() } else { format!(" in field {name:?}") };
        Err(self.bad(format_args!("a {kind}{place}")))
    }

    fn array(&self, name: &str, array: &Bound<'_, PyUntypedArray>, bare: bool) -> Result<Column> {
        if array.ndim() != 1 {
            if array.ndim() == 0 || bare {
                return Err(self.bad(format_args!("an array of {} dimensions", array.ndim())));
            }
            let rows = self.python(array.call_method0("tolist"))?;
            return self.list(name, &rows);
        }
        let cast = |to: &str| self.python(array.call_method1("astype", (to,)));
        match array.dtype().kind() {
            b'f' => Ok(Column::Floats(self.values(&cast("float64")?)?)),
            b'i' => Ok(Column::Ints(self.values(&cast("int64")?)?)),
            b'b' => Ok(Column::Bools(self.values(&cast("bool")?)?)),
            _ => {
                let rows = self.python(array.call_method0("tolist"))?;
                self.list(name, &rows)
            }
        }
    }

    fn values<T: numpy::Element + Clone>(&self, array: &Bound<'_, PyAny>) -> Result<Vec<T>> {
        let array = array.cast::<PyArray1<T>>().map_err(|error| self.bad(error))?;
        Ok(array.readonly().as_array().to_vec())
    }

    fn list(&self, name: &str, rows: &Bound<'_, PyAny>) -> Result<Column> {
        let rows = self.python(rows.try_iter())?.map(|row| self.json(name, &self.python(row)?, 0));
        Ok(Column::Json(rows.collect::<Result<_>>()?))
    }

    fn json(&self, name: &str, value: &Bound<'_, PyAny>, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(
                self.bad(format_args!("a value in field {name:?} that is nested deeper than {MAX_DEPTH}"))
            );
        }
        if value.is_none() {
            return Ok(Value::Null);
        }
        if let Ok(value) = value.cast::<PyBool>() {
            return Ok(Value::Bool(value.is_true()));
        }
        if value.is_instance_of::<PyInt>() {
            let signed = value.extract::<i64>().map(Number::from);
            let number = signed.or_else(|_| value.extract::<u64>().map(Number::from));
            let too_large =
                |_| self.bad(format_args!("the integer {} in field {name:?}, beyond 64 bits", shown(value)));
            return number.map(Value::Number).map_err(too_large);
        }
        if let Ok(value) = value.cast::<PyFloat>() {
            // NaN and infinities have no JSON: null.
            return Ok(Number::from_f64(value.value()).map_or(Value::Null, Value::Number));
        }
        if let Ok(value) = value.cast::<PyString>() {
            return Ok(Value::String(self.python(value.to_str())?.to_owned()));
        }
        if let Ok(value) = value.cast::<PyDict>() {
            let mut map = Map::with_capacity(value.len());
            for (key, value) in value.iter() {
                let Ok(key) = key.cast::<PyString>().map(ToString::to_string) else {
                    return Err(
                        self.bad(format_args!("a dict in field {name:?} with the key {}", shown(&key)))
                    );
                };
                map.insert(key, self.json(name, &value, depth + 1)?);
            }
            return Ok(Value::Object(map));
        }
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            let rows =
                self.python(value.try_iter())?.map(|row| self.json(name, &self.python(row)?, depth + 1));
            return Ok(Value::Array(rows.collect::<Result<_>>()?));
        }
        // NumPy's scalars and arrays know their Python selves.
        if !value.is_instance_of::<PyBytes>() && self.python(value.hasattr("tolist"))? {
            let plain = self.python(value.call_method0("tolist"))?;
            if !plain.get_type().is(value.get_type()) {
                return self.json(name, &plain, depth + 1);
            }
        }
        let kind = self.python(value.get_type().name())?;
        Err(self.bad(format_args!("a {kind} in field {name:?}, which JSON does not have")))
    }
}
