//! `EventBatch` and `Event`: single events of a batch, its arrays moved into numpy without a copy and read-only.

use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyList, PyMappingProxy, PyTuple};

use super::arrays::{ValuesArray, array};
use super::common::{self, Declared, key_object};
use super::{context, dense, synthetic};
use crate::batch::Batch;
use crate::config::DType;
use crate::context::Context;
use crate::record::Key;

/// Events that go to the model in one call, one row each; read-only.
///
/// `len(batch)` is the number of events. Indexing with an int and iterating give an `Event`; indexing with a field's
/// name gives that column of `values`.
#[pyclass(frozen, module = "millstream")]
pub(super) struct EventBatch {
    declared: Arc<Declared>,
    key_bytes: Vec<Key>,
    keys: PyOnceLock<Py<PyArray1<Py<PyAny>>>>,
    timestamps: Py<PyArray1<i64>>,
    partitions: Py<PyArray1<i32>>,
    offsets: Py<PyArray1<i64>>,
    values: ValuesArray,
    contexts: Vec<Context>,
    context: PyOnceLock<Py<PyMappingProxy>>,
}

impl EventBatch {
    /// Takes the arrays out of a batch.
    pub(super) fn new(py: Python<'_>, declared: &Arc<Declared>, batch: &mut Batch) -> PyResult<Self> {
        let events = &batch.windows;
        let shape = [events.len(), declared.names.len()];
        Ok(Self {
            declared: declared.clone(),
            key_bytes: events.iter().map(|event| event.key.clone()).collect(),
            keys: PyOnceLock::new(),
            timestamps: array(py, events.iter().map(|event| event.start).collect()),
            partitions: array(py, events.iter().map(|event| event.partition).collect()),
            offsets: array(py, events.iter().map(|event| event.offsets.0).collect()),
            values: ValuesArray::new(py, std::mem::take(&mut batch.values), shape)?,
            contexts: batch.contexts.take().unwrap_or_default(),
            context: PyOnceLock::new(),
        })
    }

    /// Copies the arrays back: a model only had them to read.
    pub(super) fn give_back(&self, py: Python<'_>, batch: &mut Batch) {
        batch.values = self.values.copy(py);
        batch.contexts = (!self.contexts.is_empty()).then(|| self.contexts.clone());
    }
}

#[pymethods]
impl EventBatch {
    #[getter]
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<Py<PyAny>>>> {
        let made = self.keys.get_or_try_init(py, || common::key_objects(py, &self.key_bytes))?;
        Ok(made.bind(py).clone())
    }

    #[getter]
    fn timestamps<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.timestamps.bind(py).clone()
    }

    #[getter]
    fn partitions<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        self.partitions.bind(py).clone()
    }

    #[getter]
    fn offsets<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        self.offsets.bind(py).clone()
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.values.any(py)
    }

    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
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
        self.key_bytes.len()
    }

    fn __repr__(&self) -> String {
        format!("<EventBatch of {} events, fields {:?}>", self.key_bytes.len(), self.declared.names)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let events = (0..slf.get().key_bytes.len()).map(|index| Bound::new(slf.py(), Event::new(slf, index)));
        PyList::new(slf.py(), events.collect::<PyResult<Vec<_>>>()?)?.try_iter()
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, batch) = (slf.py(), slf.get());
        if let Ok(name) = key.extract::<String>() {
            return batch.declared.column(&batch.values.any(py), &name);
        }
        let index = common::index(key, batch.key_bytes.len(), "event")?;
        Ok(Bound::new(py, Event::new(slf, index))?.into_any())
    }

    #[staticmethod]
    #[pyo3(signature = (names, events, *, dtype="float64", context=vec![]))]
    fn synthetic(
        py: Python<'_>,
        names: Vec<String>,
        events: usize,
        dtype: &str,
        context: Vec<String>,
    ) -> PyResult<Self> {
        let declared = Arc::new(Declared { names, context, pad_to: None });
        let dtype = dense::dtype_or(DType::Float64, Some(dtype.into_pyobject(py)?.as_any()))?;
        let mut batch = synthetic::batch(&declared, events, 1, false, dtype);
        for (event, second) in batch.windows.iter_mut().zip(0..) {
            event.start = 1000 * second;
            event.offsets = (second, second);
        }
        Self::new(py, &declared, &mut batch)
    }
}

/// One event of a batch: `event["ax"]` is a value, `values` its row.
#[pyclass(frozen, module = "millstream")]
pub(super) struct Event {
    batch: Py<EventBatch>,
    index: usize,
}

impl Event {
    fn new(batch: &Bound<'_, EventBatch>, index: usize) -> Self {
        Self { batch: batch.clone().unbind(), index }
    }

    fn of(&self, py: Python<'_>, array: &Py<PyArray1<i64>>) -> i64 {
        array.bind(py).readonly().as_array()[self.index]
    }
}

#[pymethods]
impl Event {
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        key_object(py, &self.batch.get().key_bytes[self.index])
    }

    #[getter]
    fn timestamp(&self, py: Python<'_>) -> i64 {
        self.of(py, &self.batch.get().timestamps)
    }

    #[getter]
    fn partition(&self, py: Python<'_>) -> i32 {
        self.batch.get().partitions.bind(py).readonly().as_array()[self.index]
    }

    #[getter]
    fn offset(&self, py: Python<'_>) -> i64 {
        self.of(py, &self.batch.get().offsets)
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.batch.get().values.any(py).get_item(self.index)
    }

    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.batch.get().names(py)
    }

    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let batch = self.batch.get();
        match batch.contexts.get(self.index) {
            None => Ok(PyDict::new(py)),
            Some(row) => context::of_window(py, &batch.declared.context, row),
        }
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let batch = self.batch.get();
        batch.declared.column(&batch.values.any(py), name)?.get_item(self.index)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (key, offset, time) = (self.key(py)?.repr()?, self.offset(py), self.timestamp(py));
        Ok(format!("<Event {key} of {time} ms at offset {offset} of partition {}>", self.partition(py)))
    }
}
