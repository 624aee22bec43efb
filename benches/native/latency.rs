//! Produces events at a set rate, by the wall clock, and measures when the results can be read.
//!
//! An open loop: each event has an instant at which it is due, and is produced then whether or not results come. The
//! latency of a window begins with the event whose time closes it: once at the instant at which that was due, which
//! nothing that stalls can put off (so there is no coordinated omission), and once when the broker appended it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, producer::NoCustomPartitioner};
use serde_json::{Value, json};

use crate::Outcome;
use crate::results::Results;
use crate::spec::{Event, Spec};

/// How long the generator waits until the next events are due.
const STEP: Duration = Duration::from_millis(1);
/// How long results are waited for after the last event.
const TAIL: Duration = Duration::from_secs(2);

/// When the broker appended the events that close windows, in ms, by their number.
type Appended = Arc<Mutex<HashMap<u64, i64>>>;

/// Notes when the events that it is asked for were appended.
struct Note(Appended);

impl ClientContext for Note {}

impl ProducerContext<NoCustomPartitioner> for Note {
    /// The number of an event that closes a window, and 0 for others.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let (1.., Ok(message)) = (number, result)
            && let (Timestamp::LogAppendTime(time), Ok(mut appended)) = (message.timestamp(), self.0.lock())
        {
            appended.insert(number as u64, time);
        }
    }
}

/// A result that was read: the partition and end of its window, and when.
struct Seen {
    partition: u64,
    end: i64,
    at: f64,
}

/// When each event is due, and which of them close windows.
#[derive(Clone)]
struct Schedule {
    /// Wall time and event time of the first event, in ms.
    base: i64,
    /// Events in a second of event time.
    per_second: u64,
    partitions: u64,
}

impl Schedule {
    fn time(&self, number: u64) -> i64 {
        self.base + (number * 1000 / self.per_second) as i64
    }

    fn due(&self, number: u64) -> f64 {
        self.base as f64 + number as f64 * 1000.0 / self.per_second as f64
    }

    /// The first event of a partition whose time is at least `clock`. Keys come in turn, so partitions do.
    fn first_from(&self, clock: i64, partition: u64) -> u64 {
        let first = ((clock - self.base).max(0) as u64 * self.per_second).div_ceil(1000);
        first + (partition + self.partitions - first % self.partitions) % self.partitions
    }
}

/// Runs for `spec.seconds`. Without a rate it produces as fast as it can, and tells how fast results follow.
pub(crate) fn run(spec: &Spec) -> Outcome<Value> {
    let pace = spec.pacing.as_ref().ok_or("no pacing")?;
    let now = wall() as i64;
    // Windows begin at multiples of the hop from the epoch; the first event is at the beginning of one.
    let base = now - now.rem_euclid(spec.hop_ms) + spec.hop_ms;
    let schedule = Schedule { base, per_second: spec.per_second, partitions: spec.partitions as u64 };
    let appended = Appended::default();
    let stop = Arc::new(AtomicBool::new(false));
    let reading = {
        let (spec, stop) = (spec.clone(), stop.clone());
        thread::spawn(move || read(&spec, &stop))
    };
    let produced = produce(spec, &schedule, &appended, pace.paced)?;
    thread::sleep(TAIL);
    stop.store(true, Ordering::Relaxed);
    let seen = reading.join().map_err(|_| "the reading thread panicked")??;
    let appended = appended.lock().map_err(|_| "the producing thread panicked")?;
    if !pace.paced {
        return Ok(
            json!({ "produced_per_s": produced.rate(&schedule), "results_per_s": follow(spec, &seen, &produced) }),
        );
    }
    let from = base + (pace.warm_up * 1000.0) as i64;
    let last = |partition| {
        let newest = schedule.time(produced.events - 1 - (spec.partitions as u64)) - spec.grace_ms;
        (partition, newest.div_euclid(spec.hop_ms) * spec.hop_ms)
    };
    let ends: HashMap<u64, i64> = (0..schedule.partitions).map(last).collect();
    let (mut since_due, mut since_append) = (Vec::new(), Vec::new());
    for row in &seen {
        let closing = schedule.first_from(row.end + spec.grace_ms, row.partition);
        if row.end >= from && row.end <= ends[&row.partition] {
            since_due.push(row.at - schedule.due(closing));
            since_append.extend(appended.get(&closing).map(|time| row.at - *time as f64));
        }
    }
    let first = from + (spec.hop_ms - from.rem_euclid(spec.hop_ms)) % spec.hop_ms;
    let expected: i64 = (0..spec.keys)
        .map(|key| ((ends[&(key % schedule.partitions)] - first) / spec.hop_ms + 1).max(0))
        .sum();
    Ok(json!({
        "produced_per_s": produced.rate(&schedule),
        "behind_ms": produced.behind,
        "expected": expected,
        "seen": since_due.len(),
        "since_due_ms": percentiles(&mut since_due),
        "since_append_ms": percentiles(&mut since_append),
    }))
}

