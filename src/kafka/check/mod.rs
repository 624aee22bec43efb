//! What an app needs of its settings, its cluster, its topics and its group: one list of checks. A run begins with
//! those that are quick and read no record; `check` runs all of them. None consumes or commits anything.

mod broker;
mod group;
mod records;
mod retention;
mod topics;

pub(super) use topics::{Facts, Wanted};

use super::cluster::Cluster;
use super::settings::Settings;
use crate::check::Findings;
use crate::config::Plan;
use crate::error::Result;
use crate::log::Log;
use crate::metadata::{MAX_CHARS, Metadata};

/// Refuses settings that cannot work, whatever the cluster.
pub fn settings(plan: &Plan) -> Result<()> {
    Settings::check(plan)?;
    Metadata::check_size(plan, MAX_CHARS)
}

/// The checks that a run begins with. Without facts, a topic that is needed is not there.
pub(super) fn before_run(cluster: &Cluster<'_>, findings: &mut Findings) -> Option<Facts> {
    broker::check(cluster, findings);
    let facts = topics::check(cluster, findings)?;
    retention::check(cluster, &facts, findings);
    Some(facts)
}

/// All checks.
pub fn check(plan: &str, log: &Log) -> Findings {
    let mut findings = Findings::default();
    let checked = Plan::from_json(plan).and_then(|plan| settings(&plan).map(|()| plan));
    let Some(plan) = findings.take("settings", "app", checked) else { return findings };
    let warnings = plan.warnings();
    if warnings.is_empty() {
        findings.ok("settings", &plan.name, format!("the settings of app {:?} fit together", plan.name));
    }
    for warning in warnings {
        findings.warning("settings", &plan.name, warning);
    }
    let connected = Cluster::connect(&plan, log);
    let Some(cluster) = findings.take("brokers", &plan.brokers, connected) else { return findings };
    let Some(facts) = before_run(&cluster, &mut findings) else { return findings };
    for source in 0..plan.sources.len() {
        let topic = &plan.sources[source].topic;
        if !cluster.partitions.contains_key(topic) {
            findings.ok("records", topic, format!("topic {topic:?} is to be made: there are no records yet"));
            continue;
        }
        let bounds = cluster.bounds(topic);
        let Some(bounds) = findings.take("records", topic, bounds) else { continue };
        group::check(&cluster, source, &bounds, &mut findings);
        records::check(&cluster, source, &bounds, &facts, &mut findings);
    }
    findings
}
