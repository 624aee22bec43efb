//! What can be asked of a cluster without changing anything there: topics and their settings, how far they go, what a
//! broker can do. Every answer comes within a bound.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::context::Plain;
use super::error::{failed, passing, text};
use super::settings::Settings;
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::log::{Level, Log, Scrub};
use crate::time::Millis;

pub(super) const REQUEST: Duration = Duration::from_secs(15);
/// For how long a cluster that is about to be able to answer is asked again, and how soon.
const PASSING: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);
/// How long the versions of a broker that has answered may take to be told.
const VERSIONS: Duration = Duration::from_secs(2);
/// A look at the log lines: several come at once.
const SERVE: Duration = Duration::from_millis(5);

/// Settings by name.
pub(super) type Set = HashMap<String, String>;

/// A client that notes which requests a broker takes: librdkafka tells it in its log alone.
pub(super) struct Versions {
    plain: Plain,
    newest: Mutex<HashMap<i16, i16>>,
}

impl ClientContext for Versions {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        let RDKafkaLogLevel::Debug = level else {
            self.plain.log(level, fac, message);
            return;
        };
        if let Some((key, newest)) = api_version(message) {
            self.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(key, newest);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.plain.error(error, reason);
    }
}

impl ConsumerContext for Versions {}

/// `ApiKey OffsetFetch (9) Versions 0..9` to key and newest version.
fn api_version(line: &str) -> Option<(i16, i16)> {
    let (_, rest) = line.split_once("ApiKey ")?;
    let (key, rest) = rest.split_once('(')?.1.split_once(')')?;
    let (_, newest) = rest.trim().strip_prefix("Versions ")?.split_once("..")?;
    Some((key.parse().ok()?, newest.trim().parse().ok()?))
}

/// A cluster as the clients of an app see it.
pub(super) struct Cluster<'a> {
    pub(super) plan: &'a Plan,
    pub(super) log: &'a Log,
    pub(super) settings: Settings,
    pub(super) admin: AdminClient<Plain>,
    asker: BaseConsumer<Versions>,
    /// Partitions of the topics that we may see.
    pub(super) partitions: HashMap<String, i32>,
    /// The ids of the brokers.
    pub(super) brokers: Vec<i32>,
}

impl<'a> Cluster<'a> {
    /// Connects, and looks at what there is.
    pub(super) fn connect(plan: &'a Plan, log: &'a Log) -> Result<Self> {
        let settings = Settings::new(plan, 0);
        log.belongs_to(plan);
        let made = |error| Scrub::of(plan).error(failed("a Kafka client could not be made", &error));
        let mut asker = settings.asker();
        // The versions of requests are all that this adds to the log, and `Versions` takes them out again.
        asker.set("debug", "feature").set_log_level(RDKafkaLogLevel::Debug);
        let versions = Versions { plain: Plain::new(log.clone()), newest: Mutex::default() };
        let mut cluster = Self {
            plan,
            log,
            admin: settings.client().create_with_context(Plain::new(log.clone())).map_err(made)?,
            asker: asker.create_with_context(versions).map_err(made)?,
            settings,
            partitions: HashMap::new(),
            brokers: Vec::new(),
        };
        cluster.look()?;
        Ok(cluster)
    }

    /// The same for a command that asks for the position of a group: a real cluster, on which all sources are.
    pub(super) fn of_sources(plan: &'a Plan, log: &'a Log, command: &str) -> Result<Self> {
        if plan.brokers == "embedded" {
            return Err(Error::config(format!(
                "brokers=\"embedded\" keeps nothing beyond its process: {command} needs a Kafka cluster"
            )));
        }
        let cluster = Self::connect(plan, log)?;
        for source in &plan.sources {
            if !cluster.partitions.contains_key(&source.topic) {
                let (topic, brokers) = (&source.topic, cluster.settings.brokers());
                return Err(Error::config(format!(
                    "source topic {topic:?} does not exist at {brokers:?}: create it, or correct its name"
                )));
            }
        }
        Ok(cluster)
    }

