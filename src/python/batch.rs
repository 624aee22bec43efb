//! `WindowBatch`: a batch's arrays, moved into numpy without a copy and read-only.

use numpy::ndarray::Dim;
use numpy::{
    Element, PyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadwriteArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{
    PyAttributeError, PyIndexError, PyKeyError, PyMemoryError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PyList, PySlice, PyTuple};

use super::dense::Ragged;
use super::window::Window;
use crate::batch::{Batch, WindowMeta};
use crate::record::Key;

/// Windows that go to the model in one call: ragged, contiguous, read-only.
///
/// `len(batch)` is the number of windows. The events of window i are `values[row_splits[i]:row_splits[i + 1]]`,
/// ordered by time and offset. Indexing with an int and iterating give a `Window`; indexing with a field's name gives
/// that column of `values`.
#[pyclass(frozen, module = "millstream")]
pub(super) struct WindowBatch {
    names: Vec<String>,
    windows: usize,
    key_bytes: Vec<Key>,
    keys: PyOnceLock<Py<PyArray1<Py<PyAny>>>>,
    starts: Py<PyArray1<i64>>,
    ends: Py<PyArray1<i64>>,
    lengths: Py<PyArray1<i64>>,
    partitions: Py<PyArray1<i32>>,
    values: Py<PyArray2<f64>>,
    row_splits: Py<PyArray1<i64>>,
    timestamps: Option<Py<PyArray1<i64>>>,
}

fn read_only<T: Element, const D: usize>(array: &Bound<'_, PyArray<T, Dim<[usize; D]>>>)
where
    Dim<[usize; D]>: numpy::ndarray::Dimension,
{
    let writable: PyReadwriteArray<'_, T, Dim<[usize; D]>> = array.readwrite();
    writable.make_nonwriteable();
}

fn array<T: Element>(py: Python<'_>, values: Vec<T>) -> Py<PyArray1<T>> {
    let array = PyArray1::from_vec(py, values);
    read_only(&array);
    array.unbind()
}

/// A key for Python: str, or bytes where it is not UTF-8.
pub(super) fn key_object<'py>(py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(key) {
        Ok(text) => Ok(text.into_pyobject(py)?.into_any()),
        Err(_) => Ok(pyo3::types::PyBytes::new(py, key).into_any()),
    }
}

impl WindowBatch {
    /// Takes the arrays out of a batch.
    pub(super) fn new(py: Python<'_>, names: &[String], batch: &mut Batch) -> PyResult<Self> {
        let windows = &batch.windows;
        let each = |of: fn(&WindowMeta) -> i64| array(py, windows.iter().map(of).collect());
        let (starts, ends) = (each(|window| window.start), each(|window| window.end));
        let lengths = each(|window| window.events as i64);
        let partitions = array(py, windows.iter().map(|window| window.partition).collect());
        let events = batch.row_splits.last().copied().unwrap_or(0) as usize;
        let values =
            PyArray1::from_vec(py, std::mem::take(&mut batch.values)).reshape([events, names.len()])?;
        read_only(&values);
        Ok(Self {
            names: names.to_vec(),
            windows: windows.len(),
            key_bytes: windows.iter().map(|window| window.key.clone()).collect(),
            keys: PyOnceLock::new(),
            starts,
            ends,
            lengths,
            partitions,
            values: values.unbind(),
            row_splits: array(py, std::mem::take(&mut batch.row_splits)),
            timestamps: batch.timestamps.take().map(|times| array(py, times)),
        })
    }

    /// The events of one window, as a view.
    pub(super) fn rows<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        window: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (from, to) = self.bounds(py, window);
        array.get_item(PySlice::new(py, from as isize, to as isize, 1))
    }

    pub(super) fn bounds(&self, py: Python<'_>, window: usize) -> (i64, i64) {
        let splits = self.row_splits.bind(py).readonly();
        let splits = splits.as_array();
        (splits[window], splits[window + 1])
    }

    pub(super) fn start_end_partition(&self, py: Python<'_>, window: usize) -> (i64, i64, i32) {
        let (starts, ends) = (self.starts.bind(py).readonly(), self.ends.bind(py).readonly());
        let partitions = self.partitions.bind(py).readonly();
        (starts.as_array()[window], ends.as_array()[window], partitions.as_array()[window])
    }

    pub(super) fn key(&self, window: usize) -> &Key {
        &self.key_bytes[window]
    }

    pub(super) fn values_array<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.values.bind(py).clone().into_any()
    }

    /// The column of a field out of rows.
    pub(super) fn column<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        name: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(index) = self.names.iter().position(|field| field == name) else {
            return Err(PyKeyError::new_err(format!("no field {name:?}; there are {:?}", self.names)));
        };
        rows.get_item((PySlice::full(py), index))
    }

    pub(super) fn timestamps_array<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.timestamps {
            Some(timestamps) => Ok(timestamps.bind(py).clone().into_any()),
            None => Err(PyAttributeError::new_err(
                "the batch has no timestamps: the model was declared with timestamps=False",
            )),
        }
    }

    /// The latest `length` events of each window, or all of the longest, as a dense array; and which places are real.
    fn dense<'py>(&self, py: Python<'py>, length: Option<usize>) -> PyResult<Dense<'py>> {
        let (values, splits) = (self.values.bind(py).readonly(), self.row_splits.bind(py).readonly());
        let (values, splits, width) = (values.as_slice()?, splits.as_slice()?, self.names.len());
        let ragged = Ragged { values, splits, width };
        let length = length.unwrap_or_else(|| ragged.longest());
        let dense = py.detach(|| ragged.last(length).map(|dense| (dense, ragged.mask(length))));
        let Some((dense, mask)) = dense else {
            let shape = format!("({}, {length}, {width})", self.windows);
            return Err(PyMemoryError::new_err(format!("an array of {shape} does not fit into memory")));
        };
        let dense = PyArray1::from_vec(py, dense).reshape([self.windows, length, width])?;
        Ok((dense, PyArray1::from_vec(py, mask).reshape([self.windows, length])?))
    }
}

