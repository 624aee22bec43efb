//! Where a partition begins when it is assigned: from what the group committed, or anew.

use super::open::OpenWindows;
use super::partition::Partition;
use super::state;
use super::{Lane, SourceState};
use crate::commit::Committed;
use crate::config::{Plan, Start};
use crate::epoch::Cut;
use crate::error::{Error, Result};
use crate::fault::{self, Mutant, Point};
use crate::limits::{Limit, Limits, Share};
use crate::log::Log;
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::record::{RawRecord, TopicPartition};
use crate::source::{Assigned, ReplayRange};
use crate::time::{BEFORE_ALL, Millis, Now};
use crate::window::{Floor, PartitionWindows};

/// Records of a replay from one look at the limits of state to the next.
const LOOK_EVERY: usize = 1024;

/// Where a partition begins, and what must be read again before.
#[derive(Clone, Debug, PartialEq)]
pub struct StartPoint {
    /// The partition.
    pub partition: TopicPartition,
    /// Its source.
    pub source: usize,
    /// C: the first offset to take live.
    pub next: i64,
    /// Whether the group has never committed here.
    pub fresh: bool,
    /// Whether the start itself is to be committed before the first record: it is new, or has been adopted.
    pub commit_first: bool,
    metadata: Metadata,
}

impl StartPoint {
    /// Decides where an assigned partition begins; `adopt` takes a changed app on where the group stands.
    pub fn of(plan: &Plan, assigned: &Assigned, adopt: bool, now: Now) -> Result<Self> {
        let id = &assigned.partition;
        let source = plan.sources.iter().position(|source| source.topic == *id.topic).unwrap_or(0);
        let wanted = Metadata::of(plan, source, assigned.topic_id.clone(), assigned.partitions);
        let (low, high) = assigned.bounds;
        let begun = |metadata: Metadata| Metadata { begun: Some(now.wall), ..metadata };
        let (offset, metadata, commit_first) = match &assigned.committed {
            None if assigned.earlier.is_some() => return Err(lost_offset(plan, assigned)),
            None if plan.start == Start::Earliest => {
                (low, begun(Metadata { replay_from: low, ..wanted }), true)
            }
            None => (high, begun(wanted.beginning_at(high)), true),
            Some((offset, text)) => {
                let (metadata, adopted) = continued(plan, id, *offset, text, wanted, adopt)?;
                check_bounds(id, *offset, &metadata, (low, high))?;
                (*offset, metadata, adopted)
            }
        };
        let fresh = assigned.committed.is_none();
        Ok(Self { partition: id.clone(), source, next: offset, fresh, commit_first, metadata })
    }

    /// What must be read again, if anything.
    pub fn replay(&self) -> Option<ReplayRange> {
        let from = self.metadata.replay_from;
        (from < self.next).then(|| ReplayRange { partition: self.partition.clone(), from, to: self.next })
    }

    /// What is committed here, once the start itself is.
    pub fn committed(&self) -> Committed {
        Committed { partition: self.partition.clone(), offset: self.next, metadata: self.metadata.encode() }
    }

    /// An idle advance that was cut but perhaps not acted upon: the first act of the next epoch.
    pub fn jump(&self) -> Option<Millis> {
        self.metadata.jump
    }

    /// State as it was at this point, before the replay.
    pub fn restoring(&self, plan: &Plan, metrics: &Metrics) -> Restoring {
        let models: Vec<_> =
            plan.models_of(self.source).into_iter().map(|model| &plan.models[model]).collect();
        let floors: Vec<Floor> = self.metadata.models.iter().map(|model| Floor::from(&model.floor)).collect();
        let source = &plan.sources[self.source];
        let clock = if fault::is(Mutant::ClockNotRestored) { BEFORE_ALL } else { self.metadata.clock() };
        let mut windows = PartitionWindows::new(&models, source.fields.len(), clock, &floors);
        let limits = Limits::of(plan);
        if let Some(limit) = limits.get(Limit::EventsPerKey) {
            windows.watch_keys(limit);
        }
        Restoring {
            decoder: crate::decode::Decoder::new(source),
            windows,
            missed: Vec::new(),
            partition: self.partition.clone(),
            share: Share::new(metrics.state.clone()),
            limits,
            taken: 0,
        }
    }
}

/// Nothing is committed, and yet the group has been here.
fn lost_offset(plan: &Plan, assigned: &Assigned) -> Error {
    Error::LostHistory(format!(
        "{}: group {:?} has no committed offset, but {}: the offset has expired or been deleted, or the topic was made \
         again. Say where to go on with `millstream reset --to earliest|latest|OFFSET|TIME`, or use a new group_id",
        assigned.partition,
        plan.group_id,
        assigned.earlier.as_deref().unwrap_or_default()
    ))
}

