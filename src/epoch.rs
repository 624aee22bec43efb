//! Epochs: cuts of the stream at one instant, committed whole and in order once every window of theirs has a result.
//! The ledger joins cuts with results, whichever comes first, and says what the next transaction holds.

use std::collections::BTreeMap;

use crate::encode::{EncodedResult, Fate};
use crate::record::{OutRecord, Stream, TopicPartition};
use crate::time::Millis;

/// One partition at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// The assignment it belongs to.
    pub assignment: u64,
    /// Its number within the assignment.
    pub epoch: u64,
    /// The partition.
    pub partition: TopicPartition,
    /// C: the offset to commit.
    pub offset: i64,
    /// What is committed with it.
    pub metadata: String,
    /// Windows that closed since the cut before.
    pub windows: usize,
    /// Late events and dead letters since then, in offset order.
    pub records: Vec<OutRecord>,
    /// In-flight bytes that its commit gives back.
    pub bytes: usize,
    /// Nothing of the next epoch may be produced before this one is committed.
    pub barrier: bool,
}

/// What one transaction holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// The parts, by partition.
    pub parts: Vec<Part>,
}

/// Consecutive complete epochs of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The assignment.
    pub assignment: u64,
    /// The partition.
    pub partition: TopicPartition,
    /// The offset to commit.
    pub offset: i64,
    /// What is committed with it.
    pub metadata: String,
    /// The records, in the order to produce them.
    pub records: Vec<OutRecord>,
    /// In-flight bytes that the commit gives back.
    pub bytes: usize,
    /// Epochs in it.
    pub epochs: u64,
    /// The last of them.
    pub last_epoch: u64,
    /// What became of their windows: how many of each model met which fate.
    pub fates: BTreeMap<(usize, Fate), u64>,
    /// How many of their results are of windows with which end.
    pub ends: BTreeMap<Millis, u64>,
}

impl Transaction {
    /// Whether there is anything to commit.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Leaves out what belongs to one of `assignments`; returns the in-flight bytes of it.
    pub fn drop_assignments(&mut self, assignments: &[u64]) -> usize {
        let dropped = self.parts.iter().filter(|part| assignments.contains(&part.assignment));
        let bytes = dropped.map(|part| part.bytes).sum();
        self.parts.retain(|part| !assignments.contains(&part.assignment));
        bytes
    }
}

#[derive(Debug, Default)]
struct Epoch {
    results: Vec<EncodedResult>,
    cut: Option<Cut>,
}

impl Epoch {
    fn complete(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.windows == self.results.len())
    }
}

/// Epochs of one assignment that are not committed yet.
#[derive(Debug, Default)]
struct Queue {
    /// The epoch that must be committed next: none is ever skipped.
    next: u64,
    epochs: BTreeMap<u64, Epoch>,
}

/// Epochs that are not committed yet, per assignment.
#[derive(Debug, Default)]
pub struct Ledger {
    assignments: BTreeMap<u64, Queue>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// An assignment begins: only its cuts and results are kept.
    pub fn assign(&mut self, assignment: u64) {
        self.assignments.entry(assignment).or_default();
    }

    /// An assignment ends: all that is queued of it is dropped. Returns its in-flight bytes.
    pub fn revoke(&mut self, assignments: &[u64]) -> usize {
        let dropped = assignments.iter().filter_map(|assignment| self.assignments.remove(assignment));
        dropped
            .flat_map(|queue| queue.epochs.into_values())
            .filter_map(|epoch| epoch.cut)
            .map(|cut| cut.bytes)
            .sum()
    }

    /// All assignments end. Returns the in-flight bytes of what was queued.
    pub fn revoke_all(&mut self) -> usize {
        let all: Vec<u64> = self.assignments.keys().copied().collect();
        self.revoke(&all)
    }

    /// An epoch was cut. Returns its in-flight bytes where its assignment has ended.
    pub fn cut(&mut self, cut: Cut) -> usize {
        let Some(queue) = self.assignments.get_mut(&cut.assignment) else { return cut.bytes };
        let epoch = queue.epochs.entry(cut.epoch).or_default();
        epoch.cut = Some(cut);
        0
    }

    /// Windows were predicted.
    pub fn results(&mut self, results: Vec<EncodedResult>) {
        for result in results {
            if let Some(queue) = self.assignments.get_mut(&result.assignment) {
                queue.epochs.entry(result.epoch).or_default().results.push(result);
            }
        }
    }

    /// Takes whatever consecutive complete epochs each partition has.
    pub fn take(&mut self) -> Transaction {
        let parts = self.assignments.iter_mut().filter_map(|(_, queue)| take_part(queue)).collect();
        Transaction { parts }
    }
}

fn take_part(queue: &mut Queue) -> Option<Part> {
    let Queue { next, epochs } = queue;
    let mut part: Option<Part> = None;
    while epochs.first_key_value().is_some_and(|(number, epoch)| number == next && epoch.complete()) {
        *next += 1;
        let Some((_, Epoch { mut results, cut: Some(cut) })) = epochs.pop_first() else { break };
        results.sort_by(|a, b| order(a).cmp(&order(b)));
        let part = part.get_or_insert_with(|| Part {
            assignment: cut.assignment,
            partition: cut.partition.clone(),
            offset: cut.offset,
            metadata: String::new(),
            records: Vec::new(),
            bytes: 0,
            epochs: 0,
            last_epoch: cut.epoch,
            fates: BTreeMap::new(),
            ends: BTreeMap::new(),
        });
        part.last_epoch = cut.epoch;
        part.offset = cut.offset;
        part.metadata = cut.metadata;
        part.bytes += cut.bytes;
        part.epochs += 1;
        for result in &results {
            *part.fates.entry((result.model, result.fate)).or_default() += 1;
            if result.fate == Fate::Produced {
                *part.ends.entry(result.end).or_default() += 1;
            }
        }
        part.records.extend(results.into_iter().filter_map(|result| result.record));
        part.records.extend(cut.records);
        if cut.barrier {
            break;
        }
    }
    part
}

/// The order of output of a partition: by sink, then (end, key bytes, model).
fn order(result: &EncodedResult) -> Option<(Stream, i64, &[u8], usize)> {
    let record = result.record.as_ref()?;
    Some((record.stream, result.end, record.key.as_deref().unwrap_or_default(), result.rank))
}
