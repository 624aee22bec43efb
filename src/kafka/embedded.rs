//! The embedded broker: librdkafka's mock cluster inside this process, on loopback, for demos and first steps.
//! It keeps nothing, has no transactions and holds 5 MiB per partition: never for exactly-once, never for production.

use std::sync::OnceLock;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use super::error::failed;
use crate::error::{Error, Result};

/// The broker of this process.
pub struct Embedded {
    /// The client that the cluster lives in.
    host: BaseProducer,
    brokers: String,
}

static EMBEDDED: OnceLock<std::result::Result<Embedded, String>> = OnceLock::new();

impl Embedded {
    /// The broker, started at the first call.
    pub fn get() -> Result<&'static Self> {
        let started = EMBEDDED.get_or_init(|| {
            let mut config = ClientConfig::new();
            config.set("test.mock.num.brokers", "1");
            let host: BaseProducer = config.create().map_err(|error| error.to_string())?;
            let brokers = host.client().mock_cluster().map(|cluster| cluster.bootstrap_servers());
            let brokers = brokers.ok_or("librdkafka has no mock cluster")?;
            Ok(Self { host, brokers })
        });
        started
            .as_ref()
            .map_err(|error| Error::Kafka(format!("the embedded broker could not be started: {error}")))
    }

    /// Where it listens.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Makes a topic; nothing happens where it exists.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let Some(cluster) = self.host.client().mock_cluster() else { return Ok(()) };
        match cluster.create_topic(topic, partitions, 1) {
            Ok(()) | Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Err(error) => Err(failed(format_args!("topic {topic:?} could not be created"), &error)),
        }
    }
}

/// The address of `brokers`, where the embedded broker is meant.
pub(super) fn resolve(brokers: &str) -> String {
    match brokers {
        "embedded" => {
            Embedded::get().map_or_else(|_| brokers.to_owned(), |embedded| embedded.brokers().to_owned())
        }
        _ => brokers.to_owned(),
    }
}
