//! What is written in answer to dead letters, and how far they are answered, in one transaction where the brokers have
//! those; else the records first.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::refuse_embedded;
use crate::config::{Guarantee, Plan};
use crate::error::{Error, Result};
use crate::kafka::cluster::Cluster;
use crate::kafka::context::{Deliveries, Plain};
use crate::kafka::error::{failed, text};
use crate::kafka::position;
use crate::kafka::settings::Settings;
use crate::log::Log;
use crate::retry::Answer;

const CALL: Duration = Duration::from_secs(30);
const SERVE: Duration = Duration::from_millis(1);
/// How long records may take to be acknowledged.
const DELIVERY: Duration = Duration::from_secs(60);
/// The request for offsets in a transaction, and the version that came with Apache Kafka 2.5.
const TXN_OFFSET_COMMIT: (i16, i16) = (28, 3);

/// Writes answers, and remembers how far it has come.
pub struct Answers {
    topic: String,
    producer: BaseProducer<Deliveries>,
    group: BaseConsumer<Plain>,
    transactional: bool,
    positions: Vec<Option<(i64, String)>>,
}

impl Answers {
    /// Opens the position named `purpose`, which is the group `{group}.{purpose}`. With `write` it can be moved: nobody
    /// else does so meanwhile.
    pub fn open(plan: &Plan, log: &Log, purpose: &str, write: bool, largest: i64) -> Result<Self> {
        refuse_embedded(plan)?;
        let plan = Plan { group_id: format!("{}.{purpose}", plan.group_id), ..plan.clone() };
        let cluster = Cluster::connect(&plan, log)?;
        let (key, least) = TXN_OFFSET_COMMIT;
        let mut transactional = write && cluster.newest_version(key).is_some_and(|newest| newest >= least);
        let mut producer = make(&plan, log, largest, transactional)?;
        if transactional && let Err(error) = retried(|| producer.init_transactions(CALL)) {
            // Without the guarantee nobody may have been granted the right.
            let refused =
                error.rdkafka_error_code() == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed);
            if !refused || plan.guarantee == Guarantee::ExactlyOnce {
                let id = &plan.group_id;
                return Err(failed(
                    format_args!("transactions of transactional.id {id:?} could not begin"),
                    &error,
                ));
            }
            transactional = false;
            producer = make(&plan, log, largest, false)?;
        }
        let made = cluster.settings.outsider().create_with_context(Plain::new(log.clone()));
        let group = made.map_err(|error| failed("a Kafka client could not be made", &error))?;
        // After the transactions: what somebody else left open is decided now.
        let positions = position::committed(&cluster, &plan.dead_letter_topic)?;
        Ok(Self { topic: plan.dead_letter_topic.clone(), producer, group, transactional, positions })
    }

    /// How far each partition is answered, with what is noted there.
    pub fn positions(&self) -> &[Option<(i64, String)>] {
        &self.positions
    }

    /// Whether answers and position are one transaction.
    pub fn transactional(&self) -> bool {
        self.transactional
    }

    /// Writes answers, and how far that is: all of it or nothing; without transactions the answers first.
    pub fn write(&self, answers: &[Answer], positions: &[(i32, i64, String)]) -> Result<()> {
        if self.transactional {
            self.producer
                .begin_transaction()
                .map_err(|error| failed("a transaction could not begin", &error))?;
        }
        let outcome = self.attempt(answers, positions);
        if outcome.is_err() && self.transactional {
            // What is not aborted here is by whoever opens this position next.
            let _ = retried(|| self.producer.abort_transaction(CALL));
        }
        outcome
    }

    fn attempt(&self, answers: &[Answer], positions: &[(i32, i64, String)]) -> Result<()> {
        for answer in answers {
            self.send(answer)?;
        }
        let until = Instant::now() + DELIVERY;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > until {
                let (left, seconds) = (self.producer.in_flight_count(), DELIVERY.as_secs());
                return Err(Error::Kafka(format!("{left} records were not acknowledged within {seconds} s")));
            }
            self.serve();
        }
        if let Some((topic, error)) = self.producer.context().take() {
            let refused = || Error::Kafka(format!("topic {topic:?} refused a record: {}", text(&error)));
            return Err(taken_over(&error).unwrap_or_else(refused));
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset, note) in positions {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset)).map_err(|error| {
                failed(format_args!("offset {offset} of {} [{partition}]", self.topic), &error)
            })?;
            if let Some(mut element) = list.find_partition(&self.topic, *partition) {
                element.set_metadata(note);
            }
        }
        let moved = if self.transactional {
            self.in_transaction(&list)
        } else {
            self.group.commit(&list, CommitMode::Sync)
        };
        moved.map_err(|error| {
            taken_over(&error).unwrap_or_else(|| failed("what was answered could not be committed", &error))
        })
    }

    fn in_transaction(&self, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let group = self.group.group_metadata().ok_or(KafkaError::Canceled)?;
        retried(|| self.producer.send_offsets_to_transaction(list, &group, CALL))?;
        retried(|| self.producer.commit_transaction(CALL))
    }

    fn send(&self, answer: &Answer) -> Result<()> {
        let headers = answer.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&answer.topic).headers(headers);
        // librdkafka takes 0 for now.
        record.timestamp = Some(answer.timestamp.max(1));
        record.partition = answer.partition;
        record.key = answer.key.as_deref();
        record.payload = answer.value.as_deref();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.serve();
                    record = back;
                }
                Err((error, _)) => {
                    return Err(failed(format_args!("topic {:?} refused a record", answer.topic), &error));
                }
            }
        }
    }

    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
        std::thread::sleep(SERVE);
    }
}

fn make(plan: &Plan, log: &Log, largest: i64, transactional: bool) -> Result<BaseProducer<Deliveries>> {
    let mut config = Settings::new(plan, 0).producer(Guarantee::AtLeastOnce, largest);
    if transactional {
        // A fixed name: of two at the same time the older one is fenced.
        config.set("transactional.id", &plan.group_id);
    }
    let made = config.create_with_context(Deliveries::new(log.clone()));
    made.map_err(|error| failed("the producer could not be made", &error))
}

/// What it means where somebody else has opened this position: a record may be the first that is refused, or the commit.
fn taken_over(error: &KafkaError) -> Option<Error> {
    use RDKafkaErrorCode as Code;
    let fenced = [Code::Fenced, Code::ProducerFenced, Code::InvalidProducerEpoch];
    error.rdkafka_error_code().filter(|code| fenced.contains(code))?;
    let text =
        "the same command has been started elsewhere and has taken over: nothing of this piece is written";
    Some(Error::Fenced(text.into()))
}

/// Calls again what librdkafka says may be called again.
fn retried(call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let until = Instant::now() + CALL;
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {
                std::thread::sleep(SERVE);
            }
            outcome => return outcome,
        }
    }
}
