//! One assigned partition: its windows, where it stands, and what its current epoch has gathered so far.

use std::sync::Arc;

use super::WINDOW_BYTES;
use super::lateness::Lateness;
use super::open::OpenWindows;
use crate::epoch::Cut;
use crate::fault::{self, Mutant};
use crate::limits::Share;
use crate::metadata::{FloorText, Metadata};
use crate::metrics::{Metrics, PartitionGauges, clock};
use crate::record::{OutRecord, TopicPartition};
use crate::strikes::Strikes;
use crate::time::{Millis, Now};
use crate::window::{ClosedNow, PartitionWindows};

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) id: TopicPartition,
    pub(super) source: usize,
    pub(super) assignment: u64,
    pub(super) windows: PartitionWindows,
    pub(super) share: Share,
    /// The next expected offset: records below it have been seen.
    pub(super) next: i64,
    /// The high watermark, as far as known.
    pub(super) end: Option<i64>,
    /// Since when no record has come; an assignment and a pause of ours start it anew.
    pub(super) last_record: Millis,
    pub(super) late: Lateness,
    pub(super) open: OpenWindows,
    pub(super) consumed: u64,
    pub(super) below_expected: u64,
    /// Windows that have ended the run before.
    pub(super) strikes: Strikes,
    /// What every commit of it says.
    metadata: Metadata,
    /// Records of the current epoch: late events and dead letters.
    records: Vec<OutRecord>,
    closed: usize,
    /// In-flight bytes of the current epoch.
    bytes: usize,
    /// What was cut last, and when.
    cut_offset: i64,
    cut_at: Millis,
}

impl Partition {
    pub(super) fn new(
        id: TopicPartition,
        source: usize,
        assignment: u64,
        (windows, share, open): (PartitionWindows, Share, OpenWindows),
        next: i64,
        metadata: Metadata,
        now: Now,
    ) -> Self {
        let models = metadata.models.len();
        // Whether a drain has been here is said anew by each run.
        let metadata = Metadata { drained: false, ..metadata };
        Self {
            id,
            source,
            assignment,
            windows,
            share,
            next,
            end: None,
            last_record: now.mono,
            late: Lateness::new(models),
            open,
            consumed: 0,
            below_expected: 0,
            strikes: metadata.extension.strikes.clone(),
            metadata,
            records: Vec::new(),
            closed: 0,
            bytes: 0,
            cut_offset: next,
            cut_at: now.mono,
        }
    }

    /// Windows closed.
    pub(super) fn closed(&mut self, closed: ClosedNow, metrics: &Metrics) {
        let bytes = closed.windows * WINDOW_BYTES + closed.events * self.windows.event_bytes();
        self.closed += closed.windows;
        self.grow(bytes, metrics);
    }

    /// Lets the clock rise as the first act of the current epoch.
    pub(super) fn advance(&mut self, clock: Millis, metrics: &Metrics) {
        let closed = self.windows.advance(clock);
        self.closed(closed, metrics);
    }

    /// A late event or a dead letter goes out with this epoch.
    pub(super) fn output(&mut self, record: OutRecord, metrics: &Metrics) {
        self.grow(record.bytes(), metrics);
        self.records.push(record);
    }

    fn grow(&mut self, bytes: usize, metrics: &Metrics) {
        self.bytes += bytes;
        metrics.inflight.add(bytes);
    }

    /// In-flight bytes of what has not been cut yet.
    pub(super) fn uncut_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the current epoch has anything to produce.
    pub(super) fn has_output(&self) -> bool {
        self.closed > 0 || !self.records.is_empty()
    }

    /// Whether a commit would move the offset.
    pub(super) fn moved(&self, end: Option<i64>) -> bool {
        self.next.max(end.unwrap_or(0)) > self.cut_offset
    }

    /// What a restart would read again after the last cut: R to C.
    pub(super) fn replay_range(&self) -> (i64, i64) {
        (self.metadata.replay_from, self.cut_offset)
    }

    pub(super) fn since_cut(&self, now: Now) -> Millis {
        now.mono - self.cut_at
    }

    #[cfg(feature = "fault")]
    pub(super) fn expose(&mut self) {
        let replay_from = self.windows.replay_from(self.next);
        let live = Metadata { replay_from, clock: clock(self.windows.clock()), ..self.metadata.clone() };
        fault::memory::live(self.assignment, live);
    }

    /// Ends the epoch: everything that belongs to this instant, and nothing of a later one.
    /// `end` is the high watermark where the partition is caught up, `jump` the clock of an idle advance.
    pub(super) fn cut(&mut self, end: Option<i64>, jump: Option<Millis>, drained: bool, now: Now) -> Cut {
        // Control markers up to the high watermark are passed with it.
        self.next = self.next.max(end.unwrap_or(self.next));
        self.metadata.replay_from = self.windows.replay_from(self.next);
        self.metadata.clock = clock(self.windows.clock());
        self.metadata.jump = jump;
        if let Some(clock) = self.metadata.clock {
            self.metadata.extension.strikes.forget(clock - self.windows.longest_grace());
        }
        self.metadata.drained |= drained;
        for (place, model) in self.metadata.models.iter_mut().enumerate() {
            if !fault::is(Mutant::FloorForgotten) {
                model.floor = FloorText::from(self.windows.floor(place));
            }
        }
        let cut = Cut {
            assignment: self.assignment,
            epoch: self.windows.epoch(),
            partition: self.id.clone(),
            offset: self.next,
            metadata: self.metadata.encode(),
            windows: std::mem::take(&mut self.closed),
            records: std::mem::take(&mut self.records),
            bytes: std::mem::take(&mut self.bytes),
            barrier: jump.is_some(),
        };
        self.windows.next_epoch();
        self.cut_offset = self.next;
        self.cut_at = now.mono;
        cut
    }

    /// Adds what has been counted to the registry.
    pub(super) fn publish(&mut self, models: &[usize], metrics: &Arc<Metrics>) {
        let source = &metrics.sources[self.source];
        source.consumed.add(std::mem::take(&mut self.consumed));
        source.below_expected.add(std::mem::take(&mut self.below_expected));
        for (place, model) in models.iter().enumerate() {
            let counts = self.windows.take_counts(place);
            self.late.counted(place, &counts);
            metrics.models[*model].add(&counts);
        }
        let gauges = PartitionGauges {
            next_offset: self.next,
            committed_offset: None,
            end_offset: self.end,
            clock: clock(self.windows.clock()),
            events: self.windows.events(),
            keys: self.windows.open_keys(),
            state_bytes: self.windows.held(),
        };
        source.set_partition(self.id.partition, gauges);
    }
}
