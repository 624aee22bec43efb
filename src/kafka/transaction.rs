//! Exactly once: results, late events, dead letters and offsets in one Kafka transaction, and what each way in which it
//! can go wrong means: abort and try again, give the producer up, or end the run.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use super::batch_queue::is_member;
use super::context::Member;
use super::error::text;
use super::producer::{CALL, KafkaSink};
use crate::epoch::Transaction;
use crate::error::{Error, Result};
use crate::fault::{self, Mutant, Point};
use crate::log::Level;
use crate::sink::Outcome;

/// Between two looks whether a member can no longer go on.
const FATAL: Duration = Duration::from_millis(20);

impl KafkaSink {
    pub(super) fn exactly_once(
        &mut self,
        transaction: &Transaction,
        group: &BaseConsumer<Member>,
    ) -> Result<Outcome> {
        if fault::is(Mutant::CommitBeforeProduce) {
            let _ = group.commit(&Self::offsets(transaction)?, CommitMode::Sync);
        }
        if !is_member(group) {
            return Ok(Outcome::NotYet);
        }
        fault::at(Point::BeforeProduce);
        if let Err(error) = self.producer.begin_transaction() {
            return self.end(&error, group);
        }
        for part in &transaction.parts {
            if let Some(error) = self.produce(part)? {
                return self.abort(&text(&error), group);
            }
        }
        if let Some(error) = self.drain()? {
            return self.abort(&text(&error), group);
        }
        if self.control.aborting() {
            return Ok(Outcome::Aborted);
        }
        fault::at(Point::AfterProduce);
        let offsets = Self::offsets(transaction)?;
        // Taken anew each time: it carries the generation that the broker compares.
        let metadata = group.group_metadata().filter(|_| is_member(group));
        let Some(metadata) = metadata.filter(|_| is_member(group)) else {
            return self.abort("this member is joining its group", group);
        };
        fault::at(Point::BeforeOffsets);
        if !fault::is(Mutant::SkipOffsets) {
            let sent = self.call(|| self.producer.send_offsets_to_transaction(&offsets, &metadata, CALL));
            if let Err(error) = sent {
                return self.end(&error, group);
            }
        }
        fault::at(Point::AfterOffsets);
        fault::at(Point::BeforeCommit);
        match self.call(|| self.producer.commit_transaction(CALL)) {
            Ok(()) => {
                fault::at(Point::AfterCommit);
                Ok(Outcome::Committed)
            }
            Err(error) => self.end(&error, group),
        }
    }

    /// Calls again as long as librdkafka says that it may be.
    fn call(&self, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        loop {
            match call() {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !self.control.aborting() => {
                    self.serve();
                }
                outcome => return outcome,
            }
        }
    }

    /// What an error of a transaction call means: abort and try again, a new producer, or the end of the run.
    fn end(&mut self, error: &KafkaError, group: &BaseConsumer<Member>) -> Result<Outcome> {
        if let KafkaError::Transaction(inner) = error
            && inner.txn_requires_abort()
            && !inner.is_fatal()
        {
            return self.abort(&text(error), group);
        }
        self.lost(error, group)
    }

    /// The producer can no longer be used: its transaction has timed out, nobody can tell what became of it, or, under a
    /// name that others may take, another has taken over. The broker says the same of all; the group tells the last.
    fn lost(&mut self, error: &KafkaError, group: &BaseConsumer<Member>) -> Result<Outcome> {
        if self.control.aborting() || fault::is(Mutant::ReuseProducer) {
            return Ok(Outcome::Aborted);
        }
        let fenced = [
            RDKafkaErrorCode::Fenced,
            RDKafkaErrorCode::ProducerFenced,
            RDKafkaErrorCode::InvalidProducerEpoch,
        ];
        let heeded = self.settings.is_static() && !fault::is(Mutant::IgnoreFencing);
        let perhaps = error.rdkafka_error_code().is_some_and(|code| fenced.contains(&code));
        if heeded
            && perhaps
            && let Some(why) = self.taken_over(group)
        {
            return Err(Error::Fenced(format!(
                "another member has taken over the name of this lane, {:?}: {why} ({}). Nothing of this one is \
                 committed any more",
                self.settings.transactional_id(),
                text(error)
            )));
        }
        if self.control.aborting() {
            return Ok(Outcome::Aborted);
        }
        self.log.warning("sink", format!("the producer is given up and a new one made: {}", text(error)));
        self.replace()
    }

    /// What the group says where another member runs under this one's name: the next heartbeat is answered with it.
    fn taken_over(&self, group: &BaseConsumer<Member>) -> Option<String> {
        let until = Instant::now() + 2 * self.settings.heartbeat_interval();
        while Instant::now() < until && !self.control.aborting() {
            if let Some((_, why)) = group.client().fatal_error() {
                return Some(why);
            }
            std::thread::sleep(FATAL);
        }
        None
    }

    /// Aborts the transaction, delivery reports served first.
    fn abort(&mut self, why: &str, group: &BaseConsumer<Member>) -> Result<Outcome> {
        let text = format!("transaction aborted, to be tried again: {why}");
        self.log.seldom(Level::Info, "sink", "aborted", &text);
        let until = Instant::now() + CALL;
        while self.producer.in_flight_count() > 0 && Instant::now() < until && !self.control.aborting() {
            self.serve();
        }
        match self.call(|| self.producer.abort_transaction(CALL)) {
            Ok(()) => {
                // Failed deliveries of what is aborted say nothing any more.
                self.producer.context().take();
                Ok(Outcome::Aborted)
            }
            Err(error) => self.lost(&error, group),
        }
    }
}
