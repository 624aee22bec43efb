//! Where the group stands on a source: how far behind, and whether a run could go on from there.

use std::sync::Arc;

use crate::check::Findings;
use crate::clock;
use crate::kafka::cluster::{Cluster, REQUEST};
use crate::kafka::error::failed;
use crate::kafka::position::{self, Committed};
use crate::kafka::{describe, history};
use crate::lane::StartPoint;
use crate::record::TopicPartition;
use crate::source::Assigned;
use crate::time::{Millis, Now};

pub(super) fn check(cluster: &Cluster<'_>, source: usize, bounds: &[(i64, i64)], findings: &mut Findings) {
    let plan = cluster.plan;
    let topic = plan.sources[source].topic.as_str();
    let group = &plan.group_id;
    let committed = position::committed(cluster, topic);
    let Some(committed) = findings.take("group", topic, committed) else { return };
    let wall = clock::wall();
    let found = earlier(cluster, source, &committed, wall);
    let Some(earlier) = findings.take("group", topic, found) else { return };
    let name: Arc<str> = Arc::from(topic);
    let partitions = committed.len() as i32;
    // Where there are no ids, a topic is told by its partitions alone.
    let topic_id =
        cluster.ask(|| describe::topic(cluster.client(), topic, REQUEST)).ok().and_then(|topic| topic.id);
    let fresh = committed.iter().all(Option::is_none);
    let mut lag = 0;
    for (partition, (committed, bounds)) in (0..).zip(committed.into_iter().zip(bounds)) {
        lag += committed.as_ref().map_or(0, |(offset, _)| (bounds.1 - offset).max(0));
        let earlier = if committed.is_none() { earlier.clone() } else { None };
        let (id, topic_id) = (TopicPartition { topic: name.clone(), partition }, topic_id.clone());
        let assigned = Assigned { partition: id, committed, bounds: *bounds, partitions, topic_id, earlier };
        // The very rule of a run: the first partition that it refuses is enough to know.
        if let Err(error) = StartPoint::of(plan, &assigned, false, Now { mono: 0, wall }) {
            findings.error("group", topic, error);
            return;
        }
    }
    let text = if fresh {
        let start = format!("{:?}", plan.start).to_lowercase();
        format!("group {group:?} has committed nothing on topic {topic:?}: it begins at start={start:?}")
    } else {
        format!("group {group:?} can go on with topic {topic:?}, {lag} records behind its end")
    };
    findings.ok("group", topic, text);
}

/// What shows that the group has been at work here before, where an offset is missing.
fn earlier(
    cluster: &Cluster<'_>,
    source: usize,
    committed: &[Option<Committed>],
    now: Millis,
) -> crate::error::Result<Option<String>> {
    let plan = cluster.plan;
    if cluster.embedded() || committed.iter().all(Option::is_some) {
        return Ok(None);
    }
    let others = (0..).zip(committed).filter_map(|(p, committed)| Some((p, &*committed.as_ref()?.1)));
    let topic = &plan.sources[source].topic;
    let mut evidence = history::committed_elsewhere(others, topic, now);
    let sinks = plan.models_of(source).into_iter().map(|model| &plan.models[model].sink);
    for sink in sinks {
        let Some(partitions) = cluster.partitions.get(sink).copied() else { continue };
        if evidence.is_none() && committed.iter().all(Option::is_none) {
            let read = history::produced(&cluster.settings, cluster.log, sink, partitions, &plan.group_id);
            evidence =
                read.map_err(|error| failed(format_args!("topic {sink:?} could not be read"), &error))?;
        }
    }
    Ok(evidence)
}
