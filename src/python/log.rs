//! Log lines to Python's `logging`, on the thread that called `run()`, between its waits.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::log::{About, Level, LogReader};

/// Hands over what there is. Each record has the name of the app, and what its line is about, as attributes.
pub(super) fn hand_over(py: Python<'_>, reader: &LogReader) -> PyResult<()> {
    let lines = reader.drain();
    if lines.is_empty() {
        return Ok(());
    }
    let logging = py.import("logging")?;
    for line in lines {
        let level = match line.level {
            Level::Debug => 10,
            Level::Info => 20,
            Level::Warning => 30,
            Level::Error => 40,
        };
        let logger = logging.call_method1("getLogger", (format!("millstream.{}", line.part),))?;
        // As an argument, so that a percent sign in the text is no format.
        let options = PyDict::new(py);
        options.set_item("extra", extra(py, reader.app(), line.about)?)?;
        logger.call_method("log", (level, "%s", line.text), Some(&options))?;
    }
    Ok(())
}

fn extra<'py>(py: Python<'py>, app: Option<&str>, about: About) -> PyResult<Bound<'py, PyDict>> {
    let extra = PyDict::new(py);
    if let Some(app) = app {
        extra.set_item("app", app)?;
    }
    if let Some(model) = about.model {
        extra.set_item("model", model)?;
    }
    if let Some(topic) = about.topic {
        extra.set_item("topic", topic)?;
    }
    if let Some(partition) = about.partition {
        extra.set_item("partition", partition)?;
    }
    if let Some(offset) = about.offset {
        extra.set_item("offset", offset)?;
    }
    if let Some(key) = about.key {
        extra.set_item("key", key)?;
    }
    if let Some(window) = about.window {
        extra.set_item("window", window)?;
    }
    Ok(extra)
}
