//! What librdkafka calls back: log lines, errors, rebalances. Callbacks only take notes; the ingest thread acts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{Message, TopicPartitionList};
use rdkafka_sys::types::RDKafkaRespErr;

use crate::log::{Level, Log};

/// The kind of a line that says that a connection has ended.
const CUT: &str = "cut";

/// A client that only talks.
pub(super) struct Plain {
    log: Log,
    /// Whether no broker could be reached when it was last heard of.
    away: AtomicBool,
    /// What went wrong last, in librdkafka's words.
    last: Mutex<Option<String>>,
}

impl Plain {
    pub(super) fn new(log: Log) -> Self {
        Self { log, away: AtomicBool::new(false), last: Mutex::default() }
    }

    /// What went wrong last, other than that no broker is left.
    pub(super) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A broker has answered.
    pub(super) fn answered(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            self.log.seldom(Level::Info, "kafka", "back", "a broker can be reached again: going on");
        }
    }
}

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(&self.log, level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.away.store(true, Ordering::Relaxed);
            let text = format!("no broker can be reached: waiting, and going on when one is back ({reason})");
            self.log.seldom(Level::Warning, "kafka", "away", &text);
            return;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        let text = super::error::text(&error);
        let (level, kind) = if is_cut(reason) { (Level::Info, CUT) } else { (Level::Warning, text.as_str()) };
        self.log.seldom(level, "kafka", kind, &advised(&format!("{text}: {reason}")));
    }
}

impl ConsumerContext for Plain {}

/// Whether a connection has ended by itself, as any may: librdkafka calls that an error of authentication where it was
/// under way, and connects again.
fn is_cut(text: &str) -> bool {
    text.contains("Broker transport failure")
}

/// What librdkafka says of a connection that fails, with what to look at: its first line may be all that is read.
fn advised(text: &str) -> String {
    if is_cut(text) {
        return format!("{text}: the connection was closed, and is made again");
    }
    let advice = [
        ("uthentication", "check sasl.username, sasl.password and sasl.mechanism in kafka="),
        ("SASL", "check security.protocol and sasl.* in kafka="),
        ("SSL", "check security.protocol and ssl.* in kafka="),
        ("Connection refused", "check brokers=, and whether a broker runs there"),
        ("Failed to resolve", "check the names in brokers="),
    ];
    match advice.iter().find(|(sign, _)| text.contains(sign)) {
        Some((_, advice)) => format!("{text}: {advice}"),
        None => text.to_owned(),
    }
}

fn log(to: &Log, level: RDKafkaLogLevel, fac: &str, message: &str) {
    let level = match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => Level::Error,
        RDKafkaLogLevel::Warning => Level::Warning,
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => Level::Info,
        RDKafkaLogLevel::Debug => Level::Debug,
    };
    let text = format!("{fac}: {message}");
    let (level, kind) = if is_cut(&text) { (Level::Info, CUT) } else { (level, fac) };
    to.seldom(level, "kafka", kind, &if fac == "FAIL" { advised(&text) } else { text });
}

/// A rebalance that has been announced and waits to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) assign: bool,
    pub(super) partitions: Vec<(String, i32)>,
}

/// A member of a group.
pub(super) struct Member {
    plain: Plain,
    announced: Mutex<VecDeque<Announced>>,
    /// Nobody is left to answer: what is revoked is given up at once.
    closing: AtomicBool,
}

impl Member {
    pub(super) fn new(log: Log) -> Self {
        Self { plain: Plain::new(log), announced: Mutex::default(), closing: AtomicBool::new(false) }
    }

    /// The oldest rebalance that has not been answered.
    pub(super) fn next(&self) -> Option<Announced> {
        self.lock().pop_front()
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Announced>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.plain.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.plain.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let assign = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            // The result does not matter any more: the client is about to go.
            let _ = match (assign, consumer.rebalance_protocol()) {
                (true, RebalanceProtocol::Cooperative) => consumer.incremental_assign(list),
                (false, RebalanceProtocol::Cooperative) => consumer.incremental_unassign(list),
                _ => consumer.unassign(),
            };
            return;
        }
        let partitions = list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        self.lock().push_back(Announced { assign, partitions });
    }
}

/// A producer: remembers the first delivery that failed.
pub(super) struct Deliveries {
    plain: Plain,
    failed: Mutex<Option<(String, KafkaError)>>,
}

impl Deliveries {
    pub(super) fn new(log: Log) -> Self {
        Self { plain: Plain::new(log), failed: Mutex::default() }
    }

    /// A broker has answered.
    pub(super) fn answered(&self) {
        self.plain.answered();
    }

    /// The topic and the error of the first delivery that failed since the last call.
    pub(super) fn take(&self) -> Option<(String, KafkaError)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.plain.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.plain.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            // A purge is how an abort empties the queue.
            let purged = [RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::PurgeInflight];
            if error.rdkafka_error_code().is_some_and(|code| purged.contains(&code)) {
                return;
            }
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ends_while_it_authenticates_blames_no_password() {
        let said = "GroupCoordinator: SASL authentication error: ";
        let cut = advised(&format!("{said}SaslAuthenticateRequest failed: Local: Broker transport failure"));
        assert!(cut.ends_with("is made again"), "{cut}");
        let refused = advised(&format!("{said}Authentication failed: Invalid username or password"));
        assert!(refused.contains("sasl.password"), "{refused}");
    }
}
