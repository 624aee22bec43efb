//! Single events that wait for their model: each is a unit of its own that is closed as soon as it is there. They wait
//! in offset order and are gone once a batch has them; a replay knows nothing of them.

use std::collections::VecDeque;

use super::buffer::Columns;
use super::model::Counts;
use crate::context::{self, Context, ContextValue};
use crate::record::Key;
use crate::time::Millis;

/// An event that waits, apart from its values.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) key: Key,
    pub(crate) time: Millis,
    pub(crate) offset: i64,
    /// The epoch it came in.
    pub(crate) epoch: u64,
    /// When it came, on the clock that never goes back.
    pub(crate) since: Millis,
}

/// The events of a partition that wait for one model.
#[derive(Debug, Default)]
pub(crate) struct Singles {
    waiting: VecDeque<Single>,
    /// Their rows of all fields of the source.
    rows: VecDeque<f64>,
    /// Their contexts, where the source has any.
    contexts: VecDeque<Context>,
    taken: u64,
}

impl Singles {
    /// Events that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those of this epoch, the last one.
    pub(crate) fn of_epoch(&self, epoch: u64) -> usize {
        self.len() - self.waiting.partition_point(|single| single.epoch < epoch)
    }

    /// The one that has waited longest.
    pub(crate) fn first(&self) -> Option<&Single> {
        self.waiting.front()
    }

    /// Takes the counters since they were last taken.
    pub(crate) fn take_counts(&mut self) -> Counts {
        let events = std::mem::take(&mut self.taken);
        Counts { events, closed: events, ..Counts::default() }
    }

    /// An event comes.
    pub(crate) fn push(&mut self, event: Single, row: &[f64], context: &[ContextValue]) {
        self.waiting.push_back(event);
        self.rows.extend(row);
        if !context.is_empty() {
            self.contexts.push_back(context::keep(self.contexts.back(), context));
        }
        self.taken += 1;
    }

    /// Gathers the first `count`, each with a row of `width` fields.
    pub(crate) fn gather(
        &mut self,
        count: usize,
        width: usize,
        out: &mut Columns<'_>,
        mut each: impl FnMut(Single),
    ) {
        let count = count.min(self.waiting.len());
        let rows: Vec<f64> = self.rows.drain(..count * width).collect();
        out.push_rows(&rows, width);
        if let Some(contexts) = out.contexts.as_deref_mut() {
            let rows = self.contexts.iter().take(count);
            contexts.extend(rows.map(|row| context::pick(row.clone(), out.pick_context)));
        }
        self.contexts.drain(..count.min(self.contexts.len()));
        self.waiting.drain(..count).for_each(&mut each);
        self.give_back();
    }

    /// Gives back most of what a burst has left empty.
    fn give_back(&mut self) {
        let most = |len: usize| (len * 2).max(1024);
        if self.waiting.capacity() > 4 * most(self.waiting.len()) {
            self.waiting.shrink_to(most(self.waiting.len()));
            self.rows.shrink_to(most(self.rows.len()));
            self.contexts.shrink_to(most(self.contexts.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Values;

    #[test]
    fn events_come_out_in_the_order_they_came_in_each_with_its_row_and_context() {
        let mut singles = Singles::default();
        let (mut offsets, mut values, mut contexts) = (Vec::new(), Values::default(), Vec::new());
        for offset in 0..10_000_i64 {
            let event = Single { key: Key::from(&b"k"[..]), time: -offset, offset, epoch: 0, since: 0 };
            let site = [ContextValue::Int(offset / 3), ContextValue::Missing];
            singles.push(event, &[offset as f64, 0.5], &site);
            if offset % 7 == 6 {
                let mut out = Columns {
                    times: None,
                    values: &mut values,
                    pick: Some(&[0]),
                    contexts: Some(&mut contexts),
                    pick_context: Some(&[0]),
                };
                singles.gather(5, 2, &mut out, |event| offsets.push(event.offset));
            }
        }
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
        assert_eq!((offsets.len(), singles.len()), (10_000 / 7 * 5, 10_000 - 10_000 / 7 * 5));
        assert_eq!(values, Values::F64(offsets.iter().map(|offset| *offset as f64).collect()));
        let sites = offsets.iter().map(|offset| Context::from([ContextValue::Int(offset / 3)]));
        assert_eq!(contexts, sites.collect::<Vec<_>>());
        assert_eq!(singles.take_counts().events, 10_000);
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back() {
        let mut singles = Singles::default();
        for offset in 0..100_000 {
            let event = Single { key: Key::from(&b"k"[..]), time: 0, offset, epoch: 0, since: 0 };
            singles.push(event, &[0.0], &[]);
        }
        let mut values = Values::default();
        let mut out =
            Columns { times: None, values: &mut values, pick: None, contexts: None, pick_context: None };
        singles.gather(100_000, 1, &mut out, drop);
        assert!(singles.waiting.capacity() < 5_000 && singles.rows.capacity() < 5_000);
    }
}
