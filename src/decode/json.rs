//! JSON values: seeks the declared fields on serde's events and skips the rest without building it.
//! Duplicate names: the last one wins.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::Read;

use super::reason::{Reason, Rejected};

/// What stood at a declared path. Text lies in the decoder's own buffers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text,
    /// A value of a type that no declared field has.
    Wrong(&'static str),
}

const KEY: usize = 0;
const TIME: usize = 1;
const FIELDS: usize = 2;

/// A name below which declared paths lie.
#[derive(Debug, Default)]
struct Node {
    name: String,
    /// Slots of the paths that end here.
    slots: Vec<usize>,
    children: Vec<Node>,
}

impl Node {
    fn insert(&mut self, path: &str, slot: usize) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let at = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Self { name: name.to_owned(), ..Self::default() });
            self.children.len() - 1
        });
        match rest {
            None => self.children[at].slots.push(slot),
            Some(rest) => self.children[at].insert(rest, slot),
        }
    }
}

/// What was found in the record at hand.
#[derive(Debug)]
struct Found {
    slots: Vec<Scalar>,
    key: String,
    time: String,
    /// Texts of the context fields, whose slots come after those of `first_context - FIELDS` numeric ones.
    texts: Vec<String>,
    first_context: usize,
}

impl Found {
    fn set(&mut self, node: &Node, value: Scalar, text: &str) {
        for slot in &node.slots {
            self.slots[*slot] = value;
            let buffer = match *slot {
                KEY => &mut self.key,
                TIME => &mut self.time,
                slot if slot >= self.first_context => &mut self.texts[slot - self.first_context],
                _ => continue,
            };
            buffer.clear();
            buffer.push_str(text);
        }
    }

    /// Everything below `node` becomes `value`: a later duplicate replaces the whole of an earlier one.
    fn reset(&mut self, node: &Node, value: Scalar) {
        for child in &node.children {
            for slot in &child.slots {
                self.slots[*slot] = value;
            }
            self.reset(child, value);
        }
    }
}

/// Seeks a fixed set of paths in JSON values.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    root: Node,
    found: Found,
    lenient: bool,
}

impl JsonDecoder {
    /// `lenient` takes bare `NaN` and `Infinity` tokens for null, as some writers produce them.
    pub(super) fn new(
        key: Option<&str>,
        time: Option<&str>,
        fields: &[String],
        context: &[String],
        lenient: bool,
    ) -> Self {
        let mut root = Node::default();
        for (path, slot) in key.map(|path| (path, KEY)).into_iter().chain(time.map(|path| (path, TIME))) {
            root.insert(path, slot);
        }
        for (index, path) in fields.iter().chain(context).enumerate() {
            root.insert(path, FIELDS + index);
        }
        let first_context = FIELDS + fields.len();
        let found = Found {
            slots: vec![Scalar::Missing; first_context + context.len()],
            key: String::new(),
            time: String::new(),
            texts: vec![String::new(); context.len()],
            first_context,
        };
        Self { root, found, lenient }
    }

    /// Parses a value; what was found stays until the next call.
    pub(super) fn parse(&mut self, value: &[u8]) -> Result<(), Rejected> {
        let Err(error) = self.seek(value) else { return Ok(()) };
        if self.lenient {
            let repaired = without_bare_tokens(value);
            if repaired.as_slice() != value && self.seek(&repaired).is_ok() {
                return Ok(());
            }
        }
        if !error.is_data() && serde_json::from_slice::<IgnoredAny>(value).is_ok() {
            // Only a declared field is read as a number or as text at all: 1e400, or a lone surrogate.
            return Err(Rejected::new(
                Reason::BadType,
                format!("a declared field does not fit its type: {error}"),
            ));
        }
        let reason = if error.is_data() { Reason::BadType } else { Reason::NotJson };
        Err(Rejected::new(reason, error.to_string()))
    }

    pub(super) fn field(&self, index: usize) -> Scalar {
        self.found.slots[FIELDS + index]
    }

    /// A context field, and its text where it is one.
    pub(super) fn context(&self, index: usize) -> (Scalar, &str) {
        (self.found.slots[self.found.first_context + index], &self.found.texts[index])
    }

    pub(super) fn time(&self) -> Scalar {
        self.found.slots[TIME]
    }

    pub(super) fn time_text(&self) -> &str {
        &self.found.time
    }

