//! Millstream: run your Python model on every window of a Kafka stream.
//!
//! ```text
//! consume -> decode -> window -> batch -> predict -> encode -> produce -> commit
//! ```
//!
//! The core builds and tests without Python and without Kafka: it is a synchronous state machine, and time is
//! passed in. `kafka` is the only place that names rdkafka, `python` the only one that names pyo3 and numpy.

pub mod config;
pub mod decode;
pub mod error;
pub mod record;
pub mod time;
pub mod window;
pub mod batch;
pub mod encode;
pub mod epoch;
pub mod lane;
pub mod log;
pub mod metadata;
pub mod metrics;
pub mod commit;
pub mod control;
pub mod ingest;
pub mod predict;
pub mod sink;
pub mod source;
pub mod offline;
pub mod pipeline;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "python")]
mod python;
