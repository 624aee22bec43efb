//! Following the assignment: where a partition begins, its state read back first, the start committed before the
//! first record; and when it goes, everything of it is finished or dropped before it is released.

use std::time::Duration;

use crossbeam_channel::bounded;

use super::{Ingest, Restore, Restored};
use crate::commit::ToSink;
use crate::config::Plan;
use crate::control::Control;
use crate::epoch::Cut;
use crate::error::{Error, Result};
use crate::lane::StartPoint;
use crate::record::TopicPartition;
use crate::source::{Assigned, Change, Replay, Source};
use crate::time::Now;

/// How long a revocation waits for the transaction that holds the partition.
const REVOKE: Duration = Duration::from_secs(30);

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
        for change in self.source.changes()? {
            self.metrics.rebalances.add(1);
            match change {
                Change::Assigned(partitions) => {
                    self.assigned_once = true;
                    let starts = self.occupy(&partitions)?;
                    self.source.assign(&starts)?;
                    self.restore_occupied(&starts)?;
                }
                Change::Revoked(partitions) => self.revoked(&partitions)?,
            }
        }
        self.restorers.retain(|restorer| !restorer.is_finished());
        while let Some((assignment, restored)) = self.next_restored() {
            let Some(index) = self.live().find(|(_, slot)| slot.assignment == assignment).map(|(i, _)| i)
            else {
                continue;
            };
            let restored = restored?;
            let Some(slot) = self.slots[index].as_mut() else { continue };
            slot.state = SlotState::Committing;
            let first = self.lane.begin(index, &slot.start, restored, assignment, now);
            self.cuts.extend(first);
        }
        self.begin_committed(now)
    }

    fn next_restored(&mut self) -> Option<Restored> {
        self.read_back.pop_front().or_else(|| self.restored.1.try_recv().ok())
    }

    /// Gives each partition a slot and an assignment of its own; returns where they begin.
    fn occupy(&mut self, partitions: &[Assigned]) -> Result<Vec<(TopicPartition, i64)>> {
        let mut starts = Vec::new();
        for assigned in partitions {
            let start = StartPoint::of(&self.plan, assigned, self.adopt)?;
            let assignment = self.assignments;
            self.assignments += 1;
            // Never full for long: the sink stage takes messages unless it commits.
            let _ = self.links.sink.send(ToSink::Assigned(assignment));
            starts.push((assigned.partition.clone(), start.next));
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
        let mine = self.live().filter(|(_, slot)| starts.iter().any(|(id, _)| *id == slot.id));
        let restores = mine.map(|(_, slot)| (slot.assignment, slot.start.clone())).collect();
        self.restore(restores)
    }

    /// After a transaction whose outcome nobody could tell: what is committed is read again, and all state with it.
    pub(super) fn begin_again(&mut self) -> Result<()> {
        let ids: Vec<TopicPartition> = self.live().map(|(_, slot)| slot.id.clone()).collect();
        self.log.warning(
            "ingest",
            format!(
                "the outcome of a transaction is unknown: reading offsets and state of {} partitions again",
                ids.len()
            ),
        );
        self.vacate(&ids);
        let partitions = self.source.describe(&ids)?;
        let starts = self.occupy(&partitions)?;
        self.source.rewind(&starts)?;
        self.restore_occupied(&starts)
    }

    /// Drops the state of partitions and what of them waits to be sent; returns their assignments.
    fn vacate(&mut self, partitions: &[TopicPartition]) -> Vec<u64> {
        let mut assignments = Vec::new();
        for id in partitions {
            let Some(index) = self.index_of(id) else { continue };
            self.lane.end(index);
            assignments.extend(self.slots[index].take().map(|slot| slot.assignment));
        }
        let stays = |cut: &Cut| !assignments.contains(&cut.assignment);
        let dropped: usize = self.cuts.iter().filter(|cut| !stays(cut)).map(|cut| cut.bytes).sum();
        self.metrics.inflight.release(dropped);
        self.cuts.retain(stays);
        assignments
    }

    fn restore(&mut self, restores: Vec<(u64, StartPoint)>) -> Result<()> {
        let (plan, control) = (self.plan.clone(), self.control.clone());
        let replays = restores.iter().any(|(_, start)| start.replay().is_some());
        if self.restore == Restore::Inline || !replays {
            let mut replay = if replays { Some(self.source.replay()?) } else { None };
            restore_all(&plan, &control, replay.as_mut(), restores, &mut |restored| {
                self.read_back.push_back(restored);
            });
            return Ok(());
        }
        for (_, start) in &restores {
            if let Some(range) = start.replay() {
                let (id, from, to) = (&range.partition, range.from, range.to);
                self.log.info("restore", format!("{id}: reading offsets {from} to {to} back into state"));
            }
        }
        let (mut replay, done) = (self.source.replay()?, self.restored.0.clone());
        let name = "millstream-restore";
        let body = move || {
            control.clone().guard(name, || {
                // The ingest stage may have ended.
                restore_all(&plan, &control, Some(&mut replay), restores, &mut |restored| {
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
                self.source.begin(&slot.id, index)?;
                self.lane.started(index, now);
                if self.paused {
                    self.source.pause(true)?;
                }
            }
        }
        Ok(())
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let assignments = self.vacate(partitions);
        let (done, finished) = bounded(1);
        let asked = self.links.sink.send_timeout(ToSink::Revoked(assignments, done), REVOKE);
        // While a commit of ours may still go through, the partition must not go to another member.
        let finished = asked.is_ok() && finished.recv_timeout(REVOKE).is_ok();
        if !finished && !self.control.stopping() {
            return Err(Error::Kafka(format!(
                "partitions were revoked, but the running transaction did not end within {} s; leaving the group",
                REVOKE.as_secs()
            )));
        }
        self.source.release(partitions)
    }
}

fn restore_all<R: Replay>(
    plan: &Plan,
    control: &Control,
    mut replay: Option<&mut R>,
    restores: Vec<(u64, StartPoint)>,
    each: &mut dyn FnMut(Restored),
) {
    for (assignment, start) in restores {
        let mut restoring = start.restoring(plan);
        let outcome = match (start.replay(), replay.as_deref_mut()) {
            (Some(range), Some(replay)) => {
                replay.read(&range, &|| control.stopping(), &mut |record| restoring.replay(&record))
            }
            _ => Ok(()),
        };
        if control.stopping() {
            return;
        }
        each((assignment, outcome.map(|()| restoring)));
    }
}