/// What a group goes on with, and whether that is an adoption.
fn continued(
    plan: &Plan,
    id: &TopicPartition,
    offset: i64,
    text: &str,
    wanted: Metadata,
    adopt: bool,
) -> Result<(Metadata, bool)> {
    let Some(committed) = Metadata::decode(text) else {
        if adopt {
            return Ok((wanted.beginning_at(offset), true));
        }
        return Err(Error::LostHistory(format!(
            "{id}: group {:?} has committed offset {offset} without Millstream's metadata, so the state that belongs to \
             it is unknown. To begin there with the first window that starts after it, adopt=True (--adopt); to start \
             anew, use a new group_id",
            plan.group_id
        )));
    };
    match wanted.check(&committed, &id.to_string()) {
        Ok(()) => Ok((wanted.continuing(committed), false)),
        Err(_) if adopt => Ok((wanted.adopting(committed, offset, &id.to_string())?, true)),
        Err(error) => Err(error),
    }
}

/// What a continuation needs must still be in the log.
fn check_bounds(
    id: &TopicPartition,
    offset: i64,
    metadata: &Metadata,
    (low, high): (i64, i64),
) -> Result<()> {
    if metadata.replay_from < low {
        return Err(Error::LostHistory(format!(
            "{id}: the windows that are open at the committed offset {offset} need records from offset {} on, but the \
             oldest one left is {low}: retention has overtaken them. Use a new group_id, and a longer retention",
            metadata.replay_from
        )));
    }
    if offset > high {
        return Err(Error::LostHistory(format!(
            "{id}: the committed offset {offset} is beyond the end of the log, {high}: the topic has been made again or \
             has lost records. Use a new group_id"
        )));
    }
    Ok(())
}

/// State that is being read back. It emits nothing and counts nothing.
#[derive(Debug)]
pub struct Restoring {
    decoder: crate::decode::Decoder,
    windows: PartitionWindows,
    missed: Vec<crate::window::Missed>,
    partition: TopicPartition,
    share: Share,
    limits: Limits,
    taken: usize,
}

impl Restoring {
    /// Takes one record of the range to be replayed. What is read back has the limits of what is live.
    pub fn replay(&mut self, record: &RawRecord<'_>) -> Result<()> {
        fault::at(Point::InRestore);
        if let Ok(event) = self.decoder.decode(record) {
            self.windows.insert(
                event.key,
                event.time,
                event.row,
                event.context,
                record.offset,
                &mut self.missed,
            );
            self.missed.clear();
        }
        self.taken += 1;
        if self.taken.is_multiple_of(LOOK_EVERY) { self.look() } else { Ok(()) }
    }

    /// Looks at the limits.
    pub fn look(&mut self) -> Result<()> {
        self.share.set(self.windows.held(), self.windows.open_keys());
        let place = format!("{}, which is being read back", self.partition);
        state::within(self.limits, &place, &self.windows, &self.share)
    }

    fn finish(mut self) -> (PartitionWindows, Share) {
        if !fault::is(Mutant::LateInReplay) {
            self.windows.forget_counts();
        }
        (self.windows, self.share)
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
    ) -> Result<Option<Cut>> {
        let SourceState { probe, keys, .. } = &mut self.sources[start.source];
        if !start.fresh && start.metadata.clock.is_some() {
            probe.close();
        }
        if start.metadata.partitions <= 1 {
            keys.close();
        }
        for key in restored.windows.key_names() {
            keys.know(key, &start.partition)?;
        }
        let (windows, share) = restored.finish();
        let open = OpenWindows::new(&self.sources[start.source].models, &self.metrics);
        let mut partition = Partition::new(
            start.partition.clone(),
            start.source,
            assignment,
            (windows, share, open),
            start.next,
            start.metadata.clone(),
            now,
        );
        // An adopted J goes with it, to be applied as the first act of the next epoch like any other.
        let first = start.commit_first.then(|| partition.cut(None, start.jump(), false, now));
        if let Some(jump) = start.jump() {
            partition.advance(jump, &self.metrics);
        }
        #[cfg(feature = "fault")]
        if fault::is(Mutant::StateReused)
            && let Some(windows) = fault::memory::kept(&start.partition)
        {
            partition.windows = windows;
        }
        if index >= self.partitions.len() {
            self.partitions.resize_with(index + 1, || None);
        }
        partition.publish(&self.sources[start.source].models, &self.metrics);
        if !start.fresh {
            self.metrics.sources[start.source].set_committed(start.partition.partition, start.next);
        }
        self.partitions[index] = Some(partition);
        Ok(first)
    }

    /// Gives up the partition at `index`; its state is never used again.
    pub fn end(&mut self, index: usize) {
        self.publish();
        let Some(partition) = self.partitions.get_mut(index).and_then(Option::take) else { return };
        self.metrics.inflight.release(partition.uncut_bytes());
        self.metrics.sources[partition.source].drop_partition(partition.id.partition);
        #[cfg(feature = "fault")]
        if fault::is(Mutant::StateReused) {
            fault::memory::keep(partition.id, partition.windows);
        }
    }

    /// Where the log of the lane goes.
    pub fn log(&self) -> &Log {
        &self.log
    }
}
