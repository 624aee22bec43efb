//! Timers of one model on one partition: which keys have their next non-empty window end when.
//! A key sits in one slot, that of its next end, and re-arms when it fires; slots without keys cost nothing,
//! so a jump of the clock by years skips them.

use std::collections::{BTreeMap, VecDeque};

use super::buffer::KeyId;
use crate::time::{Millis, NEVER};

/// Slots kept in the ring; ends further ahead wait in an ordered map.
const SLOTS: usize = 1024;

/// The window ends at which keys wait, nearest first.
#[derive(Debug)]
pub(super) struct Ring {
    hop: Millis,
    /// The end that slot 0 stands for.
    base: Millis,
    slots: VecDeque<Vec<KeyId>>,
    far: BTreeMap<Millis, Vec<KeyId>>,
    /// The end each key waits for, by key id. A key found in a slot of another end has been re-armed since.
    waiting: Vec<Millis>,
    /// The nearest end that has a slot with keys, stale ones included.
    next: Millis,
    armed: usize,
}

impl Ring {
    pub(super) fn new(hop: Millis) -> Self {
        Self {
            hop,
            base: NEVER,
            slots: VecDeque::new(),
            far: BTreeMap::new(),
            waiting: Vec::new(),
            next: NEVER,
            armed: 0,
        }
    }

    /// The nearest end at which anything may fire.
    pub(super) fn next(&self) -> Millis {
        self.next
    }

    /// The end `key` waits for, `NEVER` where it waits for none.
    #[inline]
    pub(super) fn waiting(&self, key: KeyId) -> Millis {
        self.waiting.get(key as usize).copied().unwrap_or(NEVER)
    }

    /// Keys that wait for an end.
    pub(super) fn armed(&self) -> usize {
        self.armed
    }

    /// Makes `key` wait for `end`, which is nearer than what it waited for.
    pub(super) fn arm(&mut self, key: KeyId, end: Millis) {
        let index = key as usize;
        if index >= self.waiting.len() {
            self.waiting.resize(index + 1, NEVER);
        }
        if self.waiting[index] == NEVER {
            self.armed += 1;
        }
        self.waiting[index] = end;
        self.next = self.next.min(end);
        if self.slots.is_empty() {
            self.base = end;
        }
        // A slot before the base: the ring is turned back when it is small enough for that.
        while end < self.base && self.slots.len() < SLOTS && (self.base - end) / self.hop < SLOTS as i64 {
            self.base -= self.hop;
            self.slots.push_front(Vec::new());
        }
        let ahead = end - self.base;
        if ahead < 0 || ahead / self.hop >= SLOTS as i64 {
            self.far.entry(end).or_default().push(key);
            return;
        }
        let slot = (ahead / self.hop) as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, Vec::new);
        }
        self.slots[slot].push(key);
    }

    /// Takes the keys of the nearest end out: those that really wait for it. The keys are no longer armed.
    pub(super) fn fire(&mut self, keys: &mut Vec<KeyId>) {
        let end = self.next;
        keys.clear();
        if let Some(slot) = self.slot_of(end) {
            keys.append(&mut self.slots[slot]);
        }
        if let Some(mut waiting) = self.far.remove(&end) {
            keys.append(&mut waiting);
        }
        keys.retain(|key| {
            let waiting = &mut self.waiting[*key as usize];
            let fires = *waiting == end;
            if fires {
                *waiting = NEVER;
            }
            fires
        });
        self.armed -= keys.len();
        while self.slots.front().is_some_and(Vec::is_empty) {
            self.slots.pop_front();
            self.base += self.hop;
        }
        let near = if self.slots.is_empty() { NEVER } else { self.base };
        self.next = self.far.first_key_value().map_or(near, |(far, _)| near.min(*far));
    }

    fn slot_of(&self, end: Millis) -> Option<usize> {
        if self.slots.is_empty() || end < self.base {
            return None;
        }
        let slot = ((end - self.base) / self.hop) as usize;
        (slot < self.slots.len()).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire(ring: &mut Ring) -> (Millis, Vec<KeyId>) {
        let end = ring.next();
        let mut keys = Vec::new();
        ring.fire(&mut keys);
        keys.sort_unstable();
        (end, keys)
    }

    #[test]
    fn ends_fire_in_order_across_a_jump_of_ten_years() {
        let mut ring = Ring::new(1000);
        let years = 315_360_000_000;
        ring.arm(0, 5000);
        ring.arm(1, 5000 + years);
        ring.arm(2, 7000);
        assert_eq!(fire(&mut ring), (5000, vec![0]));
        assert_eq!(fire(&mut ring), (7000, vec![2]));
        assert_eq!(fire(&mut ring), (5000 + years, vec![1]));
        assert_eq!(ring.next(), NEVER);
    }

    #[test]
    fn a_key_that_was_armed_earlier_fires_once_at_its_nearest_end() {
        let mut ring = Ring::new(10);
        ring.arm(3, 50);
        ring.arm(3, 20);
        assert_eq!(fire(&mut ring), (20, vec![3]));
        ring.arm(3, 50);
        assert_eq!(fire(&mut ring), (50, vec![3]));
        assert_eq!(ring.armed(), 0);
    }

    #[test]
    fn an_end_far_before_the_ring_still_fires_first() {
        let mut ring = Ring::new(10);
        ring.arm(0, 1_000_000);
        ring.arm(1, 10);
        assert_eq!(fire(&mut ring), (10, vec![1]));
        assert_eq!(fire(&mut ring), (1_000_000, vec![0]));
    }
}
