//! Fills a new topic with the events, in order of time, and makes topics for results.

use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::Outcome;
use crate::spec::Spec;

/// Makes the topic and writes all events.
pub(crate) fn run(spec: &Spec) -> Outcome<Value> {
    let began = Instant::now();
    create(&spec.brokers, &spec.topic, spec.partitions, "CreateTime")?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &spec.brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", &spec.compression)
        .set("linger.ms", "50")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    let mut value = Vec::new();
    let mut bytes = 0;
    for index in 0..spec.events {
        let event = spec.event(index);
        let key = format!("s{}", event.key);
        value.clear();
        spec.json(&event, &mut value)?;
        bytes += value.len();
        let mut record = BaseRecord::to(&spec.topic)
            .partition((event.key % spec.partitions as u64) as i32)
            .key(key.as_bytes())
            .payload(value.as_slice())
            .timestamp(event.time);
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(5));
            record = back;
        }
        if index % 4096 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60))?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(
        json!({ "events": spec.events, "seconds": seconds, "bytes_per_event": bytes as f64 / spec.events as f64 }),
    )
}

/// Makes a topic for events whose timestamps are the instants at which the broker had them.
pub(crate) fn source(spec: &Spec) -> Outcome<Value> {
    create(&spec.brokers, &spec.topic, spec.partitions, "LogAppendTime")?;
    Ok(json!({ "created": spec.topic }))
}

/// Makes a topic for results whose timestamps are the instants at which the broker had them.
pub(crate) fn sink(spec: &Spec) -> Outcome<Value> {
    create(&spec.brokers, &spec.sink, spec.partitions, "LogAppendTime")?;
    Ok(json!({ "created": spec.sink }))
}

/// Makes a topic that keeps its records whatever their timestamps say.
fn create(brokers: &str, topic: &str, partitions: i32, timestamps: &str) -> Outcome<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = new.set("retention.ms", "-1").set("message.timestamp.type", timestamps);
    for made in block_on(admin.create_topics(&[new], &AdminOptions::new()))? {
        made.map_err(|(topic, code)| format!("topic {topic} could not be created: {code}"))?;
    }
    Ok(())
}
