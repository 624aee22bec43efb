//! When epochs end: at their interval, at an idle advance, at a drain.

use super::Lane;
use crate::epoch::Cut;
use crate::fault::{self, Mutant};
use crate::time::{Millis, Now};

/// A cut with nothing to produce merges into the next one, for this long at the most.
const QUIET_COMMIT_MS: Millis = 5_000;

/// What the client says of a partition, after the records in hand have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The high watermark, where it is known.
    pub end: Option<i64>,
    /// Whether everything up to it has been read.
    pub caught_up: bool,
}

impl Standing {
    fn reached(self) -> Option<i64> {
        self.end.filter(|_| self.caught_up)
    }
}

impl Lane {
    /// Shows mutants the state of every partition as it is now.
    #[cfg(feature = "fault")]
    pub fn expose(&mut self) {
        for partition in self.partitions.iter_mut().flatten() {
            partition.expose();
        }
    }

    /// Ends the epoch of a partition where it is due: it has something to produce, or has moved for long enough.
    pub fn cut(&mut self, index: usize, standing: Standing, force: bool, now: Now) -> Option<Cut> {
        let partition = self.partitions.get_mut(index)?.as_mut()?;
        partition.end = standing.end.or(partition.end);
        // Records that may all carry the wrong timestamp unit are not committed before that is decided, unless there
        // are no more of them, or no room for more.
        let probe = &mut self.sources[partition.source].probe;
        let room = self.metrics.inflight.get() <= self.plan.max_inflight_bytes;
        if probe.suspects() && !standing.caught_up && room {
            return None;
        }
        probe.let_through();
        let moved = partition.moved(standing.reached());
        let quiet = partition.since_cut(now) >= QUIET_COMMIT_MS;
        let due = partition.has_output() || (moved && (force || quiet));
        due.then(|| partition.cut(standing.reached(), None, false, now))
    }

    /// The clean-up timer: lets the clock of a quiet partition rise where that closes a window. The advance is a cut
    /// of its own, committed as a fact before anything that it closes is produced.
    pub fn idle(&mut self, index: usize, standing: Standing, now: Now) -> Option<Cut> {
        let partition = self.partitions.get_mut(index)?.as_mut()?;
        let timeout = self.plan.sources[partition.source].idle_timeout_ms?;
        if !standing.caught_up || now.mono - partition.last_record < timeout {
            return None;
        }
        let clock = (now.wall - timeout).min(partition.windows.drain_clock()?);
        if !partition.windows.closes_at(clock) {
            return None;
        }
        if fault::is(Mutant::IdleWithoutCut) {
            partition.advance(clock, &self.metrics);
            return None;
        }
        let cut = partition.cut(standing.reached(), Some(clock), false, now);
        partition.advance(clock, &self.metrics);
        Some(cut)
    }

    /// The records of a partition begin to flow now.
    pub fn started(&mut self, index: usize, now: Now) {
        if let Some(partition) = self.partitions.get_mut(index).and_then(Option::as_mut) {
            partition.last_record = now.mono;
        }
    }

    /// For how long no record of a partition has come.
    pub fn silent_for(&self, index: usize, now: Now) -> Millis {
        self.partitions
            .get(index)
            .and_then(Option::as_ref)
            .map_or(0, |partition| now.mono - partition.last_record)
    }

    /// The epoch of a partition that was cut last, where any was.
    pub fn last_cut(&self, index: usize) -> Option<u64> {
        self.partitions.get(index)?.as_ref()?.windows.epoch().checked_sub(1)
    }

    /// Our own pauses do not count as silence.
    pub fn not_idle(&mut self, now: Now) {
        for partition in self.partitions.iter_mut().flatten() {
            partition.last_record = now.mono;
        }
    }

    /// Closes every window that holds an event: an idle advance without a time-out, and a last cut that says so.
    pub fn drain(&mut self, index: usize, standing: Standing, now: Now) -> Vec<Cut> {
        let Some(partition) = self.partitions.get_mut(index).and_then(Option::as_mut) else {
            return Vec::new();
        };
        let mut cuts = Vec::new();
        if let Some(clock) = partition.windows.drain_clock() {
            cuts.push(partition.cut(standing.reached(), Some(clock), false, now));
            partition.advance(clock, &self.metrics);
        }
        cuts.push(partition.cut(standing.reached(), None, true, now));
        cuts
    }
}
