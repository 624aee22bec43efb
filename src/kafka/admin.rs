//! The topics of an app as a run knows them: checked, and those of ours made where they are missing.

use std::collections::HashMap;

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::check::{Facts, Wanted, before_run};
use super::cluster::{Cluster, REQUEST};
use super::embedded::Embedded;
use super::error::failed;
use super::settings::Settings;
use crate::check::Findings;
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::lane::Routes;
use crate::log::Log;

/// A topic that results go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkTopic {
    /// Its name.
    pub name: String,
    /// How long it keeps records by their own timestamp; none is for ever, or by the broker's clock.
    pub retention_ms: Option<i64>,
    /// The largest record that it takes, in bytes.
    pub largest_record: i64,
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
    fn of(plan: &Plan, partitions: HashMap<String, i32>, facts: &Facts) -> Self {
        let sinks = plan.sinks().into_iter().map(|name| SinkTopic {
            name: name.to_owned(),
            retention_ms: facts.retention(name),
            largest_record: facts.largest_record(name),
        });
        Self { partitions, largest_message: facts.largest_message, sinks: sinks.collect() }
    }

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
        let compressed = plan.kafka.iter().any(|(key, value)| {
            ["compression.type", "compression.codec"].contains(&key.as_str()) && value != "none"
        });
        let largest_result = |model: usize| {
            let topic = plan.sinks().iter().position(|sink| *sink == plan.models[model].sink);
            let producer = Settings::new(plan, 0).largest_message(self.largest_message);
            let sink = topic.and_then(|topic| self.sinks.get(topic)).map(|sink| sink.largest_record);
            // What a compressed record will take is for the broker to say.
            let most = sink.filter(|_| !compressed).map_or(producer, |most| most.min(producer));
            usize::try_from(most).unwrap_or(usize::MAX)
        };
        Routes {
            largest_results: (0..plan.models.len()).map(largest_result).collect(),
            sinks: plan.models.iter().map(|model| same(model.source, &model.sink)).collect(),
            late: sources.clone().map(|source| same(source, &plan.late_topic)).collect(),
            dead_letters: sources.map(|source| same(source, &plan.dead_letter_topic)).collect(),
        }
    }
}

/// Looks at the cluster, refuses what cannot work, and makes the topics of ours that are missing.
pub fn prepare(plan: &Plan, log: &Log) -> Result<Topics> {
    let mut cluster = Cluster::connect(plan, log)?;
    let mut findings = Findings::default();
    let facts = before_run(&cluster, &mut findings);
    findings.into_result(log)?;
    // Without an error there are facts.
    let facts = facts.unwrap_or_default();
    for wanted in &facts.wanted {
        create(&mut cluster, wanted)?;
    }
    Ok(Topics::of(plan, cluster.partitions, &facts))
}

/// Looks at the cluster, refuses what cannot work, and leaves the topics as they are.
pub(super) fn look(plan: &Plan, log: &Log) -> Result<Topics> {
    let cluster = Cluster::connect(plan, log)?;
    let mut findings = Findings::default();
    let facts = before_run(&cluster, &mut findings);
    findings.into_result(log)?;
    Ok(Topics::of(plan, cluster.partitions, &facts.unwrap_or_default()))
}

fn create(cluster: &mut Cluster<'_>, wanted: &Wanted) -> Result<()> {
    let Wanted { topic, like, headroom } = wanted;
    if cluster.embedded() {
        Embedded::get()?.create_topic(topic, like.partitions)?;
        cluster.partitions.insert(topic.clone(), like.partitions);
        return Ok(());
    }
    let retention = like.retention_ms.to_string();
    let ahead = i64::MAX.to_string();
    let largest = (like.max_message_bytes + headroom).to_string();
    let mut new = NewTopic::new(topic, like.partitions, TopicReplication::Fixed(-1))
        .set("retention.ms", &retention)
        .set("message.timestamp.type", "CreateTime")
        .set("message.timestamp.after.max.ms", &ahead);
    if *headroom > 0 {
        new = new.set("max.message.bytes", &largest);
    }
    let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    let what = || format!("topic {topic:?} could not be created");
    let made =
        block_on(cluster.admin.create_topics(&[new], &options)).map_err(|error| failed(what(), &error))?;
    match made.into_iter().next() {
        // Another member was first.
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => cluster.look(),
        Some(Err((
            _,
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ))) => Err(Error::Kafka(format!(
            "{}: the right CREATE on the topic or the cluster is missing. Create it by hand, or grant the right",
            what()
        ))),
        Some(Err((_, code))) => Err(Error::Kafka(format!("{}: {code}", what()))),
        _ => {
            cluster.log.info("kafka", format!("created topic {topic:?} with {} partitions", like.partitions));
            cluster.partitions.insert(topic.clone(), like.partitions);
            Ok(())
        }
    }
}