/// What the generator has done.
struct Produced {
    events: u64,
    /// When it ended, in ms.
    until: f64,
    /// The most that an event was produced later than it was due, in ms.
    behind: f64,
}

impl Produced {
    fn rate(&self, schedule: &Schedule) -> f64 {
        self.events as f64 / (self.until - schedule.base as f64) * 1000.0
    }
}

fn produce(spec: &Spec, schedule: &Schedule, appended: &Appended, paced: bool) -> Outcome<Produced> {
    let pace = spec.pacing.as_ref().ok_or("no pacing")?;
    let producer: BaseProducer<Note> = ClientConfig::new()
        .set("bootstrap.servers", &spec.brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", &spec.compression)
        .set("linger.ms", "1")
        .set("queue.buffering.max.messages", "200000")
        .create_with_context(Note(appended.clone()))?;
    let partitions = schedule.partitions;
    let mut clocks: Vec<i64> = (0..partitions).map(|_| schedule.base + spec.grace_ms).collect();
    let (mut number, mut behind, mut value) = (0, 0.0_f64, Vec::new());
    while wall() < schedule.base as f64 {
        thread::sleep(STEP);
    }
    let end = schedule.base as f64 + pace.seconds * 1000.0;
    loop {
        let now = wall();
        if now >= end {
            break;
        }
        if paced && schedule.due(number) > now {
            producer.poll(Duration::ZERO);
            thread::sleep(STEP);
            continue;
        }
        behind = behind.max(if paced { now - schedule.due(number) } else { 0.0 });
        for _ in 0..64 {
            if paced && schedule.due(number) > now {
                break;
            }
            let event =
                Event { key: number % spec.keys, time: schedule.time(number), round: number / spec.keys };
            let partition = (event.key % partitions) as usize;
            let closes = event.time >= clocks[partition];
            while event.time >= clocks[partition] {
                clocks[partition] += spec.hop_ms;
            }
            value.clear();
            spec.json(&event, &mut value)?;
            let key = format!("s{}", event.key);
            let mut record =
                BaseRecord::with_opaque_to(&spec.topic, if closes { number as usize } else { 0 })
                    .partition(partition as i32)
                    .key(key.as_bytes())
                    .payload(value.as_slice());
            while let Err((error, back)) = producer.send(record) {
                if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    return Err(error.into());
                }
                producer.poll(STEP);
                record = back;
            }
            number += 1;
        }
        producer.poll(Duration::ZERO);
    }
    let until = wall();
    producer.flush(Duration::from_secs(30))?;
    Ok(Produced { events: number, until, behind })
}

/// Reads results as they come, each with the instant.
fn read(spec: &Spec, stop: &AtomicBool) -> Outcome<Vec<Seen>> {
    let results = Results::new(spec)?;
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        results.poll(&mut |_, row| {
            seen.push(Seen { partition: row.key % spec.partitions as u64, end: row.end, at: wall() });
        })?;
    }
    Ok(seen)
}

/// Events a second that results stand for, in the second half of the time in which events were produced.
fn follow(spec: &Spec, seen: &[Seen], produced: &Produced) -> f64 {
    let pace = spec.pacing.as_ref().map_or(0.0, |pace| pace.seconds * 1000.0);
    let half: Vec<_> =
        seen.iter().filter(|row| row.at > produced.until - pace / 2.0 && row.at <= produced.until).collect();
    let span = |ends: &mut dyn Iterator<Item = f64>| {
        let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), end| (low.min(end), high.max(end)));
        high - low
    };
    let wall = span(&mut half.iter().map(|row| row.at));
    let events = span(&mut half.iter().map(|row| row.end as f64)) * spec.per_ms();
    events / wall * 1000.0
}

/// ms since 1970.
fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

fn percentiles(latencies: &mut [f64]) -> Value {
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        latencies.get(((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1)))
    };
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999), "max": latencies.last() })
}
