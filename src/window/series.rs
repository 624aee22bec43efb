//! The live events of one key, in columns: appended as they come, brought into (event time, offset) order only when a
//! closing window needs it. How its columns grow, move down and give memory back.

use super::buffer::Arrival;
use super::contexts::Contexts;
use crate::context::{Context, ContextValue};
use crate::time::{Millis, NEVER};

/// Events that a key has room for at first: what fills the smallest block that allocators give.
const FIRST_ROOM: usize = 3;
/// Up to here the room of a key doubles, above it grows by a quarter.
const DOUBLING: usize = 32;
/// One part in so many must be given up before the rest is moved down instead of growing: moving four events for each
/// that comes is cheaper than memory that stands empty.
const GIVEN_UP_PART: usize = 5;
/// Up to here room is kept, whatever is needed of it.
const SMALL: usize = 64;

/// The live events of one key.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) times: Vec<Millis>,
    /// Row-major, as a model wants them: one run of rows is one copy, however many fields there are.
    pub(super) rows: Vec<f64>,
    pub(super) arrivals: Vec<Arrival>,
    /// Boxed, since most topics have none and keys are many.
    contexts: Option<Box<Contexts>>,
    /// Events before it are no longer needed.
    pub(super) head: usize,
    /// Events from `head` to here are in order, and none after it is earlier than `unsorted_from`.
    pub(super) sorted: usize,
    pub(super) unsorted_from: Millis,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            rows: Vec::new(),
            arrivals: Vec::new(),
            contexts: None,
            head: 0,
            sorted: 0,
            unsorted_from: NEVER,
        }
    }
}

impl Series {
    /// Bytes that its columns hold.
    pub(super) fn held(&self) -> usize {
        self.times.capacity() * size_of::<Millis>()
            + self.rows.capacity() * size_of::<f64>()
            + self.arrivals.capacity() * size_of::<Arrival>()
            + self.contexts.as_ref().map_or(0, |contexts| contexts.held())
    }

    /// Adds the context of the event that comes last; returns how many bytes more that holds.
    pub(super) fn push_context(&mut self, context: &[ContextValue]) -> usize {
        let before = self.contexts.as_ref().map_or(0, |contexts| contexts.held());
        let contexts = self.contexts.get_or_insert_default();
        contexts.push(context);
        contexts.held() - before
    }

    /// The context of an event, where the source declares any.
    pub(super) fn context(&self, event: usize) -> Option<&Context> {
        self.contexts.as_ref().map(|contexts| contexts.get(event))
    }

    /// Makes room for another event.
    #[cold]
    pub(super) fn make_room(&mut self, width: usize) {
        let len = self.times.len();
        if len > 0 && self.head * GIVEN_UP_PART >= len {
            self.move_down(width);
            return;
        }
        let more = if len < DOUBLING { len.max(FIRST_ROOM) } else { len / 4 };
        self.times.reserve_exact(more);
        self.rows.reserve_exact(more * width);
        self.arrivals.reserve_exact(more);
        if let Some(contexts) = &mut self.contexts {
            contexts.reserve(more);
        }
    }

    /// Takes the place of what is no longer needed.
    fn move_down(&mut self, width: usize) {
        self.times.drain(..self.head);
        self.rows.drain(..self.head * width);
        self.arrivals.drain(..self.head);
        if let Some(contexts) = &mut self.contexts {
            contexts.give_up(self.head);
        }
        self.sorted -= self.head;
        self.head = 0;
    }

    /// Gives memory back where little of it is needed any more, as after a burst.
    pub(super) fn shrink(&mut self, width: usize) {
        let left = self.times.len() - self.head;
        if left == 0 {
            self.move_down(width);
        }
        if self.times.capacity() > SMALL && self.times.capacity() > left * 4 {
            self.move_down(width);
            self.times.shrink_to(left * 2);
            self.rows.shrink_to(left * 2 * width);
            self.arrivals.shrink_to(left * 2);
            if let Some(contexts) = &mut self.contexts {
                contexts.shrink_to(left * 2);
            }
        }
    }
}

/// How many of `times` are before `time`, where they are few: the search begins in front.
pub(super) fn before_from_front(times: &[Millis], time: Millis) -> usize {
    let mut bound = 1;
    while bound <= times.len() && times[bound - 1] < time {
        bound *= 2;
    }
    let (from, to) = (bound / 2, bound.min(times.len()));
    from + times[from..to].partition_point(|t| *t < time)
}

/// The same, where few are not: the search begins at the back.
pub(super) fn before_from_back(times: &[Millis], time: Millis) -> usize {
    let len = times.len();
    let mut bound = 1;
    while bound <= len && times[len - bound] >= time {
        bound *= 2;
    }
    let (from, to) = (len - bound.min(len), len - bound / 2);
    from + times[from..to].partition_point(|t| *t < time)
}

/// Brings the unsorted tail into place: stable, so that equal times stay in order of arrival.
pub(super) fn sort(series: &mut Series, width: usize) {
    let ordered = &series.times[series.head..series.sorted];
    let from = series.head + ordered.partition_point(|t| *t <= series.unsorted_from);
    let times = &series.times[from..];
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by_key(|i| times[*i]);
    let sorted_times: Vec<Millis> = order.iter().map(|i| times[*i]).collect();
    let arrivals: Vec<Arrival> = order.iter().map(|i| series.arrivals[from + i]).collect();
    let rows: Vec<f64> = order
        .iter()
        .flat_map(|i| &series.rows[(from + i) * width..(from + i + 1) * width])
        .copied()
        .collect();
    if let Some(contexts) = &mut series.contexts {
        contexts.sort(from, &order);
    }
    series.times[from..].copy_from_slice(&sorted_times);
    series.arrivals[from..].copy_from_slice(&arrivals);
    series.rows[from * width..].copy_from_slice(&rows);
    series.sorted = series.times.len();
    series.unsorted_from = NEVER;
}
