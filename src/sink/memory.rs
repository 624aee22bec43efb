//! A sink in memory: topics of records and committed offsets, all of a transaction or nothing of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Outcome, Sink};
use crate::config::{Plan, hex};
use crate::epoch::Transaction;
use crate::error::Result;
use crate::record::{Headers, OutRecord, Stream, TopicPartition};
use crate::time::Millis;

/// A record of a topic in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRecord {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its timestamp, where it has one.
    pub timestamp: Option<Millis>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Topics and committed offsets, shared by sources and sinks.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    topics: BTreeMap<String, Vec<Vec<MemoryRecord>>>,
    committed: BTreeMap<TopicPartition, (i64, String)>,
}

impl MemoryLog {
    /// Makes a topic, or gives one more partitions.
    pub fn create(&self, topic: &str, partitions: usize) {
        let mut inner = self.lock();
        let logs = inner.topics.entry(topic.to_owned()).or_default();
        if logs.len() < partitions {
            logs.resize_with(partitions, Vec::new);
        }
    }

    /// Appends a record; the partition is made where it is missing.
    pub fn append(&self, topic: &str, partition: usize, record: MemoryRecord) {
        self.create(topic, partition + 1);
        if let Some(logs) = self.lock().topics.get_mut(topic) {
            logs[partition].push(record);
        }
    }

    /// The partitions of a topic with all their records.
    pub fn topic(&self, topic: &str) -> Vec<Vec<MemoryRecord>> {
        self.lock().topics.get(topic).cloned().unwrap_or_default()
    }

    /// Number of records per partition of a topic.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        self.lock()
            .topics
            .get(topic)
            .map_or_else(Vec::new, |logs| logs.iter().map(|log| log.len() as i64).collect())
    }

    /// Records of a partition from an offset on.
    pub fn read(&self, id: &TopicPartition, from: i64, most: usize) -> Vec<MemoryRecord> {
        let inner = self.lock();
        let log = inner.topics.get(&*id.topic).and_then(|logs| logs.get(id.partition as usize));
        log.map_or_else(Vec::new, |log| log.iter().skip(from as usize).take(most).cloned().collect())
    }

    /// What is committed for a partition.
    pub fn committed(&self, id: &TopicPartition) -> Option<(i64, String)> {
        self.lock().committed.get(id).cloned()
    }

    /// Commits an offset, as a group would have.
    pub fn commit(&self, id: &TopicPartition, offset: i64, metadata: String) {
        self.lock().committed.insert(id.clone(), (offset, metadata));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commits to a `MemoryLog`.
#[derive(Clone, Debug)]
pub struct MemorySink {
    plan: Arc<Plan>,
    log: MemoryLog,
}

impl MemorySink {
    /// A sink for an app's topics.
    pub fn new(plan: Arc<Plan>, log: MemoryLog) -> Self {
        Self { plan, log }
    }

    fn topic(&self, stream: Stream) -> &str {
        match stream {
            Stream::Sink(sink) => self.plan.sinks().get(sink).copied().unwrap_or_default(),
            Stream::Late => &self.plan.late_topic,
            Stream::DeadLetter => &self.plan.dead_letter_topic,
        }
    }

    fn record(&self, record: &OutRecord) -> MemoryRecord {
        let headers = match &record.headers {
            Headers::Named(list) => {
                list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
            }
            Headers::Result { model, id } => {
                let config = &self.plan.models[*model];
                let mut headers = vec![
                    ("id".to_owned(), hex(id).into_bytes()),
                    ("group".to_owned(), self.plan.group_id.clone().into_bytes()),
                    ("model".to_owned(), config.name.clone().into_bytes()),
                ];
                headers.extend(
                    config.version.iter().map(|v| ("model-version".to_owned(), v.clone().into_bytes())),
                );
                headers
            }
        };
        MemoryRecord {
            key: record.key.as_ref().map(|key| key.to_vec()),
            value: record.value.clone(),
            timestamp: Some(record.timestamp),
            headers,
        }
    }
}

impl Sink for MemorySink {
    fn commit(&mut self, transaction: &Transaction) -> Result<Outcome> {
        for part in &transaction.parts {
            for record in &part.records {
                let partition = record.partition.unwrap_or(0) as usize;
                self.log.append(self.topic(record.stream), partition, self.record(record));
            }
            self.log.commit(&part.partition, part.offset, part.metadata.clone());
        }
        Ok(Outcome::Committed)
    }
}
