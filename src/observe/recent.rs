//! The latest results, dead letters and missed windows: bounded rings, filled when a transaction is committed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::epoch::Part;
use crate::record::{Headers, Key, OutRecord, Stream};
use crate::time::Millis;

/// Entries of each kind that are kept.
const KEPT: usize = 64;
/// The same of a key that is watched.
const KEPT_OF_KEY: usize = 200;
/// Records of a part that are looked at for the sample, and those of each kind that are taken.
const LOOKED_AT: usize = 64;
const SAMPLED: usize = 4;
/// Results beyond this are not shown, in bytes.
const LARGEST: usize = 4096;
/// Texts are cut here, in bytes.
const LONGEST: usize = 16 * 1024;

/// Bounds of a window and how many events it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeenWindow {
    /// Its first millisecond.
    pub start: Millis,
    /// The one after its last.
    pub end: Millis,
    /// Events in it.
    pub n_events: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result of a model, by place; its JSON text, where it is not too long to be shown.
    Result(usize, Option<String>),
    /// A dead letter.
    DeadLetter {
        /// The code.
        reason: String,
        /// On one line, for people.
        detail: String,
        /// The model that failed, where it was one.
        model: Option<String>,
        /// Where it was raised.
        traceback: Option<String>,
        /// The offset of the record, where it was one.
        offset: Option<i64>,
    },
}

/// A result or a dead letter that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The wall time of the commit.
    pub wall: Millis,
    /// Where it came from.
    pub topic: String,
    /// The partition of it.
    pub partition: i32,
    /// The key.
    pub key: Option<Key>,
    /// The window, where it is one.
    pub window: Option<SeenWindow>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Windows that an event came too late for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The model, by place in the plan.
    pub model: usize,
    /// The time of the event.
    pub time: Millis,
    /// The start of the first window that it missed.
    pub first_start: Millis,
    /// The start of the last one.
    pub last_start: Millis,
    /// How many there are.
    pub count: i64,
}

/// What a result or a dead letter of a window says of itself.
#[derive(Deserialize)]
struct Said {
    window: Bounds,
    n_events: u64,
    #[serde(default)]
    traceback: Option<String>,
}

#[derive(Deserialize)]
struct Bounds {
    start: Millis,
    end: Millis,
}

/// Bounded rings.
#[derive(Debug, Default)]
pub(super) struct Recent {
    results: VecDeque<Seen>,
    dead_letters: VecDeque<Seen>,
    missed: VecDeque<Missing>,
}

impl Recent {
    /// Takes the last few results and dead letters of what is committed, out of the last records of it.
    pub(super) fn sample(&mut self, part: &Part, wall: Millis) {
        let last = &part.records[part.records.len().saturating_sub(LOOKED_AT)..];
        for dead in [false, true] {
            let wanted = |record: &&OutRecord| match record.stream {
                Stream::Sink(_) => !dead,
                Stream::DeadLetter => dead,
                Stream::Late => false,
            };
            let mut newest: Vec<&OutRecord> = last.iter().rev().filter(wanted).take(SAMPLED).collect();
            newest.reverse();
            for record in newest {
                self.add(part, record, wall, KEPT);
            }
        }
    }

    /// Takes all records of a key.
    pub(super) fn take(&mut self, part: &Part, key: &Key, wall: Millis) {
        for record in part.records.iter().filter(|record| record.key.as_ref() == Some(key)) {
            self.add(part, record, wall, KEPT_OF_KEY);
        }
    }

    /// An event came too late.
    pub(super) fn missed(&mut self, missing: Missing) {
        push(&mut self.missed, missing, KEPT_OF_KEY);
    }

    /// What there is of a key.
    pub(super) fn of(&self, key: &Key) -> Self {
        let mine = |seen: &&Seen| seen.key.as_ref() == Some(key);
        Self {
            results: self.results.iter().filter(mine).cloned().collect(),
            dead_letters: self.dead_letters.iter().filter(mine).cloned().collect(),
            missed: VecDeque::new(),
        }
    }

    /// Results and dead letters together, and what was missed.
    pub(super) fn all(&self) -> (Vec<Seen>, Vec<Missing>) {
        let seen = self.results.iter().chain(&self.dead_letters).cloned().collect();
        (seen, self.missed.iter().copied().collect())
    }

    /// Results, dead letters.
    pub(super) fn split(&self) -> (Vec<Seen>, Vec<Seen>) {
        (self.results.iter().cloned().collect(), self.dead_letters.iter().cloned().collect())
    }

    fn add(&mut self, part: &Part, record: &OutRecord, wall: Millis, most: usize) {
        let value = record.value.as_deref().unwrap_or_default();
        let (outcome, said) = match &record.headers {
            Headers::Result { model, .. } => {
                let text = (value.len() <= LARGEST).then(|| String::from_utf8_lossy(value).into_owned());
                (Outcome::Result(*model, text), said(value))
            }
            Headers::Named(headers) if record.stream == Stream::DeadLetter => {
                let text = |name: &str| {
                    let found = headers.iter().find(|(header, _)| *header == name);
                    found.map(|(_, value)| cut(&String::from_utf8_lossy(value)).to_owned())
                };
                // The value of a record that could not be used is not ours, and not shown.
                let said = text("id").and_then(|_| said(value));
                let outcome = Outcome::DeadLetter {
                    reason: text("reason").unwrap_or_default(),
                    detail: text("detail").unwrap_or_default(),
                    model: text("model"),
                    traceback: said
                        .as_ref()
                        .and_then(|said| said.traceback.as_deref())
                        .map(|t| cut(t).to_owned()),
                    offset: text("offset").and_then(|offset| offset.parse().ok()),
                };
                (outcome, said)
            }
            Headers::Named(_) => return,
        };
        let window = said.map(|said| SeenWindow {
            start: said.window.start,
            end: said.window.end,
            n_events: said.n_events,
        });
        let (topic, partition) = (part.partition.topic.to_string(), part.partition.partition);
        let ring =
            if matches!(outcome, Outcome::Result(..)) { &mut self.results } else { &mut self.dead_letters };
        push(ring, Seen { wall, topic, partition, key: record.key.clone(), window, outcome }, most);
    }
}

fn said(value: &[u8]) -> Option<Said> {
    serde_json::from_slice(value).ok()
}

fn push<T>(ring: &mut VecDeque<T>, entry: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(entry);
}

fn cut(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
