//! Log lines to Python's `logging`, on the thread that called `run()`, between its waits.

use pyo3::prelude::*;

use crate::log::{Level, LogReader};

/// Hands over what there is.
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
        logger.call_method1("log", (level, "%s", line.text))?;
    }
    Ok(())
}
