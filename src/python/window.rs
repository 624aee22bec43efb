//! `Window`: one window of a batch, as views on it.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::batch::WindowBatch;
use super::common::key_object;

/// One window of a batch. `len(window)` is its number of events, `window["ax"]` a column of `values`.
#[pyclass(frozen, module = "millstream")]
pub(super) struct Window {
    batch: Py<WindowBatch>,
    index: usize,
}

impl Window {
    pub(super) fn new(batch: &Bound<'_, WindowBatch>, index: usize) -> Self {
        Self { batch: batch.clone().unbind(), index }
    }
}

#[pymethods]
impl Window {
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        key_object(py, self.batch.get().key(self.index))
    }

    #[getter]
    fn start(&self, py: Python<'_>) -> i64 {
        self.batch.get().start_end_partition(py, self.index).0
    }

    #[getter]
    fn end(&self, py: Python<'_>) -> i64 {
        self.batch.get().start_end_partition(py, self.index).1
    }

    #[getter]
    fn partition(&self, py: Python<'_>) -> i32 {
        self.batch.get().start_end_partition(py, self.index).2
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let batch = self.batch.get();
        batch.rows(py, &batch.values_array(py), self.index)
    }

    #[getter]
    fn timestamps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let batch = self.batch.get();
        batch.rows(py, &batch.timestamps_array(py)?, self.index)
    }

    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.batch.get().context_of(py, self.index)
    }

    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.batch.get().names(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        let (from, to) = self.batch.get().bounds(py, self.index);
        (to - from) as usize
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.batch.get().declared.column(&self.values(py)?, name)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (start, end, _) = self.batch.get().start_end_partition(py, self.index);
        Ok(format!("<Window {} [{start}, {end}) of {} events>", self.key(py)?.repr()?, self.__len__(py)))
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("millstream._html")?.call_method1("of_window", (slf,))
    }

    #[pyo3(signature = (*, ax=None))]
    fn plot<'py>(slf: &Bound<'py, Self>, ax: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("millstream._plot")?.call_method1("of_window", (slf, ax))
    }
}
