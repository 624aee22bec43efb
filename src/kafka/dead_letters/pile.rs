//! The dead letters that were there at one moment, read in pieces, apart from any group.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::refuse_embedded;
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::kafka::client::{TopicRecord, record};
use crate::kafka::cluster::{Cluster, REQUEST};
use crate::kafka::context::Plain;
use crate::kafka::error::failed;
use crate::kafka::settings::Settings;
use crate::log::Log;

/// A piece holds at most so many records, and ends with the one that goes beyond so many bytes.
const RECORDS: usize = 500;
const BYTES: usize = 16 << 20;
const POLL: Duration = Duration::from_millis(50);
/// How long reading goes on without getting anywhere.
const STALLED: Duration = Duration::from_secs(60);

/// The dead letters that were there at one moment.
pub struct Pile {
    topic: String,
    reader: BaseConsumer<Plain>,
    bounds: Vec<(i64, i64)>,
    /// Partitions that are not read to their ends yet.
    open: Vec<i32>,
}

impl Pile {
    /// What there is now, transactions that are still open left out; none where there is no such topic.
    pub fn open(plan: &Plan, log: &Log) -> Result<Option<Self>> {
        refuse_embedded(plan)?;
        let cluster = Cluster::connect(plan, log)?;
        let topic = plan.dead_letter_topic.clone();
        let Some(partitions) = cluster.partitions.get(&topic).copied() else {
            if cluster.hidden(&topic) {
                return Err(Error::Kafka(format!(
                    "topic {topic:?} may not be seen: grant the right DESCRIBE on it"
                )));
            }
            return Ok(None);
        };
        let what = format!("topic {topic:?} could not be read");
        let made = Settings::new(plan, 0)
            .reader(partitions.max(1) as usize)
            .create_with_context(Plain::new(log.clone()));
        let reader: BaseConsumer<Plain> = made.map_err(|error| failed(&what, &error))?;
        let bounds = (0..partitions).map(|partition| reader.fetch_watermarks(&topic, partition, REQUEST));
        let bounds = bounds.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&what, &error))?;
        Ok(Some(Self { topic, reader, bounds, open: Vec::new() }))
    }

    /// The oldest offset of each partition, and the one after the newest.
    pub fn bounds(&self) -> &[(i64, i64)] {
        &self.bounds
    }

    /// Begins to read, at an offset of each partition.
    pub fn begin(&mut self, from: &[i64]) -> Result<()> {
        let mut list = TopicPartitionList::new();
        self.open.clear();
        for (partition, (from, (low, high))) in (0..).zip(from.iter().zip(&self.bounds)) {
            let from = *from.max(low);
            if from < *high {
                self.open.push(partition);
                list.add_partition_offset(&self.topic, partition, Offset::Offset(from))
                    .map_err(|error| self.unread(&error))?;
            }
        }
        self.reader.assign(&list).map_err(|error| self.unread(&error))
    }

    /// The next piece, each partition in order; empty where all has been read.
    pub fn read(&mut self) -> Result<Vec<TopicRecord>> {
        let (mut records, mut bytes, mut progress) = (Vec::new(), 0, Instant::now());
        while !self.open.is_empty() && records.len() < RECORDS && bytes < BYTES {
            match self.reader.poll(POLL) {
                Some(Ok(message)) => {
                    progress = Instant::now();
                    let partition = message.partition();
                    let high = self.bounds.get(partition as usize).map_or(0, |(_, high)| *high);
                    if message.offset() < high {
                        bytes += message.payload_len() + message.key_len();
                        records.push(record(&message));
                    }
                    if message.offset() + 1 >= high {
                        self.open.retain(|open| *open != partition);
                    }
                }
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                        return Err(Error::Kafka(format!(
                            "topic {:?} could not be read: grant the right READ on it",
                            self.topic
                        )));
                    }
                    Some(RDKafkaErrorCode::AutoOffsetReset) => {
                        return Err(Error::Kafka(format!(
                            "dead letters of topic {:?} were deleted while they were read: call again",
                            self.topic
                        )));
                    }
                    _ => {}
                },
                None => {
                    self.pass_markers()?;
                    if !records.is_empty() {
                        break;
                    }
                }
            }
            if progress.elapsed() > STALLED {
                return Err(Error::Kafka(format!(
                    "reading topic {:?} has not moved for {} s",
                    self.topic,
                    STALLED.as_secs()
                )));
            }
        }
        Ok(records)
    }

    /// Markers of transactions at the end are passed by the position alone.
    fn pass_markers(&mut self) -> Result<()> {
        let positions = self.reader.position().map_err(|error| self.unread(&error))?;
        let (topic, bounds) = (&self.topic, &self.bounds);
        self.open.retain(|partition| {
            let position = positions.find_partition(topic, *partition).map(|element| element.offset());
            let high = bounds[*partition as usize].1;
            !matches!(position, Some(Offset::Offset(offset)) if offset >= high)
        });
        Ok(())
    }

    fn unread(&self, error: &rdkafka::error::KafkaError) -> Error {
        failed(format_args!("topic {:?} could not be read", self.topic), error)
    }
}
