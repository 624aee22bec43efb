//! Timers of one model on one partition: which keys have their next non-empty window end when.
//! A key sits in one slot, that of its next end, and re-arms when it fires; slots without keys cost nothing,
//! so a jump of the clock by years skips them.

use std::collections::{BTreeMap, VecDeque};

use super::buffer::{KeyId, NO_KEY};
use super::held::grow;
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
    /// Bytes that the keys in all slots take.
    held: usize,
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
            held: 0,
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

    /// The keys that wait, and the end that each of them waits for.
    pub(super) fn waits(&self) -> impl Iterator<Item = (KeyId, Millis)> {
        (0..).zip(self.waiting.iter().copied()).filter(|(_, end)| *end != NEVER)
    }

    /// Keys that wait for an end.
    pub(super) fn armed(&self) -> usize {
        self.armed
    }

    /// Makes `key` wait for `end`, which is nearer than what it waited for.
    pub(super) fn arm(&mut self, key: KeyId, end: Millis) {
        let index = key as usize;
        while index >= self.waiting.len() {
            grow(&mut self.waiting);
            self.waiting.push(NEVER);
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
            self.held += push(self.far.entry(end).or_default(), key);
            return;
        }
        let slot = (ahead / self.hop) as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, Vec::new);
        }
        self.held += push(&mut self.slots[slot], key);
    }

    /// Takes the keys of the nearest end out: those that really wait for it. The keys are no longer armed.
    pub(super) fn fire(&mut self, keys: &mut Vec<KeyId>) {
        let end = self.next;
        keys.clear();
        if let Some(slot) = self.slot_of(end) {
            let mut waiting = std::mem::take(&mut self.slots[slot]);
            self.held -= bytes(&waiting);
            keys.append(&mut waiting);
        }
        if let Some(mut waiting) = self.far.remove(&end) {
            self.held -= bytes(&waiting);
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
        self.pass_empty_slots();
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.held
            + self.waiting.capacity() * size_of::<Millis>()
            + self.slots.capacity() * size_of::<Vec<KeyId>>()
            + self.far.len() * size_of::<(Millis, Vec<KeyId>)>()
    }

    /// Takes new ids for the keys, of which there are `live`.
    pub(super) fn renumber(&mut self, ids: &[KeyId], live: usize) {
        let old = std::mem::take(&mut self.waiting);
        let take = |end: Millis, slot: &mut Vec<KeyId>| {
            slot.retain(|key| old[*key as usize] == end);
            for key in slot.iter_mut() {
                *key = ids[*key as usize];
            }
            slot.shrink_to_fit();
            bytes(slot)
        };
        let (base, hop) = (self.base, self.hop);
        let near: usize = self.slots.iter_mut().zip(0..).map(|(slot, n)| take(base + n * hop, slot)).sum();
        let far: usize = self.far.iter_mut().map(|(end, slot)| take(*end, slot)).sum();
        self.far.retain(|_, slot| !slot.is_empty());
        self.held = near + far;
        self.waiting = vec![NEVER; live];
        for (end, id) in old.into_iter().zip(ids).filter(|(_, id)| **id != NO_KEY) {
            self.waiting[*id as usize] = end;
        }
        self.pass_empty_slots();
    }

    /// Moves the base to the first slot with keys, and finds the nearest end.
    fn pass_empty_slots(&mut self) {
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

/// Adds a key to a slot; returns by how much the slot has grown.
fn push(slot: &mut Vec<KeyId>, key: KeyId) -> usize {
    let before = bytes(slot);
    slot.push(key);
    bytes(slot) - before
}

fn bytes(slot: &Vec<KeyId>) -> usize {
    slot.capacity() * size_of::<KeyId>()
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
    fn new_ids_change_neither_when_keys_fire_nor_what_is_counted_as_held() {
        let mut ring = Ring::new(10);
        for key in 0..500 {
            ring.arm(key, if key % 7 == 0 { 1_000_000 } else { 100 + i64::from(key % 13) * 10 });
        }
        ring.arm(14, 50);
        while ring.next() <= 180 {
            let at = ring.next();
            ring.fire(&mut Vec::new());
            if at == 150 {
                ring.arm(3, 200);
            }
        }
        let alive = |key: &KeyId| ring.waiting(*key) != NEVER;
        let left: Vec<KeyId> = (0..500).filter(alive).collect();
        let mut ids = vec![NO_KEY; 500];
        for (new, old) in left.iter().enumerate() {
            ids[*old as usize] = new as KeyId;
        }
        let armed = ring.armed();
        let mut twin: Vec<(Millis, KeyId)> = left.iter().map(|old| (ring.waiting(*old), *old)).collect();
        ring.renumber(&ids, left.len());
        assert_eq!((ring.armed(), ring.waiting.len()), (armed, left.len()));
        let slots = ring.slots.iter().chain(ring.far.values());
        assert_eq!(ring.held, slots.map(bytes).sum::<usize>());
        let mut fired = Vec::new();
        while ring.next() != NEVER {
            let (end, keys) = fire(&mut ring);
            fired.extend(keys.into_iter().map(|key| (end, left[key as usize])));
        }
        twin.sort_unstable();
        assert_eq!(fired, twin);
        assert_eq!((ring.held, ring.armed()), (0, 0));
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
