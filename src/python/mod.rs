//! The extension module `millstream._core`: the only place that names pyo3 and numpy.

mod arrays;
mod arrow;
mod backtest;
mod batch;
mod cell;
mod check;
mod client;
mod columns;
mod common;
mod context;
mod dead_letters;
mod dense;
mod engine;
mod error;
mod events;
mod json;
mod log;
mod metrics;
mod model;
mod offline;
mod outputs;
mod process;
mod result_table;
mod stream;
mod synthetic;
mod wait;
mod window;

use pyo3::prelude::*;

/// The compiled engine of millstream.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::batch::WindowBatch;
    #[pymodule_export]
    use super::check::{check, lag, reset, reset_moves};
    #[pymodule_export]
    use super::client::{Consumer, EmbeddedBroker, Producer};
    #[pymodule_export]
    use super::dead_letters::DeadLetterTopic;
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::events::{Event, EventBatch};
    #[pymodule_export]
    use super::features;
    #[pymodule_export]
    use super::process::{unpack_batch, unpack_events};
    #[pymodule_export]
    use super::result_table::ArrowTable;
    #[pymodule_export]
    use super::window::Window;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// What this build can do.
#[pyfunction]
fn features(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    let features = pyo3::types::PyDict::new(py);
    features.set_item("tls", cfg!(any(feature = "tls", feature = "tls-vendored")))?;
    Ok(features)
}
