//! What goes in: the events of `HopList` by arithmetic, as the bytes of JSON records, and the plan of the app on them.

use std::fmt::Write as _;
use std::sync::Arc;

use millstream::config::Plan;
use millstream::record::RawRecord;
use serde_json::json;

use crate::Outcome;

/// Events that a key has in a second.
const PER_SECOND: u64 = 10;
/// The event time of the first event; a multiple of every hop.
const BASE: i64 = 1_700_000_000_000;
/// Coprime with every number of keys: visits each of them once, and none after its neighbour.
const STRIDE: u64 = 7919;

/// A stream of events and the windows on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) keys: u64,
    /// Numbers that the app declares.
    pub(crate) fields: usize,
    /// Fields that it does not.
    pub(crate) unused: usize,
    /// Windows that an event is in.
    pub(crate) overlap: i64,
    /// Milliseconds from a window to the next.
    pub(crate) hop_ms: i64,
    pub(crate) models: usize,
    pub(crate) timestamps: bool,
}

impl Load {
    /// `HopList`, a window of 10 s every second, in one partition.
    pub(crate) const STANDARD: Self =
        Self { keys: 1_000, fields: 1, unused: 0, overlap: 10, hop_ms: 1_000, models: 1, timestamps: true };

    /// One event of each key in each window.
    pub(crate) const fn sparse(keys: u64) -> Self {
        Self { keys, overlap: 1, hop_ms: 1_000 / PER_SECOND as i64, ..Self::STANDARD }
    }

    /// Events of a key in a window.
    pub(crate) fn events_per_window(&self) -> u64 {
        (self.overlap * self.hop_ms) as u64 * PER_SECOND / 1_000
    }

    /// Events until the first windows are full and the columns of keys have their room.
    pub(crate) fn warm_up(&self) -> u64 {
        self.keys * (self.events_per_window() * 5 / 4 + self.events_per_window().min(PER_SECOND) - 1)
    }

    /// The app.
    pub(crate) fn plan(&self) -> Outcome<Arc<Plan>> {
        let fields: Vec<String> = (0..self.fields).map(|field| format!("v{field}")).collect();
        let models: Vec<_> = (0..self.models)
            .map(|model| {
                json!({"name": format!("mean{model}"), "version": null, "source": 0, "size_ms": self.overlap * self.hop_ms,
                    "hop_ms": self.hop_ms, "offset_ms": 0, "grace_ms": 0, "min_events": 1, "sink": format!("out{model}"),
                    "max_batch": 256, "workers": 1, "late": "drop", "on_error": "dead_letter", "retries": 0,
                    "timeout_ms": null, "max_batch_events": null, "target_ms": null, "fields": fields, "context": [],
                    "dtype": "float64", "timestamps": self.timestamps, "pad_batch_to": null, "outputs": null})
            })
            .collect();
        let plan = json!({"name": "bench", "brokers": "memory", "guarantee": "exactly_once", "group_id": "bench",
            "kafka": {}, "lanes": 1, "epoch_ms": 100, "start": "earliest", "create_topics": true,
            "dead_letter_topic": "bench.dead-letter", "late_topic": "bench.late", "drain_timeout_ms": 1_000,
            "max_inflight_bytes": 1 << 28, "models": models,
            "sources": [{"topic": "readings", "key": "sensor", "timestamp": "ts", "timestamp_unit": "ms",
                "fields": fields, "context": [], "missing": "dead_letter", "format": "json", "idle_timeout_ms": null,
                "max_future_ms": 3_600_000, "scattered": false}]});
        Ok(Arc::new(Plan::from_json(&plan.to_string())?))
    }
}

/// Records that follow one another, as they would lie in the client's memory.
#[derive(Debug)]
pub(crate) struct Records {
    load: Load,
    next: u64,
    text: String,
    /// Where each one's key and value end, and its time.
    ends: Vec<(usize, usize, i64)>,
}

impl Records {
    /// The stream of a load, before its first record.
    pub(crate) fn new(load: Load) -> Self {
        Self { load, next: 0, text: String::new(), ends: Vec::new() }
    }

    /// Makes the next `count` records.
    pub(crate) fn make(&mut self, count: u64) -> Outcome<()> {
        self.text.clear();
        self.ends.clear();
        for index in self.next..self.next + count {
            self.one(index)?;
        }
        self.next += count;
        Ok(())
    }

    /// Those that were made last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RawRecord<'_>> {
        let mut from = 0;
        let first = self.next - self.ends.len() as u64;
        self.ends.iter().zip(first..).map(move |((key, value, time), offset)| {
            let bytes = self.text.as_bytes();
            let record = RawRecord {
                offset: offset as i64,
                key: Some(&bytes[from..*key]),
                value: Some(&bytes[*key..*value]),
                timestamp: Some(*time),
            };
            from = *value;
            record
        })
    }

    /// Bytes of the values of those.
    pub(crate) fn value_bytes(&self) -> usize {
        self.iter().filter_map(|record| record.value).map(<[u8]>::len).sum()
    }

    fn one(&mut self, index: u64) -> Outcome<()> {
        let Load { keys, fields, unused, .. } = self.load;
        let (round, position) = (index / keys, index % keys);
        let key = (position * STRIDE + round) % keys;
        let pace = 1_000 / PER_SECOND;
        let time = BASE + (round * pace + position * pace / keys) as i64;
        let text = &mut self.text;
        write!(text, "s{key}")?;
        let key_end = text.len();
        write!(text, r#"{{"sensor":"s{key}""#)?;
        unused_fields(0..unused / 2, index, text)?;
        write!(text, r#","ts":{time}"#)?;
        for field in 0..fields as u64 {
            let number = mix(index + field) % 400_000;
            write!(text, r#","v{field}":{}.{:04}"#, number / 10_000, number % 10_000)?;
        }
        unused_fields(unused / 2..unused, index, text)?;
        text.push('}');
        self.ends.push((key_end, text.len(), time));
        Ok(())
    }
}

/// Fields that nobody asks for: numbers and strings in turn.
fn unused_fields(which: std::ops::Range<usize>, index: u64, out: &mut String) -> Outcome<()> {
    for field in which {
        let number = mix(index ^ field as u64) % 10_000;
        match field % 2 {
            0 => write!(out, r#","u{field}":{number}.5"#)?,
            _ => write!(out, r#","u{field}":"n-{number}""#)?,
        }
    }
    Ok(())
}

/// Numbers without a pattern.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
