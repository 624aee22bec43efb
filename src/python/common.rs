//! What batches of windows and of single events have in common: the declared names, keys as Python has them, indexing.

use numpy::PyArray1;
use pyo3::exceptions::{PyIndexError, PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PySlice;

use super::arrays::array;
use crate::config::ModelConfig;
use crate::record::Key;

/// What the batches of a model have in common.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) names: Vec<String>,
    pub(super) context: Vec<String>,
    pub(super) pad_to: Option<usize>,
}

impl Declared {
    pub(super) fn of(model: &ModelConfig) -> Self {
        Self { names: model.fields.clone(), context: model.context.clone(), pad_to: model.pad_batch_to }
    }

    /// The column of a field out of rows.
    pub(super) fn column<'py>(&self, rows: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let names = &self.names;
        let Some(index) = names.iter().position(|field| field == name) else {
            return Err(PyKeyError::new_err(format!("no field {name:?}; there are {names:?}")));
        };
        rows.get_item((PySlice::full(rows.py()), index))
    }
}

/// A key for Python: str, or bytes where it is not UTF-8.
pub(super) fn key_object<'py>(py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(key) {
        Ok(text) => Ok(text.into_pyobject(py)?.into_any()),
        Err(_) => Ok(pyo3::types::PyBytes::new(py, key).into_any()),
    }
}

/// The same of all keys of a batch.
pub(super) fn key_objects(py: Python<'_>, keys: &[Key]) -> PyResult<Py<PyArray1<Py<PyAny>>>> {
    let keys = keys.iter().map(|key| Ok(key_object(py, key)?.unbind()));
    Ok(array(py, keys.collect::<PyResult<Vec<_>>>()?))
}

/// The place that an int means in a batch of so many, from the end where it is negative; `one` is what a batch is of.
pub(super) fn index(key: &Bound<'_, PyAny>, length: usize, one: &str) -> PyResult<usize> {
    let Ok(index) = key.extract::<isize>() else {
        let kind = key.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "a batch is indexed with an int or a field's name, not {kind}"
        )));
    };
    let from_start = if index < 0 { index + length as isize } else { index };
    if from_start < 0 || from_start as usize >= length {
        return Err(PyIndexError::new_err(format!("{one} {index} of a batch of {length}")));
    }
    Ok(from_start as usize)
}
