//! State of one source partition: its clock, the events that open windows still need, and the windows of every
//! model on it. Insert an event, and what closes is queued to be gathered. A pure function of the log prefix.

mod assigner;
mod buffer;
mod contexts;
mod held;
mod history;
mod keys;
mod look;
mod model;
mod ready;
mod ring;
mod series;
mod single;

use std::collections::VecDeque;

pub use assigner::Aligned;
pub use model::{Counts, Floor};

pub(crate) use buffer::{Buffer, Columns, KeyId};
pub(crate) use look::FIELDS;
pub(crate) use model::Closed;
pub(crate) use single::{Single, Singles};

use crate::config::ModelConfig;
use crate::context::ContextValue;
use crate::fault::{self, Mutant};
use crate::limits::watched_from;
use crate::record::Key;
use crate::time::{BEFORE_ALL, Millis, NEVER};
use buffer::{NO_KEY, Range};
use history::History;
use model::ModelWindows;

/// Windows that an event came too late for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The model, by its place among those of the source.
    pub(crate) model: usize,
    pub(crate) first_start: Millis,
    pub(crate) last_start: Millis,
    pub(crate) count: i64,
    pub(crate) watermark: Millis,
}

/// What closed by one event or advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClosedNow {
    pub(crate) windows: usize,
    /// Events in them, counted once per window.
    pub(crate) events: usize,
}

/// The key with the most events that open windows need, out of those that have come near their limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fullest {
    pub(crate) key: Key,
    pub(crate) events: usize,
}

/// The windows of all models of a source on one of its partitions.
#[derive(Debug)]
pub(crate) struct PartitionWindows {
    clock: Millis,
    /// The latest event that is stored: no window after its last one holds anything.
    latest: Millis,
    /// The offset of the event that was stored last.
    last_offset: i64,
    arrivals: u32,
    epoch: u64,
    buffer: Buffer,
    history: History,
    models: Vec<ModelWindows>,
    /// Keys to be looked at when the epoch ends: their events are no longer needed, but for those that a closed window
    /// of another key pins.
    pinned: VecDeque<KeyId>,
    firing: Vec<KeyId>,
    /// A key with so many events is looked at closely.
    watched_from: usize,
    fullest: Option<Fullest>,
}

impl PartitionWindows {
    /// An empty state at a clock, one floor per model.
    pub(crate) fn new(models: &[&ModelConfig], width: usize, clock: Millis, floors: &[Floor]) -> Self {
        let hop = models.iter().map(|m| m.hop_ms).min().unwrap_or(1);
        let span = models.iter().map(|m| m.size_ms + m.grace_ms).max().unwrap_or(1);
        let mut state = Self {
            clock: BEFORE_ALL,
            latest: BEFORE_ALL,
            last_offset: 0,
            arrivals: 0,
            epoch: 0,
            buffer: Buffer::new(width),
            history: History::new(hop, span),
            models: models
                .iter()
                .zip(floors)
                .map(|(model, floor)| ModelWindows::new(model, *floor))
                .collect(),
            pinned: VecDeque::new(),
            firing: Vec::new(),
            watched_from: usize::MAX,
            fullest: None,
        };
        state.set_clock(clock);
        state
    }

    pub(crate) fn clock(&self) -> Millis {
        self.clock
    }

    pub(crate) fn floor(&self, model: usize) -> Floor {
        self.models[model].floor()
    }

    /// Events in memory.
    pub(crate) fn events(&self) -> usize {
        self.buffer.events()
    }

    /// Keys with an event that an open window needs. Those of a model whose windows reach back less are among those of
    /// one whose windows reach back more.
    pub(crate) fn open_keys(&self) -> usize {
        self.models.iter().map(|model| model.ring.armed()).max().unwrap_or(0)
    }

    /// Bytes of memory held.
    pub(crate) fn held(&self) -> usize {
        let rings: usize = self.models.iter().map(|model| model.ring.held()).sum();
        self.buffer.held() + rings + (self.pinned.capacity() + self.firing.capacity()) * size_of::<KeyId>()
    }

    /// From now on, keys that come near `limit` events are watched.
    pub(crate) fn watch_keys(&mut self, limit: usize) {
        self.watched_from = watched_from(limit);
    }

    /// The fullest of the keys that have come near their limit since it was last cleared.
    pub(crate) fn fullest(&self) -> Option<&Fullest> {
        self.fullest.as_ref()
    }

    pub(crate) fn clear_fullest(&mut self) {
        self.fullest = None;
    }

    /// The key with the most events in memory, and how many; looks at all keys.
    pub(crate) fn largest_key(&self) -> Option<(Key, usize)> {
        self.buffer.largest_key()
    }

