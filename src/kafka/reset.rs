//! Sets a stopped group's position on its sources, with fresh metadata: nothing of the state that belonged to the old
//! position is gone on with.

use super::cluster::{Cluster, REQUEST};
use super::describe;
use super::error::failed;
use super::position;
use crate::clock;
use crate::config::Plan;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::metadata::Metadata;
use crate::time::Millis;

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record whose timestamp is not before this time.
    Time(Millis),
}

/// What a reset does to one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where the group stands, if anywhere.
    pub from: Option<i64>,
    /// Where it will stand.
    pub to: i64,
    /// The oldest offset and the high watermark.
    pub bounds: (i64, i64),
}

/// What a reset would do, on all sources and partitions or on those given; refused while the group has members.
pub fn moves(
    plan: &Plan,
    log: &Log,
    target: Target,
    topic: Option<&str>,
    partition: Option<i32>,
) -> Result<Vec<Move>> {
    let cluster = Cluster::of_sources(plan, log, "reset")?;
    let sources: Vec<&str> = plan.sources.iter().map(|source| source.topic.as_str()).collect();
    if let Some(topic) = topic.filter(|topic| !sources.contains(topic)) {
        return Err(Error::config(format!(
            "topic {topic:?} is no source of app {:?}: its sources are {}",
            plan.name,
            sources.join(", ")
        )));
    }
    stopped(&cluster)?;
    let mut moves = Vec::new();
    for topic in sources.into_iter().filter(|source| topic.is_none_or(|topic| topic == *source)) {
        let bounds = cluster.bounds(topic)?;
        let committed = position::committed(&cluster, topic)?;
        let at = match target {
            Target::Time(time) => cluster.offsets_at(topic, time)?,
            _ => vec![None; bounds.len()],
        };
        let found = (0..).zip(bounds.into_iter().zip(committed).zip(at));
        for (partition, ((bounds, committed), at)) in
            found.filter(|(p, _)| partition.is_none_or(|one| one == *p))
        {
            let to = match target {
                Target::Earliest => bounds.0,
                Target::Latest => bounds.1,
                Target::Offset(offset) => within(topic, partition, offset, bounds)?,
                Target::Time(_) => at.unwrap_or(bounds.1),
            };
            let from = committed.map(|(offset, _)| offset);
            moves.push(Move { topic: topic.to_owned(), partition, from, to, bounds });
        }
    }
    if moves.is_empty() {
        let asked = partition.unwrap_or(0);
        return Err(Error::config(format!(
            "there is no partition {asked}: leave --partition out, or correct it"
        )));
    }
    Ok(moves)
}

/// Does what was shown. Every window floor is pending, so that the first windows are whole; at the oldest record there
/// is none.
pub fn reset(plan: &Plan, log: &Log, target: Target, moves: &[Move]) -> Result<()> {
    let cluster = Cluster::of_sources(plan, log, "reset")?;
    stopped(&cluster)?;
    let now = clock::wall();
    let offsets = moves.iter().filter_map(|moved| {
        let source = plan.sources.iter().position(|source| source.topic == moved.topic)?;
        let partitions = cluster.partitions.get(&moved.topic).copied().unwrap_or(0);
        // Where there are no ids, a topic is told by its partitions alone.
        let id = cluster
            .ask(|| describe::topic(cluster.client(), &moved.topic, REQUEST))
            .ok()
            .and_then(|topic| topic.id);
        let fresh = Metadata { begun: Some(now), ..Metadata::of(plan, source, id, partitions) };
        let metadata = match target {
            Target::Earliest => Metadata { replay_from: moved.to, ..fresh },
            _ => fresh.beginning_at(moved.to),
        };
        Some((moved.topic.clone(), moved.partition, moved.to, metadata))
    });
    position::commit(&cluster, &offsets.collect::<Vec<_>>())
}

fn stopped(cluster: &Cluster<'_>) -> Result<()> {
    let group = &cluster.plan.group_id;
    let described = cluster
        .ask(|| describe::group(cluster.client(), group, REQUEST))
        .map_err(|error| failed(format_args!("group {group:?} could not be described"), &error))?;
    if described.members > 0 {
        return Err(Error::Kafka(format!(
            "group {group:?} has {} members: stop the app everywhere first. A member that was killed, or that has a \
             group.instance.id, counts until its session.timeout.ms is over",
            described.members
        )));
    }
    Ok(())
}

fn within(topic: &str, partition: i32, offset: i64, (low, high): (i64, i64)) -> Result<i64> {
    if (low..=high).contains(&offset) {
        return Ok(offset);
    }
    Err(Error::config(format!(
        "offset {offset} is not in the log of {topic} [{partition}], which goes from {low} to {high}: give one of those, \
         --partition where only one is meant, or a time as @{offset} if these are milliseconds since 1970"
    )))
}
