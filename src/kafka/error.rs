//! librdkafka's errors in our words; the value of a setting is never shown, since it may be a secret.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::Error;

const LOOK_UP: &str = "look it up in librdkafka's CONFIGURATION.md";

/// What went wrong while doing `what`.
pub(super) fn failed(what: impl std::fmt::Display, error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            Error::config(format!("kafka[{key:?}] was refused: {}; {LOOK_UP}", without_value(description)))
        }
        KafkaError::ClientCreation(text) => Error::config(format!("{what}: {text}")),
        other => Error::Kafka(format!("{what}: {}", text(other))),
    }
}

/// The code of an error, of an admin request too, where rust-rdkafka does not name it.
pub(super) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The broker's or the client's own words.
pub(super) fn text(error: &KafkaError) -> String {
    let code = code(error);
    let said = match error {
        KafkaError::Transaction(error) => error.to_string(),
        other => code.map_or_else(|| other.to_string(), |code| code.to_string()),
    };
    match code.and_then(missing_right) {
        Some(right) => format!("{said}: {right}"),
        None => said,
    }
}

/// Whether the cluster is about to be able to answer: a broker that starts, or partitions and groups that move.
pub(super) fn passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let passing = [
        Code::UnknownLeaderEpoch,
        Code::FencedLeaderEpoch,
        Code::LeaderNotAvailable,
        Code::NotLeaderForPartition,
        Code::PreferredLeaderNotAvailable,
        Code::ReplicaNotAvailable,
        Code::OffsetNotAvailable,
        Code::CoordinatorLoadInProgress,
        Code::CoordinatorNotAvailable,
        Code::NotCoordinator,
        Code::NetworkException,
        Code::BrokerTransportFailure,
    ];
    code(error).is_some_and(|code| passing.contains(&code))
}

/// What to grant where the broker says only that something is not granted.
fn missing_right(code: RDKafkaErrorCode) -> Option<&'static str> {
    Some(match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            "grant DESCRIBE and READ on sources, DESCRIBE and WRITE on sinks, late and dead-letter topic"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => "grant DESCRIBE and READ on the group",
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
            "grant DESCRIBE and WRITE on the transactional id, or on its prefix, the group"
        }
        _ => return None,
    })
}

/// A description of a bad setting quotes its value last.
fn without_value(description: &str) -> &str {
    match description.find("Invalid value") {
        Some(_) => "the value is not one that librdkafka takes",
        None => description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_goes_away_during_an_admin_request_is_waited_for() {
        assert!(passing(&KafkaError::AdminOp(RDKafkaErrorCode::BrokerTransportFailure)));
        assert!(!passing(&KafkaError::AdminOp(RDKafkaErrorCode::TopicAuthorizationFailed)));
    }

    #[test]
    fn an_admin_request_that_is_refused_names_the_missing_right() {
        let said = text(&KafkaError::AdminOp(RDKafkaErrorCode::GroupAuthorizationFailed));
        assert!(said.ends_with("grant DESCRIBE and READ on the group"), "{said}");
    }
}
