//! The events of a partition, each stored once: per key in columns, appended as they come and brought into
//! (event time, offset) order only when a closing window needs it. Reached as `(key id, range) -> gather`.

use super::held::grow;
use super::keys::Keys;
use super::series::{Series, before_from_back, before_from_front, sort};
use crate::batch::Values;
use crate::context::{self, Context, ContextValue};
use crate::record::Key;
use crate::time::{Millis, NEVER};

/// The dense id of a key within its partition.
pub(crate) type KeyId = u32;

/// The id of no key.
pub(super) const NO_KEY: KeyId = KeyId::MAX;

/// The place of an event in the partition's order of arrival. It wraps: live events are always within 2^31 of it.
pub(crate) type Arrival = u32;

/// Per-key event buffers of one partition.
#[derive(Debug)]
pub(crate) struct Buffer {
    width: usize,
    keys: Keys,
    series: Vec<Series>,
    events: usize,
    /// Bytes that the columns of all keys hold.
    held: usize,
    /// Whether the key asked for last had no id before.
    new_key: bool,
}

impl Buffer {
    /// A buffer for events of `width` fields.
    pub(crate) fn new(width: usize) -> Self {
        Self { width, keys: Keys::default(), series: Vec::new(), events: 0, held: 0, new_key: false }
    }

    /// The id of a key.
    #[inline]
    pub(crate) fn key(&mut self, key: &[u8]) -> KeyId {
        let (id, new) = self.keys.id(key);
        self.new_key = new;
        if id as usize >= self.series.len() {
            grow(&mut self.series);
            self.series.push(Series::default());
        }
        id
    }

    /// The id of a key that has one.
    pub(crate) fn find(&self, key: &[u8]) -> Option<KeyId> {
        self.keys.find(key)
    }

