//! Errors to exceptions: one match to one tree, `millstream.errors`. What a model raised is raised as it is.

use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;

use crate::error::Error;

/// Characters of an exception's message that are told at the most; its traceback has all of it.
const LONGEST: usize = 1_000;

/// The exception for an error.
pub(super) fn to_py(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::Config(_) => "ConfigError",
        Error::Kafka(_) => "KafkaError",
        Error::LostHistory(_) => "LostHistoryError",
        Error::Fenced(_) => "FencedError",
        Error::StateLimit(_) => "StateLimitError",
        Error::Model(_) | Error::ModelRaised { .. } | Error::ModelLost { .. } | Error::ModelBroken { .. } => {
            "ModelError"
        }
        Error::Ended(_) | Error::Internal { .. } => "MillstreamError",
    };
    let text = error.to_string();
    let cause = match error {
        Error::ModelRaised { cause, fatal, .. } => match cause.downcast::<PyErr>() {
            Ok(raised) if fatal || !ends_programs(py, &raised) => return *raised,
            Ok(raised) => Some(*raised),
            Err(_) => None,
        },
        Error::ModelBroken { cause, .. } => Some(to_py(py, *cause)),
        _ => None,
    };
    let made = py.import("millstream.errors").and_then(|errors| errors.getattr(class)?.call1((text,)));
    let made = made.map_or_else(|error| error, PyErr::from_value);
    made.set_cause(py, cause);
    made
}

/// What would end a program without a word if it came out of `run()` as it is.
fn ends_programs(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// Whether this is the thread that signals interrupt.
fn on_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let (main, this) =
        (threading.call_method0("main_thread")?.getattr("ident")?, threading.call_method0("get_ident")?);
    main.eq(this)
}

/// The exception itself, and the place of its window, where it comes out of a model that takes them one by one.
fn of_window(py: Python<'_>, error: PyErr) -> (PyErr, Option<usize>) {
    let window = py
        .import("millstream._windowed")
        .and_then(|module| module.getattr("WindowFailed"))
        .and_then(|class| error.value(py).is_instance(&class))
        .and_then(|is| if is { error.value(py).getattr("index")?.extract().map(Some) } else { Ok(None) });
    match (window, error.cause(py)) {
        (Ok(Some(window)), Some(cause)) => (cause, Some(window)),
        _ => (error, None),
    }
}

/// An exception of a model, with what there is to be said of it once nobody is attached.
pub(super) fn raised(py: Python<'_>, model: &str, error: PyErr) -> Error {
    let (error, window) = of_window(py, error);
    // A signal is raised on the main thread and nowhere else; elsewhere an interrupt is the model's own.
    let fatal = error.is_instance_of::<PyKeyboardInterrupt>(py) && on_main_thread(py).unwrap_or(true);
    // An exception that cannot be shown is told by its type.
    let summary = lines(py, "format_exception_only", (error.get_type(py), error.value(py)));
    let summary = summary.unwrap_or_else(|_| error.get_type(py).to_string());
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    // It goes to terminals, too: nothing in it may steer one.
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let summary = summary.chars().take(LONGEST).map(plain).collect();
    let all = (error.get_type(py), error.value(py), error.traceback(py));
    let traceback = lines(py, "format_exception", all).unwrap_or_default();
    Error::ModelRaised { model: model.to_owned(), summary, traceback, fatal, window, cause: Box::new(error) }
}

/// What a function of Python's `traceback` gives.
fn lines<'py>(py: Python<'py>, function: &str, of: impl PyCallArgs<'py>) -> PyResult<String> {
    let lines: Vec<String> = py.import("traceback")?.call_method1(function, of)?.extract()?;
    Ok(lines.concat().trim_end().to_owned())
}
