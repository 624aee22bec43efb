//! The parsers that are compared, each behind the same call.

use jiter::Jiter;
use serde::de::DeserializeSeed as _;
use simd_json::Buffers;

use crate::by_serde::Below;
use crate::found::{Node, Slots};
use crate::{by_hifijson, by_jiter, by_sonic};

/// Their names, the one that the others are held against first.
pub(crate) const NAMES: [&str; 7] = [
    "serde_json",
    "serde_json, checked as text first",
    "jiter",
    "sonic-rs",
    "sonic-rs, lazy",
    "simd-json",
    "hifijson",
];

/// Seeks declared paths in values with one of the parsers.
pub(crate) struct Seeker {
    parser: usize,
    root: Node,
    slots: Slots,
    paths: usize,
    /// What parsers keep from value to value.
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Vec<u8>,
}

impl Seeker {
    pub(crate) fn new(parser: usize, paths: &[String]) -> Self {
        let (copy, tape) = (Vec::new(), Vec::new());
        Self {
            parser,
            root: Node::root(paths),
            slots: Slots::default(),
            paths: paths.len(),
            copy,
            buffers: Buffers::default(),
            tape,
        }
    }

    /// What stood at the paths, or nothing where the value was not accepted.
    pub(crate) fn seek(&mut self, value: &[u8]) -> Option<&Slots> {
        self.slots.clear(self.paths);
        self.parse(value).then_some(&self.slots)
    }

    fn parse(&mut self, value: &[u8]) -> bool {
        let Self { root, slots, .. } = self;
        let below = Below { node: root, slots, top: true };
        match self.parser {
            0 => {
                let mut json = serde_json::Deserializer::from_slice(value);
                below.deserialize(&mut json).and_then(|()| json.end()).is_ok()
            }
            1 => {
                let Ok(text) = str::from_utf8(value) else {
                    let mut json = serde_json::Deserializer::from_slice(value);
                    return below.deserialize(&mut json).and_then(|()| json.end()).is_ok();
                };
                let mut json = serde_json::Deserializer::from_str(text);
                below.deserialize(&mut json).and_then(|()| json.end()).is_ok()
            }
            2 => {
                let mut json = Jiter::with_tape(value, std::mem::take(&mut self.tape));
                let read = match json.peek() {
                    Ok(jiter::Peek::Object) => {
                        by_jiter::object(&mut json, root, slots).and_then(|()| json.finish()).is_ok()
                    }
                    _ => false,
                };
                self.tape = json.into_tape();
                read
            }
            3 => {
                let mut json = sonic_rs::Deserializer::from_slice(value);
                below.deserialize(&mut json).and_then(|()| json.end()).is_ok()
            }
            4 => by_sonic::object(sonic_rs::to_object_iter(value), root, slots).is_ok(),
            5 => {
                self.copy.clear();
                self.copy.extend_from_slice(value);
                simd_json::Deserializer::from_slice_with_buffers(&mut self.copy, &mut self.buffers)
                    .and_then(|mut json| below.deserialize(&mut json))
                    .is_ok()
            }
            _ => by_hifijson::whole(value, root, slots).is_ok(),
        }
    }
}
