//! Millstream: run your Python model on every window of a Kafka stream.
//!
//! ```text
//! consume -> decode -> window -> batch -> predict -> encode -> produce -> commit
//! ```
//!
//! The core builds and tests without Python and without Kafka: it is a synchronous state machine, and time is
//! passed in. `kafka` is the only place that names rdkafka, `python` the only one that names pyo3 and numpy.

pub mod backtest;
pub mod batch;
pub mod check;
mod clock;
pub mod commit;
pub mod config;
pub mod context;
pub mod control;
pub mod decode;
pub mod encode;
pub mod epoch;
pub mod error;
pub mod fault;
pub mod ingest;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lane;
pub mod limits;
pub mod log;
pub mod metadata;
pub mod metrics;
pub mod observe;
pub mod offline;
pub mod pipeline;
pub mod predict;
#[cfg(feature = "python")]
mod python;
pub mod ragged;
pub mod record;
pub mod retry;
pub mod shared;
pub mod sink;
pub mod source;
#[cfg(feature = "status")]
pub mod status;
pub mod strikes;
pub mod time;
pub mod window;
