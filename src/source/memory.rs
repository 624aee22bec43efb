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

    fn poll(&mut self, _: Duration, each: &mut dyn FnMut(usize, RawRecord<'_>) -> Result<()>) -> Result<()> {
        if self.paused {
            return Ok(());
        }
        for (id, open) in &mut self.open {
            for record in self.log.read(id, open.position, self.batch) {
                each(open.index, raw(&record, open.position))?;
                open.position += 1;
            }
        }
        Ok(())
    }

    fn changes(&mut self) -> Result<Vec<Change>> {
        if std::mem::replace(&mut self.announced, true) {
            return Ok(Vec::new());
        }
        let mut assigned = Vec::new();
        for topic in &self.topics {
            let ends = self.log.ends(topic);
            let name: Arc<str> = Arc::from(topic.as_str());
            for (partition, end) in ends.iter().enumerate() {
                let id = TopicPartition { topic: name.clone(), partition: partition as i32 };
                let committed = self.log.committed(&id);
                let partitions = ends.len() as i32;
                assigned.push(Assigned {
                    partition: id,
                    committed,
                    bounds: (0, *end),
                    partitions,
                    topic_id: None,
                });
            }
        }
        Ok(vec![Change::Assigned(assigned)])
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64)]) -> Result<()> {
        self.starts.extend(partitions.iter().cloned());
        Ok(())
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
        Ok(Position { position, end })
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
