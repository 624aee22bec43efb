//! Dense ids for the keys of a partition: one hash and one comparison per event. Ids of forgotten keys are reused.

use ahash::RandomState;
use hashbrown::HashTable;

use super::buffer::KeyId;
use crate::record::Key;

/// Key bytes to dense ids. The hash is seeded per process, so its order means nothing.
#[derive(Debug, Default)]
pub(super) struct Keys {
    table: HashTable<KeyId>,
    names: Vec<Option<Key>>,
    free: Vec<KeyId>,
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
            self.names.push(None);
        }
        self.names[id as usize] = Some(Key::from(key));
        let (names, seed) = (&self.names, &self.seed);
        self.table
            .insert_unique(hash, id, |id| seed.hash_one(names[*id as usize].as_deref().unwrap_or_default()));
        (id, true)
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
        self.free.push(id);
    }

    /// Keys known.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
