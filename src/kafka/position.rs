//! Where the group stands, read and set from outside it: nobody joins.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::cluster::{Cluster, REQUEST};
use super::context::Plain;
use super::error::failed;
use crate::error::{Error, Result};
use crate::metadata::Metadata;

const AGAIN: Duration = Duration::from_millis(100);

/// An offset with its metadata.
pub(super) type Committed = (i64, String);

fn outsider(cluster: &Cluster<'_>) -> Result<BaseConsumer<Plain>> {
    let context = Plain::new(cluster.log.clone());
    let made = cluster.settings.outsider().create_with_context(context);
    made.map_err(|error| failed("a Kafka client could not be made", &error))
}

/// What a committed offset is, where there is one.
pub(super) fn of_element(element: &TopicPartitionListElem<'_>) -> Option<Committed> {
    let Offset::Offset(offset) = element.offset() else { return None };
    // rust-rdkafka panics on metadata that is not UTF-8, which then is not ours either.
    let text = std::panic::catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()));
    Some((offset, text.unwrap_or_default()))
}

/// What the group has committed on each partition of a topic.
pub(super) fn committed(cluster: &Cluster<'_>, topic: &str) -> Result<Vec<Option<Committed>>> {
    let client = outsider(cluster)?;
    let count = cluster.partitions.get(topic).copied().unwrap_or(0);
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, count - 1);
    let until = Instant::now() + REQUEST;
    let mut wait = AGAIN;
    let answer = loop {
        let error = match client.committed_offsets(asked.clone(), wait) {
            Ok(answer) => break answer,
            Err(error) => error,
        };
        if denied(&error) || client.poll(Duration::ZERO).and_then(Result::err).is_some_and(|e| denied(&e)) {
            return Err(Error::Kafka(format!(
                "group {:?}: the rights DESCRIBE and READ on the group are missing: grant them",
                cluster.plan.group_id
            )));
        }
        // A coordinator that is only just being found.
        if Instant::now() > until {
            let what = format!("the committed offsets of group {:?} are not known", cluster.plan.group_id);
            return Err(failed(what, &error));
        }
        wait *= 2;
        std::thread::sleep(AGAIN);
    };
    let found = |partition| answer.find_partition(topic, partition).as_ref().and_then(of_element);
    Ok((0..count).map(found).collect())
}

/// A refusal to name the coordinator comes to the consumer's queue alone: the call waits its time out.
fn denied(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

/// Commits offsets for a group without members: the broker refuses it where there are any.
pub(super) fn commit(cluster: &Cluster<'_>, offsets: &[(String, i32, i64, Metadata)]) -> Result<()> {
    let what = || format!("the position of group {:?} could not be set", cluster.plan.group_id);
    let client = outsider(cluster)?;
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset, metadata) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
            .map_err(|error| failed(what(), &error))?;
        if let Some(mut element) = list.find_partition(topic, *partition) {
            element.set_metadata(metadata.encode());
        }
    }
    client.commit(&list, CommitMode::Sync).map_err(|error| failed(what(), &error))
}