type Dense<'py> = (Bound<'py, PyArray3<f64>>, Bound<'py, PyArray2<bool>>);

#[pymethods]
impl WindowBatch {
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<Py<PyAny>>>> {
        let made = self.keys.get_or_try_init(py, || {
            let keys = self.key_bytes.iter().map(|key| Ok(key_object(py, key)?.unbind()));
            Ok::<_, PyErr>(array(py, keys.collect::<PyResult<Vec<_>>>()?))
        })?;
        Ok(made.bind(py).clone())
    }

    #[getter]
    fn starts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.starts.bind(py).clone()
    }

    #[getter]
    fn ends<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.ends.bind(py).clone()
    }

    #[getter]
    fn lengths<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.lengths.bind(py).clone()
    }

    #[getter]
    fn partitions<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        self.partitions.bind(py).clone()
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        self.values.bind(py).clone()
    }

    #[getter]
    fn row_splits<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.row_splits.bind(py).clone()
    }

    #[getter]
    fn timestamps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.timestamps_array(py)
    }

    #[getter]
    pub(super) fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.names)
    }

    fn __len__(&self) -> usize {
        self.windows
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let events = self.values.bind(py).shape()[0];
        format!("<WindowBatch of {} windows, {events} events, fields {:?}>", self.windows, self.names)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let windows = (0..slf.get().windows).map(|index| Bound::new(slf.py(), Window::new(slf, index)));
        PyList::new(slf.py(), windows.collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, batch) = (slf.py(), slf.get());
        if let Ok(name) = key.extract::<String>() {
            return batch.column(py, &batch.values_array(py), &name);
        }
        let Ok(index) = key.extract::<isize>() else {
            let kind = key.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "a batch is indexed with an int or a field's name, not {kind}"
            )));
        };
        let from_start = if index < 0 { index + batch.windows as isize } else { index };
        if from_start < 0 || from_start as usize >= batch.windows {
            return Err(PyIndexError::new_err(format!("window {index} of a batch of {}", batch.windows)));
        }
        Ok(Bound::new(py, Window::new(slf, from_start as usize))?.into_any())
    }

    fn pad<'py>(&self, py: Python<'py>) -> PyResult<Dense<'py>> {
        self.dense(py, None)
    }

    fn last<'py>(&self, py: Python<'py>, n: i64) -> PyResult<Bound<'py, PyArray3<f64>>> {
        if n < 1 {
            return Err(PyValueError::new_err(format!("last({n}): n must be at least 1")));
        }
        Ok(self.dense(py, Some(n as usize))?.0)
    }

    #[staticmethod]
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python are owned")]
    fn synthetic(
        py: Python<'_>,
        names: Vec<String>,
        windows: usize,
        events: usize,
        timestamps: bool,
    ) -> PyResult<Self> {
        let meta = |index: usize| WindowMeta {
            assignment: 0,
            epoch: 0,
            partition: 0,
            key: Key::from(format!("warmup-{index}").as_bytes()),
            start: 0,
            end: 1000 * events.max(1) as i64,
            events,
        };
        let total = windows * events;
        let mut batch = Batch {
            model: 0,
            windows: (0..windows).map(meta).collect(),
            // A slow wave: finite, not constant, and the same each time.
            values: (0..total * names.len()).map(|i| (i as f64 * 0.1).sin()).collect(),
            row_splits: (0..=windows).map(|window| (window * events) as i64).collect(),
            timestamps: timestamps.then(|| (0..total).map(|i| 1000 * (i % events.max(1)) as i64).collect()),
        };
        Self::new(py, &names, &mut batch)
    }
}
