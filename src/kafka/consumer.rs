//! A member of the consumer group: batches from forwarded partition queues, rebalances answered on the ingest thread,
//! and a close that cannot hang.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use rdkafka_sys::types::RDKafkaRespErr;

use super::admin::Topics;
use super::batch_queue::{BatchQueue, PartitionError};
use super::context::{Member, Plain};
use super::describe::Topic;
use super::error::failed;
use super::position;
use super::restore::KafkaReplay;
use super::settings::Settings;
use crate::config::Plan;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::fault::{self, Mutant};
use crate::log::Log;
use crate::record::{RawRecord, TopicPartition};
use crate::shared::Shared;
use crate::source::{Assigned, Change, Position, Source};

pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// How long one question after committed offsets may take.
const COMMITTED: Duration = Duration::from_secs(2);
const CLOSE: Duration = Duration::from_secs(5);
/// Between two looks while paused.
const PAUSED: Duration = Duration::from_millis(1);
/// How often the same trouble of a partition is told.
const REPEAT: Duration = Duration::from_secs(10);

/// The consumer of a lane.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<Member>>,
    queue: BatchQueue<Member>,
    /// Asks for high watermarks, which the member, reading what is committed, takes to be the last stable offset.
    pub(super) asker: BaseConsumer<Plain>,
    pub(super) plan: Arc<Plan>,
    pub(super) topics: Arc<Topics>,
    pub(super) settings: Settings,
    pub(super) log: Log,
    control: Control,
    /// Partitions whose records flow, by index.
    begun: Vec<Option<TopicPartition>>,
    paused: bool,
    /// Positions as of the last poll, asked for once.
    positions: Option<HashMap<(String, i32), i64>>,
    told: Option<Instant>,
}

impl KafkaSource {
    pub(super) fn new(shared: &Shared, topics: Arc<Topics>, settings: Settings) -> Result<Self> {
        let names: Vec<&str> = shared.plan.sources.iter().map(|source| source.topic.as_str()).collect();
        let partitions = names.iter().map(|topic| topics.partitions(topic)).sum::<i32>() as usize;
        let consumer: BaseConsumer<Member> = settings
            .member(partitions)
            .create_with_context(Member::new(shared.log.clone()))
            .map_err(|error| failed("the consumer could not be made", &error))?;
        let consumer = Arc::new(consumer);
        consumer
            .subscribe(&names)
            .map_err(|error| failed("the sources could not be subscribed to", &error))?;
        let asker = settings
            .asker()
            .create_with_context(Plain::new(shared.log.clone()))
            .map_err(|error| failed("a Kafka client could not be made", &error))?;
        Ok(Self {
            asker,
            queue: BatchQueue::new(consumer.clone()),
            consumer,
            plan: shared.plan.clone(),
            topics,
            settings,
            log: shared.log.clone(),
            control: shared.control.clone(),
            begun: Vec::new(),
            paused: false,
            positions: None,
            told: None,
        })
    }

    /// The member, for the producer that commits for it.
    pub(super) fn member(&self) -> Arc<BaseConsumer<Member>> {
        self.consumer.clone()
    }

    /// Serves rebalances and errors. No message comes this way: all partition queues are forwarded.
    fn serve(&mut self) -> Result<()> {
        // Its log lines and errors come this way too.
        let _ = self.asker.poll(Duration::ZERO);
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event.map(|message| message.offset()) {
                Err(error) => self.event(&error)?,
                Ok(offset) => {
                    let what = format!("offset {offset} came past the forwarded partition queues");
                    return Err(Error::Internal { thread: "millstream-ingest".to_owned(), what });
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, error: &KafkaError) -> Result<()> {
        let code = error.rdkafka_error_code();
        if let KafkaError::MessageConsumptionFatal(_) = error
            && !fault::is(Mutant::IgnoreFencing)
        {
            let fenced = code == Some(RDKafkaErrorCode::FencedInstanceId);
            let text = format!(
                "the consumer of group {:?} cannot go on: {}",
                self.plan.group_id,
                super::error::text(error)
            );
            return Err(if fenced { Error::Fenced(text) } else { Error::Kafka(text) });
        }
        match code {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
                let what = format!(
                    "group {:?} may not read its sources (READ on topic and group is needed)",
                    self.plan.group_id
                );
                Err(failed(what, error))
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                self.tell(format!("a source topic is not there: {}", super::error::text(error)));
                Ok(())
            }
            // Brokers that are away come back; librdkafka says so through the log.
            _ => Ok(()),
        }
    }

    fn tell(&mut self, text: String) {
        if self.told.is_none_or(|told| told.elapsed() > REPEAT) {
            self.told = Some(Instant::now());
            self.log.warning("kafka", text);
        }
    }

    fn partition_error(&mut self, error: &PartitionError) -> Result<()> {
        let Some(Some(id)) = self.begun.get(error.index) else { return Ok(()) };
        let id = id.clone();
        match error.code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => Err(Error::LostHistory(format!(
                "{id}: the next offset is no longer in the log: retention or DeleteRecords has overtaken this run. \
                 Use a new group_id, and a longer retention"
            ))),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => {
                Err(Error::Kafka(format!("{id} may not be read: the right READ on the topic is missing")))
            }
            code => {
                self.tell(format!("{id}: {}", RDKafkaErrorCode::from(code)));
                Ok(())
            }
        }
    }

