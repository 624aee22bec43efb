//! What shows that history has been lost when partitions are assigned: a topic made again, a changed number of
//! partitions, a group without offsets that has been at work before. To begin anew in silence would skip or repeat.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::client::headers;
use super::consumer::{KafkaSource, REQUEST};
use super::context::Plain;
use super::describe::{self, Rights, Topic};
use super::error::code;
use super::settings::Settings;
use crate::clock;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::metadata::Metadata;
use crate::record::TopicPartition;
use crate::time::Millis;

/// How far from the end the newest record of a partition is looked for: markers of transactions lie behind it.
const TAIL: i64 = 100;
/// How long the ends of a sink may take to be read.
const READ: Duration = Duration::from_secs(10);
/// A group whose first commit is younger than that may just be beginning, each member with its own partitions.
const BEGINNING_MS: Millis = 600_000;

impl KafkaSource {
    /// What the cluster says now of the topics of these partitions.
    pub(super) fn facts(&mut self, partitions: &[TopicPartition]) -> Result<HashMap<Arc<str>, Topic>> {
        let mut all = HashMap::new();
        for id in partitions {
            if all.contains_key(&id.topic) {
                continue;
            }
            let partitions = self.topics.partitions(&id.topic);
            let known = Topic { id: None, partitions, rights: Rights::default() };
            let facts = if self.plan.brokers == "embedded" {
                known
            } else {
                let what = format!("the id of topic {:?}", id.topic);
                self.insist(&what, |source| {
                    match describe::topic(source.asker.client(), &id.topic, REQUEST) {
                        // A broker that is too old has no ids; its topics are told by their partitions alone.
                        Err(error) if code(&error) == Some(RDKafkaErrorCode::UnsupportedFeature) => {
                            Ok(known.clone())
                        }
                        facts => facts,
                    }
                })?
            };
            if facts.partitions != self.topics.partitions(&id.topic) {
                return Err(Error::LostHistory(format!(
                    "topic {:?} had {} partitions when this run began and has {} now: keys have moved, and their \
                     windows with them. Use a new group_id",
                    id.topic,
                    self.topics.partitions(&id.topic),
                    facts.partitions
                )));
            }
            all.insert(id.topic.clone(), facts);
        }
        Ok(all)
    }

    /// What shows that the group has been at work on the topics of these partitions before.
    pub(super) fn earlier(&mut self, partitions: &[TopicPartition]) -> Result<HashMap<Arc<str>, String>> {
        let mut found = HashMap::new();
        if self.plan.brokers == "embedded" {
            return Ok(found);
        }
        let now = clock::wall();
        for topic in partitions.iter().map(|id| &id.topic).collect::<HashSet<_>>() {
            let all: Vec<_> = (0..self.topics.partitions(topic)).map(|p| (topic.to_string(), p)).collect();
            let committed = self.insist("the committed offsets", |source| source.ask_committed(&all))?;
            let others =
                (0..).zip(&committed).filter_map(|(p, committed)| Some((p, &*committed.as_ref()?.1)));
            let mut evidence = committed_elsewhere(others, topic, now);
            let plan = self.plan.clone();
            let mine = plan.models.iter().filter(|model| plan.sources[model.source].topic == **topic);
            for sink in mine.map(|model| &model.sink).collect::<HashSet<_>>() {
                if evidence.is_none() && committed.iter().all(Option::is_none) {
                    let read = |source: &Self| {
                        let partitions = source.topics.partitions(sink);
                        produced(&source.settings, &source.log, sink, partitions, &plan.group_id)
                    };
                    evidence = self.insist(&format!("the newest results in {sink:?}"), read)?;
                }
            }
            found.extend(evidence.map(|evidence| (topic.clone(), evidence)));
        }
        Ok(found)
    }
}

/// Evidence in what the group has committed on the other partitions of a source: they are given by number.
pub(super) fn committed_elsewhere<'a>(
    others: impl Iterator<Item = (i32, &'a str)>,
    topic: &str,
    now: Millis,
) -> Option<String> {
    let begun = |text: &str| Metadata::decode(text).and_then(|metadata| metadata.begun);
    let mut old = others.filter(|(_, text)| begun(text).is_some_and(|begun| now - begun > BEGINNING_MS));
    old.next().map(|(partition, _)| format!("it has a committed offset on {topic} [{partition}]"))
}

/// Evidence in a sink: the newest record of one of its partitions is a result of this group.
pub(super) fn produced(
    settings: &Settings,
    log: &Log,
    topic: &str,
    partitions: i32,
    group: &str,
) -> std::result::Result<Option<String>, KafkaError> {
    let reader: BaseConsumer<Plain> =
        settings.reader(partitions.max(1) as usize).create_with_context(Plain::new(log.clone()))?;
    let mut wanted = TopicPartitionList::new();
    let mut ends = Vec::new();
    for partition in 0..partitions {
        let (low, high) = reader.fetch_watermarks(topic, partition, REQUEST)?;
        if high > low {
            wanted.add_partition_offset(topic, partition, Offset::Offset(low.max(high - TAIL)))?;
            ends.push((partition, high));
        }
    }
    if ends.is_empty() {
        return Ok(None);
    }
    reader.assign(&wanted)?;
    let mut newest = vec![None; partitions as usize];
    let until = Instant::now() + READ;
    while !ends.is_empty() && Instant::now() < until {
        if let Some(Ok(message)) = reader.poll(Duration::from_millis(20)) {
            let ours = headers(&message)
                .iter()
                .any(|(name, value)| name == "group" && value.as_slice() == group.as_bytes());
            newest[message.partition() as usize] = ours.then(|| message.offset());
        }
        // Markers at the end are passed by the position alone.
        let positions = reader.position()?;
        ends.retain(|(partition, high)| {
            let position = positions.find_partition(topic, *partition).map(|element| element.offset());
            !matches!(position, Some(Offset::Offset(offset)) if offset >= *high)
        });
    }
    let found = newest.iter().enumerate().find_map(|(partition, offset)| Some((partition, (*offset)?)));
    Ok(found.map(|(partition, offset)| {
        format!("its sink {topic:?} holds a result of it at offset {offset} of partition {partition}")
    }))
}
