//! Errors to exceptions: one match to one tree, `millstream.errors`. What a model raised is raised as it is.

use pyo3::prelude::*;

use crate::error::Error;

/// The exception for an error.
pub(super) fn to_py(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::Config(_) => "ConfigError",
        Error::Kafka(_) => "KafkaError",
        Error::LostHistory(_) => "LostHistoryError",
        Error::Fenced(_) => "FencedError",
        Error::StateLimit(_) => "StateLimitError",
        Error::Model(_) | Error::ModelRaised { .. } => "ModelError",
        Error::Internal { .. } => "MillstreamError",
    };
    let text = error.to_string();
    if let Error::ModelRaised { cause, .. } = error
        && let Ok(raised) = cause.downcast::<PyErr>()
    {
        return *raised;
    }
    let made = py.import("millstream.errors").and_then(|errors| errors.getattr(class)?.call1((text,)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// An error that is an exception already: of a signal handler, a tick or a hook.
pub(super) fn raised(model: &str, error: PyErr) -> Error {
    Error::ModelRaised { model: model.to_owned(), cause: Box::new(error) }
}
