//! The workload: which event is where, and what it holds, by arithmetic alone. So the loader needs no state, and
//! the check can say what each window must give.

use std::io::{Result, Write};

use serde::Deserialize;

use crate::results::Row;

/// The event time of the first event; a multiple of every hop.
pub(crate) const BASE: i64 = 1_700_000_000_000;
/// Values have four decimals.
const DECIMALS: f64 = 10_000.0;
/// Sums of floating point in another order.
const TOLERANCE: f64 = 1e-9;

/// What is loaded, and how an entry is run. What only the app or a peer must know is passed over.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Spec {
    /// Bootstrap servers.
    pub(crate) brokers: String,
    /// The topic of the events.
    pub(crate) topic: String,
    /// The topic of the results, or of the copies.
    pub(crate) sink: String,
    /// A name that no other entry has: group and transactional id.
    pub(crate) name: String,
    /// Events in the topic: whole rounds, one event of each key.
    pub(crate) events: u64,
    /// Keys; key k is in partition k modulo their number.
    pub(crate) keys: u64,
    /// Events in a second of event time, over all keys.
    pub(crate) per_second: u64,
    /// Partitions.
    pub(crate) partitions: i32,
    /// Numbers of an event that the app declares: `v`, `v1`, `v2`, and so on.
    pub(crate) fields: usize,
    /// Fields of an event that it does not.
    pub(crate) unused: usize,
    /// Per cent of the events that are out of order, by less than the grace.
    pub(crate) disorder: u64,
    /// Of the batches in the topic.
    pub(crate) compression: String,
    /// Events left out of the measurement, at the beginning.
    pub(crate) skip: u64,
    /// Window size, hop and grace.
    pub(crate) size_ms: i64,
    pub(crate) hop_ms: i64,
    pub(crate) grace_ms: i64,
    /// `exactly_once` or `at_least_once`.
    pub(crate) guarantee: String,
    /// Records of each partition that a peer says it has consumed, where its results do not tell.
    #[serde(default)]
    pub(crate) consumed: Option<Vec<u64>>,
    /// How events are produced, where they are produced while the app runs.
    #[serde(default)]
    pub(crate) pacing: Option<Pacing>,
    /// The plan of the app in Python: what is consumed and decoded here is what it would be there.
    pub(crate) plan: serde_json::Value,
}

/// Events that are produced while the app runs.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pacing {
    /// Whether an event is produced when its time has come; else it is as soon as possible.
    pub(crate) paced: bool,
    /// Seconds in which events are produced.
    pub(crate) seconds: f64,
    /// Seconds of event time until windows count.
    pub(crate) warm_up: f64,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) key: u64,
    pub(crate) time: i64,
    pub(crate) round: u64,
}

/// The windows that must be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The start of the first window.
    pub(crate) first_start: i64,
    /// Windows of each key.
    pub(crate) per_key: i64,
}

impl Spec {
    /// The nth event of the topic. The order of keys differs from round to round.
    pub(crate) fn event(&self, index: u64) -> Event {
        let (round, position) = (index / self.keys, index % self.keys);
        let key = (position * self.stride(round) + mix(round)) % self.keys;
        Event { key, time: self.time(key, round, position), round }
    }

