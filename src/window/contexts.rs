//! The contexts of a key's events, in the order of its other columns.

use crate::context::{self, Context, ContextValue};

/// One context per event; events that say the same share it.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    rows: Vec<Context>,
    /// Bytes of the contexts themselves, at the most.
    shared: usize,
}

impl Contexts {
    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.rows.capacity() * size_of::<Context>() + self.shared
    }

    pub(super) fn get(&self, event: usize) -> &Context {
        &self.rows[event]
    }

    pub(super) fn push(&mut self, values: &[ContextValue]) {
        let last = self.rows.last();
        let row = context::keep(last, values);
        if !last.is_some_and(|last| Context::ptr_eq(last, &row)) {
            self.shared += context::held(&row);
        }
        self.rows.push(row);
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.rows.reserve_exact(more);
    }

    /// Forgets the first ones.
    pub(super) fn give_up(&mut self, count: usize) {
        self.rows.drain(..count);
        let same = |i: usize| i > 0 && Context::ptr_eq(&self.rows[i - 1], &self.rows[i]);
        let runs = (0..self.rows.len()).filter(|i| !same(*i));
        let left: usize = runs.map(|i| context::held(&self.rows[i])).sum();
        // Sorting may have torn the events of a context apart.
        self.shared = self.shared.min(left);
    }

    pub(super) fn shrink_to(&mut self, room: usize) {
        self.rows.shrink_to(room);
    }

    /// Brings those from `from` on into an order, by their places after it.
    pub(super) fn sort(&mut self, from: usize, order: &[usize]) {
        let sorted: Vec<Context> = order.iter().map(|place| self.rows[from + place].clone()).collect();
        self.rows.truncate(from);
        self.rows.extend(sorted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_grows_with_each_other_context_and_goes_with_its_events() {
        let mut contexts = Contexts::default();
        let site = |name: &str| [ContextValue::Text(name.to_owned())];
        contexts.push(&site("a"));
        let one = contexts.shared;
        contexts.push(&site("a"));
        assert_eq!(contexts.shared, one);
        contexts.push(&site("b"));
        contexts.push(&site("a"));
        assert_eq!(contexts.shared, 3 * one);
        contexts.sort(1, &[1, 0, 2]);
        contexts.give_up(1);
        assert_eq!((contexts.rows.len(), contexts.shared), (3, 3 * one));
        contexts.give_up(3);
        assert_eq!(contexts.shared, 0);
    }
}
