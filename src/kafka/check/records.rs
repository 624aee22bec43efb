//! The newest records of a source, read apart from the group: whether they are events, how far their times are from
//! their record timestamps, and how late they come against the grace that is declared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::Facts;
use crate::check::Findings;
use crate::config::{SourceConfig, Unit};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::kafka::cluster::Cluster;
use crate::kafka::context::Plain;
use crate::kafka::error::failed;
use crate::lane::guard::{KeyGuard, UnitProbe};
use crate::record::{RawRecord, TopicPartition, shown_key};
use crate::time::{BEFORE_ALL, Millis};

/// Records looked at, per source and per partition.
const SOURCE: i64 = 10_000;
const PARTITION: i64 = 1_000;
/// Without another record for this long, all that can be read has been: the rest are markers of transactions.
const SILENCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn check(
    cluster: &Cluster<'_>,
    source: usize,
    bounds: &[(i64, i64)],
    facts: &Facts,
    findings: &mut Findings,
) {
    let config = &cluster.plan.sources[source];
    let topic = config.topic.as_str();
    let mut sample = Sample::new(config, bounds.len());
    let read = read(cluster, topic, bounds, &mut |message| sample.see(message));
    if findings.take("records", topic, read).is_none() {
        return;
    }
    sample.tell(cluster, source, findings);
    if let (Some(oldest), Some(kept)) = (sample.oldest, facts.retention(topic)) {
        // Record timestamps of the past: such a topic is emptied as soon as a segment is full.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let age = now.map_or(0, |now| now.as_millis() as Millis).saturating_sub(oldest);
        if age > kept {
            let text = format!(
                "topic {topic:?} has records of {age} ms ago by their timestamps, and keeps {kept} ms: they are deleted as \
                 soon as Kafka looks. Set retention.ms=-1 where old data are to be read"
            );
            findings.warning("retention", topic, text);
        }
    }
}

/// Reads the newest records of every partition.
fn read(
    cluster: &Cluster<'_>,
    topic: &str,
    bounds: &[(i64, i64)],
    each: &mut dyn FnMut(&BorrowedMessage<'_>),
) -> Result<()> {
    let what = format!("topic {topic:?} could not be read");
    let failed = |error| failed(&what, &error);
    let most = (SOURCE / (bounds.len().max(1) as i64)).clamp(1, PARTITION);
    let mut assignment = TopicPartitionList::new();
    for (partition, (low, high)) in (0..).zip(bounds).filter(|(_, (low, high))| low < high) {
        let from = Offset::Offset((high - most).max(*low));
        assignment.add_partition_offset(topic, partition, from).map_err(failed)?;
    }
    if assignment.count() == 0 {
        return Ok(());
    }
    let reader: BaseConsumer<Plain> = cluster
        .settings
        .reader(assignment.count())
        .create_with_context(Plain::new(cluster.log.clone()))
        .map_err(failed)?;
    reader.assign(&assignment).map_err(failed)?;
    let (began, mut heard, mut open) = (Instant::now(), Instant::now(), assignment.count());
    while open > 0 && began.elapsed() < PATIENCE && (heard == began || heard.elapsed() < SILENCE) {
        let Some(event) = reader.poll(Duration::from_millis(50)) else { continue };
        let message = event.map_err(|error| match error.rdkafka_error_code() {
            Some(rdkafka::error::RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Error::Kafka(format!("{what}: grant the right READ on the topic"))
            }
            _ => failed(error),
        });
        let message = match message {
            Ok(message) => message,
            // What a later look may mend: nothing is heard, and that is told.
            Err(Error::Kafka(_)) if heard.elapsed() < SILENCE => continue,
            Err(error) => return Err(error),
        };
        heard = Instant::now();
        let high = bounds.get(message.partition() as usize).map_or(0, |(_, high)| *high);
        if message.offset() < high {
            each(&message);
        }
        if message.offset() + 1 == high {
            open -= 1;
        }
    }
    Ok(())
}

/// What the newest records of a source are like.
struct Sample<'a> {
    config: &'a SourceConfig,
    decoder: Decoder,
    ids: Vec<TopicPartition>,
    clocks: Vec<Millis>,
    events: usize,
    rejected: BTreeMap<&'static str, (usize, String)>,
    /// How far each event was behind the clock of its partition.
    behind: Vec<Millis>,
    /// How far each event time was before its record timestamp.
    before_stamp: Vec<Millis>,
    oldest: Option<Millis>,
    newest: Option<String>,
    unit: UnitProbe,
    keys: KeyGuard,
    /// What each of the two has against these records.
    mistakes: [Option<Error>; 2],
}

impl<'a> Sample<'a> {
    fn new(config: &'a SourceConfig, partitions: usize) -> Self {
        let topic: Arc<str> = Arc::from(config.topic.as_str());
        let ids = (0..partitions as i32).map(|partition| TopicPartition { topic: topic.clone(), partition });
        let mut keys = KeyGuard::new(config);
        if partitions <= 1 {
            keys.close();
        }
        Self {
            config,
            decoder: Decoder::new(config),
            ids: ids.collect(),
            clocks: vec![BEFORE_ALL; partitions],
            events: 0,
            rejected: BTreeMap::new(),
            behind: Vec::new(),
            before_stamp: Vec::new(),
            oldest: None,
            newest: None,
            unit: UnitProbe::new(config),
            keys,
            mistakes: [None, None],
        }
    }

