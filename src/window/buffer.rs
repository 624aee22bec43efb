//! The events of a partition, each stored once: per key in columns, appended as they come and brought into
//! (event time, offset) order only when a closing window needs it. Reached as `(key id, range) -> gather`.

use super::keys::Keys;
use crate::record::Key;
use crate::time::{Millis, NEVER};

/// The dense id of a key within its partition.
pub(crate) type KeyId = u32;

/// The place of an event in the partition's order of arrival. It wraps: live events are always within 2^31 of it.
pub(crate) type Arrival = u32;

/// The live events of one key.
#[derive(Debug)]
struct Series {
    times: Vec<Millis>,
    /// Row-major, as a model wants them: one run of rows is one copy, however many fields there are.
    rows: Vec<f64>,
    arrivals: Vec<Arrival>,
    /// Events before it are no longer needed.
    head: usize,
    /// Events from `head` to here are in order, and none after it is earlier than `unsorted_from`.
    sorted: usize,
    unsorted_from: Millis,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            rows: Vec::new(),
            arrivals: Vec::new(),
            head: 0,
            sorted: 0,
            unsorted_from: NEVER,
        }
    }
}

/// Per-key event buffers of one partition.
#[derive(Debug)]
pub(crate) struct Buffer {
    width: usize,
    keys: Keys,
    series: Vec<Series>,
    events: usize,
    /// Whether the key asked for last had no id before.
    new_key: bool,
}

impl Buffer {
    /// A buffer for events of `width` fields.
    pub(crate) fn new(width: usize) -> Self {
        Self { width, keys: Keys::default(), series: Vec::new(), events: 0, new_key: false }
    }

    /// The id of a key.
    #[inline]
    pub(crate) fn key(&mut self, key: &[u8]) -> KeyId {
        let (id, new) = self.keys.id(key);
        self.new_key = new;
        if id as usize >= self.series.len() {
            self.series.resize_with(id as usize + 1, Series::default);
        }
        id
    }

    /// Whether the key asked for last had no id before.
    pub(crate) fn new_key(&self) -> bool {
        self.new_key
    }

    /// The bytes of all live keys.
    pub(crate) fn key_names(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.names()
    }

    /// The bytes of a key.
    pub(crate) fn name(&self, key: KeyId) -> Key {
        self.keys.name(key)
    }

    /// Live events.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// Live keys.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of one event, of what a window of it will carry.
    pub(crate) fn event_bytes(&self) -> usize {
        (self.width + 1) * 8
    }

    /// Stores one event. `arrival` grows with every call.
    #[inline]
    pub(crate) fn append(&mut self, key: KeyId, time: Millis, row: &[f64], arrival: Arrival) {
        let series = &mut self.series[key as usize];
        let len = series.times.len();
        if series.sorted == len && (len == series.head || series.times[len - 1] <= time) {
            series.sorted += 1;
        } else {
            series.unsorted_from = series.unsorted_from.min(time);
        }
        series.times.push(time);
        series.rows.extend_from_slice(row);
        series.arrivals.push(arrival);
        self.events += 1;
    }

    /// Number of events of `key` in `[start, end)`.
    pub(crate) fn count(&mut self, key: KeyId, start: Millis, end: Millis) -> usize {
        let (from, to) = self.range(key, start, end);
        to - from
    }

    /// The time of the first event of `key` at or after `time`.
    pub(crate) fn first_at_or_after(&mut self, key: KeyId, time: Millis) -> Option<Millis> {
        let series = &mut self.series[key as usize];
        let in_order = series.head..series.sorted;
        let next = in_order.start + before_from_front(&series.times[in_order], time);
        let first = (next < series.sorted).then(|| series.times[next]);
        if series.unsorted_from >= first.unwrap_or(NEVER) {
            return first;
        }
        let tail = series.times[series.sorted..].iter().copied().filter(|t| *t >= time).min();
        first.into_iter().chain(tail).min()
    }

    /// Copies the events of `key` in `[start, end)` that arrived before `closed`, of which there are `len`.
    pub(crate) fn gather(&mut self, window: &Range, out: &mut Columns<'_>) {
        let (from, to) = self.range(window.key, window.start, window.end);
        let width = self.width;
        let series = &self.series[window.key as usize];
        if to - from == window.len {
            if let Some(times) = out.times.as_deref_mut() {
                times.extend_from_slice(&series.times[from..to]);
            }
            out.push_rows(&series.rows[from * width..to * width], width);
            return;
        }
        // Events that were late for this window, but not for others, have come to lie in its range since it closed.
        for i in from..to {
            if (window.closed.wrapping_sub(series.arrivals[i]) as i32) > 0 {
                if let Some(times) = out.times.as_deref_mut() {
                    times.push(series.times[i]);
                }
                out.push_rows(&series.rows[i * width..(i + 1) * width], width);
            }
        }
    }

    /// Gives up the events of `key` before `time`. True when none is left.
    pub(crate) fn trim(&mut self, key: KeyId, time: Millis) -> bool {
        let series = &mut self.series[key as usize];
        if series.times.len() == series.head {
            return true;
        }
        if series.unsorted_from < time {
            sort(series, self.width);
        }
        let keep = series.head + before_from_front(&series.times[series.head..series.sorted], time);
        self.events -= keep - series.head;
        series.head = keep;
        let len = series.times.len();
        // Moving the rest down costs at most as much as appending it did, once half of the buffer is given up.
        if series.head * 2 >= len {
            series.times.drain(..series.head);
            series.rows.drain(..series.head * self.width);
            series.arrivals.drain(..series.head);
            series.sorted -= series.head;
            series.head = 0;
            let left = series.times.len();
            if series.times.capacity() > 64 && series.times.capacity() > left * 4 {
                series.times.shrink_to(left * 2);
                series.rows.shrink_to(left * 2 * self.width);
                series.arrivals.shrink_to(left * 2);
            }
        }
        series.times.len() == series.head
    }

