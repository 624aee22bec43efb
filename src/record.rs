//! Records as they pass between the stages: borrowed on the way in, owned on the way out.

use std::fmt;
use std::sync::Arc;

use crate::config::hex;
use crate::time::Millis;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.topic, self.partition)
    }
}

/// A record of a source, as it lies in the client's memory.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// The offset in its partition.
    pub offset: i64,
    /// The key, where there is one.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's own timestamp, where it has one.
    pub timestamp: Option<Millis>,
}

/// The bytes of a key, shared by its windows and their results.
pub type Key = Arc<[u8]>;

/// Bytes of a key that people are shown at the most.
const LONGEST_KEY: usize = 200;

/// A key for people: quoted, in hexadecimal digits where it is not UTF-8, and no longer than a line of a log bears.
pub fn shown_key(key: &[u8]) -> String {
    let (head, rest) = key.split_at(key.len().min(LONGEST_KEY));
    let more = if rest.is_empty() { "" } else { "..." };
    match std::str::from_utf8(key) {
        Ok(_) => {
            format!("{:?}{more}", String::from_utf8_lossy(head).trim_end_matches(char::REPLACEMENT_CHARACTER))
        }
        Err(_) => format!("0x{}{more}", hex(head)),
    }
}

/// Where a record of ours goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// The sink of the app's nth distinct sink topic.
    Sink(usize),
    /// The late topic.
    Late,
    /// The dead-letter topic.
    DeadLetter,
}

/// The headers of a record of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// Those of a result; group, model and version are the same for all results of a model.
    Result {
        /// The model.
        model: usize,
        /// The deterministic identity of the window.
        id: [u8; 16],
    },
    /// Named ones.
    Named(Vec<(&'static str, Vec<u8>)>),
}

/// A record to be produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    /// Where to.
    pub stream: Stream,
    /// The partition; where the counts differ, the producer's partitioner decides by the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Key>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: Millis,
    /// The headers.
    pub headers: Headers,
}

impl OutRecord {
    /// Bytes it holds, roughly: what the in-flight limit counts.
    pub fn bytes(&self) -> usize {
        let headers = match &self.headers {
            Headers::Result { .. } => 96,
            Headers::Named(list) => list.iter().map(|(name, value)| name.len() + value.len() + 48).sum(),
        };
        96 + self.key.as_ref().map_or(0, |k| k.len()) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_on_a_line_whatever_it_holds() {
        assert_eq!(shown_key(b"watch-1"), "\"watch-1\"");
        assert_eq!(shown_key(b"a\n\x1b"), "\"a\\n\\u{1b}\"");
        assert_eq!(shown_key(b"\xff\x00"), "0xff00");
    }

    #[test]
    fn of_a_long_key_the_beginning_is_shown() {
        let shown = shown_key("ä".repeat(500).as_bytes());
        assert_eq!(shown, format!("\"{}\"...", "ä".repeat(100)));
        let odd = shown_key(format!("x{}", "ä".repeat(500)).as_bytes());
        assert_eq!(odd, format!("\"x{}\"...", "ä".repeat(99)));
        assert_eq!(shown_key(&[0xff; 1_000]), format!("0x{}...", "ff".repeat(200)));
    }
}
