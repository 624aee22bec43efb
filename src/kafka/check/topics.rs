//! The topics of an app: which are there, which are to be made and like what, whether chains can work, what we may do.

use std::collections::HashMap;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::check::Findings;
use crate::config::{Late, Plan};
use crate::error::{Error, Result};
use crate::kafka::cluster::{Cluster, REQUEST, Set};
use crate::kafka::describe::{self, Right};
use crate::kafka::error::text;

/// Room for the headers of a dead letter.
const HEADROOM: i64 = 64 * 1024;
const EMBEDDED_PARTITIONS: i32 = 4;
/// The broker's default, where it may not be asked.
const MAX_MESSAGE_BYTES: i64 = 1_048_588;

/// What a topic of ours takes over from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct Traits {
    pub(in crate::kafka) partitions: i32,
    pub(in crate::kafka) retention_ms: i64,
    pub(in crate::kafka) max_message_bytes: i64,
}

/// A topic that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct Wanted {
    pub(in crate::kafka) topic: String,
    pub(in crate::kafka) like: Traits,
    /// Beyond the source's limit on messages; 0 leaves the limit to the broker.
    pub(in crate::kafka) headroom: i64,
}

/// What is known of the topics.
#[derive(Debug, Default)]
pub(in crate::kafka) struct Facts {
    /// Partitions, also of those that are to be made.
    pub(in crate::kafka) partitions: HashMap<String, i32>,
    /// The settings of the topics that are there; empty where they may not be read.
    pub(in crate::kafka) settings: HashMap<String, Set>,
    pub(in crate::kafka) wanted: Vec<Wanted>,
    /// The largest record that a topic of ours may have to take.
    pub(in crate::kafka) largest_message: i64,
}

impl Facts {
    /// A setting of a topic.
    pub(in crate::kafka) fn setting(&self, topic: &str, name: &str) -> Option<&str> {
        self.settings.get(topic)?.get(name).map(String::as_str)
    }

    /// A setting of a topic that is a number.
    pub(in crate::kafka) fn number(&self, topic: &str, name: &str) -> Option<i64> {
        self.setting(topic, name)?.parse().ok()
    }

    /// For how long a topic keeps a record by its own timestamp; none is for ever, or by the broker's clock.
    pub(in crate::kafka) fn retention(&self, topic: &str) -> Option<i64> {
        if let Some(wanted) = self.wanted.iter().find(|wanted| wanted.topic == topic) {
            return Some(wanted.like.retention_ms).filter(|retention| *retention >= 0);
        }
        let deletes = self.setting(topic, "cleanup.policy").is_some_and(|policy| policy.contains("delete"));
        if !deletes || self.setting(topic, "message.timestamp.type") == Some("LogAppendTime") {
            return None;
        }
        self.number(topic, "retention.ms").filter(|retention| *retention >= 0)
    }

    /// The largest record that a topic takes; one that is to be made has the broker's default.
    pub(in crate::kafka) fn largest_record(&self, topic: &str) -> i64 {
        self.number(topic, "max.message.bytes").unwrap_or(MAX_MESSAGE_BYTES)
    }

    fn traits(&self, topic: &str) -> Traits {
        if let Some(wanted) = self.wanted.iter().find(|wanted| wanted.topic == topic) {
            return wanted.like;
        }
        Traits {
            partitions: self.partitions.get(topic).copied().unwrap_or(1),
            retention_ms: self.number(topic, "retention.ms").unwrap_or(-1),
            max_message_bytes: self.number(topic, "max.message.bytes").unwrap_or(MAX_MESSAGE_BYTES),
        }
    }
}

pub(super) fn check(cluster: &Cluster<'_>, findings: &mut Findings) -> Option<Facts> {
    let mut facts = Facts { partitions: cluster.partitions.clone(), ..Facts::default() };
    if let Err(error) = look(cluster, &mut facts, findings) {
        findings.error("topics", cluster.settings.brokers(), error);
        return None;
    }
    rights(cluster, findings);
    (!findings.failed()).then_some(facts)
}

/// Upstream first: a sink that is to be made is like its source.
fn look(cluster: &Cluster<'_>, facts: &mut Facts, findings: &mut Findings) -> Result<()> {
    let plan = cluster.plan;
    let mut all = Traits { partitions: 1, retention_ms: 0, max_message_bytes: 0 };
    for source in plan.sources_in_order() {
        let topic = plan.sources[source].topic.as_str();
        if facts.partitions.contains_key(topic) {
            read_settings(cluster, facts, topic, findings)?;
        } else if cluster.embedded() {
            let like = Traits {
                partitions: EMBEDDED_PARTITIONS,
                retention_ms: -1,
                max_message_bytes: MAX_MESSAGE_BYTES,
            };
            want(facts, topic, like, 0);
        } else {
            return Err(absent(cluster, "source topic", topic, "create it, or correct its name"));
        }
        let traits = facts.traits(topic);
        let forever = |retention: i64| if retention < 0 { i64::MAX } else { retention };
        all.partitions = all.partitions.max(traits.partitions);
        all.max_message_bytes = all.max_message_bytes.max(traits.max_message_bytes);
        if forever(traits.retention_ms) > forever(all.retention_ms) {
            all.retention_ms = traits.retention_ms;
        }
        findings.ok("topics", topic, format!("source topic {topic:?}: {} partitions", traits.partitions));
        for model in plan.models_of(source) {
            own(cluster, facts, &plan.models[model].sink, traits, 0, findings)?;
        }
    }
    facts.largest_message = all.max_message_bytes + HEADROOM;
    if writes_late(plan) {
        own(cluster, facts, &plan.late_topic, all, HEADROOM, findings)?;
    }
    own(cluster, facts, &plan.dead_letter_topic, all, HEADROOM, findings)?;
    chains(cluster, facts, findings);
    Ok(())
}

