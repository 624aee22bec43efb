//! `WindowBatch`: a batch's arrays, moved into numpy without a copy and read-only.

use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyIterator, PyList, PyMappingProxy, PySlice, PyTuple};

use super::arrays::{ValuesArray, array};
use super::arrow::{Rows, Table};
use super::common::{self, Declared};
use super::context;
use super::dense::{self, Source};
use super::synthetic;
use super::window::Window;
use crate::batch::{Batch, WindowMeta};
use crate::config::DType;
use crate::context::Context;
use crate::ragged::{Ragged, Request, Stat};
use crate::record::Key;

/// Windows that go to the model in one call: ragged, contiguous, read-only.
///
/// `len(batch)` is the number of windows. The events of window i are `values[row_splits[i]:row_splits[i + 1]]`,
/// ordered by time and offset. Indexing with an int and iterating give a `Window`; indexing with a field's name gives
/// that column of `values`.
#[pyclass(frozen, module = "millstream")]
pub(super) struct WindowBatch {
    pub(super) declared: Arc<Declared>,
    windows: usize,
    events: usize,
    key_bytes: Vec<Key>,
    keys: PyOnceLock<Py<PyArray1<Py<PyAny>>>>,
    starts: Py<PyArray1<i64>>,
    ends: Py<PyArray1<i64>>,
    lengths: Py<PyArray1<i64>>,
    partitions: Py<PyArray1<i32>>,
    values: ValuesArray,
    row_splits: Py<PyArray1<i64>>,
    timestamps: Option<Py<PyArray1<i64>>>,
    contexts: Vec<Context>,
    context: PyOnceLock<Py<PyMappingProxy>>,
}

impl WindowBatch {
    /// Takes the arrays out of a batch.
    pub(super) fn new(py: Python<'_>, declared: &Arc<Declared>, batch: &mut Batch) -> PyResult<Self> {
        let windows = &batch.windows;
        let each = |of: fn(&WindowMeta) -> i64| array(py, windows.iter().map(of).collect());
        let (starts, ends) = (each(|window| window.start), each(|window| window.end));
        let lengths = each(|window| window.events as i64);
        let partitions = array(py, windows.iter().map(|window| window.partition).collect());
        let events = batch.row_splits.last().copied().unwrap_or(0) as usize;
        let shape = [events, declared.names.len()];
        let values = ValuesArray::new(py, std::mem::take(&mut batch.values), shape)?;
        Ok(Self {
            declared: declared.clone(),
            windows: windows.len(),
            events,
            key_bytes: windows.iter().map(|window| window.key.clone()).collect(),
            keys: PyOnceLock::new(),
            starts,
            ends,
            lengths,
            partitions,
            values,
            row_splits: array(py, std::mem::take(&mut batch.row_splits)),
            timestamps: batch.timestamps.take().map(|times| array(py, times)),
            contexts: batch.contexts.take().unwrap_or_default(),
            context: PyOnceLock::new(),
        })
    }

    /// Copies the arrays back: a model only had them to read.
    pub(super) fn give_back(&self, py: Python<'_>, batch: &mut Batch) {
        batch.values = self.values.copy(py);
        batch.row_splits = self.row_splits.bind(py).readonly().as_array().to_vec();
        batch.timestamps =
            self.timestamps.as_ref().map(|times| times.bind(py).readonly().as_array().to_vec());
        batch.contexts = (!self.contexts.is_empty()).then(|| self.contexts.clone());
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
        self.values.any(py)
    }

    /// The context of one window, by field.
    pub(super) fn context_of<'py>(&self, py: Python<'py>, window: usize) -> PyResult<Bound<'py, PyDict>> {
        match self.contexts.get(window) {
            None => Ok(PyDict::new(py)),
            Some(row) => context::of_window(py, &self.declared.context, row),
        }
    }

    pub(super) fn timestamps_array<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.timestamps {
            Some(timestamps) => Ok(timestamps.bind(py).clone().into_any()),
            None => Err(PyAttributeError::new_err(
                "the batch has no timestamps: the model was declared with timestamps=False",
            )),
        }
    }

    /// Works on the arrays as slices.
    fn with_source<R>(&self, py: Python<'_>, body: impl FnOnce(Source<'_>) -> PyResult<R>) -> PyResult<R> {
        let (splits, starts, ends) = (
            self.row_splits.bind(py).readonly(),
            self.starts.bind(py).readonly(),
            self.ends.bind(py).readonly(),
        );
        let times = self.timestamps.as_ref().map(|times| times.bind(py).readonly());
        let parts = Ragged::<()> {
            values: &[],
            splits: splits.as_slice()?,
            width: self.declared.names.len(),
            times: times.as_ref().map(|times| times.as_slice()).transpose()?,
            starts: starts.as_slice()?,
            ends: ends.as_slice()?,
            pad_to: self.declared.pad_to,
        };
        match &self.values {
            ValuesArray::F64(values) => {
                body(Source::F64(parts.with_values(values.bind(py).readonly().as_slice()?)))
            }
            ValuesArray::F32(values) => {
                body(Source::F32(parts.with_values(values.bind(py).readonly().as_slice()?)))
            }
        }
    }

    fn dense<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with_source(py, |source| {
            let dtype = dense::dtype_or(source.dtype(), dtype)?;
            source.array(py, request, dtype)
        })
    }

    fn frame<'py>(slf: &Bound<'py, Self>, kind: &str, long: bool) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("millstream._frames")?.call_method1(kind, (slf, long))
    }
}

