//! Kafka in and out: the only place that names rdkafka. A consumer and a producer per lane, a reader for replays,
//! the topics, and the embedded broker.

mod admin;
mod batch_queue;
mod check;
mod client;
mod cluster;
mod consumer;
mod context;
pub mod dead_letters;
mod describe;
mod embedded;
mod error;
mod history;
mod lag;
mod position;
mod producer;
mod reset;
mod restore;
mod settings;
mod transaction;

pub use admin::{Topics, prepare};
pub use check::{check, settings as check_settings};
pub use client::{TopicProducer, TopicReader, TopicRecord};
pub use consumer::KafkaSource;
pub use embedded::Embedded;
pub use lag::{Lag, lag};
pub use producer::KafkaSink;
pub use reset::{Move, Target, moves, reset};
pub use settings::Settings;

use std::sync::Arc;

use crate::error::Result;
use crate::shared::Shared;

/// Makes the two ends of a lane: a member of the group, and the producer that commits for it.
pub fn connect(shared: &Shared, topics: &Arc<Topics>, lane: usize) -> Result<(KafkaSource, KafkaSink)> {
    let settings = Settings::new(&shared.plan, lane);
    let sink = KafkaSink::new(shared, topics.clone(), settings.clone())?;
    let source = KafkaSource::new(shared, topics.clone(), settings)?;
    sink.commit_for(source.member());
    Ok((source, sink))
}
