//! The topics of an app: what the sources are like, and the topics of ours, made where they are missing.

use std::collections::HashMap;
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::context::Plain;
use super::embedded::Embedded;
use super::error::failed;
use super::settings::Settings;
use crate::config::{Late, Plan};
use crate::error::{Error, Result};
use crate::lane::Routes;
use crate::log::Log;

const REQUEST: Duration = Duration::from_secs(15);
/// Room for the headers of a dead letter.
const HEADROOM: i64 = 64 * 1024;
const EMBEDDED_PARTITIONS: i32 = 4;
/// The broker's default, where it may not be asked.
const MAX_MESSAGE_BYTES: i64 = 1_048_588;

/// A topic that results go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkTopic {
    /// Its name.
    pub name: String,
    /// How long it keeps records by their own timestamp; none is for ever, or by the broker's clock.
    pub retention_ms: Option<i64>,
}

/// What is known of the topics.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    partitions: HashMap<String, i32>,
    /// The largest record that a topic of ours may have to take.
    pub largest_message: i64,
    /// The sinks, in the plan's order.
    pub sinks: Vec<SinkTopic>,
}

impl Topics {
    /// Partitions of a topic; 0 where it is not known.
    pub fn partitions(&self, topic: &str) -> i32 {
        self.partitions.get(topic).copied().unwrap_or(0)
    }

    /// Which outputs keep the partition of their input.
    pub fn routes(&self, plan: &Plan) -> Routes {
        let same = |source: usize, topic: &str| {
            self.partitions(&plan.sources[source].topic) == self.partitions(topic)
        };
        let sources = 0..plan.sources.len();
        Routes {
            sinks: plan.models.iter().map(|model| same(model.source, &model.sink)).collect(),
            late: sources.clone().map(|source| same(source, &plan.late_topic)).collect(),
            dead_letters: sources.map(|source| same(source, &plan.dead_letter_topic)).collect(),
        }
    }
}

/// What a topic of ours takes over from its source.
#[derive(Clone, Debug)]
struct Traits {
    partitions: i32,
    retention_ms: i64,
    max_message_bytes: i64,
}

struct Admin<'a> {
    plan: &'a Plan,
    log: &'a Log,
    client: AdminClient<Plain>,
    reader: BaseConsumer<Plain>,
    brokers: String,
    partitions: HashMap<String, i32>,
}

/// Looks at the topics of an app, makes those of ours that are missing, and refuses what cannot work.
pub fn prepare(plan: &Plan, log: &Log) -> Result<Topics> {
    let settings = Settings::new(plan, 0);
    let context = || Plain::new(log.clone());
    let made = |error| failed("a Kafka client could not be made", &error);
    let mut admin = Admin {
        plan,
        log,
        client: settings.client().create_with_context(context()).map_err(made)?,
        reader: settings.client().create_with_context(context()).map_err(made)?,
        brokers: settings.brokers().to_owned(),
        partitions: HashMap::new(),
    };
    admin.look()?;
    let mut traits = HashMap::new();
    for source in plan.sources_in_order() {
        admin.source(source, &mut traits)?;
    }
    admin.others(&traits)?;
    admin.chains()?;
    let sinks = plan.sinks().into_iter().map(|name| {
        let retention_ms = admin.retention(name)?;
        Ok(SinkTopic { name: name.to_owned(), retention_ms })
    });
    let sinks = sinks.collect::<Result<_>>()?;
    let largest_message =
        traits.values().map(|of| of.max_message_bytes).max().unwrap_or(MAX_MESSAGE_BYTES) + HEADROOM;
    Ok(Topics { partitions: admin.partitions, largest_message, sinks })
}

