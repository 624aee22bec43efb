//! The read-only arrays of a batch: memory of Rust, moved into numpy without a copy.

use numpy::ndarray::Dim;
use numpy::{Element, PyArray, PyArray1, PyArray2, PyArrayMethods, PyReadwriteArray};
use pyo3::prelude::*;

use crate::batch::Values;

/// The values of a batch, in one of the two types.
pub(super) enum ValuesArray {
    F64(Py<PyArray2<f64>>),
    F32(Py<PyArray2<f32>>),
}

impl ValuesArray {
    /// Moves values into an array of `(events, fields)`.
    pub(super) fn new(py: Python<'_>, values: Values, shape: [usize; 2]) -> PyResult<Self> {
        Ok(match values {
            Values::F64(values) => Self::F64(rows_array(py, values, shape)?),
            Values::F32(values) => Self::F32(rows_array(py, values, shape)?),
        })
    }

    /// The values, copied.
    pub(super) fn copy(&self, py: Python<'_>) -> Values {
        match self {
            Self::F64(values) => Values::F64(values.bind(py).readonly().as_array().iter().copied().collect()),
            Self::F32(values) => Values::F32(values.bind(py).readonly().as_array().iter().copied().collect()),
        }
    }

    /// The array for Python.
    pub(super) fn any<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::F64(values) => values.bind(py).clone().into_any(),
            Self::F32(values) => values.bind(py).clone().into_any(),
        }
    }
}

fn read_only<T: Element, const D: usize>(array: &Bound<'_, PyArray<T, Dim<[usize; D]>>>)
where
    Dim<[usize; D]>: numpy::ndarray::Dimension,
{
    let writable: PyReadwriteArray<'_, T, Dim<[usize; D]>> = array.readwrite();
    writable.make_nonwriteable();
}

/// An array of one axis.
pub(super) fn array<T: Element>(py: Python<'_>, values: Vec<T>) -> Py<PyArray1<T>> {
    let array = PyArray1::from_vec(py, values);
    read_only(&array);
    array.unbind()
}

fn rows_array<T: Element>(py: Python<'_>, values: Vec<T>, shape: [usize; 2]) -> PyResult<Py<PyArray2<T>>> {
    let values = PyArray1::from_vec(py, values).reshape(shape)?;
    read_only(&values);
    Ok(values.unbind())
}
