//! `Engine.test`: items in, records out, through the engine in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::config::Plan;
use crate::error::Result;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::offline::{Item, Offline, create_topics};
use crate::predict::Model;
use crate::sink::{MemoryLog, MemoryRecord};

/// Records of a partition that are taken in at once.
const POLL: usize = 4096;

/// A topic and what it is fed with.
pub(super) type Fed = (String, Vec<PyItem>);
type Headers = Vec<(String, Vec<u8>)>;
type InRecord = (String, i64, Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>, Headers);
type OutRecord = (i32, i64, Option<Bytes>, Option<Bytes>, i64, Vec<(String, Bytes)>);
/// What came of it, by topic.
pub(super) type Output = BTreeMap<String, Vec<OutRecord>>;

/// Bytes that become `bytes` in Python, not a list of ints.
#[derive(IntoPyObject)]
#[pyo3(transparent)]
pub(super) struct Bytes(std::borrow::Cow<'static, [u8]>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// An item as Python hands it over.
pub(super) struct PyItem(Item);

impl<'py> FromPyObject<'_, 'py> for PyItem {
    type Error = PyErr;

    fn extract(item: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let tuple = item.cast::<PyTuple>()?;
        let kind: String = tuple.get_item(0)?.extract()?;
        if kind == "advance" {
            return Ok(Self(Item::Advance(tuple.get_item(1)?.extract()?)));
        }
        let (_, partition, key, value, timestamp, headers): InRecord = tuple.extract()?;
        let partition = usize::try_from(partition)
            .map_err(|_| PyValueError::new_err(format!("partition {partition} is negative")))?;
        Ok(Self(Item::Record(partition, MemoryRecord { key, value, timestamp, headers })))
    }
}

/// Feeds the topics and returns those that the app writes.
pub(super) fn run_test(
    plan: &Arc<Plan>,
    models: &[Arc<dyn Model>],
    metrics: &Arc<Metrics>,
    says: &Log,
    topics: Vec<Fed>,
    drain: bool,
) -> Result<Output> {
    let unwrapped = |items: Vec<PyItem>| items.into_iter().map(|item| item.0).collect();
    let topics: Vec<(String, Vec<Item>)> =
        topics.into_iter().map(|(name, items)| (name, unwrapped(items))).collect();
    let log = MemoryLog::default();
    create_topics(plan, &topics, &log)?;
    let fed: BTreeMap<String, Vec<i64>> = topics
        .iter()
        .map(|(name, items)| {
            let mut counts = vec![0; log.ends(name).len()];
            for item in items {
                if let Item::Record(partition, _) = item {
                    counts[*partition] += 1;
                }
            }
            (name.clone(), counts)
        })
        .collect();
    Offline::new(plan, models, metrics, says, log.clone(), POLL).feed(topics, drain)?;
    let written = plan.sinks().into_iter().chain([plan.late_topic.as_str(), plan.dead_letter_topic.as_str()]);
    let none = Vec::new();
    Ok(written
        .map(|topic| (topic.to_owned(), records(&log, topic, fed.get(topic).unwrap_or(&none))))
        .collect())
}

/// The records of a topic, by partition and offset, without those it was fed with itself.
fn records(log: &MemoryLog, topic: &str, fed: &[i64]) -> Vec<OutRecord> {
    let mut records = Vec::new();
    for (partition, log) in log.topic(topic).into_iter().enumerate() {
        let own = fed.get(partition).copied().unwrap_or(0) as usize;
        for (offset, record) in log.into_iter().enumerate().skip(own) {
            let headers = record.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            let (key, value) = (record.key.map(Bytes::from), record.value.map(Bytes::from));
            records.push((
                partition as i32,
                offset as i64,
                key,
                value,
                record.timestamp.unwrap_or(-1),
                headers,
            ));
        }
    }
    records
}
