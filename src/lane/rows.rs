//! Events that were decoded elsewhere: what a backtest feeds a lane with. A lane that has only some of a partition's
//! keys is told the clock that all of them together make, so it judges and closes as one that has them all.

use super::{Lane, StartPoint};
use crate::decode::Event;
use crate::error::Result;
use crate::record::TopicPartition;
use crate::source::Assigned;
use crate::time::{Millis, Now};
use crate::window::Missed;

const NOW: Now = Now { mono: 0, wall: 0 };

impl Lane {
    /// Takes in all partitions of a source as they are before their first record, each under its number.
    pub(crate) fn begin_all(&mut self, source: usize, partitions: i32) -> Result<()> {
        let topic: std::sync::Arc<str> = self.plan.sources[source].topic.as_str().into();
        for partition in 0..partitions {
            let assigned = Assigned {
                partition: TopicPartition { topic: topic.clone(), partition },
                committed: None,
                bounds: (0, 0),
                partitions,
                topic_id: None,
                earlier: None,
            };
            let start = StartPoint::of(&self.plan, &assigned, false, NOW)?;
            let restored = start.restoring(&self.plan, &self.metrics);
            self.begin(partition as usize, &start, restored, 0, NOW)?;
        }
        Ok(())
    }

    /// Takes an event of the partition at `index`, whose clock was `clock` before it. Windows that it came too late for
    /// are added to `missed`.
    #[inline]
    pub(crate) fn take(
        &mut self,
        index: usize,
        clock: Millis,
        event: &Event<'_>,
        offset: i64,
        missed: &mut Vec<Missed>,
    ) {
        let Some(partition) = self.partitions.get_mut(index).and_then(Option::as_mut) else { return };
        if clock > partition.windows.clock() {
            partition.advance(clock, &self.metrics);
        }
        partition.next = offset + 1;
        let windows = &mut partition.windows;
        let closed = windows.insert(event.key, event.time, event.row, event.context, offset, missed);
        if closed.windows > 0 {
            partition.closed(closed, &self.metrics);
        }
    }

    /// The partition at `index` has been read to its end, where its clock was `clock`; `drain` closes what is open.
    pub(crate) fn finish(&mut self, index: usize, clock: Millis, drain: bool) {
        let Some(partition) = self.partitions.get_mut(index).and_then(Option::as_mut) else { return };
        if clock > partition.windows.clock() {
            partition.advance(clock, &self.metrics);
        }
        if let Some(clock) = partition.windows.drain_clock().filter(|_| drain) {
            partition.advance(clock, &self.metrics);
        }
    }

    /// Ends the epochs of all partitions, so that what nothing needs any more is given back.
    pub(crate) fn settle(&mut self) {
        for partition in self.partitions.iter_mut().flatten().filter(|partition| partition.has_output()) {
            let cut = partition.cut(None, None, false, NOW);
            self.metrics.inflight.release(cut.bytes);
        }
    }

    /// The models of a source, by place in the plan.
    pub(crate) fn models(&self, source: usize) -> &[usize] {
        &self.sources[source].models
    }

    /// Gives up all partitions, with what they have counted published.
    pub(crate) fn end_all(&mut self) {
        for index in 0..self.partitions.len() {
            self.end(index);
        }
    }
}
