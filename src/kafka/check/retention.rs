//! Whether the log keeps what a restart has to read again, how long that takes, and whether sinks keep what is written.

use super::Facts;
use crate::check::Findings;
use crate::clock;
use crate::config::{Plan, Unit};
use crate::error::Error;
use crate::kafka::cluster::Cluster;
use crate::time::Millis;

/// Records per second that a replay is taken to read: about a quarter of what two cores do with three fields of JSON.
const REPLAY_RATE: i64 = 500_000;
/// The longest replay that is not worth a warning.
const REPLAY_SECONDS: i64 = 30;

/// The longest size + grace of the models of a source, which is how far back a replay may reach.
fn span(plan: &Plan, source: usize) -> Millis {
    let models = plan.models_with(source, Unit::Window).into_iter().map(|model| &plan.models[model]);
    models.map(|model| model.size_ms + model.grace_ms).max().unwrap_or(0)
}

pub(super) fn check(cluster: &Cluster<'_>, facts: &Facts, findings: &mut Findings) {
    let plan = cluster.plan;
    for source in 0..plan.sources.len() {
        let topic = plan.sources[source].topic.as_str();
        let span = span(plan, source);
        if let Some(policy) = facts.setting(topic, "cleanup.policy").filter(|set| set.contains("compact")) {
            let text = format!(
                "topic {topic:?} is compacted (cleanup.policy={policy}): records that open windows need may be gone \
                 when a restart reads them again. Use a source with cleanup.policy=delete"
            );
            findings.error("compaction", topic, Error::LostHistory(text));
        }
        source_retention(facts, topic, span, findings);
        if cluster.partitions.contains_key(topic) {
            replay(cluster, topic, span, findings);
        }
        for sink in plan.sinks() {
            let fed = plan.models.iter().any(|model| model.sink == sink && model.source == source);
            if fed {
                sink_retention(facts, topic, sink, findings);
            }
        }
    }
}

fn source_retention(facts: &Facts, topic: &str, span: Millis, findings: &mut Findings) {
    let Some(retention) = facts.retention(topic) else {
        findings.ok("retention", topic, format!("topic {topic:?} deletes nothing by record timestamp"));
        return;
    };
    if retention >= span.saturating_mul(2) {
        let text = format!("topic {topic:?} keeps {retention} ms, a restart may read {span} ms again");
        findings.ok("retention", topic, text);
        return;
    }
    findings.warning(
        "retention",
        topic,
        format!(
            "topic {topic:?} keeps records for {retention} ms, less than twice the {span} ms (size + grace) that a \
             restart may have to read again: raise retention.ms to at least {}, and the time that the app may be down",
            span.saturating_mul(2)
        ),
    );
}

fn sink_retention(facts: &Facts, source: &str, sink: &str, findings: &mut Findings) {
    let Some(kept) = facts.retention(sink) else {
        findings.ok("retention", sink, format!("sink {sink:?} keeps results of any age"));
        return;
    };
    if facts.retention(source).is_some_and(|source| source <= kept) {
        findings.ok("retention", sink, format!("sink {sink:?} keeps results for {kept} ms"));
        return;
    }
    findings.warning(
        "retention",
        sink,
        format!(
            "sink {sink:?} keeps results for {kept} ms, source {source:?} keeps its records longer: a result older than \
             that ends the run. Raise retention.ms of the sink to that of the source, or set it to -1"
        ),
    );
}

/// How much there is to be read again, by the records of the last size + grace before now.
fn replay(cluster: &Cluster<'_>, topic: &str, span: Millis, findings: &mut Findings) {
    let now = clock::wall();
    let counted = cluster.offsets_at(topic, now.saturating_sub(span)).and_then(|from| {
        let bounds = cluster.bounds(topic)?;
        let within = from.into_iter().zip(bounds).map(|(from, (_, high))| from.map_or(0, |from| high - from));
        Ok(within.sum::<i64>())
    });
    if let Some(records) = findings.take("replay", topic, counted) {
        tell_replay(topic, span, records, findings);
    }
}

fn tell_replay(topic: &str, span: Millis, records: i64, findings: &mut Findings) {
    let seconds = records / REPLAY_RATE;
    let text = format!(
        "topic {topic:?} has {records} records of the last {span} ms (size + grace), which a restart reads again in \
         about {seconds} s"
    );
    if seconds > REPLAY_SECONDS {
        findings.warning(
            "replay",
            topic,
            format!("{text}, before new ones flow: make size or grace shorter, or spread the topic over more members"),
        );
    } else {
        findings.ok("replay", topic, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn a_replay_of_more_than_thirty_seconds_is_warned_of() {
        for (records, level) in [(30 * REPLAY_RATE, Level::Ok), (31 * REPLAY_RATE, Level::Warning)] {
            let mut findings = Findings::default();
            tell_replay("t", 15_000, records, &mut findings);
            let found = findings.into_list();
            assert_eq!(found[0].level, level);
            assert!(["15000", &records.to_string()].iter().all(|word| found[0].text.contains(word)));
        }
    }
}