    /// Forgets a key without events.
    pub(crate) fn forget(&mut self, key: KeyId) {
        self.series[key as usize] = Series::default();
        self.keys.forget(key);
    }

    fn range(&mut self, key: KeyId, start: Millis, end: Millis) -> (usize, usize) {
        let series = &mut self.series[key as usize];
        if series.unsorted_from < end {
            sort(series, self.width);
        }
        let times = &series.times[series.head..series.sorted];
        let from = before_from_front(times, start);
        let to = from + before_from_back(&times[from..], end);
        (series.head + from, series.head + to)
    }
}

/// Events of a key within a closed window, to be gathered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) key: KeyId,
    pub(crate) start: Millis,
    pub(crate) end: Millis,
    /// Events when it closed.
    pub(crate) len: usize,
    /// The arrival that the next event had then: it and later ones are not in the window.
    pub(crate) closed: Arrival,
}

/// Where gathered events go.
pub(crate) struct Columns<'a> {
    /// Event times, where the model wants them.
    pub(crate) times: Option<&'a mut Vec<Millis>>,
    /// Rows of the picked fields.
    pub(crate) values: &'a mut Vec<f64>,
    /// Which fields, in which order; none means all as they are.
    pub(crate) pick: Option<&'a [usize]>,
}

impl Columns<'_> {
    fn push_rows(&mut self, rows: &[f64], width: usize) {
        match self.pick {
            None => self.values.extend_from_slice(rows),
            Some(fields) if width > 0 => {
                for row in rows.chunks_exact(width) {
                    self.values.extend(fields.iter().map(|field| row[*field]));
                }
            }
            Some(_) => {}
        }
    }
}

/// How many of `times` are before `time`, where they are few: the search begins in front.
fn before_from_front(times: &[Millis], time: Millis) -> usize {
    let mut bound = 1;
    while bound <= times.len() && times[bound - 1] < time {
        bound *= 2;
    }
    let (from, to) = (bound / 2, bound.min(times.len()));
    from + times[from..to].partition_point(|t| *t < time)
}

/// The same, where few are not: the search begins at the back.
fn before_from_back(times: &[Millis], time: Millis) -> usize {
    let len = times.len();
    let mut bound = 1;
    while bound <= len && times[len - bound] >= time {
        bound *= 2;
    }
    let (from, to) = (len - bound.min(len), len - bound / 2);
    from + times[from..to].partition_point(|t| *t < time)
}

/// Brings the unsorted tail into place: stable, so that equal times stay in order of arrival.
fn sort(series: &mut Series, width: usize) {
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
    series.times[from..].copy_from_slice(&sorted_times);
    series.arrivals[from..].copy_from_slice(&arrivals);
    series.rows[from * width..].copy_from_slice(&rows);
    series.sorted = series.times.len();
    series.unsorted_from = NEVER;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(buffer: &mut Buffer, window: &Range) -> (Vec<Millis>, Vec<f64>) {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        buffer.gather(window, &mut Columns { times: Some(&mut times), values: &mut values, pick: None });
        (times, values)
    }

    #[test]
    fn events_come_out_by_time_and_ties_by_arrival() {
        let mut buffer = Buffer::new(1);
        let key = buffer.key(b"k");
        for (arrival, time) in [30, 10, 20, 10, 40].into_iter().enumerate() {
            buffer.append(key, time, &[arrival as f64], arrival as u32);
        }
        let window = Range { key, start: 10, end: 40, len: buffer.count(key, 10, 40), closed: 5 };
        assert_eq!(gathered(&mut buffer, &window), (vec![10, 10, 20, 30], vec![1.0, 3.0, 2.0, 0.0]));
    }

    #[test]
    fn an_event_after_the_close_stays_out_of_the_closed_window() {
        let mut buffer = Buffer::new(1);
        let key = buffer.key(b"k");
        buffer.append(key, 10, &[0.0], 0);
        buffer.append(key, 30, &[1.0], 1);
        let window = Range { key, start: 0, end: 20, len: 1, closed: 2 };
        buffer.append(key, 5, &[2.0], 2);
        assert_eq!(gathered(&mut buffer, &window), (vec![10], vec![0.0]));
        assert_eq!(buffer.count(key, 0, 20), 2);
    }

    #[test]
    fn trimmed_events_are_gone_and_memory_is_given_back() {
        let mut buffer = Buffer::new(2);
        let key = buffer.key(b"k");
        for i in 0..10_000_i64 {
            buffer.append(key, i, &[0.0, 1.0], i as u32);
        }
        assert!(!buffer.trim(key, 9_990));
        assert_eq!((buffer.events(), buffer.count(key, 0, 10_000)), (10, 10));
        assert!(buffer.series[0].times.capacity() < 100);
        assert!(buffer.trim(key, 10_000));
        buffer.forget(key);
        assert_eq!((buffer.keys(), buffer.key(b"other")), (0, key));
    }

    #[test]
    fn the_next_event_is_found_in_the_unsorted_tail_too() {
        let mut buffer = Buffer::new(0);
        let key = buffer.key(b"k");
        for (arrival, time) in [50, 20, 90].into_iter().enumerate() {
            buffer.append(key, time, &[], arrival as u32);
        }
        assert_eq!(buffer.first_at_or_after(key, 0), Some(20));
        assert_eq!(buffer.first_at_or_after(key, 60), Some(90));
        assert_eq!(buffer.first_at_or_after(key, 91), None);
    }
}