fn writes_late(plan: &Plan) -> bool {
    plan.models.iter().any(|model| model.late == Late::Topic)
}

/// A topic that results, late events or dead letters go to.
fn own(
    cluster: &Cluster<'_>,
    facts: &mut Facts,
    topic: &str,
    like: Traits,
    headroom: i64,
    findings: &mut Findings,
) -> Result<()> {
    if facts.settings.contains_key(topic) || facts.wanted.iter().any(|wanted| wanted.topic == topic) {
        return Ok(());
    }
    if let Some(partitions) = facts.partitions.get(topic) {
        findings.ok("topics", topic, format!("topic {topic:?}: {partitions} partitions"));
        return read_settings(cluster, facts, topic, findings);
    }
    let partitions = like.partitions;
    if !cluster.plan.create_topics {
        let fix = format!("create it with {partitions} partitions, or say create_topics=True");
        return Err(absent(cluster, "create_topics=False and topic", topic, &fix));
    }
    if cluster.hidden(topic) {
        return Err(absent(cluster, "topic", topic, ""));
    }
    findings.ok("topics", topic, format!("topic {topic:?} is to be made, with {partitions} partitions"));
    want(facts, topic, like, headroom);
    Ok(())
}

fn want(facts: &mut Facts, topic: &str, like: Traits, headroom: i64) {
    facts.partitions.insert(topic.to_owned(), like.partitions);
    facts.wanted.push(Wanted { topic: topic.to_owned(), like, headroom });
}

/// A topic that we do not see: without the right to, it looks as if it did not exist.
fn absent(cluster: &Cluster<'_>, what: &str, topic: &str, fix: &str) -> Error {
    if cluster.hidden(topic) {
        return Error::Kafka(format!(
            "{what} {topic:?} may not be seen: grant the right DESCRIBE on the topic"
        ));
    }
    Error::config(format!("{what} {topic:?} does not exist at {:?}: {fix}", cluster.settings.brokers()))
}

fn read_settings(
    cluster: &Cluster<'_>,
    facts: &mut Facts,
    topic: &str,
    findings: &mut Findings,
) -> Result<()> {
    let set = cluster.topic_settings(topic)?;
    if set.is_none() {
        // The broker still decides.
        findings.warning(
            "rights",
            topic,
            format!(
                "the settings of topic {topic:?} may not be read, so defaults are assumed: grant the right \
                 DESCRIBE_CONFIGS on the topic"
            ),
        );
    }
    facts.settings.insert(topic.to_owned(), set.unwrap_or_default());
    Ok(())
}

/// A chained model sees its input in order only where partitions match.
fn chains(cluster: &Cluster<'_>, facts: &Facts, findings: &mut Findings) {
    for model in &cluster.plan.models {
        if !cluster.plan.sources.iter().any(|source| source.topic == model.sink) {
            continue;
        }
        let (source, sink) = (&cluster.plan.sources[model.source].topic, &model.sink);
        let counts = [source, sink].map(|topic| facts.partitions.get(topic).copied().unwrap_or(0));
        if counts[0] == counts[1] {
            findings.ok("chains", sink, format!("{source:?} to {sink:?}: {} partitions each", counts[0]));
            continue;
        }
        let text = format!(
            "model {} chains topic {source:?} with {} partitions to {sink:?} with {}: a chained sink needs as many \
             partitions as its source. Create it with {}",
            model.name, counts[0], counts[1], counts[0]
        );
        findings.error("chains", sink, Error::config(text));
    }
}

/// READ on the sources and the group, WRITE on what we write to, where the brokers tell.
fn rights(cluster: &Cluster<'_>, findings: &mut Findings) {
    if cluster.embedded() {
        return;
    }
    let plan = cluster.plan;
    let mut needed: Vec<(&str, Right, &str)> =
        plan.sources.iter().map(|source| (source.topic.as_str(), Right::Read, "READ")).collect();
    let late = writes_late(plan).then_some(plan.late_topic.as_str());
    let own = late.into_iter().chain([plan.dead_letter_topic.as_str()]);
    needed.extend(plan.sinks().into_iter().chain(own).map(|topic| (topic, Right::Write, "WRITE")));
    needed.retain(|(topic, ..)| cluster.partitions.contains_key(*topic));
    let mut names: Vec<&str> = needed.iter().map(|(topic, ..)| *topic).collect();
    names.sort_unstable();
    names.dedup();
    let before = findings.failed();
    // Brokers before Apache Kafka 2.3 do not tell; then the first record does.
    let described = cluster.ask(|| describe::topics(cluster.client(), &names, REQUEST)).unwrap_or_default();
    for (topic, right, name) in needed {
        if let Some(Ok(found)) = described.get(topic)
            && found.rights.lack(right)
        {
            let text = format!("topic {topic:?}: the right {name} on the topic is missing: grant it");
            findings.error("rights", topic, Error::Kafka(text));
        }
    }
    let group = &plan.group_id;
    let refused = match cluster.ask(|| describe::group(cluster.client(), group, REQUEST)) {
        Ok(described) => described.rights.lack(Right::Read),
        Err(KafkaError::AdminOp(RDKafkaErrorCode::GroupAuthorizationFailed)) => true,
        Err(error) => {
            cluster.log.info("check", format!("group {group:?} could not be described: {}", text(&error)));
            false
        }
    };
    if refused {
        let text = format!("group {group:?}: the right READ on the group is missing: grant it");
        findings.error("rights", group, Error::Kafka(text));
    }
    if before == findings.failed() {
        findings.ok("rights", group, "READ on sources and group, WRITE on sinks: nothing is missing");
    }
}
