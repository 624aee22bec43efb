//! Work that waits for a cluster, on a thread of its own, so that a signal can end the wait.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use pyo3::prelude::*;

use super::error::to_py;
use crate::error::Error;

/// Waits of the main thread: signals are looked at in between.
pub(super) const STEP: Duration = Duration::from_millis(50);

/// Runs `body` on a thread of this name, `between` every now and then on this one. None where that says to stop: the
/// thread is left behind then, and ends with the request that it waits for.
pub(super) fn beside<T: Send + 'static>(
    py: Python<'_>,
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
    mut between: impl FnMut() -> PyResult<bool>,
) -> PyResult<Option<T>> {
    let (done, outcome) = bounded::<T>(1);
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(done.send(body())));
    let thread = thread.map_err(|error| to_py(py, Error::config(error)))?;
    loop {
        match py.detach(|| outcome.recv_timeout(STEP)) {
            Ok(value) => {
                py.detach(|| drop(thread.join()));
                return Ok(Some(value));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let what = "it ended without a word".to_owned();
                return Err(to_py(py, Error::Internal { thread: name.to_owned(), what }));
            }
        }
        if !between()? {
            return Ok(None);
        }
    }
}
