//! A Python callable as a model: attached while it runs, detached while its thread waits.

use std::sync::Arc;

use pyo3::prelude::*;

use super::batch::{Declared, WindowBatch};
use super::error::raised;
use super::events::EventBatch;
use super::outputs;
use crate::batch::{Batch, Lent};
use crate::config::{ModelConfig, Unit};
use crate::error::{Error, Result};
use crate::predict::{Model, Outputs};

/// What the workers of a model call: one callable each.
pub(super) struct PyModel {
    name: String,
    unit: Unit,
    declared: Arc<Declared>,
    outputs: Option<Vec<String>>,
    calls: Vec<Py<PyAny>>,
}

impl PyModel {
    pub(super) fn new(config: &ModelConfig, calls: Vec<Py<PyAny>>) -> Self {
        let declared = Arc::new(Declared::of(config));
        let (name, unit) = (config.name.clone(), config.unit());
        Self { name, unit, declared, outputs: config.outputs.clone(), calls }
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
        let result = call.call1((given,)).map_err(python)?;
        let mut outputs = outputs::convert(&self.name, self.outputs.as_deref(), &result)?;
        if let Some(padded) = self.declared.pad_to {
            outputs.cut_padding(windows, padded);
        }
        Ok(outputs)
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
        Python::try_attach(|py| self.call(py, worker, batch)).unwrap_or_else(|| {
            Err(Error::Ended(format!("the interpreter ended before model {} was called", self.name)))
        })
    }

    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        // Attached once for the life of the thread: what a model keeps per thread stays. Where the interpreter is
        // going away there is nothing left to do.
        let _ = Python::try_attach(|_| body());
    }

    fn detached(&self, body: &mut (dyn FnMut() + Send)) {
        if Python::try_attach(|py| py.detach(&mut *body)).is_none() {
            body();
        }
    }
}
