//! Following the assignment: where a partition begins, its state read back first, the start committed before the
//! first record; and when it goes, everything of it is finished or dropped before it is released.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, bounded};

use super::{Ingest, Joined, Restored, Stages};
use crate::commit::ToSink;
use crate::config::Plan;
use crate::epoch::Cut;
use crate::error::{Error, Result};
use crate::lane::StartPoint;
use crate::lane::retention::shortage;
use crate::log::Said;
use crate::metrics::Metrics;
use crate::record::TopicPartition;
use crate::source::{Assigned, Change, Replay, Source};
use crate::time::Now;

/// How often a revocation that has to wait says so.
const TELL: Duration = Duration::from_secs(10);

/// How far an assigned partition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Its state is being read back.
    Restoring,
    /// Its start is being committed.
    Committing,
    /// Its records flow.
    Live,
}

/// A partition that is ours.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: TopicPartition,
    pub(super) assignment: u64,
    pub(super) start: StartPoint,
    pub(super) state: SlotState,
}

impl<S: Source> Ingest<S> {
    pub(super) fn follow_assignment(&mut self, now: Now) -> Result<()> {
        // Before anything that may take long: what begins now begins at this time.
        self.begin_committed(now)?;
        for change in self.source.changes()? {
            self.metrics.rebalances.add(1);
            match change {
                Change::Assigned(partitions) => {
                    if self.joined == Joined::No {
                        self.joined = Joined::Assigned;
                    }
                    let starts = self.occupy(&partitions, now)?;
                    self.source.assign(&starts)?;
                    self.restore_occupied(&starts)?;
                }
                Change::Revoked(partitions) => self.revoked(&partitions)?,
            }
        }
        self.restorers.retain(|restorer| !restorer.is_finished());
        while let Some((assignment, restored)) = self.next_restored() {
            let Some(index) = self.occupied().find(|(_, slot)| slot.assignment == assignment).map(|(i, _)| i)
            else {
                continue;
            };
            let restored = restored?;
            let Some(slot) = self.slots[index].as_mut() else { continue };
            slot.state = SlotState::Committing;
            let first = self.lane.begin(index, &slot.start, restored, assignment, now)?;
            self.cuts.extend(first);
        }
        Ok(())
    }

    fn next_restored(&mut self) -> Option<Restored> {
        self.read_back.pop_front().or_else(|| self.restored.1.try_recv().ok())
    }

    /// Gives each partition a slot and an assignment of its own; returns where they begin.
    fn occupy(&mut self, partitions: &[Assigned], now: Now) -> Result<Vec<(TopicPartition, i64)>> {
        let mut starts = Vec::new();
        for assigned in partitions {
            let start = StartPoint::of(&self.plan, assigned, self.adopt, now)?;
            let replay = start.replay().map(|range| (range.from, range.to));
            let low = assigned.bounds.0;
            if let Some(text) = replay.and_then(|range| shortage(&assigned.partition, low, range)) {
                self.log.warning("retention", Said::from(text).partition(&assigned.partition));
            }
            let assignment = self.assignments;
            self.assignments += 1;
            // Waits where the queue is full, until the commit under way has ended.
            let _ = self.links.sink.send(ToSink::Assigned(assignment, start.committed()));
            starts.push((assigned.partition.clone(), start.next));
            self.metrics.set_restoring(&assigned.partition, true);
            self.metrics.restores.add(u64::from(replay.is_some()));
            let slot =
                Slot { id: assigned.partition.clone(), assignment, start, state: SlotState::Restoring };
            match self.slots.iter_mut().find(|slot| slot.is_none()) {
                Some(free) => *free = Some(slot),
                None => self.slots.push(Some(slot)),
            }
        }
        Ok(starts)
    }

    fn restore_occupied(&mut self, starts: &[(TopicPartition, i64)]) -> Result<()> {
        let mine = self.occupied().filter(|(_, slot)| starts.iter().any(|(id, _)| *id == slot.id));
        let restores = mine.map(|(_, slot)| (slot.assignment, slot.start.clone())).collect();
        self.restore(restores)
    }

    /// After a transaction whose outcome nobody could tell: what is committed is read again, and all state with it.
    pub(super) fn begin_again(&mut self, now: Now) -> Result<()> {
        let ids: Vec<TopicPartition> = self.occupied().map(|(_, slot)| slot.id.clone()).collect();
        self.log.warning(
            "ingest",
            format!(
                "the outcome of a transaction is unknown: reading offsets and state of {} partitions again",
                ids.len()
            ),
        );
        self.vacate(&ids);
        let partitions = self.source.describe(&ids)?;
        let starts = self.occupy(&partitions, now)?;
        self.source.rewind(&starts)?;
        self.restore_occupied(&starts)
    }

