//! The producer of a lane: hands records over, waits for their delivery, and, at least once, commits the offsets after
//! them. All of it on the sink thread, where every blocking producer call is.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::admin::Topics;
use super::context::{Deliveries, Member};
use super::error::{failed, text};
use super::settings::Settings;
use crate::clock;
use crate::config::{Guarantee, Plan, hex};
use crate::control::Control;
use crate::epoch::{Part, Transaction};
use crate::error::{Error, Result};
use crate::fault::{self, Point};
use crate::log::{Level, Log};
use crate::record::{Headers, OutRecord, Stream};
use crate::shared::Shared;
use crate::sink::{Outcome, Sink};

pub(super) const CALL: Duration = Duration::from_secs(30);
/// Between two looks for delivery reports. rust-rdkafka's poll with a time-out spins through its last millisecond.
const SERVE: Duration = Duration::from_micros(200);

/// Produces and commits for one member of the group.
pub struct KafkaSink {
    plan: Arc<Plan>,
    topics: Arc<Topics>,
    pub(super) control: Control,
    pub(super) log: Log,
    pub(super) settings: Settings,
    pub(super) producer: BaseProducer<Deliveries>,
    group: OnceLock<Arc<BaseConsumer<Member>>>,
    /// At least once: the epochs of each assignment that are produced but whose offsets are not committed yet.
    produced: HashMap<u64, u64>,
}

impl KafkaSink {
    pub(super) fn new(shared: &Shared, topics: Arc<Topics>, settings: Settings) -> Result<Self> {
        let producer = make(&settings, &shared.plan, &topics, &shared.log)?;
        let sink = Self {
            plan: shared.plan.clone(),
            topics,
            control: shared.control.clone(),
            log: shared.log.clone(),
            settings,
            producer,
            group: OnceLock::new(),
            produced: HashMap::new(),
        };
        sink.initialise()?;
        Ok(sink)
    }

    /// Ends whatever an earlier producer of this identity left open.
    fn initialise(&self) -> Result<()> {
        if self.plan.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        let id = self.settings.transactional_id();
        let what = format!("transactions of transactional.id {id:?} could not be initialised");
        self.retried(&what, || self.producer.init_transactions(CALL))
    }

    /// A new producer in place of one whose last call has an unknown outcome: it is never used again.
    pub(super) fn replace(&mut self) -> Result<Outcome> {
        let new = make(&self.settings, &self.plan, &self.topics, &self.log)?;
        let given_up = std::mem::replace(&mut self.producer, new);
        self.initialise()?;
        given_up.context().answered();
        Ok(Outcome::Unknown)
    }

    /// Says whose offsets it commits.
    pub(super) fn commit_for(&self, group: Arc<BaseConsumer<Member>>) {
        // Set once, when the lane is connected.
        let _ = self.group.set(group);
    }

    /// Calls again what librdkafka says may be called again.
    fn retried(&self, what: &str, call: impl Fn() -> Result<(), KafkaError>) -> Result<()> {
        let mut told = false;
        loop {
            match call() {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !self.control.stopping() => {
                    if !told {
                        self.log.warning("kafka", format!("{what} yet, trying again: {error}"));
                    }
                    told = true;
                    self.serve();
                }
                Err(error) => return Err(failed(what, &error)),
            }
        }
    }

    fn topic(&self, stream: Stream) -> &str {
        match stream {
            Stream::Sink(sink) => &self.topics.sinks[sink].name,
            Stream::Late => &self.plan.late_topic,
            Stream::DeadLetter => &self.plan.dead_letter_topic,
        }
    }

