//! A Python value of a result as JSON.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

use super::outputs::{Reader, shown};
use crate::error::Result;

/// Nesting of a result at the most.
const MAX_DEPTH: usize = 64;

/// The value of a field.
pub(super) fn value(reader: &Reader<'_>, field: &str, value: &Bound<'_, PyAny>) -> Result<Value> {
    Field { reader, name: field }.json(value, 0)
}

struct Field<'a> {
    reader: &'a Reader<'a>,
    name: &'a str,
}

impl Field<'_> {
    fn json(&self, value: &Bound<'_, PyAny>, depth: usize) -> Result<Value> {
        let Self { reader, name } = self;
        if depth > MAX_DEPTH {
            return Err(
                reader.bad(format_args!("a value in field {name:?} that is nested deeper than {MAX_DEPTH}"))
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
                |_| reader.not_json(format_args!("the integer {} beyond 64 bits", shown(value)), name);
            return number.map(Value::Number).map_err(too_large);
        }
        if let Ok(value) = value.cast::<PyFloat>() {
            // NaN and infinities have no JSON: null.
            return Ok(Number::from_f64(value.value()).map_or(Value::Null, Value::Number));
        }
        if let Ok(value) = value.cast::<PyString>() {
            let text = value.to_str().map_err(|_| reader.not_json("half of a surrogate pair", name))?;
            return Ok(Value::String(text.to_owned()));
        }
        if let Ok(value) = value.cast::<PyDict>() {
            let mut map = Map::with_capacity(value.len());
            for (key, value) in value.iter() {
                let Some(text) = key.cast::<PyString>().ok().and_then(|key| key.to_str().ok()) else {
                    return Err(reader.not_json(format_args!("a dict with the key {}", shown(&key)), name));
                };
                map.insert(text.to_owned(), self.json(&value, depth + 1)?);
            }
            return Ok(Value::Object(map));
        }
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            let rows = reader.python(value.try_iter())?.map(|row| self.json(&reader.python(row)?, depth + 1));
            return Ok(Value::Array(rows.collect::<Result<_>>()?));
        }
        // NumPy's scalars and arrays know their Python selves.
        if !value.is_instance_of::<PyBytes>() && reader.python(value.hasattr("tolist"))? {
            let plain = reader.python(value.call_method0("tolist"))?;
            if !plain.get_type().is(value.get_type()) {
                return self.json(&plain, depth + 1);
            }
        }
        let kind = reader.python(value.get_type().name())?.to_string();
        // What pandas has where nothing is.
        if kind == "NAType" || kind == "NaTType" {
            return Ok(Value::Null);
        }
        Err(reader.not_json(format_args!("a {kind}"), name))
    }
}
