//! What the brokers must be able to do for the guarantee, and the limits that they set.

use crate::check::Findings;
use crate::config::Guarantee;
use crate::error::Error;
use crate::kafka::cluster::{Cluster, Set};
use crate::metadata::Metadata;

/// Requests by key, the version that exactly-once needs, and what is wrong without it. Both came with Apache Kafka 2.5.
const NEEDED: [(i16, i16, &str); 2] = [
    (28, 3, "offsets in a transaction carry no group generation, so a member that was given up could commit"),
    (9, 7, "offsets that a transaction is about to change cannot be waited for"),
];

pub(super) fn check(cluster: &Cluster<'_>, findings: &mut Findings) {
    let brokers = cluster.settings.brokers();
    findings.ok(
        "brokers",
        brokers,
        format!("the cluster at {brokers:?} answers; brokers: {}", cluster.brokers.len()),
    );
    if cluster.embedded() {
        return;
    }
    let exactly_once = cluster.plan.guarantee == Guarantee::ExactlyOnce;
    if exactly_once {
        versions(cluster, findings);
    }
    let Some(set) = cluster.broker_settings() else {
        findings.ok(
            "brokers",
            brokers,
            "the settings of the brokers may not be read (DESCRIBE_CONFIGS on the cluster): their limits on time-outs \
             and metadata are not checked",
        );
        return;
    };
    limits(cluster, exactly_once, &set, findings);
}

fn versions(cluster: &Cluster<'_>, findings: &mut Findings) {
    let brokers = cluster.settings.brokers();
    for (key, least, without) in NEEDED {
        if cluster.newest_version(key).is_none_or(|newest| newest < least) {
            let text = format!(
                "guarantee=\"exactly_once\" needs Apache Kafka 2.5 or newer, and the brokers at {brokers:?} are older: \
                 {without}. Upgrade them, or say guarantee=\"at_least_once\""
            );
            findings.error("transactions", brokers, Error::config(text));
            return;
        }
    }
    findings.ok("transactions", brokers, "the brokers have all that exactly-once needs");
}

fn limits(cluster: &Cluster<'_>, exactly_once: bool, set: &Set, findings: &mut Findings) {
    let brokers = cluster.settings.brokers();
    let limit = |name: &str| set.get(name).and_then(|text| text.parse::<i64>().ok());
    let timeout = cluster.settings.transaction_timeout();
    if exactly_once && let Some(most) = limit("transaction.max.timeout.ms").filter(|most| timeout > *most) {
        let text = format!(
            "kafka[\"transaction.timeout.ms\"] is {timeout}, more than the brokers' transaction.max.timeout.ms ({most}): \
             make it at most that, or raise theirs"
        );
        findings.error("transactions", brokers, Error::config(text));
    }
    let session = cluster.settings.session_timeout();
    for (name, refused, fix) in [
        ("group.min.session.timeout.ms", i64::lt as fn(&i64, &i64) -> bool, "less"),
        ("group.max.session.timeout.ms", i64::gt, "more"),
    ] {
        if let Some(limit) = limit(name).filter(|limit| refused(&session, limit)) {
            let text = format!(
                "kafka[\"session.timeout.ms\"] is {session}, {fix} than the brokers' {name} ({limit}): change it, or \
                 theirs"
            );
            findings.error("settings", brokers, Error::config(text));
        }
    }
    if let Some(most) = limit("offset.metadata.max.bytes")
        && let Err(error) = Metadata::check_size(cluster.plan, usize::try_from(most).unwrap_or(0))
    {
        findings.error("settings", brokers, error);
    }
}
