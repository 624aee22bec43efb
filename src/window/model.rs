//! The windows of one model on one partition: which are open, which of an event's windows it is late for,
//! and which have closed and wait to be gathered.

use super::assigner::Aligned;
use super::buffer::{KeyId, Range};
use super::ready::Ready;
use super::ring::Ring;
use crate::config::ModelConfig;
use crate::fault::{self, Mutant};
use crate::time::{BEFORE_ALL, Millis};

/// Where a model's windows begin: those that start at or before its floor do not exist for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// It was there from the first offset.
    None,
    /// Windows with `start <= floor` do not exist.
    At(Millis),
    /// To be fixed by the first accepted event, at its time - 1.
    Pending,
}

/// What an event is to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// It is in at least one open window.
    pub(super) open: bool,
    /// The windows that it missed: first start, last start, how many.
    pub(super) missed: Option<(Millis, Millis, i64)>,
}

/// A window that has closed and waits to be gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) range: Range,
    /// The epoch it closed in.
    pub(crate) epoch: u64,
    /// Offsets between which all its events lie, both included.
    pub(crate) offsets: (i64, i64),
}

/// Counters of one model on one partition, since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events in at least one window.
    pub events: u64,
    /// Events late for all their windows.
    pub late_events: u64,
    /// Events only in windows at or below the floor.
    pub before_start: u64,
    /// Pairs of an event and a window it was late for.
    pub late_pairs: u64,
    /// Pairs of an event and a window, late or not.
    pub pairs: u64,
    /// Windows closed that held an event.
    pub closed: u64,
    /// Those of them with fewer than `min_events`.
    pub skipped: u64,
}

/// One model's windows.
#[derive(Debug)]
pub(super) struct ModelWindows {
    pub(super) windows: Aligned,
    grace: Millis,
    pub(super) min_events: usize,
    floor: Floor,
    /// The end of the first window above the floor.
    first_end: Millis,
    watermark: Millis,
    /// An event from here on misses nothing and begins nothing: the quick way.
    quick_from: Millis,
    pub(super) ring: Ring,
    pub(super) ready: Ready,
    pub(super) counts: Counts,
    pairs_per_event: u64,
}

impl ModelWindows {
    pub(super) fn new(config: &ModelConfig, floor: Floor) -> Self {
        let windows = config.windows();
        let mut model = Self {
            windows,
            grace: config.grace_ms,
            min_events: config.min_events,
            floor: Floor::None,
            first_end: BEFORE_ALL,
            watermark: BEFORE_ALL,
            quick_from: BEFORE_ALL,
            ring: Ring::new(windows.hop),
            ready: Ready::new(&config.length_buckets),
            counts: Counts::default(),
            pairs_per_event: (windows.size / windows.hop) as u64,
        };
        model.set_floor(floor);
        model
    }

    pub(super) fn floor(&self) -> Floor {
        self.floor
    }

    pub(super) fn grace(&self) -> Millis {
        self.grace
    }

    pub(super) fn watermark(&self) -> Millis {
        self.watermark
    }

    fn set_floor(&mut self, floor: Floor) {
        self.floor = floor;
        if let Floor::At(time) = floor {
            self.first_end = self.windows.last_end(time) + self.windows.hop;
            self.quick_from = self.quick_from.max(self.first_end);
        }
    }

    /// The clock moved.
    #[inline]
    pub(super) fn set_clock(&mut self, clock: Millis) {
        if clock != BEFORE_ALL {
            self.watermark = clock - self.grace;
            self.quick_from = self.watermark.max(self.first_end);
        }
    }

    /// The start of the first window that is open: nothing earlier is needed any more.
    pub(super) fn open_from(&self) -> Millis {
        if self.watermark == BEFORE_ALL {
            return if self.first_end == BEFORE_ALL {
                BEFORE_ALL
            } else {
                self.first_end - self.windows.size
            };
        }
        self.windows.first_end_after(self.watermark).max(self.first_end) - self.windows.size
    }

    /// The clock at which the last window that holds `time` closes.
    pub(super) fn closes_all_at(&self, time: Millis) -> Millis {
        self.windows.last_end(time) + self.grace
    }

    /// The clock at which the nearest waiting window closes; `NEVER` where none waits.
    #[inline]
    pub(super) fn next_close_at(&self) -> Millis {
        let grace = if fault::is(Mutant::EmitEarly) { 0 } else { self.grace };
        self.ring.next().saturating_add(grace)
    }

    /// Puts an event into its windows: arms the key for the first open one and counts those it missed.
    #[inline]
    pub(super) fn place(&mut self, key: KeyId, time: Millis) -> Placement {
        if self.floor == Floor::Pending {
            self.set_floor(Floor::At(time - 1));
        }
        if time >= self.quick_from {
            self.counts.events += 1;
            self.counts.pairs += self.pairs_per_event;
            // An end the key waits for that is not after the event's first end covers it.
            let waiting = self.ring.waiting(key);
            if time < waiting - self.windows.hop {
                let end = self.windows.first_end_after(time);
                let forgotten = if fault::is(Mutant::ForgetOverlap) { self.windows.hop } else { 0 };
                self.ring.arm(key, end + forgotten);
            }
            return Placement { open: true, missed: None };
        }
        self.place_slowly(key, time)
    }

    fn place_slowly(&mut self, key: KeyId, time: Millis) -> Placement {
        let hop = self.windows.hop;
        let last_end = self.windows.last_end(time);
        let first_end = self.windows.first_end_after(time).max(self.first_end);
        if first_end > last_end {
            self.counts.before_start += 1;
            return Placement { open: false, missed: None };
        }
        let open_end =
            if first_end > self.watermark { first_end } else { self.windows.first_end_after(self.watermark) };
        let open = open_end <= last_end;
        if open {
            self.counts.events += 1;
            if open_end < self.ring.waiting(key) {
                self.ring.arm(key, open_end);
            }
        } else {
            self.counts.late_events += 1;
        }
        let last_missed = if open { open_end - hop } else { last_end };
        let missed = (last_missed >= first_end).then(|| {
            let size = self.windows.size;
            (first_end - size, last_missed - size, (last_missed - first_end) / hop + 1)
        });
        self.counts.late_pairs += missed.map_or(0, |(_, _, count)| count as u64);
        self.counts.pairs += ((last_end - first_end) / hop + 1) as u64;
        Placement { open, missed }
    }
}
