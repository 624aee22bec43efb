//! One seeker for all parsers that speak serde: what the parser costs, not what is made of its events.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::found::{Found, Node, Slots, unsigned};

/// Reads a value that stands at a node.
pub(crate) struct Below<'a> {
    pub(crate) node: &'a Node,
    pub(crate) slots: &'a mut Slots,
    pub(crate) top: bool,
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Below<'_> {
    fn scalar<E: Error>(self, value: Found) -> Result<(), E> {
        if self.top {
            return Err(E::custom("the value is not an object"));
        }
        self.node.scalar(self.slots, value);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Found::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Found::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Found::Float(value.to_bits()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        if self.top {
            return self.scalar(Found::Missing);
        }
        self.node.text(self.slots, value);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Found::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.scalar(Found::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Below { node, slots, top } = self;
        if !top {
            let fresh = if node.children.is_empty() { Found::Wrong } else { Found::Missing };
            node.reset(slots, fresh);
        }
        let mut expected = 0;
        while let Some(child) = map.next_key_seed(Name { node, expected })? {
            match child {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(index) => {
                    expected = index + 1;
                    map.next_value_seed(Below {
                        node: &node.children[index],
                        slots: &mut *slots,
                        top: false,
                    })?;
                }
            }
        }
        Ok(())
    }
}

struct Name<'a> {
    node: &'a Node,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.node.child(name, self.expected))
    }
}
