//! Dense ids for the keys of a partition: one hash and one comparison per event. Ids of forgotten keys are reused.

use ahash::RandomState;
use hashbrown::HashTable;

use super::buffer::{KeyId, NO_KEY};
use super::held::grow;
use crate::record::Key;

/// Bytes of a key besides its own: the counts of its owners.
const KEY_HEADER: usize = 2 * size_of::<usize>();
/// With fewer ids there is nothing to be won by giving them anew.
const FEW_IDS: usize = 32;

/// Key bytes to dense ids. The hash is seeded per process, so its order means nothing.
#[derive(Debug, Default)]
pub(super) struct Keys {
    table: HashTable<KeyId>,
    names: Vec<Option<Key>>,
    free: Vec<KeyId>,
    /// Bytes of all names.
    name_bytes: usize,
    seed: RandomState,
}

impl Keys {
    /// The id of `key`, which gets one where it has none, and whether it had none.
    #[inline]
    pub(super) fn id(&mut self, key: &[u8]) -> (KeyId, bool) {
        let hash = self.seed.hash_one(key);
        let names = &self.names;
        let same = |id: &KeyId| names[*id as usize].as_deref() == Some(key);
        if let Some(id) = self.table.find(hash, same) {
            return (*id, false);
        }
        let id = self.free.pop().unwrap_or(self.names.len() as KeyId);
        if id as usize == self.names.len() {
            grow(&mut self.names);
            self.names.push(None);
        }
        self.name_bytes += KEY_HEADER + key.len();
        self.names[id as usize] = Some(Key::from(key));
        let (names, seed) = (&self.names, &self.seed);
        self.table
            .insert_unique(hash, id, |id| seed.hash_one(names[*id as usize].as_deref().unwrap_or_default()));
        (id, true)
    }

    /// The id of `key`, where it has one.
    pub(super) fn find(&self, key: &[u8]) -> Option<KeyId> {
        let same = |id: &KeyId| self.names[*id as usize].as_deref() == Some(key);
        self.table.find(self.seed.hash_one(key), same).copied()
    }

    /// The bytes of all keys known.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().filter_map(|name| name.as_deref())
    }

    /// The bytes of a key.
    pub(super) fn name(&self, id: KeyId) -> Key {
        self.names[id as usize].clone().unwrap_or_else(|| Key::from(&[][..]))
    }

    /// Forgets a key; its id may be given to another.
    pub(super) fn forget(&mut self, id: KeyId) {
        let Some(name) = self.names[id as usize].take() else { return };
        if let Ok(entry) = self.table.find_entry(self.seed.hash_one(&*name), |other| *other == id) {
            entry.remove();
        }
        self.name_bytes -= KEY_HEADER + name.len();
        grow(&mut self.free);
        self.free.push(id);
    }

    /// Bytes of all names.
    #[cfg(test)]
    pub(super) fn name_bytes(&self) -> usize {
        self.name_bytes
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.name_bytes
            + self.names.capacity() * size_of::<Option<Key>>()
            + self.free.capacity() * size_of::<KeyId>()
            + self.table.allocation_size()
    }

    /// Gives the keys ids without gaps, in the order of the old ones, where most ids are of no key. Returns the new id
    /// of each old one. Its cost is less than that of the keys that have come and gone since the last time.
    pub(super) fn renumber(&mut self) -> Option<Vec<KeyId>> {
        let (live, known) = (self.len(), self.names.len());
        if known < FEW_IDS || live * 4 > known {
            return None;
        }
        let mut names: Vec<Option<Key>> = Vec::with_capacity(live);
        let mut table = HashTable::with_capacity(live);
        let mut ids = Vec::with_capacity(known);
        for name in std::mem::take(&mut self.names) {
            let Some(key) = name else {
                ids.push(NO_KEY);
                continue;
            };
            let id = names.len() as KeyId;
            let hash = self.seed.hash_one(&*key);
            names.push(Some(key));
            let (names, seed) = (&names, &self.seed);
            table.insert_unique(hash, id, |id| {
                seed.hash_one(names[*id as usize].as_deref().unwrap_or_default())
            });
            ids.push(id);
        }
        (self.names, self.table, self.free) = (names, table, Vec::new());
        Some(ids)
    }

    /// Keys known.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
