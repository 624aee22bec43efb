//! How far back the source must be read again: the lowest offset of each slice of event time that still matters.

use std::collections::BTreeMap;

use crate::time::Millis;

/// Slices kept at the most for the span of the largest window; a coarser slice only makes a replay start a little
/// earlier, which changes nothing that it rebuilds.
const SLICES: Millis = 256;

/// The lowest offset per slice of event time. Offsets arrive in ascending order.
#[derive(Debug)]
pub(super) struct History {
    width: Millis,
    /// The slice of the last event: most events are in it.
    last: Option<Millis>,
    lowest: BTreeMap<Millis, i64>,
}

impl History {
    /// For windows that reach back `span` and start every `hop`.
    pub(super) fn new(hop: Millis, span: Millis) -> Self {
        Self { width: hop.max(span / SLICES).max(1), last: None, lowest: BTreeMap::new() }
    }

    /// An event was stored.
    #[inline]
    pub(super) fn stored(&mut self, time: Millis, offset: i64) {
        if self.last.is_some_and(|start| time >= start && time - start < self.width) {
            return;
        }
        let start = time.div_euclid(self.width) * self.width;
        self.lowest.entry(start).or_insert(offset);
        self.last = Some(start);
    }

    /// The lowest offset of any event in `[start, end)`, or of one shortly before or after.
    pub(super) fn first_in(&self, start: Millis, end: Millis) -> Option<i64> {
        self.lowest.range(start - self.width + 1..end).map(|(_, lowest)| *lowest).min()
    }

    /// The lowest offset of any event at or after `needed_from`, or of one shortly before it; forgets what is earlier.
    pub(super) fn lowest(&mut self, needed_from: Millis) -> Option<i64> {
        while let Some(slice) = self.lowest.first_entry() {
            if *slice.key() + self.width > needed_from {
                break;
            }
            slice.remove();
        }
        if self.last.is_some_and(|start| start + self.width <= needed_from) {
            self.last = None;
        }
        self.lowest.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_starts_at_the_lowest_offset_still_needed() {
        let mut history = History::new(10, 100);
        for (time, offset) in [(5, 1), (31, 2), (8, 3), (-4, 4), (35, 5), (22, 6)] {
            history.stored(time, offset);
        }
        assert_eq!(history.lowest(-100), Some(1));
        assert_eq!(history.lowest(10), Some(2));
        assert_eq!(history.lowest(40), None);
        history.stored(36, 7);
        assert_eq!(history.lowest(30), Some(7));
    }
}
