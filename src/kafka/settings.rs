//! librdkafka settings: what the user passes goes through verbatim, except for the few that the guarantee and the
//! hot path stand on. Values are shown only where they are known to be harmless.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config::{Guarantee, Plan};
use crate::error::{Error, Result};
use crate::fault::{self, Mutant};
use crate::kafka::error::failed;

/// Settings that are ours, and what to use instead.
const OWNED: [(&str, &str); 18] = [
    ("bootstrap.servers", "use App(brokers=...)"),
    ("metadata.broker.list", "use App(brokers=...)"),
    ("group.id", "use App(group_id=...)"),
    ("enable.auto.commit", "offsets are committed with the results they stand for"),
    ("enable.auto.offset.store", "offsets are committed with the results they stand for"),
    ("auto.offset.reset", "use App(start=...): it acts only for a group that has never committed"),
    ("isolation.level", "sources are always read committed"),
    ("enable.partition.eof", "it would move the position past the end"),
    ("transactional.id", "it is made of the group and group.instance.id"),
    ("enable.idempotence", "the producer is always idempotent"),
    ("enable.gapless.guarantee", "the producer is always idempotent"),
    ("acks", "results are always acknowledged by all in-sync replicas"),
    ("request.required.acks", "results are always acknowledged by all in-sync replicas"),
    ("partitioner", "results keep the partition of their input"),
    ("group.protocol", "the classic protocol is used"),
    ("plugin.library.paths", "loading a shared library is not supported"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "unsecured tokens are not supported"),
    ("log.queue", "log lines go to Python's logging"),
];

/// Settings that only a consumer, or only a producer, understands.
const PRODUCER_ONLY: [&str; 16] = [
    "transaction.timeout.ms",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "linger.ms",
    "message.send.max.retries",
    "retries",
    "queue.buffering.backpressure.threshold",
    "compression.codec",
    "compression.type",
    "compression.level",
    "batch.num.messages",
    "batch.size",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "request.timeout.ms",
];
const CONSUMER_ONLY: [&str; 17] = [
    "group.instance.id",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "coordinator.query.interval.ms",
    "max.poll.interval.ms",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.queue.backoff.ms",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.error.backoff.ms",
    "check.crcs",
    "auto.commit.interval.ms",
];

/// The settings of one lane's clients.
#[derive(Clone)]
pub struct Settings {
    brokers: String,
    group: String,
    user: BTreeMap<String, String>,
    embedded: bool,
    lane: usize,
    /// What a random identity is made of.
    nonce: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.user.keys().collect();
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("set", &names)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The settings of a lane.
    pub fn new(plan: &Plan, lane: usize) -> Self {
        Self { brokers: super::embedded::resolve(&plan.brokers), ..Self::declared(plan, lane) }
    }

    /// The same as it is declared, with no broker started.
    fn declared(plan: &Plan, lane: usize) -> Self {
        let random = ahash::RandomState::new().hash_one(std::process::id());
        Self {
            brokers: plan.brokers.clone(),
            group: plan.group_id.clone(),
            user: plan.kafka.clone(),
            embedded: plan.brokers == "embedded",
            lane,
            nonce: format!("{random:016x}"),
        }
    }

