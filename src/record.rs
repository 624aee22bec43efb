//! Records as they pass between the stages: borrowed on the way in, owned on the way out.

use std::fmt;
use std::sync::Arc;

use crate::time::Millis;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.topic, self.partition)
    }
}

/// A record of a source, as it lies in the client's memory.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// The offset in its partition.
    pub offset: i64,
    /// The key, where there is one.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's own timestamp, where it has one.
    pub timestamp: Option<Millis>,
}

/// The bytes of a key, shared by its windows and their results.
pub type Key = Arc<[u8]>;

/// Where a record of ours goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// The sink of the app's nth distinct sink topic.
    Sink(usize),
    /// The late topic.
    Late,
    /// The dead-letter topic.
    DeadLetter,
}

/// The headers of a record of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Those of a result; group, model and version are the same for all results of a model.
    Result {
        /// The model.
        model: usize,
        /// The deterministic identity of the window.
        id: [u8; 16],
    },
    /// Named ones.
    Named(Vec<(&'static str, Vec<u8>)>),
}

/// A record to be produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    /// Where to.
    pub stream: Stream,
    /// The partition; where the counts differ, the producer's partitioner decides by the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Key>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Millis,
    /// The headers.
    pub headers: Headers,
}

impl OutRecord {
    /// Bytes it holds, roughly: what the in-flight limit counts.
    pub fn bytes(&self) -> usize {
        let headers = match &self.headers {
            Headers::Result { .. } => 96,
            Headers::Named(list) => list.iter().map(|(name, value)| name.len() + value.len() + 48).sum(),
        };
        96 + self.key.as_ref().map_or(0, |k| k.len()) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}
