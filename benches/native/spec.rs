//! The workload: which event is where, and what it holds, by arithmetic alone. So the loader needs no state, and
//! the check can say what each window must give.

use serde::Deserialize;

/// The event time of the first event; a multiple of every hop.
const BASE: i64 = 1_700_000_000_000;
/// Event time between two events of a key: ten a second.
pub(crate) const PACE: i64 = 100;
/// Values have four decimals.
const DECIMALS: f64 = 10_000.0;

/// What is loaded, and how an entry is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Partitions.
    pub(crate) partitions: i32,
    /// Events left out of the measurement, at the beginning.
    pub(crate) skip: u64,
    /// Window size, hop and grace.
    pub(crate) size_ms: i64,
    pub(crate) hop_ms: i64,
    pub(crate) grace_ms: i64,
    /// `exactly_once` or `at_least_once`.
    pub(crate) guarantee: String,
    /// The plan of the app in Python: what is consumed and decoded here is what it would be there.
    pub(crate) plan: serde_json::Value,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) key: u64,
    pub(crate) time: i64,
    /// In ten thousandths.
    pub(crate) value: u64,
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
        let time = BASE + round as i64 * PACE + (position as i64 * PACE) / self.keys as i64;
        Event { key, time, value: value(key, round) }
    }

    /// A step that visits every key once.
    fn stride(&self, round: u64) -> u64 {
        let coprime = |step: &u64| gcd(*step, self.keys) == 1;
        (0..self.keys).map(|more| 1 + 2 * (round % 64) + more).find(coprime).unwrap_or(1)
    }

    /// Windows that close by the newest event. A key has an event in each round, so none is empty.
    pub(crate) fn expected(&self, partition: u64) -> Expected {
        let newest = (self.events - self.keys..self.events).map(|index| self.event(index));
        let newest = newest.filter(|event| event.key % self.partitions as u64 == partition);
        let clock = newest.map(|event| event.time).max().unwrap_or(BASE);
        let last_end =
            (clock - self.grace_ms - self.size_ms).div_euclid(self.hop_ms) * self.hop_ms + self.size_ms;
        let first_end = BASE + self.hop_ms - (BASE - self.size_ms).rem_euclid(self.hop_ms);
        Expected { first_start: first_end - self.size_ms, per_key: (last_end - first_end) / self.hop_ms + 1 }
    }

    /// The number of events of a key in a window, and their mean.
    pub(crate) fn window(&self, key: u64, start: i64) -> (u64, f64) {
        let rounds = (self.events / self.keys) as i64;
        let round_of = |time: i64| ((time - BASE) / PACE).clamp(0, rounds) as u64;
        let rounds = round_of(start)..round_of(start + self.size_ms);
        let count = rounds.end - rounds.start;
        let sum: u64 = rounds.map(|round| value(key, round)).sum();
        (count, sum as f64 / DECIMALS / count as f64)
    }
}

impl Event {
    /// The value of its record.
    pub(crate) fn json(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        use std::io::Write;
        let (whole, rest) = (self.value / 10_000, self.value % 10_000);
        write!(out, r#"{{"sensor":"s{}","ts":{},"v":{whole}.{rest:04}}}"#, self.key, self.time)
    }
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
