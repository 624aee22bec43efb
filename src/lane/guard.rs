//! Two mistakes that would not show until much later, looked for in the first records: a timestamp unit that is not
//! the one meant, and a key field that does not decide the partition.

use std::collections::HashMap;

use crate::config::SourceConfig;
use crate::error::{Error, Result};
use crate::record::{RawRecord, TopicPartition, shown_key};
use crate::time::Millis;

const PROBED: u32 = 100;
const FAR: Millis = 20 * 366 * 24 * 3_600_000;
/// Distinct keys watched per source.
const WATCHED_KEYS: usize = 10_000;

/// Watches the first records of a fresh group where no timestamp unit is stated.
#[derive(Debug)]
pub(crate) struct UnitProbe {
    topic: String,
    field: Option<String>,
    open: bool,
    seen: u32,
    /// Whether a commit could not wait for the verdict.
    committed: bool,
}

impl UnitProbe {
    pub(crate) fn new(source: &SourceConfig) -> Self {
        let field = source.timestamp.clone().filter(|_| source.timestamp_unit.is_none());
        Self { topic: source.topic.clone(), open: field.is_some(), field, seen: 0, committed: false }
    }

    /// A group that has committed anything is not fresh.
    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Whether what it has seen so far would stop the run if it went on like that: nothing may be committed yet.
    pub(super) fn suspects(&self) -> bool {
        self.open && self.seen > 0
    }

    /// A topic has been read to its end before there was a verdict: what it holds is committed all the same.
    pub(super) fn let_through(&mut self) {
        self.committed |= self.suspects();
    }

    /// Looks at the event time of a decoded record.
    #[inline]
    pub(crate) fn see(&mut self, time: Millis, stamped: Option<Millis>) -> Result<()> {
        if !self.open {
            return Ok(());
        }
        self.look(time, stamped)
    }

    fn look(&mut self, time: Millis, stamped: Option<Millis>) -> Result<()> {
        let Some(stamped) = stamped else {
            self.open = false;
            return Ok(());
        };
        if time.saturating_sub(stamped).saturating_abs() <= FAR {
            self.open = false;
            return Ok(());
        }
        self.seen += 1;
        if self.seen < PROBED {
            return Ok(());
        }
        let outcome = if self.committed { "Use a new group_id then" } else { "Nothing has been committed" };
        Err(Error::config(format!(
            "topic {:?}: each of the first {PROBED} records looked at has an event time in field {:?}, read as milliseconds, that \
             is more than 20 years from its record timestamp (the last one: {time} ms against {stamped} ms). State the \
             unit: Topic(timestamp_unit=\"s\" | \"us\" | \"ns\" | \"rfc3339\"), or \"ms\" if that is what is meant. \
             {outcome}",
            self.topic,
            self.field.as_deref().unwrap_or_default(),
        )))
    }
}

/// What to do about a key field that does not decide the partition.
const SCATTERED: &str = "Windows are per partition, so one key's events must be in one. Produce the topic with this key \
    as the record key, or say Topic(scattered=True) if windows per partition are meant";

/// Watches that a key field decides the partition.
#[derive(Debug)]
pub(crate) struct KeyGuard {
    field: Option<String>,
    seen: HashMap<Box<[u8]>, i32>,
}

impl KeyGuard {
    pub(crate) fn new(source: &SourceConfig) -> Self {
        Self { field: source.key.clone().filter(|_| !source.scattered), seen: HashMap::new() }
    }

    /// A topic of one partition needs no watching.
    pub(crate) fn close(&mut self) {
        self.field = None;
    }

    /// Looks at the key of an event.
    #[inline]
    pub(crate) fn see(
        &mut self,
        key: &[u8],
        record: &RawRecord<'_>,
        partition: &TopicPartition,
    ) -> Result<()> {
        if self.field.is_none() {
            return Ok(());
        }
        self.look(key, record, partition)
    }

    fn look(&mut self, key: &[u8], record: &RawRecord<'_>, id: &TopicPartition) -> Result<()> {
        if record.key.is_none() {
            let field = self.field.as_deref().unwrap_or_default();
            return Err(Error::config(format!(
                "{id}: the record at offset {} has no key, so field {field:?} ({}) does not decide the partition. \
                 {SCATTERED}",
                record.offset,
                shown_key(key)
            )));
        }
        self.know(key, id)
    }

    /// Remembers which partition a key is in; refuses a second one. Keys whose events a replay has brought back are
    /// told here, as no record of theirs is looked at again.
    pub(super) fn know(&mut self, key: &[u8], id: &TopicPartition) -> Result<()> {
        let Some(field) = self.field.as_deref() else { return Ok(()) };
        match self.seen.get(key) {
            Some(other) if *other != id.partition => Err(Error::config(format!(
                "topic {:?}: key {} of field {field:?} is in partitions {other} and {}. {SCATTERED}",
                id.topic,
                shown_key(key),
                id.partition
            ))),
            None if self.seen.len() < WATCHED_KEYS => {
                self.seen.insert(Box::from(key), id.partition);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