    fn headers(&self, record: &OutRecord) -> OwnedHeaders {
        match &record.headers {
            Headers::Named(list) => {
                list.iter().fold(OwnedHeaders::new_with_capacity(list.len()), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                })
            }
            Headers::Result { model, id } => {
                let model = &self.plan.models[*model];
                let headers = OwnedHeaders::new_with_capacity(4)
                    .insert(Header { key: "id", value: Some(&hex(id)) })
                    .insert(Header { key: "group", value: Some(&self.plan.group_id) })
                    .insert(Header { key: "model", value: Some(&model.name) });
                match &model.version {
                    None => headers,
                    Some(version) => headers.insert(Header { key: "model-version", value: Some(version) }),
                }
            }
        }
    }

    /// Hands every record to librdkafka, waiting where its queue is full.
    pub(super) fn produce(&self, part: &Part) -> Result<Option<KafkaError>> {
        self.check_retention(part)?;
        for (count, record) in part.records.iter().enumerate() {
            let topic = self.topic(record.stream);
            let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
                .headers(self.headers(record))
                // librdkafka takes 0 for now.
                .timestamp(record.timestamp.max(1));
            if let Some(partition) = record.partition {
                message = message.partition(partition);
            }
            if let Some(key) = &record.key {
                message = message.key(key);
            }
            if let Some(value) = &record.value {
                message = message.payload(value);
            }
            loop {
                match self.producer.send(message) {
                    Ok(()) => break,
                    Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                        if self.control.aborting() {
                            return Ok(Some(error));
                        }
                        self.serve();
                        message = back;
                    }
                    Err((error, _)) => return self.refused(topic, error).map(Some),
                }
            }
            if count % 1024 == 1023 {
                self.producer.poll(Duration::ZERO);
            }
        }
        Ok(None)
    }

    pub(super) fn serve(&self) {
        self.producer.poll(Duration::ZERO);
        std::thread::sleep(SERVE);
    }

    /// Serves delivery reports until none is outstanding: a commit, an abort and the sending of offsets each wait
    /// a flat 100 ms where some are. Returns the first delivery that failed.
    pub(super) fn drain(&self) -> Result<Option<KafkaError>> {
        while self.producer.in_flight_count() > 0 && !self.control.aborting() {
            self.serve();
        }
        match self.producer.context().take() {
            None => Ok(None),
            Some((topic, error)) => self.refused(&topic, error).map(Some),
        }
    }

    /// A record that was not taken: what trying again cannot mend ends the run.
    fn refused(&self, topic: &str, error: KafkaError) -> Result<KafkaError> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        let hopeless = [
            Code::MessageSizeTooLarge,
            Code::TopicAuthorizationFailed,
            Code::TransactionalIdAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::UnknownTopic,
            Code::UnknownPartition,
            Code::UnknownTopicOrPartition,
            Code::InvalidTimestamp,
            Code::InvalidRecord,
            Code::PolicyViolation,
        ];
        if code.is_some_and(|code| hopeless.contains(&code)) {
            let refused = format!("topic {topic:?} refused a record: {}", text(&error));
            return Err(match code {
                Some(Code::MessageSizeTooLarge)
                    if self.topics.sinks.iter().any(|sink| sink.name == topic) =>
                {
                    Error::model(format!(
                        "{refused}: a result is larger than max.message.bytes of the topic or message.max.bytes in kafka= \
                         allow (result_too_large). Return less, or raise both"
                    ))
                }
                Some(Code::MessageSizeTooLarge) => Error::Kafka(format!(
                    "{refused}: raise its max.message.bytes, and message.max.bytes in kafka="
                )),
                Some(Code::TopicAuthorizationFailed) => {
                    Error::Kafka(format!("{refused}: grant the right WRITE on the topic"))
                }
                _ => Error::Kafka(refused),
            });
        }
        Ok(error)
    }

    /// A result that the sink's retention would take away at once is an error, not a record that vanishes.
    fn check_retention(&self, part: &Part) -> Result<()> {
        let now = clock::wall();
        for record in &part.records {
            let Stream::Sink(sink) = record.stream else { continue };
            let topic = &self.topics.sinks[sink];
            if topic.retention_ms.is_some_and(|retention| now - record.timestamp > retention) {
                return Err(Error::Kafka(format!(
                    "a result of {} ms ago is older than the retention of its sink {:?} ({} ms): Kafka would delete it \
                     at once. Set retention.ms of the sink to -1, or at least to the age of the data",
                    now - record.timestamp,
                    topic.name,
                    topic.retention_ms.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    pub(super) fn offsets(transaction: &Transaction) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for part in &transaction.parts {
            let (topic, partition) = (&part.partition.topic, part.partition.partition);
            let added = list.add_partition_offset(topic, partition, Offset::Offset(part.offset));
            added.map_err(|error| {
                failed(format_args!("offset {} of {}", part.offset, part.partition), &error)
            })?;
            if let Some(mut element) = list.find_partition(topic, partition) {
                element.set_metadata(&part.metadata);
            }
        }
        Ok(list)
    }

    fn not_yet(&self, what: &str, error: &KafkaError) -> Outcome {
        let text = format!("{what} yet, trying again: {}", text(error));
        self.log.seldom(Level::Info, "sink", what, &text);
        Outcome::Aborted
    }

    fn at_least_once(&mut self, transaction: &Transaction, group: &BaseConsumer<Member>) -> Result<Outcome> {
        if let Some((code, why)) = self.producer.client().fatal_error() {
            return Err(Error::Kafka(format!("the producer cannot go on: {code}: {why}")));
        }
        fault::at(Point::BeforeProduce);
        for part in &transaction.parts {
            let done = self.produced.get(&part.assignment).is_some_and(|epoch| *epoch >= part.last_epoch);
            if !done && let Some(error) = self.produce(part)? {
                return Ok(self.not_yet("results not produced", &error));
            }
        }
        if let Some(error) = self.drain()? {
            return Ok(self.not_yet("results not produced", &error));
        }
        if self.control.aborting() {
            return Ok(Outcome::Aborted);
        }
        fault::at(Point::AfterProduce);
        self.produced.extend(transaction.parts.iter().map(|part| (part.assignment, part.last_epoch)));
        fault::at(Point::BeforeCommit);
        match group.commit(&Self::offsets(transaction)?, CommitMode::Sync) {
            Ok(()) => {
                fault::at(Point::AfterCommit);
                self.produced.clear();
                Ok(Outcome::Committed)
            }
            Err(error) => {
                use RDKafkaErrorCode as Code;
                match error.rdkafka_error_code() {
                    Some(Code::FencedInstanceId) => {
                        Err(Error::Fenced(format!("offsets could not be committed: {}", text(&error))))
                    }
                    Some(Code::GroupAuthorizationFailed | Code::OffsetMetadataTooLarge) => {
                        Err(failed("offsets could not be committed", &error))
                    }
                    _ => Ok(self.not_yet("offsets not committed", &error)),
                }
            }
        }
    }
}

impl Sink for KafkaSink {
    fn commit(&mut self, transaction: &Transaction) -> Result<Outcome> {
        let Some(group) = self.group.get().cloned() else { return Ok(Outcome::Aborted) };
        let outcome = match self.plan.guarantee {
            Guarantee::ExactlyOnce => self.exactly_once(transaction, &group),
            Guarantee::AtLeastOnce => self.at_least_once(transaction, &group),
        };
        if matches!(outcome, Ok(Outcome::Committed)) {
            self.producer.context().answered();
        }
        outcome
    }
}

fn make(settings: &Settings, plan: &Plan, topics: &Topics, log: &Log) -> Result<BaseProducer<Deliveries>> {
    settings
        .producer(plan.guarantee, topics.largest_message)
        .create_with_context(Deliveries::new(log.clone()))
        .map_err(|error| failed("the producer could not be made", &error))
}