impl Admin<'_> {
    fn embedded(&self) -> bool {
        self.plan.brokers == "embedded"
    }

    /// The partition counts of all topics there are.
    fn look(&mut self) -> Result<()> {
        let metadata = self.reader.fetch_metadata(None, REQUEST).map_err(|error| {
            Error::Kafka(format!(
                "no broker could be reached at {:?} within {} s ({}): check brokers=, and security.protocol, sasl.* and \
                 ssl.* in kafka=",
                self.brokers,
                REQUEST.as_secs(),
                super::error::text(&error)
            ))
        })?;
        for topic in metadata.topics() {
            self.partitions.insert(topic.name().to_owned(), topic.partitions().len() as i32);
        }
        Ok(())
    }

    /// Makes sure of a source, and of the sinks of its models.
    fn source(&mut self, source: usize, traits: &mut HashMap<String, Traits>) -> Result<()> {
        let topic = &self.plan.sources[source].topic;
        if !self.partitions.contains_key(topic) {
            if !self.embedded() {
                return Err(Error::config(format!(
                    "source topic {topic:?} does not exist at {:?}: create it, or correct its name",
                    self.brokers
                )));
            }
            self.create(
                topic,
                &Traits {
                    partitions: EMBEDDED_PARTITIONS,
                    retention_ms: -1,
                    max_message_bytes: MAX_MESSAGE_BYTES,
                },
                0,
            )?;
        }
        let of_source = self.traits(topic)?;
        for model in self.plan.models_of(source) {
            let sink = &self.plan.models[model].sink;
            if !self.partitions.contains_key(sink) {
                self.make(sink, &of_source, 0)?;
            }
        }
        traits.insert(topic.clone(), of_source);
        Ok(())
    }

    /// Makes sure of the late and the dead-letter topic: as many partitions as the largest source.
    fn others(&mut self, traits: &HashMap<String, Traits>) -> Result<()> {
        let forever = |retention: i64| if retention < 0 { i64::MAX } else { retention };
        let all = Traits {
            partitions: traits.values().map(|of| of.partitions).max().unwrap_or(1),
            retention_ms: traits.values().map(|of| of.retention_ms).max_by_key(|r| forever(*r)).unwrap_or(-1),
            max_message_bytes: traits
                .values()
                .map(|of| of.max_message_bytes)
                .max()
                .unwrap_or(MAX_MESSAGE_BYTES),
        };
        let (late, dead) = (&self.plan.late_topic, &self.plan.dead_letter_topic);
        let wants_late = self.plan.models.iter().any(|model| model.late == Late::Topic);
        if wants_late && !self.partitions.contains_key(late) {
            self.make(late, &all, HEADROOM)?;
        }
        if !self.partitions.contains_key(dead) {
            self.make(dead, &all, HEADROOM)?;
        }
        Ok(())
    }

    fn make(&mut self, topic: &str, like: &Traits, headroom: i64) -> Result<()> {
        if !self.plan.create_topics {
            return Err(Error::config(format!(
                "topic {topic:?} does not exist and create_topics=False: create it with {} partitions, or say \
                 create_topics=True",
                like.partitions
            )));
        }
        self.create(topic, like, headroom)
    }

    fn create(&mut self, topic: &str, like: &Traits, headroom: i64) -> Result<()> {
        if self.embedded() {
            Embedded::get()?.create_topic(topic, like.partitions)?;
            self.partitions.insert(topic.to_owned(), like.partitions);
            return Ok(());
        }
        let retention = like.retention_ms.to_string();
        let ahead = i64::MAX.to_string();
        let largest = (like.max_message_bytes + headroom).to_string();
        let mut new = NewTopic::new(topic, like.partitions, TopicReplication::Fixed(-1))
            .set("retention.ms", &retention)
            .set("message.timestamp.type", "CreateTime")
            .set("message.timestamp.after.max.ms", &ahead);
        if headroom > 0 {
            new = new.set("max.message.bytes", &largest);
        }
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        let what = || format!("topic {topic:?} could not be created");
        let made =
            block_on(self.client.create_topics(&[new], &options)).map_err(|error| failed(what(), &error))?;
        match made.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => self.look(),
            Some(Err((
                _,
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ))) => Err(Error::Kafka(format!(
                "{}: the right CREATE on the topic or the cluster is missing. Create it by hand, or grant the right",
                what()
            ))),
            Some(Err((_, code))) => Err(Error::Kafka(format!("{}: {code}", what()))),
            _ => {
                self.log
                    .info("kafka", format!("created topic {topic:?} with {} partitions", like.partitions));
                self.partitions.insert(topic.to_owned(), like.partitions);
                Ok(())
            }
        }
    }

    fn traits(&self, topic: &str) -> Result<Traits> {
        let config = self.config(topic)?;
        let number =
            |key: &str, default| config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
        Ok(Traits {
            partitions: self.partitions.get(topic).copied().unwrap_or(1),
            retention_ms: number("retention.ms", -1),
            max_message_bytes: number("max.message.bytes", MAX_MESSAGE_BYTES),
        })
    }

    /// For how long a topic keeps a record by its own timestamp.
    fn retention(&self, topic: &str) -> Result<Option<i64>> {
        let config = self.config(topic)?;
        let get = |key: &str| config.get(key).map(String::as_str);
        let deletes = get("cleanup.policy").is_some_and(|policy| policy.contains("delete"));
        if !deletes || get("message.timestamp.type") == Some("LogAppendTime") {
            return Ok(None);
        }
        Ok(get("retention.ms").and_then(|text| text.parse().ok()).filter(|retention| *retention >= 0))
    }

    fn config(&self, topic: &str) -> Result<HashMap<String, String>> {
        if self.embedded() {
            return Ok(HashMap::new());
        }
        let options = AdminOptions::new().request_timeout(Some(REQUEST));
        let asked = [ResourceSpecifier::Topic(topic)];
        let answer = block_on(self.client.describe_configs(&asked, &options)).map_err(|error| {
            failed(format_args!("the settings of topic {topic:?} could not be read"), &error)
        })?;
        if let Some(Ok(resource)) = answer.into_iter().next() {
            let set = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
            return Ok(set.collect());
        }
        // Without the right to look, the defaults are assumed; the broker still decides.
        self.log.warning(
            "kafka",
            format!(
                "the settings of topic {topic:?} may not be read (DESCRIBE_CONFIGS): defaults are assumed"
            ),
        );
        Ok(HashMap::new())
    }

    /// A chained model sees its input in order only where partitions match.
    fn chains(&self) -> Result<()> {
        for model in &self.plan.models {
            if !self.plan.sources.iter().any(|source| source.topic == model.sink) {
                continue;
            }
            let source = &self.plan.sources[model.source].topic;
            let counts = [source, &model.sink].map(|topic| self.partitions.get(topic).copied().unwrap_or(0));
            if counts[0] != counts[1] {
                return Err(Error::config(format!(
                    "model {} chains topic {source:?} with {} partitions to {:?} with {}: a chained sink needs as many \
                     partitions as its source. Create it with {}",
                    model.name, counts[0], model.sink, counts[1], counts[0]
                )));
            }
        }
        Ok(())
    }
}
