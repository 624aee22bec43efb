//! Arrow streams that come from Python, by the `PyCapsule` interface. The one place in `python/` with `unsafe`.
#![allow(unsafe_code)]

use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// Takes the stream of whatever has `__arrow_c_stream__`.
pub(super) fn reader(frame: &Bound<'_, PyAny>) -> PyResult<ArrowArrayStreamReader> {
    let made = frame.call_method0("__arrow_c_stream__")?;
    let capsule = made.cast::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
    // Sound: a capsule of this name holds an initialised stream, by the interface's contract, and `capsule` keeps it
    // alive here. `from_raw` moves the stream out and leaves an empty one, so nobody releases it twice.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.cast().as_ptr()) };
    ArrowArrayStreamReader::try_new(stream).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
