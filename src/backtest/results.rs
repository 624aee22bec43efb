//! The results of a sink by column, taken from the records that would have been produced, and the merge of what
//! several shards have into the order of output.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Cells;
use crate::record::Key;
use crate::time::Millis;

/// Results of a sink.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Keys.
    pub keys: Vec<Key>,
    /// Starts of the windows.
    pub starts: Vec<Millis>,
    /// Their ends.
    pub ends: Vec<Millis>,
    /// Their numbers of events.
    pub events: Vec<i64>,
    /// Their partitions.
    pub partitions: Vec<i32>,
    /// The fields of the results, in the order in which they were first seen.
    pub fields: Vec<(String, Cells)>,
    /// Models by name.
    ranks: Vec<u32>,
    /// Which fields each row has, by place in `shapes`.
    shape_of: Vec<u32>,
    shapes: Vec<Vec<usize>>,
    /// The records as they are, where someone is to read them.
    values: Option<Vec<Vec<u8>>>,
}

impl Results {
    /// None yet; `keep` keeps the records.
    pub(super) fn new(keep: bool) -> Self {
        Self { values: keep.then(Vec::new), ..Self::default() }
    }

    /// How many there are.
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Adds a result.
    pub(super) fn push(
        &mut self,
        (start, end): (Millis, Millis),
        key: Key,
        partition: i32,
        rank: u32,
        value: Vec<u8>,
    ) {
        let row = self.rows();
        let mut into = Row { fields: &mut self.fields, place: row, events: 0, shape: Vec::new() };
        // It is JSON that we have written ourselves.
        let read = into.read(&value);
        debug_assert!(read.is_ok(), "a result that is no result: {read:?}");
        let Row { events, shape, .. } = into;
        self.events.push(events);
        let known = self.shape_of.last().copied().filter(|last| self.shapes[*last as usize] == shape);
        let shape_id = known.unwrap_or_else(|| {
            let at = self.shapes.iter().position(|other| *other == shape);
            at.unwrap_or_else(|| {
                self.shapes.push(shape);
                self.shapes.len() - 1
            }) as u32
        });
        self.shape_of.push(shape_id);
        self.keys.push(key);
        self.starts.push(start);
        self.ends.push(end);
        self.partitions.push(partition);
        self.ranks.push(rank);
        if let Some(values) = &mut self.values {
            values.push(value);
        }
    }

    /// The records, which are gone after that.
    pub(super) fn take_values(&mut self) -> Vec<Vec<u8>> {
        self.values.take().unwrap_or_default()
    }

    /// All of several, by (end, key bytes, model, partition).
    pub(super) fn merge(mut parts: Vec<Self>) -> Self {
        let mut order: Vec<(u32, u32)> = Vec::with_capacity(parts.iter().map(Self::rows).sum());
        for (index, part) in parts.iter().enumerate() {
            order.extend((0..part.rows()).map(|row| (index as u32, row as u32)));
        }
        order.sort_unstable_by(|a, b| place(&parts, *a).cmp(&place(&parts, *b)));
        let names = names(&parts, &order);
        let mut merged = Self::new(parts.iter().any(|part| part.values.is_some()));
        for (index, row) in &order {
            let (part, row) = (&parts[*index as usize], *row as usize);
            merged.keys.push(part.keys[row].clone());
            merged.starts.push(part.starts[row]);
            merged.ends.push(part.ends[row]);
            merged.events.push(part.events[row]);
            merged.partitions.push(part.partitions[row]);
        }
        if let Some(values) = &mut merged.values {
            for (index, row) in &order {
                let from = parts[*index as usize].values.as_mut();
                values.push(from.map(|from| std::mem::take(&mut from[*row as usize])).unwrap_or_default());
            }
        }
        for name in names {
            let mut sources: Vec<Option<Cells>> = parts
                .iter_mut()
                .map(|part| {
                    let field = part.fields.iter_mut().find(|(field, _)| *field == name);
                    field.map(|(_, cells)| std::mem::take(cells))
                })
                .collect();
            let mut cells = Cells::default();
            for (index, row) in &order {
                let source = sources[*index as usize].as_mut();
                cells.push(source.map(|source| source.take(*row as usize)).unwrap_or_default());
            }
            merged.fields.push((name, cells));
        }
        merged
    }
}

fn place(parts: &[Results], (index, row): (u32, u32)) -> (Millis, &[u8], u32, i32) {
    let (part, row) = (&parts[index as usize], row as usize);
    (part.ends[row], &part.keys[row], part.ranks[row], part.partitions[row])
}

/// The names of all fields as they would be seen first in this order.
fn names(parts: &[Results], order: &[(u32, u32)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut seen: Vec<Vec<bool>> = parts.iter().map(|part| vec![false; part.shapes.len()]).collect();
    for (index, row) in order {
        let part = &parts[*index as usize];
        let shape = part.shape_of[*row as usize] as usize;
        if std::mem::replace(&mut seen[*index as usize][shape], true) {
            continue;
        }
        for field in &part.shapes[shape] {
            let name = &part.fields[*field].0;
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Reads one record into the columns.
struct Row<'a> {
    fields: &'a mut Vec<(String, Cells)>,
    place: usize,
    events: i64,
    shape: Vec<usize>,
}

impl Row<'_> {
    fn read(&mut self, value: &[u8]) -> serde_json::Result<()> {
        serde_json::Deserializer::from_slice(value).deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) =
            map.next_key_seed(Name { fields: &mut *self.fields, next: self.shape.len() })?
        {
            match name {
                Named::Ours => drop(map.next_value::<IgnoredAny>()?),
                Named::Events => self.events = map.next_value()?,
                Named::Field(index) => {
                    let cells = &mut self.fields[index].1;
                    cells.pad(self.place);
                    cells.push(map.next_value::<Value>()?);
                    self.shape.push(index);
                }
            }
        }
        for (_, cells) in self.fields.iter_mut() {
            cells.pad(self.place + 1);
        }
        Ok(())
    }
}

enum Named {
    Ours,
    Events,
    Field(usize),
}

/// Reads a name; writers keep an order, so the field after the last one is tried first.
struct Name<'a> {
    fields: &'a mut Vec<(String, Cells)>,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Named;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Named, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Named, E> {
        Ok(match name {
            "key" | "window" => Named::Ours,
            "n_events" => Named::Events,
            _ => {
                let is = |field: &(String, Cells)| field.0 == name;
                let expected = self.fields.get(self.next).is_some_and(is).then_some(self.next);
                let index = expected.or_else(|| self.fields.iter().position(is)).unwrap_or_else(|| {
                    self.fields.push((name.to_owned(), Cells::default()));
                    self.fields.len() - 1
                });
                Named::Field(index)
            }
        })
    }
}
