//! The copy job: Millstream's consumer and decoder, and as many records produced as there are results, of their size
//! and under the same guarantee, by a plain producer on a thread of its own. No windows, no model, no JSON.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use millstream::batch::WindowMeta;
use millstream::config::Plan;
use millstream::encode::{Encoded, EncodedResult, ResultEncoder};
use millstream::lane::Routes;
use millstream::predict::Column;
use millstream::record::{Headers, Key};
use millstream::strikes::Trust;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::Outcome;
use crate::feed::Feed;
use crate::meter::Meter;
use crate::spec::Spec;

/// As Millstream's default.
const EPOCH: Duration = Duration::from_millis(100);
/// Between two looks for delivery reports.
const SERVE: Duration = Duration::from_micros(200);
const CALL: Duration = Duration::from_secs(30);
/// Batches that wait for the producer at the most.
const WAITING: usize = 64;

/// What was consumed by one poll.
struct Batch {
    /// The key and partition of every record that is to be written.
    copies: Vec<(i32, Box<[u8]>)>,
    /// The next offset of each partition.
    offsets: Vec<i64>,
}

/// Runs the copy job to the end of the topic.
pub(crate) fn run(spec: &Spec) -> Outcome<Value> {
    let mut feed = Feed::new(spec)?;
    let writer = Writer::new(spec, result_sized(feed.plan(), spec.pace())?)?;
    let (batches, written) = bounded(WAITING);
    let writing = std::thread::spawn(move || writer.run(&written));
    let mut decoder = feed.decoder();
    let mut begun = None;
    let (per_event, mut owed) = (spec.results_per_event(), 0.0);
    let mut events = 0;
    let mut offsets = vec![0; spec.partitions as usize];
    while events < spec.events {
        let (before, mut copies, mut rejected) = (events, Vec::new(), None);
        feed.poll(&mut |partition, record| {
            events += 1;
            offsets[partition] = record.offset + 1;
            match decoder.decode(record) {
                Ok(event) => {
                    owed += per_event;
                    while owed >= 1.0 {
                        owed -= 1.0;
                        copies.push((partition as i32, Box::from(event.key)));
                    }
                }
                Err(reason) => rejected = Some(format!("an event was rejected: {reason:?}")),
            }
        })?;
        if let Some(rejected) = rejected {
            return Err(rejected.into());
        }
        Meter::begin(&mut begun, events, spec.skip)?;
        if events > before && batches.send(Batch { copies, offsets: offsets.clone() }).is_err() {
            break;
        }
    }
    drop(batches);
    writing.join().map_err(|_| "the producing thread panicked")??;
    let report = Meter::report(begun, events);
    feed.close();
    report
}

/// Bytes as many as the value and the headers of a result.
fn result_sized(plan: &Plan, pace: i64) -> Outcome<Vec<u8>> {
    let time = 1_700_000_000_000;
    let window = WindowMeta {
        assignment: 0,
        epoch: 0,
        partition: 0,
        key: Key::from(&b"s500"[..]),
        start: time,
        end: time + plan.models[0].size_ms,
        events: (plan.models[0].size_ms / pace) as usize,
        offsets: (0, 0),
        trust: Trust::Full,
    };
    let outputs = vec![("mean".to_owned(), Column::Floats(vec![20.0 / 3.0]))].into();
    let routes = Routes::keep_all(plan);
    let encoded = ResultEncoder::new(plan, 0, &routes).encode(plan, &[window], &outputs)?;
    let Some(Encoded::Result(EncodedResult { record: Some(record), .. })) = encoded.first() else {
        return Err("no result".into());
    };
    let Headers::Result { id, .. } = &record.headers else { return Err("no headers of a result".into()) };
    let headers = ["id", "group", "model", &plan.group_id, &plan.models[0].name];
    // Each header has two lengths of a byte; the id is in hexadecimal.
    let headers = headers.map(str::len).iter().sum::<usize>() + 2 * id.len() + 3 * 2;
    let mut bytes = record.value.clone().unwrap_or_default();
    bytes.resize(bytes.len() + headers, b' ');
    Ok(bytes)
}

/// Produces and commits, an epoch at a time.
struct Writer {
    spec: Spec,
    value: Vec<u8>,
    producer: BaseProducer,
    /// Names the group that the offsets are committed for. It is no member.
    group: BaseConsumer,
    transactional: bool,
}

impl Writer {
    fn new(spec: &Spec, value: Vec<u8>) -> Outcome<Self> {
        let transactional = spec.guarantee == "exactly_once";
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &spec.brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("queue.buffering.max.messages", "500000");
        if transactional {
            config.set("transactional.id", &spec.name);
        }
        let producer: BaseProducer = config.create()?;
        let group: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &spec.brokers)
            .set("group.id", format!("{}-offsets", spec.name))
            .set("enable.auto.commit", "false")
            .create()?;
        if transactional {
            producer.init_transactions(CALL)?;
        }
        Ok(Self { spec: spec.clone(), value, producer, group, transactional })
    }

    fn run(self, batches: &Receiver<Batch>) -> Outcome<()> {
        loop {
            let cut_at = Instant::now() + EPOCH;
            let mut newest: Option<Batch> = None;
            let ended = loop {
                match batches.recv_deadline(cut_at) {
                    Ok(batch) => {
                        if newest.is_none() && self.transactional {
                            self.producer.begin_transaction()?;
                        }
                        self.produce(&batch)?;
                        newest = Some(batch);
                    }
                    Err(RecvTimeoutError::Timeout) => break false,
                    Err(RecvTimeoutError::Disconnected) => break true,
                }
                if Instant::now() >= cut_at {
                    break false;
                }
            };
            if let Some(batch) = newest {
                self.commit(&batch)?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn produce(&self, batch: &Batch) -> Outcome<()> {
        for (partition, key) in &batch.copies {
            let mut record =
                BaseRecord::to(&self.spec.sink).partition(*partition).key(&**key).payload(&self.value);
            while let Err((error, back)) = self.producer.send(record) {
                if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                self.producer.poll(Duration::ZERO);
                std::thread::sleep(SERVE);
                record = back;
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Everything is delivered first: a commit with deliveries outstanding waits a flat 100 ms.
    fn commit(&self, batch: &Batch) -> Outcome<()> {
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::ZERO);
            // A poll with a time-out of a millisecond would spin: rust-rdkafka rounds what is left of it to 0.
            std::thread::sleep(SERVE);
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in batch.offsets.iter().enumerate() {
            offsets.add_partition_offset(&self.spec.topic, partition as i32, Offset::Offset(*offset))?;
        }
        if !self.transactional {
            return Ok(self.group.commit(&offsets, CommitMode::Sync)?);
        }
        let group = self.group.group_metadata().ok_or("no group metadata")?;
        self.producer.send_offsets_to_transaction(&offsets, &group, CALL)?;
        Ok(self.producer.commit_transaction(CALL)?)
    }
}
