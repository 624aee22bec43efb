//! `until="end"`: everything up to the ends that the external sources had at the start is processed and committed, by
//! whichever member owns it; a chained source's end is read once its upstream is done. With a drain, upstream first.

use std::collections::BTreeMap;

use super::{Ingest, Joined, Slot, SlotState};
use crate::error::Result;
use crate::log::Said;
use crate::metadata::Metadata;
use crate::source::Source;
use crate::time::{Millis, Now};

const WAITING_MS: Millis = 1_000;
/// A member that the group has given nothing to for this long has nothing of its own to wait for.
const UNASSIGNED_MS: Millis = 30_000;

/// How far a run goes.
#[derive(Clone, Debug, Default)]
pub struct Until {
    drain: bool,
    /// The ends of each source, once known.
    ends: Vec<Option<Vec<i64>>>,
    /// The last epoch that each assignment still has to commit, once it has reached its end.
    last: BTreeMap<u64, u64>,
    since: Option<Millis>,
    told: bool,
}

impl Until {
    /// Until the end, open windows drained or left for the next run.
    pub fn end(sources: usize, drain: bool) -> Self {
        Self { drain, ends: vec![None; sources], ..Self::default() }
    }

    /// Whether a partition has reached its end.
    pub(super) fn settled(&self, slot: Option<&Slot>) -> bool {
        slot.is_some_and(|slot| self.last.contains_key(&slot.assignment))
    }
}

impl<S: Source> Ingest<S> {
    /// Whether everything that was asked for is committed; moves on what is left to do.
    pub(super) fn reached_end(&mut self, now: Now) -> Result<bool> {
        let Some(mut until) = self.until.take() else { return Ok(false) };
        let done = self.advance_to_end(&mut until, now);
        self.until = Some(until);
        done
    }

    fn advance_to_end(&mut self, until: &mut Until, now: Now) -> Result<bool> {
        let since = *until.since.get_or_insert(now.mono);
        let mut all = true;
        for source in self.plan.sources_in_order() {
            if until.ends[source].is_none() && self.upstream_done(until, source)? {
                until.ends[source] = Some(self.source.ends(&self.plan.sources[source].topic)?);
            }
            let Some(ends) = until.ends[source].clone() else {
                all = false;
                continue;
            };
            all &= self.own_partitions_done(until, source, &ends, now)?;
        }
        if !all {
            self.say_what_is_waited_for(until, since, now)?;
            return Ok(false);
        }
        // A partition that is on its way to another member, or to us, is nobody's: the group has the last word.
        if self.joined == Joined::No && now.mono - since < UNASSIGNED_MS {
            return Ok(false);
        }
        for source in 0..self.plan.sources.len() {
            if !self.group_done(until, source, false)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all upstream partitions of a chained source are committed up to their ends, and drained if they are to.
    fn upstream_done(&mut self, until: &Until, source: usize) -> Result<bool> {
        let upstream: Vec<usize> =
            self.plan.upstream(source).into_iter().map(|model| self.plan.models[model].source).collect();
        for source in upstream {
            if !self.group_done(until, source, until.drain)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn group_done(&mut self, until: &Until, source: usize, drained: bool) -> Result<bool> {
        let Some(ends) = &until.ends[source] else { return Ok(false) };
        let committed = self.source.committed(&self.plan.sources[source].topic)?;
        Ok(ends.iter().zip(committed).all(|(end, committed)| {
            committed.is_some_and(|(offset, text)| {
                let drained = !drained || Metadata::decode(&text).is_some_and(|metadata| metadata.drained);
                offset >= *end && drained
            })
        }))
    }

    fn own_partitions_done(
        &mut self,
        until: &mut Until,
        source: usize,
        ends: &[i64],
        now: Now,
    ) -> Result<bool> {
        let mut all = true;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots[index].as_ref().filter(|slot| slot.start.source == source) else {
                continue;
            };
            let (assignment, partition) = (slot.assignment, slot.id.partition);
            let end = ends.get(partition as usize).copied().unwrap_or(0);
            let from_start = (0, slot.start.next);
            let live = slot.state == SlotState::Live;
            let (epoch, offset) = self.links.board.get(assignment).unwrap_or(from_start);
            if let Some(last) = until.last.get(&assignment) {
                all &= self.links.board.get(assignment).is_some_and(|_| epoch >= *last);
                continue;
            }
            let reached = live && offset >= end;
            let standing = self.standing(index)?.filter(|_| self.cuts.is_empty());
            let Some(standing) = standing else {
                all = false;
                continue;
            };
            let cuts = if reached && until.drain {
                self.lane.drain(index, standing, now)
            } else {
                self.lane.cut(index, standing, true, now).into_iter().collect()
            };
            if reached && let Some(last) = self.lane.last_cut(index) {
                until.last.insert(assignment, last);
            }
            all &= reached && self.lane.last_cut(index).is_none();
            self.cuts.extend(cuts);
            self.send_cuts();
        }
        Ok(all)
    }

    /// An open upstream transaction holds records back until it ends or times out.
    fn say_what_is_waited_for(&mut self, until: &mut Until, since: Millis, now: Now) -> Result<()> {
        if until.told || now.mono - since < WAITING_MS {
            return Ok(());
        }
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots[index].as_ref() else { continue };
            let (id, source) = (slot.id.clone(), slot.start.source);
            let end = until.ends[source].as_ref().and_then(|ends| ends.get(id.partition as usize).copied());
            let Some(standing) = self.standing(index)? else { continue };
            let quiet = self.lane.silent_for(index, now) >= WAITING_MS;
            if let Some(end) = end.filter(|end| quiet && !standing.caught_up && standing.end >= Some(*end)) {
                until.told = true;
                let text = format!(
                    "{id}: waiting for a transaction that was open at the start to end (end offset {end})"
                );
                self.log.info("ingest", Said::from(text).partition(&id).offset(end));
            }
        }
        Ok(())
    }
}
