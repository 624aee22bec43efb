//! A small producer and a small reader for demos, examples and tests: no group, no transaction.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::context::{Deliveries, Plain};
use super::error::{failed, text};
use crate::error::{Error, Result};
use crate::log::Log;

const REQUEST: Duration = Duration::from_secs(10);

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", super::embedded::resolve(brokers)).set("client.id", "millstream");
    config
}

/// Produces single records.
pub struct TopicProducer {
    producer: BaseProducer<Deliveries>,
}

impl TopicProducer {
    /// A producer for a cluster.
    pub fn new(brokers: &str, log: Log) -> Result<Self> {
        let mut config = config(brokers);
        config.set("enable.idempotence", "true").set("linger.ms", "5");
        let producer = config
            .create_with_context(Deliveries::new(log))
            .map_err(|error| failed("the producer could not be made", &error))?;
        Ok(Self { producer })
    }

    /// Hands one record over; waits where the queue is full.
    pub fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Option<i64>,
    ) -> Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.partition = partition;
        record.key = key;
        record.payload = value;
        record.timestamp = timestamp;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(Duration::from_millis(5));
                    record = back;
                }
                Err((error, _)) => {
                    return Err(failed(format_args!("topic {topic:?} refused a record"), &error));
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        self.check()
    }

    /// Waits until everything is acknowledged.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        let until = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > until {
                let left = self.producer.in_flight_count();
                return Err(Error::Kafka(format!("{left} records were not acknowledged within {timeout:?}")));
            }
            self.producer.poll(Duration::from_millis(5));
        }
        self.check()
    }

    fn check(&self) -> Result<()> {
        match self.producer.context().take() {
            None => Ok(()),
            Some((topic, error)) => {
                Err(Error::Kafka(format!("topic {topic:?} refused a record: {}", text(&error))))
            }
        }
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its timestamp.
    pub timestamp: i64,
    /// Its headers; names that are not UTF-8 are left out.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Reads all partitions of a topic from the beginning.
pub struct TopicReader {
    consumer: BaseConsumer<Plain>,
}

impl TopicReader {
    /// A reader of a topic.
    pub fn new(brokers: &str, topic: &str, log: Log) -> Result<Self> {
        let mut config = config(brokers);
        config
            .set("group.id", "millstream-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer<Plain> = config
            .create_with_context(Plain::new(log))
            .map_err(|error| failed("the reader could not be made", &error))?;
        let what = format!("topic {topic:?} could not be read");
        let metadata =
            consumer.fetch_metadata(Some(topic), REQUEST).map_err(|error| failed(&what, &error))?;
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)
                .map_err(|error| failed(&what, &error))?;
        }
        if list.count() == 0 {
            return Err(Error::Kafka(format!("{what}: it does not exist")));
        }
        consumer.assign(&list).map_err(|error| failed(&what, &error))?;
        Ok(Self { consumer })
    }

    /// The records that are there, waiting up to `timeout` for the first.
    pub fn poll(&self, timeout: Duration) -> Vec<TopicRecord> {
        let mut records = Vec::new();
        let mut wait = timeout;
        while let Some(event) = self.consumer.poll(wait) {
            wait = Duration::ZERO;
            if let Ok(message) = event {
                records.push(record(&message));
            }
            if records.len() >= 10_000 {
                break;
            }
        }
        records
    }
}

/// The headers of a record; names that are not UTF-8 are left out.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Vec<u8>)> {
    message.headers().map_or_else(Vec::new, |headers| {
        // rust-rdkafka panics on a header name that is not UTF-8.
        let named =
            |index| std::panic::catch_unwind(AssertUnwindSafe(|| headers.try_get(index))).ok().flatten();
        let named = (0..headers.count()).filter_map(named);
        named.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    })
}

pub(super) fn record(message: &BorrowedMessage<'_>) -> TopicRecord {
    TopicRecord {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        headers: headers(message),
    }
}
