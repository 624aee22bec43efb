//! A source in memory: every partition of the topics it reads is its own, from the first call on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Assigned, Change, Position, Replay, ReplayRange, Source};
use crate::error::Result;
use crate::record::{RawRecord, TopicPartition};
use crate::sink::{MemoryLog, MemoryRecord};

#[derive(Debug)]
struct Open {
    index: usize,
    position: i64,
}

/// Reads topics of a `MemoryLog`, as far as it is allowed to look.
#[derive(Debug)]
pub struct MemorySource {
    log: MemoryLog,
    topics: Vec<String>,
    announced: bool,
    starts: BTreeMap<TopicPartition, i64>,
    open: BTreeMap<TopicPartition, Open>,
    paused: bool,
    batch: usize,
}

impl MemorySource {
    /// A source that reads `topics`, at most `batch` records of a partition per poll.
    pub fn new(log: MemoryLog, topics: Vec<String>, batch: usize) -> Self {
        let (starts, open) = (BTreeMap::new(), BTreeMap::new());
        Self { log, topics, announced: false, starts, open, paused: false, batch }
    }
}

fn raw(record: &MemoryRecord, offset: i64) -> RawRecord<'_> {
    RawRecord {
        offset,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        timestamp: record.timestamp,
    }
}

impl Source for MemorySource {
    type Replay = MemoryReplay;

    fn poll(
        &mut self,
        _: Duration,
        mut most: usize,
        each: &mut dyn FnMut(usize, RawRecord<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.paused {
            return Ok(());
        }
        for (id, open) in &mut self.open {
            for record in self.log.read(id, open.position, self.batch.min(most)) {
                each(open.index, raw(&record, open.position))?;
                open.position += 1;
                most -= 1;
            }
        }
        Ok(())
    }

    fn changes(&mut self) -> Result<Vec<Change>> {
        if std::mem::replace(&mut self.announced, true) {
            return Ok(Vec::new());
        }
        let topics = self.topics.iter().flat_map(|topic| {
            let name: Arc<str> = Arc::from(topic.as_str());
            let partitions = self.log.ends(topic).len() as i32;
            (0..partitions).map(move |partition| TopicPartition { topic: name.clone(), partition })
        });
        let all: Vec<_> = topics.collect();
        Ok(vec![Change::Assigned(self.describe(&all)?)])
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()> {
        self.starts.extend(partitions.iter().cloned());
        Ok(())
    }

    fn describe(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Assigned>> {
        let described = partitions.iter().map(|id| {
            let ends = self.log.ends(&id.topic);
            Assigned {
                partition: id.clone(),
                committed: self.log.committed(id),
                bounds: (0, ends.get(id.partition as usize).copied().unwrap_or(0)),
                partitions: ends.len() as i32,
                topic_id: None,
                earlier: None,
            }
        });
        Ok(described.collect())
    }

    fn rewind(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()> {
        self.open.retain(|id, _| !partitions.iter().any(|(other, _)| other == id));
        self.assign(partitions)
    }

    fn begin(&mut self, partition: &TopicPartition, index: usize) -> Result<()> {
        let position = self.starts.get(partition).copied().unwrap_or(0);
        self.open.insert(partition.clone(), Open { index, position });
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.open.retain(|id, _| !partitions.contains(id));
        Ok(())
    }

    fn pause(&mut self, paused: bool) -> Result<()> {
        self.paused = paused;
        Ok(())
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<Position> {
        let position = self.open.get(partition).map(|open| open.position);
        let end = self.log.ends(&partition.topic).get(partition.partition as usize).copied();
        Ok(Position { position, low: Some(0), end })
    }

    fn ends(&mut self, topic: &str) -> Result<Vec<i64>> {
        Ok(self.log.ends(topic))
    }

    fn committed(&mut self, topic: &str) -> Result<Vec<Option<(i64, String)>>> {
        let name: Arc<str> = Arc::from(topic);
        let ids = (0..self.log.ends(topic).len() as i32)
            .map(|p| TopicPartition { topic: name.clone(), partition: p });
        Ok(ids.map(|id| self.log.committed(&id)).collect())
    }

    fn replay(&self) -> Result<MemoryReplay> {
        Ok(MemoryReplay { log: self.log.clone() })
    }
}

/// Reads parts of a `MemoryLog` again.
#[derive(Debug)]
pub struct MemoryReplay {
    log: MemoryLog,
}

impl Replay for MemoryReplay {
    fn read(
        &mut self,
        range: &ReplayRange,
        _stop: &dyn Fn() -> bool,
        each: &mut dyn FnMut(RawRecord<'_>),
    ) -> Result<()> {
        let records = self.log.read(&range.partition, range.from, (range.to - range.from) as usize);
        for (record, offset) in records.iter().zip(range.from..) {
            each(raw(record, offset));
        }
        Ok(())
    }
}