    /// Refuses settings that are ours, and combinations that cannot work.
    pub fn check(plan: &Plan) -> Result<()> {
        for (key, value) in &plan.kafka {
            if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| owned == key) {
                return Err(Error::config(format!("kafka[{key:?}] cannot be set: {instead}")));
            }
            if key.starts_with("test.mock.") {
                return Err(Error::config(format!("kafka[{key:?}] cannot be set: use brokers=\"embedded\"")));
            }
            if key == "debug"
                && ["all", "security", "conf"].iter().any(|word| value.to_ascii_lowercase().contains(word))
            {
                return Err(Error::config(
                    "kafka[\"debug\"] with all, security or conf would write secrets into the log: name other contexts",
                ));
            }
        }
        let millis = |key: &str, default: i64| match plan.kafka.get(key) {
            None => Ok(default),
            Some(text) => text.parse::<i64>().map_err(|_| {
                Error::config(format!(
                    "kafka[{key:?}] is {text:?}; it must be a whole number of milliseconds"
                ))
            }),
        };
        let (session, poll) =
            (millis("session.timeout.ms", 45_000)?, millis("max.poll.interval.ms", 300_000)?);
        if poll < session {
            return Err(Error::config(format!(
                "kafka[\"max.poll.interval.ms\"] is {poll}, less than session.timeout.ms ({session}): make it at least \
                 that"
            )));
        }
        let transaction = millis("transaction.timeout.ms", 60_000)?;
        if plan.guarantee == Guarantee::ExactlyOnce && transaction < 10_000 {
            return Err(Error::config(format!(
                "kafka[\"transaction.timeout.ms\"] is {transaction}: it must be at least 10000, or a slow broker would \
                 abort transactions that are under way"
            )));
        }
        // Names and values are librdkafka's to judge; the producer is only made once the brokers have answered.
        let declared = Self::declared(plan, 0);
        for config in [declared.member(1), declared.producer(plan.guarantee, 0)] {
            config.create_native_config().map_err(|error| failed("Kafka settings", &error))?;
        }
        Ok(())
    }

    /// For a client that neither consumes nor produces.
    pub(super) fn client(&self) -> ClientConfig {
        self.base(|key| !PRODUCER_ONLY.contains(&key) && !CONSUMER_ONLY.contains(&key))
    }

    /// For asking how far topics go: past transactions that are still open.
    pub(super) fn asker(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// For asking, and setting, where the group stands, without joining it.
    pub(super) fn outsider(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed");
        config
    }

    /// For a reader of partitions that it is told.
    pub(super) fn reader(&self, partitions: usize) -> ClientConfig {
        let mut config = self.base(|key| !PRODUCER_ONLY.contains(&key) && key != "group.instance.id");
        config.set("group.id", format!("{}-reader", self.group));
        self.consuming(&mut config, partitions);
        config
    }

    /// For a member of the group, `partitions` of which it may get.
    pub(super) fn member(&self, partitions: usize) -> ClientConfig {
        let mut config = self.base(|key| !PRODUCER_ONLY.contains(&key));
        config.set("group.id", &self.group);
        if let Some(instance) = self.user.get("group.instance.id") {
            config.set("group.instance.id", format!("{instance}-{}", self.lane));
        }
        self.consuming(&mut config, partitions);
        if fault::is(Mutant::OffsetsUnstable) {
            config.set("isolation.level", "read_uncommitted");
        }
        config
    }

    fn consuming(&self, config: &mut ClientConfig, partitions: usize) {
        let mut or = |key: &str, value: String| {
            if !self.user.contains_key(key) {
                config.set(key, value);
            }
        };
        // The default of a second stalls a fast consumer each time its queue is full.
        or("fetch.queue.backoff.ms", "5".into());
        or("fetch.wait.max.ms", "20".into());
        or("queued.min.messages", "200000".into());
        // One budget over all partitions: each has a queue of its own.
        or("queued.max.messages.kbytes", (65_536 / partitions.max(1)).max(1024).to_string());
        or("partition.assignment.strategy", "cooperative-sticky".into());
        if self.embedded {
            // The mock cluster keeps a member that has left for as long as its session.
            or("session.timeout.ms", "6000".into());
        }
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "false");
    }

    /// For the producer of the lane. Transactional where the guarantee asks for it.
    pub(super) fn producer(&self, guarantee: Guarantee, largest: i64) -> ClientConfig {
        let mut config = self.base(|key| !CONSUMER_ONLY.contains(&key));
        config.set("enable.idempotence", "true");
        if !self.user.contains_key("linger.ms") && !self.user.contains_key("queue.buffering.max.ms") {
            config.set("linger.ms", "1");
        }
        if !self.user.contains_key("queue.buffering.max.messages") {
            config.set("queue.buffering.max.messages", "500000");
        }
        config.set("message.max.bytes", self.largest_message(largest).to_string());
        if guarantee == Guarantee::ExactlyOnce {
            config.set("transactional.id", self.transactional_id());
            if !self.is_static() && !self.user.contains_key("transaction.timeout.ms") {
                // Nobody else will ever finish what a dead member of this name left open.
                config.set("transaction.timeout.ms", "15000");
            }
        }
        config
    }

    /// What the producer of the lane is called.
    pub(super) fn transactional_id(&self) -> String {
        let identity = self.user.get("group.instance.id").unwrap_or(&self.nonce);
        format!("{}-{identity}-{}", self.group, self.lane)
    }

    /// How long a transaction may take before the broker aborts it.
    pub(super) fn transaction_timeout(&self) -> i64 {
        let config = self.producer(Guarantee::ExactlyOnce, 0);
        // What is not set is librdkafka's default.
        config.get("transaction.timeout.ms").and_then(|text| text.parse().ok()).unwrap_or(60_000)
    }

    /// How long a member that died keeps its partitions.
    pub(super) fn session_timeout(&self) -> i64 {
        let config = self.member(1);
        config.get("session.timeout.ms").and_then(|text| text.parse().ok()).unwrap_or(45_000)
    }

    /// How often a member says that it is there.
    pub(super) fn heartbeat_interval(&self) -> Duration {
        let config = self.member(1);
        let said = config.get("heartbeat.interval.ms").and_then(|text| text.parse().ok());
        Duration::from_millis(said.unwrap_or(3_000))
    }

    /// The largest record that the producer takes. What the sources hold, `largest`, must fit into the dead-letter
    /// topic; the topics have their own limits.
    pub(super) fn largest_message(&self, largest: i64) -> i64 {
        let said = self.user.get("message.max.bytes").and_then(|bytes| bytes.parse().ok());
        said.unwrap_or_else(|| largest.clamp(1_000_000, 1_000_000_000))
    }

    /// Whether the identity of the producer is one that another process may take.
    pub(super) fn is_static(&self) -> bool {
        self.user.contains_key("group.instance.id")
    }

    /// Where the brokers are.
    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }

    fn base(&self, applies: impl Fn(&str) -> bool) -> ClientConfig {
        let mut config = ClientConfig::new();
        let level =
            if self.user.contains_key("debug") { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info };
        config.set_log_level(level).set("bootstrap.servers", &self.brokers).set("client.id", "millstream");
        // With the default of 10 s work goes on only some seconds after a broker has come back.
        if !self.user.contains_key("reconnect.backoff.ms") {
            config.set("reconnect.backoff.max.ms", "1000");
        }
        for (key, value) in self.user.iter().filter(|(key, _)| applies(key)) {
            config.set(key, value);
        }
        config
    }
}