    fn see(&mut self, message: &BorrowedMessage<'_>) {
        let Some(id) = self.ids.get(message.partition() as usize) else { return };
        let record = RawRecord {
            offset: message.offset(),
            key: message.key(),
            value: message.payload(),
            timestamp: message.timestamp().to_millis().filter(|timestamp| *timestamp >= 0),
        };
        self.oldest = self.oldest.into_iter().chain(record.timestamp).min();
        let event = match self.decoder.decode(&record) {
            Ok(event) => event,
            Err(rejected) => {
                if let Some(time) = rejected.time {
                    let seen = self.unit.see(time, record.timestamp);
                    self.mistakes[0] = seen.err().or(self.mistakes[0].take());
                }
                let detail = format!("offset {} of {id}: {}", record.offset, rejected.detail);
                self.rejected.entry(rejected.reason.code()).or_insert((0, detail)).0 += 1;
                return;
            }
        };
        let unit = self.unit.see(event.time, record.timestamp);
        let key = self.keys.see(event.key, &record, id);
        let [other_unit, other_key] = std::mem::take(&mut self.mistakes);
        self.mistakes = [unit.err().or(other_unit), key.err().or(other_key)];
        let clock = &mut self.clocks[message.partition() as usize];
        self.events += 1;
        self.behind.push(if *clock == BEFORE_ALL { 0 } else { (*clock - event.time).max(0) });
        *clock = event.time.max(*clock);
        self.before_stamp.extend(record.timestamp.map(|stamp| stamp - event.time));
        let key = shown_key(event.key);
        let behind = self.behind.last().copied().unwrap_or(0);
        let fields = self.config.fields.iter().zip(event.row);
        let fields: Vec<_> = fields.take(5).map(|(name, value)| format!("{name}={value}")).collect();
        self.newest = Some(format!(
            "{id} offset {}: key {key}, event time {}, {behind} ms behind the clock, {}",
            record.offset,
            at(event.time),
            fields.join(" ")
        ));
    }

    fn tell(&mut self, cluster: &Cluster<'_>, source: usize, findings: &mut Findings) {
        let topic = self.config.topic.as_str();
        for mistake in std::mem::take(&mut self.mistakes).into_iter().flatten() {
            findings.error("records", topic, mistake);
        }
        let refused: usize = self.rejected.values().map(|(count, _)| count).sum();
        if self.events + refused == 0 {
            findings.ok("records", topic, format!("topic {topic:?} holds no record that could be looked at"));
            return;
        }
        if refused > 0 {
            self.tell_refused(refused, findings);
        }
        let Some(newest) = self.newest.take() else { return };
        findings.ok("records", topic, newest);
        self.behind.sort_unstable();
        self.before_stamp.sort_unstable();
        let (p99, most) = (percentile(&self.behind, 99), percentile(&self.behind, 100));
        let text = format!(
            "topic {topic:?}: {} events looked at, event times {} ms before the record timestamps (median), 99 % at most \
             {p99} ms behind the clock, all at most {most} ms",
            self.events,
            percentile(&self.before_stamp, 50)
        );
        findings.ok("lateness", topic, text);
        for model in cluster.plan.models_with(source, Unit::Window) {
            let model = &cluster.plan.models[model];
            let late = self.behind.iter().filter(|behind| **behind > model.grace_ms).count();
            if late * 1000 > self.events {
                let text = format!(
                    "model {} on topic {topic:?} has a grace of {} ms, and {late} of {} events were further behind the \
                     clock: they miss windows. grace=\"{p99}ms\" would cover 99 % of all events",
                    model.name, model.grace_ms, self.events
                );
                findings.warning("lateness", topic, text);
            }
        }
    }

    fn tell_refused(&self, refused: usize, findings: &mut Findings) {
        let topic = self.config.topic.as_str();
        let reasons: Vec<_> = self
            .rejected
            .iter()
            .map(|(reason, (count, first))| format!("{count} {reason} (first: {first})"))
            .collect();
        let text = format!(
            "topic {topic:?}: {refused} of {} records looked at are no events and would go to the dead-letter topic: {}. \
             Correct Topic(...), or what writes them",
            self.events + refused,
            reasons.join(", ")
        );
        if self.events == 0 {
            findings.error("records", topic, Error::config(text));
        } else {
            findings.warning("records", topic, text);
        }
    }
}

fn percentile(sorted: &[Millis], percent: usize) -> Millis {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(0)
}

fn at(time: Millis) -> String {
    jiff::Timestamp::from_millisecond(time).map_or_else(|_| format!("{time} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let sorted: Vec<i64> = (1..=200).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&sorted, percent)), [100, 198, 200]);
        assert_eq!((percentile(&[7], 50), percentile(&[], 99)), (7, 0));
    }
}