    /// The record of an event.
    pub(crate) fn json(&self, event: &Event, out: &mut Vec<u8>) -> Result<()> {
        let Event { key, time, round } = *event;
        write!(out, r#"{{"sensor":"s{key}""#)?;
        unused(0..self.unused / 2, event, out)?;
        write!(out, r#","ts":{time}"#)?;
        for field in 0..self.fields as u64 {
            let number = value(key, round + field);
            let (whole, rest) = (number / 10_000, number % 10_000);
            match field {
                0 => write!(out, r#","v":{whole}.{rest:04}"#)?,
                _ => write!(out, r#","v{field}":{whole}.{rest:04}"#)?,
            }
        }
        unused(self.unused / 2..self.unused, event, out)?;
        out.write_all(b"}")
    }

    /// Event time between two events of a key.
    pub(crate) fn pace(&self) -> i64 {
        (self.keys * 1000 / self.per_second) as i64
    }

    /// Events in a millisecond of event time.
    pub(crate) fn per_ms(&self) -> f64 {
        self.per_second as f64 / 1000.0
    }

    /// Results that each event leads to, in the mean.
    pub(crate) fn results_per_event(&self) -> f64 {
        // Windows of a key that is silent for longer than they are may be empty, and those give none.
        self.pace().min(self.size_ms) as f64 / self.hop_ms as f64
    }

    fn time(&self, key: u64, round: u64, position: u64) -> i64 {
        let back = mix(!(key << 32 | round));
        let back = if back % 100 < self.disorder { (back / 100) as i64 % self.grace_ms } else { 0 };
        let since = round as i64 * self.pace() + (position as i64 * self.pace()) / self.keys as i64;
        BASE + (since - back).max(0)
    }

    /// A step that visits every key once.
    fn stride(&self, round: u64) -> u64 {
        let coprime = |step: &u64| gcd(*step, self.keys) == 1;
        (0..self.keys).map(|more| 1 + 2 * (round % 64) + more).find(coprime).unwrap_or(1)
    }

    /// The clock of a partition once `count` of its records are consumed.
    pub(crate) fn clock(&self, partition: u64, count: u64) -> i64 {
        let events = (0..self.events).map(|index| self.event(index));
        let own = events.filter(|event| event.key % self.partitions as u64 == partition);
        own.take(count as usize).map(|event| event.time).max().unwrap_or(BASE) - self.grace_ms
    }

    /// The end of the first window that holds an event.
    pub(crate) fn first_end(&self) -> i64 {
        BASE + self.hop_ms - (BASE - self.size_ms).rem_euclid(self.hop_ms)
    }

    /// Windows that close by the newest event. A key has an event in each hop, so none is empty.
    pub(crate) fn expected(&self, partition: u64) -> Expected {
        let newest = (self.events - self.keys..self.events).map(|index| self.event(index));
        let newest = newest.filter(|event| event.key % self.partitions as u64 == partition);
        let clock = newest.map(|event| event.time).max().unwrap_or(BASE);
        let last_end =
            (clock - self.grace_ms - self.size_ms).div_euclid(self.hop_ms) * self.hop_ms + self.size_ms;
        let first_end = self.first_end();
        Expected { first_start: first_end - self.size_ms, per_key: (last_end - first_end) / self.hop_ms + 1 }
    }

    /// Whether a result is what the events of the topic give for its window.
    pub(crate) fn holds(&self, row: &Row) -> bool {
        let (count, mean) = self.window(row.key, row.start);
        row.count == count && (row.mean - mean).abs() <= TOLERANCE * mean.abs()
    }

    /// The number of events of a key in a window, and their mean.
    fn window(&self, key: u64, start: i64) -> (u64, f64) {
        let rounds = (self.events / self.keys) as i64;
        let end = start + self.size_ms;
        let round_of = |time: i64| (time - BASE).div_euclid(self.pace()).clamp(0, rounds) as u64;
        let back = if self.disorder > 0 { self.grace_ms } else { 0 };
        let inside = |round: &u64| {
            // Where an event of the round cannot be outside, its place in the round need not be known.
            let first = BASE + *round as i64 * self.pace();
            first - back >= start && first + self.pace() <= end || {
                let position = self.position(key, *round);
                (start..end).contains(&self.time(key, *round, position))
            }
        };
        let (mut count, mut sum) = (0, 0);
        for round in (round_of(start)..(round_of(end + back) + 1).min(rounds as u64)).filter(inside) {
            count += 1;
            sum += value(key, round);
        }
        (count, sum as f64 / DECIMALS / count as f64)
    }

    /// The place of a key in a round: `event` backwards.
    fn position(&self, key: u64, round: u64) -> u64 {
        let distance = (key + self.keys - mix(round) % self.keys) % self.keys;
        let inverse = inverse(self.stride(round), self.keys);
        (u128::from(distance) * u128::from(inverse) % u128::from(self.keys)) as u64
    }
}

/// Fields that nobody asks for: numbers and strings in turn.
fn unused(which: std::ops::Range<usize>, event: &Event, out: &mut Vec<u8>) -> Result<()> {
    for field in which {
        let number = mix(event.round ^ field as u64) % 10_000;
        match field % 2 {
            0 => write!(out, r#","u{field}":{number}.5"#)?,
            _ => write!(out, r#","u{field}":"n-{number}""#)?,
        }
    }
    Ok(())
}

/// What a key measures in a round: between 0 and 40.
fn value(key: u64, round: u64) -> u64 {
    mix(key << 32 | round) % 400_000
}

/// Scatters a number (the finaliser of `SplitMix64`), into 32 bits.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 32
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The number that times `step` is 1 modulo `keys`, by the extended algorithm of Euclid.
fn inverse(step: u64, keys: u64) -> u64 {
    let (mut r, mut s) = ((keys as i64, step as i64 % keys as i64), (0, 1));
    while r.1 != 0 {
        let quotient = r.0 / r.1;
        r = (r.1, r.0 - quotient * r.1);
        s = (s.1, s.0 - quotient * s.1);
    }
    s.0.rem_euclid(keys as i64) as u64
}