#[pymethods]
impl WindowBatch {
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<Py<PyAny>>>> {
        let made = self.keys.get_or_try_init(py, || common::key_objects(py, &self.key_bytes))?;
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
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.values_array(py)
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
        PyTuple::new(py, &self.declared.names)
    }

    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        let made = self.context.get_or_try_init(py, || {
            let names = if self.contexts.is_empty() { &[][..] } else { &self.declared.context };
            context::arrays(py, names, &self.contexts)
        })?;
        Ok(made.bind(py).clone())
    }

    fn __len__(&self) -> usize {
        self.windows
    }

    fn __repr__(&self) -> String {
        let events = self.events;
        let names = &self.declared.names;
        format!("<WindowBatch of {} windows, {events} events, fields {names:?}>", self.windows)
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("millstream._html")?.call_method1("of_batch", (slf,))
    }

    #[pyo3(signature = (*, windows=6))]
    fn plot<'py>(slf: &Bound<'py, Self>, windows: usize) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("millstream._plot")?.call_method1("of_batch", (slf, windows))
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let windows = (0..slf.get().windows).map(|index| Bound::new(slf.py(), Window::new(slf, index)));
        PyList::new(slf.py(), windows.collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, batch) = (slf.py(), slf.get());
        if let Ok(name) = key.extract::<String>() {
            return batch.declared.column(&batch.values_array(py), &name);
        }
        let index = common::index(key, batch.windows, "window")?;
        Ok(Bound::new(py, Window::new(slf, index))?.into_any())
    }

    #[pyo3(signature = (length=None, *, side="left", value=f64::NAN, layout="ntf", dtype=None))]
    fn pad<'py>(
        &self,
        py: Python<'py>,
        length: Option<i64>,
        side: &str,
        value: f64,
        layout: &str,
        dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        self.with_source(py, |source| {
            let pad = dense::pad("length", length, source.longest(), side, value, layout)?;
            let dtype = dense::dtype_or(source.dtype(), dtype)?;
            Ok((source.array(py, &Request::Events(pad), dtype)?, source.mask(py, &pad)?))
        })
    }

    #[pyo3(signature = (n, *, side="left", value=f64::NAN, layout="ntf", dtype=None))]
    fn last<'py>(
        &self,
        py: Python<'py>,
        n: i64,
        side: &str,
        value: f64,
        layout: &str,
        dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pad = dense::pad("n", Some(n), 0, side, value, layout)?;
        self.dense(py, &Request::Events(pad), dtype)
    }

    #[pyo3(signature = (n=None, *, every=None, how="linear", layout="ntf", dtype=None))]
    fn resample<'py>(
        &self,
        py: Python<'py>,
        n: Option<i64>,
        every: Option<&Bound<'py, PyAny>>,
        how: &str,
        layout: &str,
        dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let resample = dense::resample(n, every, how, layout)?;
        self.timestamps_array(py)?;
        self.dense(py, &Request::Grid(resample), dtype)
    }

    #[pyo3(signature = (stats=None, *, dtype=None))]
    fn summary<'py>(
        &self,
        py: Python<'py>,
        stats: Option<Vec<String>>,
        dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stats = dense::stats(stats)?;
        if stats.contains(&Stat::Slope) {
            self.timestamps_array(py)?;
        }
        self.dense(py, &Request::Summary(stats), dtype)
    }

    #[pyo3(signature = (stats=None))]
    fn summary_names<'py>(
        &self,
        py: Python<'py>,
        stats: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let stats = dense::stats(stats)?;
        let names = self.declared.names.iter();
        let all: Vec<String> =
            names.flat_map(|name| stats.iter().map(move |stat| format!("{name}_{}", stat.name()))).collect();
        PyTuple::new(py, all)
    }

    #[pyo3(signature = (*, long=true))]
    fn to_arrow<'py>(slf: &Bound<'py, Self>, long: bool) -> PyResult<Bound<'py, PyAny>> {
        Self::frame(slf, "to_arrow", long)
    }

    #[pyo3(signature = (*, long=true))]
    fn to_pandas<'py>(slf: &Bound<'py, Self>, long: bool) -> PyResult<Bound<'py, PyAny>> {
        Self::frame(slf, "to_pandas", long)
    }

    #[pyo3(signature = (*, long=true))]
    fn to_polars<'py>(slf: &Bound<'py, Self>, long: bool) -> PyResult<Bound<'py, PyAny>> {
        Self::frame(slf, "to_polars", long)
    }

    #[pyo3(signature = (requested_schema=None, *, long=true))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
        long: bool,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The schema that a consumer would like better is a wish: it casts for itself.
        let _ = requested_schema;
        let partitions = self.partitions.bind(py).readonly();
        let partitions = partitions.as_slice()?;
        let stream = self.with_source(py, |values| {
            let table = Table {
                names: &self.declared.names,
                context_names: if self.contexts.is_empty() { &[] } else { &self.declared.context },
                keys: &self.key_bytes,
                contexts: &self.contexts,
                partitions,
                values,
            };
            let rows = if long { Rows::Events } else { Rows::Windows };
            py.detach(|| table.stream(rows)).map_err(|error| PyRuntimeError::new_err(error.to_string()))
        })?;
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    #[staticmethod]
    #[pyo3(signature = (names, windows, events, timestamps, *, dtype="float64", context=vec![], pad_batch_to=None))]
    #[expect(clippy::too_many_arguments, reason = "what a topic and a model declare")]
    fn synthetic(
        py: Python<'_>,
        names: Vec<String>,
        windows: usize,
        events: usize,
        timestamps: bool,
        dtype: &str,
        context: Vec<String>,
        pad_batch_to: Option<usize>,
    ) -> PyResult<Self> {
        let declared = Arc::new(Declared { names, context, pad_to: pad_batch_to });
        let dtype = dense::dtype_or(DType::Float64, Some(dtype.into_pyobject(py)?.as_any()))?;
        Self::new(py, &declared, &mut synthetic::batch(&declared, windows, events, timestamps, dtype))
    }
}
