//! The embedded broker, a small producer and a small reader, for demos, examples and tests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::error::to_py;
use crate::error::Error;
use crate::kafka::{Embedded, TopicProducer, TopicReader, TopicRecord};

/// As of a topic in a test.
const MOST_PARTITIONS: i32 = 10_000;

/// librdkafka's mock cluster inside this process, on the loopback interface; one per process.
#[pyclass(frozen, module = "millstream._core")]
pub(super) struct EmbeddedBroker {
    broker: &'static Embedded,
}

#[pymethods]
impl EmbeddedBroker {
    #[staticmethod]
    fn get(py: Python<'_>) -> PyResult<Self> {
        py.detach(Embedded::get).map(|broker| Self { broker }).map_err(|error| to_py(py, error))
    }

    #[getter]
    fn brokers(&self) -> &'static str {
        self.broker.brokers()
    }

    fn create_topic(&self, py: Python<'_>, name: &str, partitions: i32) -> PyResult<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || !name.chars().all(fits) || !(1..=MOST_PARTITIONS).contains(&partitions) {
            return Err(to_py(
                py,
                Error::config(format!(
                    "EmbeddedBroker.create_topic({name:?}, {partitions}): write a name of ASCII letters, digits and \
                     . _ -, and 1 to {MOST_PARTITIONS} partitions"
                )),
            ));
        }
        py.detach(|| self.broker.create_topic(name, partitions)).map_err(|error| to_py(py, error))
    }
}

fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .map_err(|_| PyValueError::new_err(format!("timeout {timeout} is no duration")))
}

/// A small producer, for demos, examples and tests.
#[pyclass(frozen, module = "millstream._core")]
pub(super) struct Producer {
    producer: Mutex<Option<TopicProducer>>,
}

impl Producer {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&TopicProducer) -> crate::error::Result<T> + Send,
    ) -> PyResult<T> {
        let outcome = py.detach(|| {
            let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
            producer.as_ref().map(call)
        });
        outcome
            .ok_or_else(|| PyValueError::new_err("the producer is closed"))?
            .map_err(|error| to_py(py, error))
    }
}

#[pymethods]
impl Producer {
    #[new]
    fn new(py: Python<'_>, brokers: &str) -> PyResult<Self> {
        // Nobody reads its log: what fails is raised.
        let (log, _) = crate::log::channel();
        let producer = py.detach(|| TopicProducer::new(brokers, log)).map_err(|error| to_py(py, error))?;
        Ok(Self { producer: Mutex::new(Some(producer)) })
    }

    #[pyo3(signature = (topic, value, *, key=None, timestamp=None, partition=None))]
    fn send(
        &self,
        py: Python<'_>,
        topic: &str,
        value: Option<&[u8]>,
        key: Option<&[u8]>,
        timestamp: Option<i64>,
        partition: Option<i32>,
    ) -> PyResult<()> {
        self.with(py, |producer| producer.send(topic, partition, key, value, timestamp))
    }

    #[pyo3(signature = (timeout=10.0))]
    fn flush(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = seconds(timeout)?;
        self.with(py, |producer| producer.flush(timeout))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.producer.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}

pub(super) type PyRecord<'py> = (
    i32,
    i64,
    Option<Bound<'py, PyBytes>>,
    Option<Bound<'py, PyBytes>>,
    i64,
    Vec<(String, Bound<'py, PyBytes>)>,
);

/// A record as Python gets it.
pub(super) fn as_tuple<'py>(py: Python<'py>, record: &TopicRecord) -> PyRecord<'py> {
    let bytes = |value: &Vec<u8>| PyBytes::new(py, value);
    let headers = record.headers.iter().map(|(name, value)| (name.clone(), bytes(value))).collect();
    let (key, value) = (record.key.as_ref().map(bytes), record.value.as_ref().map(bytes));
    (record.partition, record.offset, key, value, record.timestamp, headers)
}

/// A small reader without a group: all partitions from the beginning, committed records only.
#[pyclass(frozen, module = "millstream._core")]
pub(super) struct Consumer {
    reader: Mutex<Option<TopicReader>>,
}

#[pymethods]
impl Consumer {
    #[new]
    fn new(py: Python<'_>, brokers: &str, topic: &str) -> PyResult<Self> {
        let (log, _) = crate::log::channel();
        let reader = py.detach(|| TopicReader::new(brokers, topic, log)).map_err(|error| to_py(py, error))?;
        Ok(Self { reader: Mutex::new(Some(reader)) })
    }

    #[pyo3(signature = (timeout=0.1))]
    fn poll<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Vec<PyRecord<'py>>> {
        let timeout = seconds(timeout)?;
        let records = py.detach(|| {
            let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.as_ref().map(|reader| reader.poll(timeout))
        });
        let records = records.ok_or_else(|| PyValueError::new_err("the consumer is closed"))?;
        Ok(records.iter().map(|record| as_tuple(py, record)).collect())
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.reader.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}