    /// Asks once what the group has committed. With the transaction of an old owner pending that takes the time-out.
    pub(super) fn ask_committed(
        &self,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Option<(i64, String)>>, KafkaError> {
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in partitions {
            asked.add_partition(topic, *partition);
        }
        let answer = self.consumer.committed_offsets(asked, COMMITTED)?;
        let found = |topic: &str, partition| {
            answer.find_partition(topic, partition).as_ref().and_then(position::of_element)
        };
        Ok(partitions.iter().map(|(topic, partition)| found(topic, *partition)).collect())
    }

    /// Asks until there is an answer, saying so now and then; a stop ends it.
    pub(super) fn insist<T>(
        &mut self,
        what: &str,
        ask: impl Fn(&Self) -> Result<T, KafkaError>,
    ) -> Result<T> {
        loop {
            match ask(self) {
                Ok(answer) => return Ok(answer),
                Err(error) if self.control.stopping() => {
                    return Err(failed(format_args!("{what} is not known"), &error));
                }
                Err(error) => {
                    self.tell(format!("waiting for {what}: {}", super::error::text(&error)));
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    fn cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }
}

fn list<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for id in partitions {
        list.add_partition(&id.topic, id.partition);
    }
    list
}

impl Source for KafkaSource {
    type Replay = KafkaReplay;

    fn poll(
        &mut self,
        timeout: Duration,
        most: usize,
        each: &mut dyn FnMut(usize, RawRecord<'_>) -> Result<()>,
    ) -> Result<()> {
        self.positions = None;
        self.serve()?;
        if self.paused {
            std::thread::sleep(timeout.min(PAUSED));
            return Ok(());
        }
        for error in self.queue.take(timeout, most, each)? {
            self.partition_error(&error)?;
        }
        Ok(())
    }

    fn changes(&mut self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        while let Some(announced) = self.consumer.context().next() {
            let ids = announced.partitions.iter();
            let ids: Vec<_> = ids
                .map(|(topic, p)| TopicPartition { topic: Arc::from(topic.as_str()), partition: *p })
                .collect();
            changes.push(if announced.assign {
                Change::Assigned(self.describe(&ids)?)
            } else {
                Change::Revoked(ids)
            });
        }
        Ok(changes)
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()> {
        let mut assignment = TopicPartitionList::new();
        for (id, offset) in partitions {
            self.queue.forward(&id.topic, id.partition);
            assignment
                .add_partition_offset(&id.topic, id.partition, Offset::Offset(*offset))
                .map_err(|error| failed(format_args!("{id} could not be assigned"), &error))?;
        }
        let assigned = if self.cooperative() {
            self.consumer.incremental_assign(&assignment)
        } else {
            self.consumer.assign(&assignment)
        };
        assigned.map_err(|error| failed("the assignment could not be taken", &error))?;
        let waiting = list(partitions.iter().map(|(id, _)| id));
        self.consumer.pause(&waiting).map_err(|error| failed("partitions could not be paused", &error))
    }

    fn describe(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Assigned>> {
        let names: Vec<_> = partitions.iter().map(|id| (id.topic.to_string(), id.partition)).collect();
        let committed = self.insist("the committed offsets", |source| source.ask_committed(&names))?;
        let facts = self.facts(partitions)?;
        let earlier = if committed.contains(&None) { self.earlier(partitions)? } else { HashMap::new() };
        let described = partitions.iter().zip(committed).map(|(id, committed)| {
            let ask = |source: &Self| source.asker.fetch_watermarks(&id.topic, id.partition, REQUEST);
            let bounds = self.insist(&format!("the bounds of {id}"), ask)?;
            let Topic { id: topic_id, partitions, .. } = facts[&id.topic].clone();
            let earlier = if committed.is_none() { earlier.get(&id.topic).cloned() } else { None };
            Ok(Assigned { partition: id.clone(), committed, bounds, partitions, topic_id, earlier })
        });
        described.collect()
    }

    fn rewind(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()> {
        let ids = list(partitions.iter().map(|(id, _)| id));
        self.consumer.pause(&ids).map_err(|error| failed("partitions could not be paused", &error))?;
        for (id, offset) in partitions {
            self.queue.unname(&id.topic, id.partition);
            for begun in self.begun.iter_mut().filter(|begun| begun.as_ref() == Some(id)) {
                *begun = None;
            }
            self.consumer.seek(&id.topic, id.partition, Offset::Offset(*offset), REQUEST).map_err(
                |error| failed(format_args!("{id} could not be set back to offset {offset}"), &error),
            )?;
        }
        Ok(())
    }

    fn begin(&mut self, partition: &TopicPartition, index: usize) -> Result<()> {
        self.queue.name(&partition.topic, partition.partition, index);
        if index >= self.begun.len() {
            self.begun.resize(index + 1, None);
        }
        self.begun[index] = Some(partition.clone());
        if fault::is(Mutant::StayPaused) {
            return Ok(());
        }
        // Also where it was paused under an earlier assignment: librdkafka remembers that.
        self.consumer
            .resume(&list([partition]))
            .map_err(|error| failed(format_args!("{partition} could not be resumed"), &error))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for id in partitions {
            self.queue.release(&id.topic, id.partition);
            for begun in self.begun.iter_mut().filter(|begun| begun.as_ref() == Some(id)) {
                *begun = None;
            }
        }
        let released = if self.cooperative() {
            self.consumer.incremental_unassign(&list(partitions))
        } else {
            self.consumer.unassign()
        };
        released.map_err(|error| failed("partitions could not be released", &error))
    }

    // Nothing is taken for a while; librdkafka's own limits stop the fetching. Its pause would throw away what has been
    // fetched, and a resume takes some 400 ms until records flow again.
    fn pause(&mut self, paused: bool) -> Result<()> {
        self.paused = paused;
        Ok(())
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<Position> {
        if self.positions.is_none() {
            let list =
                self.consumer.position().map_err(|error| failed("positions could not be read", &error))?;
            let elements = list.elements();
            let positions = elements.iter().filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
                _ => None,
            });
            self.positions = Some(positions.collect());
        }
        let key = (partition.topic.to_string(), partition.partition);
        let position = self.positions.as_ref().and_then(|positions| positions.get(&key).copied());
        let (low, end) = self.queue.bounds(&partition.topic, partition.partition);
        Ok(Position { position, low, end })
    }

    fn ends(&mut self, topic: &str) -> Result<Vec<i64>> {
        let ends = (0..self.topics.partitions(topic)).map(|partition| {
            let ask = |source: &Self| source.asker.fetch_watermarks(topic, partition, REQUEST);
            self.insist(&format!("the end of {topic} [{partition}]"), ask).map(|(_, high)| high)
        });
        ends.collect()
    }

    fn committed(&mut self, topic: &str) -> Result<Vec<Option<(i64, String)>>> {
        let partitions: Vec<_> = (0..self.topics.partitions(topic)).map(|p| (topic.to_owned(), p)).collect();
        // No answer is no progress yet: it is asked again, and the group is served in between.
        Ok(self.ask_committed(&partitions).unwrap_or_else(|_| vec![None; partitions.len()]))
    }

    fn replay(&self) -> Result<KafkaReplay> {
        KafkaReplay::new(&self.settings, &self.log)
    }

    fn idle(&mut self) {
        // What comes now is answered by the close; errors no longer matter.
        let _ = self.serve();
    }

    fn close(self) {
        let Self { consumer, queue, log, .. } = self;
        consumer.context().close();
        // A rebalance that nobody has answered would hold the close up. Once the close is under way it is too late for
        // that: a call that the group's own thread must answer could then wait for ever.
        if consumer.context().next().is_some() {
            let _ = consumer.unassign();
        }
        drop(queue);
        close(consumer, &log);
    }
}

/// Leaves the group within a bound. A client that does not close in time is left behind rather than waited for.
pub(super) fn close(consumer: Arc<BaseConsumer<Member>>, log: &Log) {
    let began = Instant::now();
    let asked = consumer.close_queue();
    while asked.is_ok() && !consumer.closed() && began.elapsed() < CLOSE {
        let _ = consumer.poll(Duration::from_millis(20));
    }
    if asked.is_err() || !consumer.closed() {
        log.warning(
            "kafka",
            format!("the consumer did not close within {} s and is left behind", CLOSE.as_secs()),
        );
        std::mem::forget(consumer);
    }
}
