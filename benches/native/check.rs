//! Reads a result topic back, and holds every window against what the workload says it must give.

use std::time::{Duration, Instant};

use millstream::kafka::TopicReader;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::spec::Spec;

/// How long nothing may come before what is there counts as all.
const SILENCE: Duration = Duration::from_secs(2);
/// Sums of floating point in another order.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Row<'a> {
    key: &'a str,
    window: Bounds,
    n_events: u64,
    mean: f64,
}

#[derive(Deserialize)]
struct Bounds {
    start: i64,
    end: i64,
}

/// Counts the windows that are missing, repeated or wrong.
pub(crate) fn run(spec: &Spec) -> Outcome<Value> {
    let partitions: Vec<_> = (0..spec.partitions as u64).map(|partition| spec.expected(partition)).collect();
    let of = |key: u64| partitions[(key % spec.partitions as u64) as usize];
    let mut seen: Vec<Vec<u8>> = (0..spec.keys).map(|key| vec![0; of(key).per_key as usize]).collect();
    let expected: usize = seen.iter().map(Vec::len).sum();
    let (log, _) = millstream::log::channel();
    let reader = TopicReader::new(&spec.brokers, &spec.sink, log)?;
    let (mut found, mut wrong, mut repeated) = (0, 0, 0);
    let mut heard = Instant::now();
    // Once all have come, a moment more for what must not.
    while heard.elapsed() < if found < expected { SILENCE } else { SILENCE / 4 } {
        for record in reader.poll(Duration::from_millis(50)) {
            heard = Instant::now();
            found += 1;
            let row: Row<'_> = serde_json::from_slice(record.value.as_deref().unwrap_or_default())?;
            let key: u64 = row.key.strip_prefix('s').ok_or("a key that was not loaded")?.parse()?;
            let (start, place) = (row.window.start, (row.window.start - of(key).first_start) / spec.hop_ms);
            let (count, mean) = spec.window(key, start);
            let right = row.n_events == count
                && (row.mean - mean).abs() <= TOLERANCE * mean.abs()
                && row.window.end == start + spec.size_ms
                && start == of(key).first_start + place * spec.hop_ms
                && u64::try_from(record.partition).is_ok_and(|p| p == key % spec.partitions as u64);
            wrong += usize::from(!right);
            match usize::try_from(place).ok().and_then(|place| seen[key as usize].get_mut(place)) {
                Some(times) => {
                    repeated += usize::from(*times > 0);
                    *times = 1;
                }
                None => wrong += usize::from(right),
            }
        }
    }
    let missing = seen.iter().flatten().filter(|times| **times == 0).count();
    Ok(json!({ "expected": expected, "missing": missing, "repeated": repeated, "wrong": wrong }))
}
