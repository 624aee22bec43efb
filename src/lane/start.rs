//! Where a partition begins when it is assigned: from what the group committed, or anew.

use super::partition::Partition;
use super::{Lane, SourceState};
use crate::config::{Plan, Start};
use crate::epoch::Cut;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::metadata::{FloorText, Metadata};
use crate::record::{RawRecord, TopicPartition};
use crate::source::{Assigned, ReplayRange};
use crate::time::{Millis, Now};
use crate::window::{Floor, PartitionWindows};

/// Where a partition begins, and what must be read again before.
#[derive(Clone, Debug, PartialEq)]
pub struct StartPoint {
    /// The partition.
    pub partition: TopicPartition,
    /// Its source.
    pub source: usize,
    /// C: the first offset to take live.
    pub next: i64,
    /// Whether the group has never committed here: the start itself is to be committed first.
    pub fresh: bool,
    metadata: Metadata,
}

impl StartPoint {
    /// Decides where an assigned partition begins.
    pub fn of(plan: &Plan, assigned: &Assigned) -> Result<Self> {
        let id = &assigned.partition;
        let source = plan.sources.iter().position(|source| source.topic == *id.topic).unwrap_or(0);
        let mut metadata = Metadata::of(plan, source, assigned.topic_id.clone(), assigned.partitions);
        let (low, high) = assigned.bounds;
        let Some((offset, text)) = &assigned.committed else {
            let next = if plan.start == Start::Earliest { low } else { high };
            if plan.start == Start::Latest {
                for model in &mut metadata.models {
                    model.floor = FloorText::from(Floor::Pending);
                }
            }
            metadata.replay_from = next;
            return Ok(Self { partition: id.clone(), source, next, fresh: true, metadata });
        };
        let committed = Metadata::decode(text).ok_or_else(|| {
            Error::LostHistory(format!(
                "{id}: group {:?} has committed offset {offset} without Millstream's metadata, so the state that belongs \
                 to it is unknown. Use a new group_id",
                plan.group_id
            ))
        })?;
        metadata.check(&committed, &id.to_string())?;
        // A topic that is read only from R on must still have R.
        if committed.replay_from < low {
            return Err(Error::LostHistory(format!(
                "{id}: the windows that are open at the committed offset {offset} need records from offset {} on, but \
                 the oldest one left is {low}: retention has overtaken them. Use a new group_id, and a longer retention",
                committed.replay_from
            )));
        }
        if *offset > high {
            return Err(Error::LostHistory(format!(
                "{id}: the committed offset {offset} is beyond the end of the log, {high}: the topic has been made again \
                 or has lost records. Use a new group_id"
            )));
        }
        for model in &mut metadata.models {
            model.floor = FloorText::from(committed.floor(&model.name));
        }
        let metadata = Metadata {
            topic_id: metadata.topic_id.or(committed.topic_id.clone()),
            models: metadata.models,
            ..committed
        };
        Ok(Self { partition: id.clone(), source, next: *offset, fresh: false, metadata })
    }

    /// What must be read again, if anything.
    pub fn replay(&self) -> Option<ReplayRange> {
        let from = self.metadata.replay_from;
        (from < self.next).then(|| ReplayRange { partition: self.partition.clone(), from, to: self.next })
    }

    /// An idle advance that was cut but perhaps not acted upon: the first act of the next epoch.
    pub fn jump(&self) -> Option<Millis> {
        self.metadata.jump
    }

    /// State as it was at this point, before the replay.
    pub fn restoring(&self, plan: &Plan) -> Restoring {
        let models: Vec<_> =
            plan.models_of(self.source).into_iter().map(|model| &plan.models[model]).collect();
        let floors: Vec<Floor> = self.metadata.models.iter().map(|model| Floor::from(&model.floor)).collect();
        let source = &plan.sources[self.source];
        let windows = PartitionWindows::new(&models, source.fields.len(), self.metadata.clock(), &floors);
        Restoring { decoder: crate::decode::Decoder::new(source), windows, missed: Vec::new() }
    }
}

/// State that is being read back. It emits nothing and counts nothing.
#[derive(Debug)]
pub struct Restoring {
    decoder: crate::decode::Decoder,
    windows: PartitionWindows,
    missed: Vec<crate::window::Missed>,
}

impl Restoring {
    /// Takes one record of the range to be replayed.
    pub fn replay(&mut self, record: &RawRecord<'_>) {
        if let Ok(event) = self.decoder.decode(record) {
            self.windows.insert(event.key, event.time, event.row, record.offset, &mut self.missed);
            self.missed.clear();
        }
    }

    fn finish(mut self) -> PartitionWindows {
        self.windows.forget_counts();
        self.windows
    }
}

impl Lane {
    /// Takes a partition in under `index`, its state restored. Its first cut, where it begins anew, commits the start.
    pub fn begin(
        &mut self,
        index: usize,
        start: &StartPoint,
        restored: Restoring,
        assignment: u64,
        now: Now,
    ) -> Option<Cut> {
        let SourceState { probe, keys, .. } = &mut self.sources[start.source];
        if !start.fresh && start.metadata.clock.is_some() {
            probe.close();
        }
        if start.metadata.partitions <= 1 {
            keys.close();
        }
        let mut partition = Partition::new(
            start.partition.clone(),
            start.source,
            assignment,
            restored.finish(),
            start.next,
            start.metadata.clone(),
            now,
        );
        let first = start.fresh.then(|| partition.cut(None, None, false, now));
        if let Some(jump) = start.jump() {
            partition.advance(jump, &self.metrics);
        }
        if index >= self.partitions.len() {
            self.partitions.resize_with(index + 1, || None);
        }
        partition.publish(&self.sources[start.source].models, &self.metrics);
        if !start.fresh {
            self.metrics.sources[start.source].set_committed(start.partition.partition, start.next);
        }
        self.partitions[index] = Some(partition);
        first
    }

    /// Gives up the partition at `index`; its state is never used again. Returns its assignment.
    pub fn end(&mut self, index: usize) -> Option<u64> {
        self.publish();
        let partition = self.partitions.get_mut(index)?.take()?;
        self.metrics.inflight.release(partition.uncut_bytes());
        self.metrics.sources[partition.source].drop_partition(partition.id.partition);
        Some(partition.assignment)
    }

    /// Where the log of the lane goes.
    pub fn log(&self) -> &Log {
        &self.log
    }
}