    /// How many events of a key are held, and times and rows of up to `most` of those that are behind in store.
    pub(crate) fn newest(&self, key: KeyId, most: usize) -> (usize, Vec<(Millis, &[f64])>) {
        let series = &self.series[key as usize];
        let held = series.times.len() - series.head;
        let width = self.width;
        let places = series.times.len() - held.min(most)..series.times.len();
        let row = |i: usize| (series.times[i], &series.rows[i * width..(i + 1) * width]);
        (held, places.map(row).collect())
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

    /// The time of the latest event of `key`.
    pub(crate) fn latest(&self, key: KeyId) -> Option<Millis> {
        let series = &self.series[key as usize];
        let in_order = &series.times[series.head..series.sorted];
        in_order.last().into_iter().chain(&series.times[series.sorted..]).max().copied()
    }

    /// The key with the most events, and how many they are.
    pub(crate) fn largest_key(&self) -> Option<(Key, usize)> {
        let sizes = self.series.iter().map(|series| series.times.len() - series.head).zip(0..);
        sizes.max().filter(|(size, _)| *size > 0).map(|(size, key)| (self.name(key), size))
    }

    /// Bytes of memory held, for events and for keys.
    pub(crate) fn held(&self) -> usize {
        self.held + self.series.capacity() * size_of::<Series>() + self.keys.held()
    }

    /// Bytes of one event, of what a window of it will carry.
    pub(crate) fn event_bytes(&self) -> usize {
        (self.width + 1) * 8
    }

    /// Stores one event; returns how many of its key are stored. `arrival` grows with every call.
    #[inline]
    pub(crate) fn append(
        &mut self,
        key: KeyId,
        time: Millis,
        row: &[f64],
        context: &[ContextValue],
        arrival: Arrival,
    ) -> usize {
        let series = &mut self.series[key as usize];
        if series.times.len() == series.times.capacity() {
            let before = series.held();
            series.make_room(self.width);
            self.held = self.held + series.held() - before;
        }
        let len = series.times.len();
        if series.sorted == len && (len == series.head || series.times[len - 1] <= time) {
            series.sorted += 1;
        } else {
            series.unsorted_from = series.unsorted_from.min(time);
        }
        series.times.push(time);
        series.rows.extend_from_slice(row);
        series.arrivals.push(arrival);
        if !context.is_empty() {
            self.held += series.push_context(context);
        }
        self.events += 1;
        len + 1 - series.head
    }

    /// Number of events of `key` at or after `time`, where no unsorted one is before it.
    pub(crate) fn count_from(&self, key: KeyId, time: Millis) -> usize {
        let series = &self.series[key as usize];
        let in_order = &series.times[series.head..series.sorted];
        series.times.len() - series.head - before_from_front(in_order, time)
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
        let on_time = |i: &usize| (window.closed.wrapping_sub(series.arrivals[*i]) as i32) > 0;
        if let Some(contexts) = out.contexts.as_deref_mut() {
            let rows = (from..to).rev().filter(on_time).filter_map(|i| series.context(i));
            contexts.push(context::pick(context::last_values(rows), out.pick_context));
        }
        if to - from == window.len {
            if let Some(times) = out.times.as_deref_mut() {
                times.extend_from_slice(&series.times[from..to]);
            }
            out.push_rows(&series.rows[from * width..to * width], width);
            return;
        }
        // Events that were late for this window, but not for others, have come to lie in its range since it closed.
        for i in (from..to).filter(on_time) {
            if let Some(times) = out.times.as_deref_mut() {
                times.push(series.times[i]);
            }
            out.push_rows(&series.rows[i * width..(i + 1) * width], width);
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
        let before = series.held();
        series.shrink(self.width);
        self.held = self.held + series.held() - before;
        series.times.len() == series.head
    }

    /// Forgets a key without events.
    pub(crate) fn forget(&mut self, key: KeyId) {
        let series = std::mem::take(&mut self.series[key as usize]);
        self.held -= series.held();
        self.keys.forget(key);
    }

    /// Gives the live keys ids without gaps where most ids are of no key, so that what stands empty can be given back.
    /// Returns the new id of each old one; `NO_KEY` for those of no key.
    pub(crate) fn renumber(&mut self) -> Option<Vec<KeyId>> {
        let ids = self.keys.renumber()?;
        let mut series = std::mem::take(&mut self.series).into_iter();
        self.series.reserve_exact(self.keys.len());
        self.series.extend(ids.iter().filter_map(|id| series.next().filter(|_| *id != NO_KEY)));
        Some(ids)
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
    pub(crate) values: &'a mut Values,
    /// Which fields, in which order; none means all as they are.
    pub(crate) pick: Option<&'a [usize]>,
    /// The context of each window, where the model wants it.
    pub(crate) contexts: Option<&'a mut Vec<Context>>,
    /// Which of its fields, in which order; none means all as they are.
    pub(crate) pick_context: Option<&'a [usize]>,
}

impl Columns<'_> {
    pub(super) fn push_rows(&mut self, rows: &[f64], width: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(buffer: &mut Buffer, window: &Range) -> (Vec<Millis>, Vec<f64>) {
        let (mut times, mut values) = (Vec::new(), Values::default());
        let mut columns = columns(&mut values);
        columns.times = Some(&mut times);
        buffer.gather(window, &mut columns);
        let Values::F64(values) = values else { unreachable!("the default is f64") };
        (times, values)
    }

    fn columns(values: &mut Values) -> Columns<'_> {
        Columns { times: None, values, pick: None, contexts: None, pick_context: None }
    }

    #[test]
    fn events_come_out_by_time_and_ties_by_arrival() {
        let mut buffer = Buffer::new(1);
        let key = buffer.key(b"k");
        for (arrival, time) in [30, 10, 20, 10, 40].into_iter().enumerate() {
            buffer.append(key, time, &[arrival as f64], &[], arrival as u32);
        }
        let window = Range { key, start: 10, end: 40, len: buffer.count(key, 10, 40), closed: 5 };
        assert_eq!(gathered(&mut buffer, &window), (vec![10, 10, 20, 30], vec![1.0, 3.0, 2.0, 0.0]));
    }

    #[test]
    fn an_event_after_the_close_stays_out_of_the_closed_window() {
        let mut buffer = Buffer::new(1);
        let key = buffer.key(b"k");
        buffer.append(key, 10, &[0.0], &[], 0);
        buffer.append(key, 30, &[1.0], &[], 1);
        let window = Range { key, start: 0, end: 20, len: 1, closed: 2 };
        buffer.append(key, 5, &[2.0], &[], 2);
        assert_eq!(gathered(&mut buffer, &window), (vec![10], vec![0.0]));
        assert_eq!(buffer.count(key, 0, 20), 2);
    }

    #[test]
    fn trimmed_events_are_gone_and_memory_is_given_back() {
        let mut buffer = Buffer::new(2);
        let key = buffer.key(b"k");
        for i in 0..10_000_i64 {
            buffer.append(key, i, &[0.0, 1.0], &[], i as u32);
        }
        assert!(!buffer.trim(key, 9_990));
        assert_eq!((buffer.events(), buffer.count(key, 0, 10_000)), (10, 10));
        assert!(buffer.series[0].times.capacity() < 100);
        assert!(buffer.trim(key, 10_000));
        buffer.forget(key);
        assert_eq!((buffer.keys(), buffer.key(b"other")), (0, key));
    }

    #[test]
    fn what_is_counted_as_held_is_what_the_columns_hold() {
        let mut buffer = Buffer::new(2);
        let mut names = std::collections::BTreeSet::new();
        let (mut seed, mut forgotten) = (7_u64, 0);
        for step in 0..40_000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = ((seed >> 33) % if step / 5_000 % 2 == 0 { 300 } else { 5 }).to_string();
            let key = buffer.key(name.as_bytes());
            names.insert(name.clone());
            let time = i64::from(step) - (seed >> 60) as i64;
            buffer.append(key, time, &[0.0, 1.0], &[], step);
            if seed.is_multiple_of(3) && buffer.trim(key, time + 20 - (seed >> 50) as i64 % 4_000) {
                buffer.forget(key);
                names.remove(&name);
                forgotten += 1;
            }
            if step % 500 == 0 {
                buffer.renumber();
                let columns: usize = buffer.series.iter().map(Series::held).sum();
                let keys: usize = names.iter().map(|name| name.len() + 16).sum();
                assert_eq!((buffer.held, buffer.keys.name_bytes()), (columns, keys), "step {step}");
            }
        }
        assert!(forgotten > 50, "only {forgotten} keys were forgotten");
    }

    #[test]
    fn the_next_event_is_found_in_the_unsorted_tail_too() {
        let mut buffer = Buffer::new(0);
        let key = buffer.key(b"k");
        for (arrival, time) in [50, 20, 90].into_iter().enumerate() {
            buffer.append(key, time, &[], &[], arrival as u32);
        }
        assert_eq!(buffer.first_at_or_after(key, 0), Some(20));
        assert_eq!(buffer.first_at_or_after(key, 60), Some(90));
        assert_eq!(buffer.first_at_or_after(key, 91), None);
    }

    #[test]
    fn the_context_of_a_window_is_the_last_by_time_and_arrival_and_not_that_of_later_windows() {
        let mut buffer = Buffer::new(0);
        let key = buffer.key(b"k");
        let events = [(30, 3), (10, 1), (20, 20), (20, 2), (40, 4)];
        for (arrival, (time, site)) in events.into_iter().enumerate() {
            buffer.append(key, time, &[], &[ContextValue::Int(site)], arrival as u32);
        }
        let mut contexts = Vec::new();
        for (start, end, closed, len) in [(10, 30, 5, 3), (10, 40, 5, 4), (10, 30, 2, 1), (0, 20, 5, 1)] {
            let mut values = Values::default();
            let mut columns = columns(&mut values);
            columns.contexts = Some(&mut contexts);
            buffer.gather(&Range { key, start, end, len, closed }, &mut columns);
        }
        let sites: Vec<ContextValue> = contexts.iter().map(|context| context[0].clone()).collect();
        assert_eq!(sites, [2, 3, 1, 1].map(ContextValue::Int));
        assert!(!buffer.trim(key, 30));
        for time in 41..60 {
            buffer.append(key, time, &[], &[ContextValue::Int(time)], time as u32);
        }
        let mut values = Values::default();
        let mut columns = columns(&mut values);
        columns.contexts = Some(&mut contexts);
        buffer.gather(&Range { key, start: 30, end: 52, len: 13, closed: 60 }, &mut columns);
        assert_eq!(contexts[4][..], [ContextValue::Int(51)]);
        buffer.trim(key, 60);
        buffer.forget(key);
        assert_eq!(buffer.held, 0);
    }
}
