//! The context of windows for Python: one read-only object array per field.

use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy};

use super::arrays::array;
use crate::context::{Context, ContextValue};

/// A value as str, int, float, bool or None.
pub(super) fn object<'py>(py: Python<'py>, value: &ContextValue) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        ContextValue::Missing => py.None().into_bound(py),
        ContextValue::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        ContextValue::Int(value) => value.into_pyobject(py)?.into_any(),
        ContextValue::Unsigned(value) => value.into_pyobject(py)?.into_any(),
        ContextValue::Float(value) => value.into_pyobject(py)?.into_any(),
        ContextValue::Text(value) => value.into_pyobject(py)?.into_any(),
    })
}

/// The values of each field by its name, one per window.
pub(super) fn arrays(py: Python<'_>, names: &[String], rows: &[Context]) -> PyResult<Py<PyMappingProxy>> {
    let fields = PyDict::new(py);
    for (index, name) in names.iter().enumerate() {
        let values = rows.iter().map(|row| Ok(object(py, &row[index])?.unbind()));
        let column: Py<PyArray1<Py<PyAny>>> = array(py, values.collect::<PyResult<Vec<_>>>()?);
        fields.set_item(name, column)?;
    }
    Ok(PyMappingProxy::new(py, fields.as_mapping()).unbind())
}

/// The values of one window by field.
pub(super) fn of_window<'py>(
    py: Python<'py>,
    names: &[String],
    row: &Context,
) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    for (name, value) in names.iter().zip(row.iter()) {
        fields.set_item(name, object(py, value)?)?;
    }
    Ok(fields)
}
