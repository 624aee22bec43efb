//! How far a group is behind on its sources, asked from outside it: nobody joins.

use super::cluster::Cluster;
use super::position;
use crate::config::Plan;
use crate::error::Result;
use crate::log::Log;
use crate::metadata::Metadata;
use crate::time::Millis;

/// Where a group stands on one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The oldest offset and the high watermark.
    pub bounds: (i64, i64),
    /// Where the group stands, if anywhere.
    pub committed: Option<i64>,
    /// Where a restart begins to read.
    pub replay_from: Option<i64>,
    /// The clock; none before the first event, and where the offset is not one of ours.
    pub clock: Option<Millis>,
}

/// Where the group stands on every partition of its sources.
pub fn lag(plan: &Plan, log: &Log) -> Result<Vec<Lag>> {
    let cluster = Cluster::of_sources(plan, log, "lag")?;
    let mut found = Vec::new();
    for source in &plan.sources {
        let topic = &source.topic;
        let bounds = cluster.bounds(topic)?;
        let committed = position::committed(&cluster, topic)?;
        for (partition, (bounds, committed)) in (0..).zip(bounds.into_iter().zip(committed)) {
            let metadata = committed.as_ref().and_then(|(_, text)| Metadata::decode(text));
            found.push(Lag {
                topic: topic.clone(),
                partition,
                bounds,
                committed: committed.map(|(offset, _)| offset),
                replay_from: metadata.as_ref().map(|metadata| metadata.replay_from),
                clock: metadata.and_then(|metadata| metadata.clock),
            });
        }
    }
    Ok(found)
}