    /// The brokers, and the partition counts of all topics there are.
    pub(super) fn look(&mut self) -> Result<()> {
        let asked = self.asker.fetch_metadata(None, REQUEST);
        // Only now does librdkafka say what it met with meanwhile.
        self.serve();
        let metadata = asked.map_err(|error| {
            let why = self.asker.context().plain.last().unwrap_or_else(|| text(&error));
            let unreachable = Error::Kafka(format!(
                "no broker could be reached at {:?} within {} s ({why}): check brokers=, and security.protocol, sasl.* and \
                 ssl.* in kafka=",
                self.settings.brokers(),
                REQUEST.as_secs(),
            ));
            Scrub::of(self.plan).error(unreachable)
        })?;
        for topic in metadata.topics() {
            self.partitions.insert(topic.name().to_owned(), topic.partitions().len() as i32);
        }
        self.brokers = metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id).collect();
        Ok(())
    }

    /// Asks until the cluster can answer, within a bound.
    pub(super) fn ask<T>(&self, ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
        let until = Instant::now() + PASSING;
        loop {
            match ask() {
                Err(error) if passing(&error) && Instant::now() < until => {
                    let line = format!("the cluster cannot answer yet, asking again: {}", text(&error));
                    self.log.seldom(Level::Info, "kafka", "asking", &line);
                    std::thread::sleep(AGAIN);
                }
                answered => return answered,
            }
        }
    }

    pub(super) fn embedded(&self) -> bool {
        self.plan.brokers == "embedded"
    }

    /// The client that admin requests go through.
    pub(super) fn client(&self) -> &Client<Plain> {
        self.admin.inner()
    }

    /// Why a topic is not among those that we see, where the broker gives a reason other than that it does not exist.
    pub(super) fn hidden(&self, topic: &str) -> bool {
        let asked = self.asker.fetch_metadata(Some(topic), REQUEST);
        let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
        asked.is_ok_and(|metadata| {
            metadata
                .topics()
                .iter()
                .any(|topic| topic.error().is_some_and(|error| RDKafkaErrorCode::from(error) == refused))
        })
    }

    /// The settings of a topic; none where they may not be read.
    pub(super) fn topic_settings(&self, topic: &str) -> Result<Option<Set>> {
        if self.embedded() {
            return Ok(Some(Set::new()));
        }
        self.describe(ResourceSpecifier::Topic(topic)).map_err(|error| {
            failed(format_args!("the settings of topic {topic:?} could not be read"), &error)
        })
    }

    /// The settings of a broker; none where they may not be read.
    pub(super) fn broker_settings(&self) -> Option<Set> {
        let broker = *self.brokers.first()?;
        self.describe(ResourceSpecifier::Broker(broker)).ok().flatten()
    }

    fn describe(&self, resource: ResourceSpecifier<'_>) -> Result<Option<Set>, KafkaError> {
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let answer = self.ask(|| block_on(self.admin.describe_configs([&resource], &options)))?;
        let set = |resource: ConfigResource| {
            let entries = resource.entries.into_iter();
            entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()
        };
        Ok(answer.into_iter().next().and_then(std::result::Result::ok).map(set))
    }

    /// The oldest offsets and the high watermarks of a topic, by partition.
    pub(super) fn bounds(&self, topic: &str) -> Result<Vec<(i64, i64)>> {
        let (low, high) = (self.listed(topic, Offset::Beginning)?, self.listed(topic, Offset::End)?);
        let bound = |(partition, (low, high)): (usize, (Option<i64>, Option<i64>))| {
            low.zip(high)
                .ok_or_else(|| Error::Kafka(format!("the bounds of {topic} [{partition}] are not known")))
        };
        low.into_iter().zip(high).enumerate().map(bound).collect()
    }

    /// The first offsets whose record timestamps are not before `time`, by partition; none where there is none.
    pub(super) fn offsets_at(&self, topic: &str, time: Millis) -> Result<Vec<Option<i64>>> {
        self.listed(topic, Offset::Offset(time.max(0)))
    }

    /// Offsets by timestamp, or the ends of the log: a broker takes both in one request.
    fn listed(&self, topic: &str, at: Offset) -> Result<Vec<Option<i64>>> {
        let failed = |error| failed(format_args!("the offsets of topic {topic:?} could not be read"), &error);
        let count = self.partitions.get(topic).copied().unwrap_or(0);
        let mut asked = TopicPartitionList::new();
        for partition in 0..count {
            asked.add_partition_offset(topic, partition, at).map_err(failed)?;
        }
        let ask = || {
            let answer = self.asker.offsets_for_times(asked.clone(), REQUEST)?;
            let found = |partition| {
                let Some(element) = answer.find_partition(topic, partition) else { return Ok(None) };
                element.error()?;
                Ok(match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                })
            };
            (0..count).map(found).collect()
        };
        self.ask(ask).map_err(failed)
    }

    /// The newest version of a request that the brokers we have spoken to take; none where they have not said.
    pub(super) fn newest_version(&self, api_key: i16) -> Option<i16> {
        let until = Instant::now() + VERSIONS;
        loop {
            let newest = self
                .asker
                .context()
                .newest
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&api_key)
                .copied();
            if newest.is_some() || Instant::now() > until {
                return newest;
            }
            self.serve();
        }
    }

    /// Takes the log lines that are there.
    fn serve(&self) {
        let _ = self.asker.poll(SERVE);
    }
}

#[cfg(test)]
mod tests {
    use super::api_version;

    #[test]
    fn the_version_of_a_request_is_read_from_the_line_that_tells_it() {
        let line = "[thrd:h:9092/bootstrap]: h:9092/bootstrap:   ApiKey TxnOffsetCommit (28) Versions 0..5";
        assert_eq!(api_version(line), Some((28, 5)));
        assert_eq!(api_version("[thrd:h]: Feature Idempotence: Produce (0) Versions 3..7 supported"), None);
        assert_eq!(api_version("nothing of the kind"), None);
    }
}