    /// Windows of `model` that are open and hold an event. Looks at all keys; where a key has paused for longer than a
    /// window, those of the pause count too.
    pub(crate) fn open_windows(&self, model: usize) -> usize {
        let ModelWindows { ring, windows, .. } = &self.models[model];
        let of_key = |(key, next): (KeyId, Millis)| {
            let last = windows.last_end(self.buffer.latest(key)?);
            usize::try_from((last - next) / windows.hop + 1).ok()
        };
        ring.waits().filter_map(of_key).sum()
    }

    /// Closed windows of `model` that wait to be gathered.
    pub(crate) fn ready(&self, model: usize) -> usize {
        self.models[model].ready.len()
    }

    /// The same by length bucket: the bucket, how many, and how many of them are of the epoch that has not ended.
    pub(crate) fn waiting(&self, model: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        self.models[model].ready.waiting(self.epoch)
    }

    /// Takes the counters of `model` since they were last taken.
    pub(crate) fn take_counts(&mut self, model: usize) -> Counts {
        std::mem::take(&mut self.models[model].counts)
    }

    /// Forgets what has been counted: a replay counts nothing.
    pub(crate) fn forget_counts(&mut self) {
        for model in 0..self.models.len() {
            self.take_counts(model);
        }
    }

    /// The keys that are live.
    pub(crate) fn key_names(&self) -> impl Iterator<Item = &[u8]> {
        self.buffer.key_names()
    }

    /// Whether the last event's key was new here.
    pub(crate) fn new_key(&self) -> bool {
        self.buffer.new_key()
    }

    /// Bytes of one event in a batch.
    pub(crate) fn event_bytes(&self) -> usize {
        self.buffer.event_bytes()
    }

    /// The longest grace of its models.
    pub(crate) fn longest_grace(&self) -> Millis {
        self.models.iter().map(ModelWindows::grace).max().unwrap_or(0)
    }

    /// The current epoch: windows that close now belong to it.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Ends the current epoch.
    pub(crate) fn next_epoch(&mut self) {
        self.epoch += 1;
        let keep = self.keep_from();
        for _ in 0..self.pinned.len() {
            if let Some(key) = self.pinned.pop_front() {
                self.release(key, keep);
            }
        }
        self.renumber();
    }

    /// Gives back what a burst of keys has left behind.
    fn renumber(&mut self) {
        let Some(ids) = self.buffer.renumber() else { return };
        for model in &mut self.models {
            model.ring.renumber(&ids, self.buffer.keys());
            for closed in model.ready.iter_mut() {
                closed.range.key = ids[closed.range.key as usize];
            }
            model.ready.give_back();
        }
        self.pinned = self.pinned.iter().map(|key| ids[*key as usize]).filter(|key| *key != NO_KEY).collect();
        self.firing = Vec::new();
    }

