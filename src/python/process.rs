//! A model in processes of its own: its batches go to them through memory that is shared, and the thread of a worker
//! waits for what its process says.

use std::sync::Arc;

use numpy::{PyArray1, PyArrayMethods, PyReadwriteArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::batch::WindowBatch;
use super::common::Declared;
use super::error::raised;
use super::events::EventBatch;
use super::model::{PyModel, attached, detached, too_late};
use super::outputs;
use crate::batch::Batch;
use crate::config::{ModelConfig, PoolKind};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::predict::{Model, Outputs, Packed, unpack};

/// What calls a model: `calls` is what `open` of its hooks has returned.
pub(super) fn caller(
    config: &ModelConfig,
    calls: Vec<Py<PyAny>>,
    metrics: &Arc<Metrics>,
    index: usize,
) -> Arc<dyn Model> {
    match config.pool {
        PoolKind::Threads => Arc::new(PyModel::new(config, calls)),
        PoolKind::Processes => Arc::new(ProcessModel::new(config, calls, metrics.clone(), index)),
    }
}

/// What the workers of a model call: a `Worker` of `millstream._pool` each.
struct ProcessModel {
    name: String,
    outputs: Option<Vec<String>>,
    pad_to: Option<usize>,
    workers: Vec<Py<PyAny>>,
    metrics: Arc<Metrics>,
    index: usize,
}

impl ProcessModel {
    fn new(config: &ModelConfig, workers: Vec<Py<PyAny>>, metrics: Arc<Metrics>, index: usize) -> Self {
        let (name, outputs) = (config.name.clone(), config.outputs.clone());
        Self { name, outputs, pad_to: config.pad_batch_to, workers, metrics, index }
    }

    fn call(&self, py: Python<'_>, worker: usize, batch: &Batch) -> Result<Outputs> {
        let worker = self.workers[worker % self.workers.len()].bind(py);
        let sent = send(worker, batch).and_then(|size| worker.call1((size, batch.len()))?.extract());
        let (outcome, value, replaced): (String, Bound<'_, PyAny>, u64) =
            sent.map_err(|error| raised(py, &self.name, error))?;
        self.metrics.models[self.index].workers_replaced.add(replaced);
        match outcome.as_str() {
            "returned" => {
                let mut outputs = outputs::convert(&self.name, self.outputs.as_deref(), &value)?;
                if let Some(padded) = self.pad_to {
                    outputs.cut_padding(batch.len(), padded);
                }
                Ok(outputs)
            }
            "raised" => Err(raised(py, &self.name, PyErr::from_value(value))),
            "lost" => Err(Error::ModelLost { text: value.to_string(), for_good: false }),
            "broken" => Err(Error::ModelLost { text: value.to_string(), for_good: true }),
            "ended" => Err(Error::Ended(value.to_string())),
            _ => Err(Error::model(value)),
        }
    }
}

/// Copies a batch to where the worker's process reads it; returns its size.
fn send(worker: &Bound<'_, PyAny>, batch: &Batch) -> PyResult<usize> {
    let packed = Packed::new(batch);
    let size = packed.size();
    let mut segment: PyReadwriteArray1<'_, u8> = worker.call_method1("segment", (size,))?.extract()?;
    let segment = segment.as_slice_mut()?;
    worker.py().detach(|| packed.write(segment));
    Ok(size)
}

impl Model for ProcessModel {
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

/// The batch that another process has written to shared memory, on arrays of its own.
#[pyfunction]
pub(super) fn unpack_batch(
    py: Python<'_>,
    packed: &Bound<'_, PyArray1<u8>>,
    names: Vec<String>,
    context: Vec<String>,
    pad_batch_to: Option<usize>,
) -> PyResult<WindowBatch> {
    let mut batch = unpacked(py, packed)?;
    WindowBatch::new(py, &Arc::new(Declared { names, context, pad_to: pad_batch_to }), &mut batch)
}

/// The same of single events.
#[pyfunction]
pub(super) fn unpack_events(
    py: Python<'_>,
    packed: &Bound<'_, PyArray1<u8>>,
    names: Vec<String>,
    context: Vec<String>,
) -> PyResult<EventBatch> {
    let mut batch = unpacked(py, packed)?;
    EventBatch::new(py, &Arc::new(Declared { names, context, pad_to: None }), &mut batch)
}

fn unpacked(py: Python<'_>, packed: &Bound<'_, PyArray1<u8>>) -> PyResult<Batch> {
    let packed = packed.readonly();
    let bytes = packed.as_slice()?;
    let batch = py.detach(|| unpack(bytes));
    batch.ok_or_else(|| PyValueError::new_err("the shared memory holds no batch"))
}
