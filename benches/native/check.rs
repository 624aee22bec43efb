//! Reads a result topic back, and holds every window against what the workload says it must give.

use serde_json::{Value, json};

use crate::Outcome;
use crate::results::Results;
use crate::spec::Spec;

/// Counts the windows that are missing, repeated or wrong.
pub(crate) fn run(spec: &Spec) -> Outcome<Value> {
    let partitions: Vec<_> = (0..spec.partitions as u64).map(|partition| spec.expected(partition)).collect();
    let of = |key: u64| partitions[(key % spec.partitions as u64) as usize];
    let mut seen: Vec<Vec<u8>> = (0..spec.keys).map(|key| vec![0; of(key).per_key as usize]).collect();
    let expected: usize = seen.iter().map(Vec::len).sum();
    let (mut found, mut wrong, mut repeated) = (0, 0, 0);
    Results::new(spec)?.read(&mut |record, row| {
        found += 1;
        let place = (row.start - of(row.key).first_start) / spec.hop_ms;
        let right = spec.holds(row)
            && row.end == row.start + spec.size_ms
            && row.start == of(row.key).first_start + place * spec.hop_ms
            && u64::try_from(record.partition).is_ok_and(|p| p == row.key % spec.partitions as u64);
        wrong += usize::from(!right);
        match usize::try_from(place).ok().and_then(|place| seen[row.key as usize].get_mut(place)) {
            Some(times) => {
                repeated += usize::from(*times > 0);
                *times = 1;
            }
            None => wrong += usize::from(right),
        }
        found >= expected
    })?;
    let missing = seen.iter().flatten().filter(|times| **times == 0).count();
    Ok(json!({ "expected": expected, "missing": missing, "repeated": repeated, "wrong": wrong }))
}