    /// Takes one event in: into its open windows, then the clock moves and windows close.
    /// Windows it came too late for are added to `missed`.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: &[u8],
        time: Millis,
        row: &[f64],
        context: &[ContextValue],
        offset: i64,
        missed: &mut Vec<Missed>,
    ) -> ClosedNow {
        let key = self.buffer.key(key);
        let (mut open, mut stored) = (false, 0);
        for (index, model) in self.models.iter_mut().enumerate() {
            let placement = model.place(key, time);
            open |= placement.open;
            if let Some((first_start, last_start, count)) = placement.missed {
                let watermark = model.watermark();
                missed.push(Missed { model: index, first_start, last_start, count, watermark });
            }
        }
        if open {
            stored = self.buffer.append(key, time, row, context, self.arrivals);
            self.arrivals = self.arrivals.wrapping_add(1);
            self.history.stored(time, offset);
            self.last_offset = offset;
            self.latest = self.latest.max(time);
        } else if self.buffer.trim(key, BEFORE_ALL) && !self.armed(key) {
            self.buffer.forget(key);
        }
        let closed = if time > self.clock { self.advance(time) } else { ClosedNow::default() };
        if stored >= self.watched_from {
            self.weigh(key);
        }
        closed
    }

    /// Counts the events of a key that open windows need: those that wait for a model alone do not count.
    #[cold]
    fn weigh(&mut self, key: KeyId) {
        // The last window that holds an event brings it into order when it closes, so the unsorted ones are all needed.
        let events = self.buffer.count_from(key, self.open_from());
        if events >= self.watched_from && self.fullest.as_ref().is_none_or(|full| full.events < events) {
            self.fullest = Some(Fullest { key: self.buffer.name(key), events });
        }
    }

    /// Events from here on are needed by an open window.
    fn open_from(&self) -> Millis {
        self.models.iter().map(ModelWindows::open_from).min().unwrap_or(NEVER)
    }

    /// Lets the clock rise, and closes what ends by it.
    pub(crate) fn advance(&mut self, clock: Millis) -> ClosedNow {
        let mut closed = ClosedNow::default();
        if clock <= self.clock {
            return closed;
        }
        self.set_clock(clock);
        let closing = if fault::is(Mutant::Boundary) { clock - 1 } else { clock };
        for index in 0..self.models.len() {
            while self.models[index].next_close_at() <= closing {
                self.fire(index, &mut closed);
            }
        }
        closed
    }

    /// The clock that closes the last window that holds an event; none where nothing is open.
    pub(crate) fn drain_clock(&self) -> Option<Millis> {
        let open = self.models.iter().filter(|model| model.ring.armed() > 0);
        open.map(|model| model.closes_all_at(self.latest)).max()
    }

    /// Whether a clock of `clock` would close a window.
    pub(crate) fn closes_at(&self, clock: Millis) -> bool {
        clock > self.clock && self.models.iter().any(|m| m.ring.armed() > 0 && m.next_close_at() <= clock)
    }

    /// The lowest offset below `next` that a window open at the current clock still needs, else `next`.
    pub(crate) fn replay_from(&mut self, next: i64) -> i64 {
        let count = if fault::is(Mutant::ReplayOfOneModel) { 1 } else { self.models.len() };
        let needed = self.models[..count].iter().map(ModelWindows::open_from).min().unwrap_or(NEVER);
        self.history.lowest(needed).map_or(next, |lowest| lowest.min(next))
    }

    /// How many of the oldest closed windows of a length bucket of `model`, `most` at the most, hold up to `room`
    /// events, and how many events those are.
    pub(crate) fn ready_within(
        &self,
        (model, bucket): (usize, usize),
        most: usize,
        room: usize,
    ) -> (usize, usize) {
        let (mut count, mut events) = (0, 0);
        for closed in self.models[model].ready.of(bucket).take(most) {
            if events + closed.range.len > room {
                break;
            }
            count += 1;
            events += closed.range.len;
        }
        (count, events)
    }

    /// Events in the oldest closed window of a length bucket of `model`; none where there is no window.
    pub(crate) fn next_events(&self, (model, bucket): (usize, usize)) -> Option<usize> {
        self.models[model].ready.of(bucket).next().map(|closed| closed.range.len)
    }

    /// Gathers up to `count` closed windows of a length bucket of `model`, oldest first, and gives up what nothing
    /// needs any more.
    pub(crate) fn gather(
        &mut self,
        (model, bucket): (usize, usize),
        count: usize,
        out: &mut Columns<'_>,
        mut each: impl FnMut(&Buffer, &Closed),
    ) {
        for closed in self.models[model].ready.of(bucket).take(count) {
            self.buffer.gather(&closed.range, out);
            each(&self.buffer, closed);
        }
        let mut done = self.models[model].ready.take(bucket, count);
        done.sort_unstable();
        done.dedup();
        let keep = self.keep_from();
        for key in done {
            self.release(key, keep);
        }
    }

    fn set_clock(&mut self, clock: Millis) {
        self.clock = clock;
        for model in &mut self.models {
            model.set_clock(clock);
        }
    }

    /// Fires the nearest end of a model: each key's window there closes, and the key waits for its next one.
    fn fire(&mut self, index: usize, closed: &mut ClosedNow) {
        let model = &mut self.models[index];
        let end = model.ring.next();
        let Aligned { size, hop, .. } = model.windows;
        let mut keys = std::mem::take(&mut self.firing);
        model.ring.fire(&mut keys);
        let first_offset = self.history.first_in(end - size, end).unwrap_or(self.last_offset);
        for key in &keys {
            let key = *key;
            let start = end - size;
            let len = self.buffer.count(key, start, end);
            model.counts.closed += u64::from(len > 0);
            if len >= model.min_events {
                let range = Range { key, start, end, len, closed: self.arrivals };
                let offsets = (first_offset, self.last_offset);
                model.ready.push(Closed { range, epoch: self.epoch, offsets });
                closed.windows += 1;
                closed.events += len;
            } else if len > 0 {
                model.counts.skipped += 1;
                // Windows that close by the same advance may still need its events.
                self.pinned.push_back(key);
            }
            if let Some(first) = self.buffer.first_at_or_after(key, start + hop) {
                model.ring.arm(key, model.windows.first_end_after(first).max(end + hop));
            }
        }
        self.firing = keys;
    }

    /// Events from here on are needed by an open window, or by a closed one that is not gathered yet.
    fn keep_from(&self) -> Millis {
        let needed = self.models.iter().map(|model| model.ready.earliest().min(model.open_from()));
        needed.min().unwrap_or(NEVER)
    }

    /// Gives up the events of a key before `keep`, and the key itself where nothing of it is left.
    fn release(&mut self, key: KeyId, keep: Millis) {
        let empty = self.buffer.trim(key, keep);
        match (empty, self.armed(key)) {
            (_, true) => {}
            (true, false) => self.buffer.forget(key),
            (false, false) => self.pinned.push_back(key),
        }
    }

    fn armed(&self, key: KeyId) -> bool {
        self.models.iter().any(|model| model.ring.waiting(key) != NEVER)
    }
}
