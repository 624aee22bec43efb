//! Judges what a peer wrote: how far it came and when, and whether each window that this makes due is there and right.
//!
//! A peer is stopped when its time is up, so what is due follows from its own results. It emits the windows of a source
//! partition in order of time, and a partition of the sink keeps that order: what ends before the newest result in each
//! partition of the sink must be there. One that follows the wall clock instead says how much it has consumed.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::Outcome;
use crate::results::{Results, Row};
use crate::spec::{BASE, Spec};

/// Instants at which progress is told are at least this far apart, in ms.
const APART: i64 = 20;

/// How far a source partition has come.
#[derive(Default)]
struct Progress {
    /// The newest end by partition of the sink.
    newest: BTreeMap<i32, i64>,
}

impl Progress {
    /// Up to here, nothing can be on its way.
    fn limit(&self, spec: &Spec) -> i64 {
        self.newest.values().min().map_or(BASE, |end| end - spec.hop_ms)
    }
}

/// Counts the windows that are due, missing, repeated and wrong; `marks` are pairs of wall time in ms and events done.
pub(crate) fn run(spec: &Spec) -> Outcome<Value> {
    let mut sources: Vec<Progress> = (0..spec.partitions).map(|_| Progress::default()).collect();
    let mut seen = HashSet::new();
    let mut emitted = Vec::new();
    let (mut repeated, mut wrong) = (0, 0);
    Results::new(spec)?.read(&mut |record, row| {
        let source = (row.key % spec.partitions as u64) as usize;
        let newest = sources[source].newest.entry(record.partition).or_insert(i64::MIN);
        *newest = row.end.max(*newest);
        repeated += usize::from(!seen.insert((row.key, row.start)));
        wrong += usize::from(!right(spec, row));
        emitted.push((record.timestamp, source, row.end));
        false
    })?;
    let limits: Vec<i64> = match &spec.consumed {
        Some(consumed) => {
            (0..).zip(consumed).map(|(partition, count)| spec.clock(partition, *count)).collect()
        }
        None => sources.iter().map(|source| source.limit(spec)).collect(),
    };
    let first_end = spec.first_end();
    let due = |key: u64| {
        (first_end..=limits[(key % spec.partitions as u64) as usize]).step_by(spec.hop_ms as usize)
    };
    let windows = (0..spec.keys).flat_map(|key| due(key).map(move |end| (key, end - spec.size_ms)));
    let (mut expected, mut missing) = (0, 0);
    for window in windows {
        expected += 1;
        missing += usize::from(!seen.contains(&window));
    }
    Ok(json!({
        "check": { "expected": expected, "missing": missing, "repeated": repeated, "wrong": wrong },
        "marks": marks(spec, &mut emitted),
    }))
}

/// A result is right where it is what the whole topic gives for its window.
fn right(spec: &Spec, row: &Row) -> bool {
    row.start.rem_euclid(spec.hop_ms) == 0 && row.end == row.start + spec.size_ms && spec.holds(row)
}

/// Event time done over wall time, in events: the mean of the source partitions' newest ends.
fn marks(spec: &Spec, emitted: &mut [(i64, usize, i64)]) -> Vec<(i64, f64)> {
    emitted.sort_unstable();
    let mut ends = vec![BASE; spec.partitions as usize];
    let mut marks: Vec<(i64, f64)> = Vec::new();
    for (time, source, end) in emitted {
        ends[*source] = ends[*source].max(*end);
        let done = ends.iter().map(|end| end - BASE).sum::<i64>() as f64 / ends.len() as f64;
        let done = done * spec.per_ms();
        match marks.last_mut() {
            Some(last) if *time - last.0 < APART => last.1 = done,
            _ => marks.push((*time, done)),
        }
    }
    marks
}