    pub(super) fn key(&self) -> &[u8] {
        self.found.key.as_bytes()
    }

    /// Brings the key field, where one is declared, into its text form.
    pub(super) fn check_key(&mut self, field: Option<&str>) -> Result<(), Rejected> {
        let Some(field) = field else { return Ok(()) };
        let bad = |reason, what| Err(Rejected::new(reason, format!("key field {field:?} is {what}")));
        match self.found.slots[KEY] {
            Scalar::Text => return Ok(()),
            Scalar::Int(value) => self.set_key(itoa::Buffer::new().format(value)),
            Scalar::Unsigned(value) => self.set_key(itoa::Buffer::new().format(value)),
            Scalar::Missing => return bad(Reason::MissingKey, "absent"),
            Scalar::Null => return bad(Reason::MissingKey, "null"),
            Scalar::Bool(_) => return bad(Reason::BadKey, "a boolean, not a string or an integer"),
            Scalar::Float(_) => return bad(Reason::BadKey, "a float, not a string or an integer"),
            Scalar::Wrong(_) => return bad(Reason::BadKey, "neither a string nor an integer"),
        }
        self.found.slots[KEY] = Scalar::Text;
        Ok(())
    }

    fn set_key(&mut self, text: &str) {
        self.found.key.clear();
        self.found.key.push_str(text);
    }

    fn seek(&mut self, value: &[u8]) -> serde_json::Result<()> {
        // One check of the whole costs less than one of each name and text. What is skipped may be of any bytes.
        match str::from_utf8(value) {
            Ok(text) => self.read(serde_json::Deserializer::from_str(text)),
            Err(_) => self.read(serde_json::Deserializer::from_slice(value)),
        }
    }

    fn read<'de, R: Read<'de>>(&mut self, mut json: serde_json::Deserializer<R>) -> serde_json::Result<()> {
        self.found.slots.fill(Scalar::Missing);
        Below { node: &self.root, found: &mut self.found, top: true }.deserialize(&mut json)?;
        json.end()
    }
}

/// Reads a value that stands at a node: a scalar for its slots, an object for its children.
struct Below<'a> {
    node: &'a Node,
    found: &'a mut Found,
    top: bool,
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Below<'_> {
    fn scalar<E: serde::de::Error>(self, value: Scalar, text: &str, kind: &'static str) -> Result<(), E> {
        if self.top {
            return Err(E::custom(format_args!("the value is {kind}, not an object")));
        }
        self.found.set(self.node, value, text);
        if !self.node.children.is_empty() {
            let below = if value == Scalar::Null {
                Scalar::Missing
            } else {
                Scalar::Wrong("below a value that is no object")
            };
            self.found.reset(self.node, below);
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(value), "", "a boolean")
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Scalar::Int(value), "", "a number")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        let scalar = i64::try_from(value).map_or(Scalar::Unsigned(value), Scalar::Int);
        self.scalar(scalar, "", "a number")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Scalar::Float(value), "", "a number")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.scalar(Scalar::Text, value, "a string")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar(Scalar::Null, "", "null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.scalar(Scalar::Wrong("an array"), "", "an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Below { node, found, top } = self;
        if !top {
            found.set(node, Scalar::Wrong("an object"), "");
            found.reset(node, Scalar::Missing);
        }
        // Writers keep an order: the name after the one found last is tried first.
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
                        found: &mut *found,
                        top: false,
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a name: which child of the node it is, if any.
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

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let children = &self.node.children;
        if children.get(self.expected).is_some_and(|child| child.name == name) {
            return Ok(Some(self.expected));
        }
        Ok(children.iter().position(|child| child.name == name))
    }
}

/// The value with bare `NaN`, `Infinity` and `-Infinity` tokens as null.
fn without_bare_tokens(value: &[u8]) -> Vec<u8> {
    const TOKENS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(value.len());
    let (mut rest, mut in_string) = (value, false);
    while let Some((&byte, after)) = rest.split_first() {
        if !in_string && let Some(token) = TOKENS.iter().find(|token| rest.starts_with(token)) {
            out.extend_from_slice(b"null");
            rest = &rest[token.len()..];
            continue;
        }
        out.push(byte);
        rest = after;
        match (in_string, byte, after.split_first()) {
            (true, b'\\', Some((&escaped, after))) => {
                out.push(escaped);
                rest = after;
            }
            (_, b'"', _) => in_string = !in_string,
            _ => {}
        }
    }
    out
}
