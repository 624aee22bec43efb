//! What a seeker looks for and what it found: a tree of declared names, and a slot for each path.

/// What stood at a declared path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Found {
    #[default]
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    /// Bits, so that -0 differs from 0.
    Float(u64),
    /// Where it lies among the texts.
    Text(usize, usize),
    Wrong,
}

/// What was found in a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    found: Vec<Found>,
    texts: String,
}

impl Slots {
    /// None of `count` paths found.
    pub(crate) fn clear(&mut self, count: usize) {
        self.found.clear();
        self.found.resize(count, Found::Missing);
        self.texts.clear();
    }

    /// The same to all who ask: what asks for a number gets a float, of the same bits.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let asked = |(slot, found): (usize, &Found)| match *found {
            Found::Int(value) if slot >= FIELDS => Found::Float((value as f64).to_bits()),
            Found::Unsigned(value) if slot >= FIELDS => Found::Float((value as f64).to_bits()),
            found => found,
        };
        let (mine, others) = (self.found.iter().enumerate(), other.found.iter().enumerate());
        mine.map(asked).eq(others.map(asked)) && self.texts == other.texts
    }
}

/// The first slots are a key's and a time's.
const FIELDS: usize = 2;

/// A name below which declared paths lie. One that has no children is the end of a path.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) slot: usize,
    /// Nobody asks whether its number is an integer.
    pub(crate) numeric: bool,
    pub(crate) children: Vec<Node>,
}

impl Node {
    /// The tree of dotted paths, whose slots are their places in the list.
    pub(crate) fn root(paths: &[String]) -> Self {
        let mut root = Self::default();
        for (slot, path) in paths.iter().enumerate() {
            let mut node = &mut root;
            for name in path.split('.') {
                let known = node.children.iter().position(|child| child.name == name);
                let at = known.unwrap_or_else(|| {
                    let (name, numeric) = (name.to_owned(), slot >= FIELDS);
                    node.children.push(Self { name, slot, numeric, children: Vec::new() });
                    node.children.len() - 1
                });
                node = &mut node.children[at];
            }
        }
        root
    }

    /// Which child has a name; writers keep an order, so the expected one is tried first.
    pub(crate) fn child(&self, name: &str, expected: usize) -> Option<usize> {
        if self.children.get(expected).is_some_and(|child| child.name == name) {
            return Some(expected);
        }
        self.children.iter().position(|child| child.name == name)
    }

    /// Everything below becomes `value`: of duplicate names the last one wins as a whole.
    pub(crate) fn reset(&self, slots: &mut Slots, value: Found) {
        if self.children.is_empty() {
            slots.found[self.slot] = value;
        }
        for child in &self.children {
            child.reset(slots, value);
        }
    }

    /// A value that is no object, at this node.
    pub(crate) fn scalar(&self, slots: &mut Slots, value: Found) {
        let below = if value == Found::Null { Found::Missing } else { Found::Wrong };
        self.reset(slots, if self.children.is_empty() { value } else { below });
    }

    /// A string at this node.
    pub(crate) fn text(&self, slots: &mut Slots, text: &str) {
        let start = slots.texts.len();
        slots.texts.push_str(text);
        self.scalar(slots, Found::Text(start, slots.texts.len()));
    }
}

/// An integer beyond i64 in its smallest type.
pub(crate) fn unsigned(value: u64) -> Found {
    i64::try_from(value).map_or(Found::Unsigned(value), Found::Int)
}
