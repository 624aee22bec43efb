//! A Python callable as a model: attached while it runs, detached while its thread waits.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::batch::WindowBatch;
use super::common::Declared;
use super::error::raised;
use super::events::EventBatch;
use super::outputs;
use crate::batch::{Batch, Lent};
use crate::config::{ModelConfig, Unit};
use crate::encode::describe;
use crate::error::{Error, Result};
use crate::predict::{Model, Outputs};

/// What the workers of a model call: one callable each.
pub(super) struct PyModel {
    name: String,
    unit: Unit,
    declared: Arc<Declared>,
    outputs: Option<Vec<String>>,
    calls: Vec<Py<PyAny>>,
    /// The process that runs the engine.
    process: u32,
}

impl PyModel {
    pub(super) fn new(config: &ModelConfig, calls: Vec<Py<PyAny>>) -> Self {
        let declared = Arc::new(Declared::of(config));
        let (name, unit) = (config.name.clone(), config.unit());
        Self { name, unit, declared, outputs: config.outputs.clone(), calls, process: std::process::id() }
    }

    /// Gives the arrays of a batch to Python.
    fn lend(&self, py: Python<'_>, batch: &mut Batch) -> PyResult<Py<PyAny>> {
        match self.unit {
            Unit::Window => {
                let given = Py::new(py, WindowBatch::new(py, &self.declared, batch)?)?;
                batch.lend(Box::new(Arrays(given.clone_ref(py))));
                Ok(given.into_any())
            }
            Unit::Event => {
                let given = Py::new(py, EventBatch::new(py, &self.declared, batch)?)?;
                batch.lend(Box::new(Events(given.clone_ref(py))));
                Ok(given.into_any())
            }
        }
    }

    fn call(&self, py: Python<'_>, worker: usize, batch: &mut Batch) -> Result<Outputs> {
        let python = |error| raised(py, &self.name, error);
        let windows = batch.len();
        let given = self.lend(py, batch).map_err(python)?;
        let call = self.calls[worker % self.calls.len()].bind(py);
        let result = call.call1((given,));
        if std::process::id() != self.process {
            self.end_child(py, &result);
        }
        let result = result.map_err(python)?;
        let outputs = outputs::convert(&self.name, self.outputs.as_deref(), &result);
        let mut outputs = outputs.map_err(|error| self.with_window(error, &result, batch))?;
        if let Some(padded) = self.declared.pad_to {
            outputs.cut_padding(windows, padded);
        }
        Ok(outputs)
    }

    /// Ends a process that the model has forked: it has none of the other threads, and must not go on as the engine.
    fn end_child(&self, py: Python<'_>, result: &PyResult<Bound<'_, PyAny>>) -> ! {
        let raised = result.as_ref().err().map(|error| error.value(py));
        let _ = py
            .import("millstream._contain")
            .and_then(|contain| contain.call_method1("end_child", (&self.name, raised)));
        std::process::abort()
    }

    /// Says which window it was whose row in a list cannot be used.
    fn with_window(&self, error: Error, result: &Bound<'_, PyAny>, batch: &Batch) -> Error {
        let (Error::Model(text), Ok(rows)) = (&error, result.cast::<PyList>()) else { return error };
        if rows.len() != batch.len() {
            return error;
        }
        let usable = |row: Bound<'_, PyAny>| {
            PyList::new(row.py(), [row]).map_or(true, |alone| {
                outputs::convert(&self.name, self.outputs.as_deref(), alone.as_any()).is_ok()
            })
        };
        match rows.iter().position(|row| !usable(row)) {
            Some(at) => Error::model(format!(
                "{text} (for the {} {})",
                self.unit.one(),
                describe(self.unit, &batch.windows[at])
            )),
            None => error,
        }
    }
}

/// The arrays of a batch as its model was given them.
struct Arrays(Py<WindowBatch>);

impl Lent for Arrays {
    fn give_back(&self, batch: &mut Batch) {
        // Without an interpreter nobody will look at them.
        let _ = Python::try_attach(|py| self.0.get().give_back(py, batch));
    }
}

/// The same of single events.
struct Events(Py<EventBatch>);

impl Lent for Events {
    fn give_back(&self, batch: &mut Batch) {
        let _ = Python::try_attach(|py| self.0.get().give_back(py, batch));
    }
}

impl Model for PyModel {
    fn predict(&self, worker: usize, batch: &mut Batch) -> Result<Outputs> {
        Python::try_attach(|py| self.call(py, worker, batch)).unwrap_or_else(|| Err(too_late(&self.name)))
    }

    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        attached(body);
    }

    fn detached(&self, body: &mut (dyn FnMut() + Send)) {
        detached(body);
    }
}

/// Attached once for the life of a thread: what a model keeps per thread stays. Where the interpreter is going away
/// there is nothing left to do.
pub(super) fn attached(body: &mut (dyn FnMut() + Send)) {
    let _ = Python::try_attach(|_| body());
}

/// Lets others have the interpreter meanwhile.
pub(super) fn detached(body: &mut (dyn FnMut() + Send)) {
    if Python::try_attach(|py| py.detach(&mut *body)).is_none() {
        body();
    }
}

/// What a call comes to that is made when the interpreter is going away.
pub(super) fn too_late(model: &str) -> Error {
    Error::Ended(format!("the interpreter ended before model {model} was called"))
}