    /// Drops the state of partitions and all that is queued of them, here and in the sink stage. A transaction that
    /// holds them is finished or aborted first: a commit of theirs must not go through once they are another's.
    fn vacate(&mut self, partitions: &[TopicPartition]) {
        let mut assignments = Vec::new();
        for id in partitions {
            let Some(index) = self.index_of(id) else { continue };
            self.lane.end(index);
            self.metrics.set_restoring(id, false);
            assignments.extend(self.slots[index].take().map(|slot| slot.assignment));
        }
        let stays = |cut: &Cut| !assignments.contains(&cut.assignment);
        let dropped: usize = self.cuts.iter().filter(|cut| !stays(cut)).map(|cut| cut.bytes).sum();
        self.metrics.inflight.release(dropped);
        self.cuts.retain(stays);
        let (done, finished) = bounded(1);
        let mut message = ToSink::Revoked(assignments, done);
        while let Err(SendTimeoutError::Timeout(back)) = self.links.sink.send_timeout(message, TELL) {
            if self.still_waiting() {
                return;
            }
            message = back;
        }
        if self.stages == Stages::Inline {
            return;
        }
        while finished.recv_timeout(TELL) == Err(RecvTimeoutError::Timeout) {
            if self.still_waiting() {
                return;
            }
        }
    }

    /// Says that a transaction is waited for. True when the run is to end, and nothing is waited for any more.
    fn still_waiting(&self) -> bool {
        let text = "partitions are to be given up: waiting for the transaction that holds them to end";
        self.log.warning("ingest", text);
        self.control.stopping()
    }

    fn restore(&mut self, restores: Vec<(u64, StartPoint)>) -> Result<()> {
        let (plan, control, given_up) = (self.plan.clone(), self.control.clone(), self.given_up.clone());
        let metrics = self.metrics.clone();
        let replays = restores.iter().any(|(_, start)| start.replay().is_some());
        if self.stages == Stages::Inline || !replays {
            let mut replay = if replays { Some(self.source.replay()?) } else { None };
            restore_all(
                &plan,
                &self.metrics,
                &|| given_up.load(Ordering::Acquire),
                replay.as_mut(),
                restores,
                &mut |restored| {
                    self.read_back.push_back(restored);
                },
            );
            return Ok(());
        }
        for (_, start) in &restores {
            if let Some(range) = start.replay() {
                let (id, from, to) = (&range.partition, range.from, range.to);
                let text = format!("{id}: reading offsets {from} to {to} back into state");
                self.log.info("restore", Said::from(text).partition(id).offset(from));
            }
        }
        let (mut replay, done) = (self.source.replay()?, self.restored.0.clone());
        let name = "millstream-restore";
        let body = move || {
            control.clone().guard(name, || {
                // The ingest stage may have ended.
                let stop = || control.stopping() || given_up.load(Ordering::Acquire);
                restore_all(&plan, &metrics, &stop, Some(&mut replay), restores, &mut |restored| {
                    drop(done.send(restored));
                });
                Ok(())
            });
        };
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        self.restorers.push(
            spawned.map_err(|e| Error::config(format!("the restore thread could not be started: {e}")))?,
        );
        Ok(())
    }

    /// Lets the records of partitions flow whose start is committed.
    fn begin_committed(&mut self, now: Now) -> Result<()> {
        self.send_cuts();
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots[index].as_mut() else { continue };
            let committed = !slot.start.commit_first || self.links.board.get(slot.assignment).is_some();
            if slot.state == SlotState::Committing && committed {
                slot.state = SlotState::Live;
                self.metrics.set_restoring(&slot.id, false);
                self.source.begin(&slot.id, index)?;
                self.lane.started(index, now);
            }
        }
        Ok(())
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.vacate(partitions);
        self.source.release(partitions)
    }
}

fn restore_all<R: Replay>(
    plan: &Plan,
    metrics: &Metrics,
    stop: &dyn Fn() -> bool,
    mut replay: Option<&mut R>,
    restores: Vec<(u64, StartPoint)>,
    each: &mut dyn FnMut(Restored),
) {
    for (assignment, start) in restores {
        let mut restoring = start.restoring(plan, metrics);
        let (mut taken, failed) = (Ok(()), Cell::new(false));
        let outcome = match (start.replay(), replay.as_deref_mut()) {
            (Some(range), Some(replay)) => replay.read(&range, &|| stop() || failed.get(), &mut |record| {
                if !failed.get() {
                    taken = restoring.replay(&record);
                    failed.set(taken.is_err());
                }
            }),
            _ => Ok(()),
        };
        let outcome = outcome.and(taken).and_then(|()| restoring.look());
        if stop() {
            return;
        }
        each((assignment, outcome.map(|()| restoring)));
    }
}
