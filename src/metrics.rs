//! The one registry of counters. Stages add to it; the Python dict, the progress line and the summary read it.

mod histogram;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub use histogram::{Seconds, Snapshot, Windows};

use crate::config::{Plan, Unit};
use crate::decode::Reason;
use crate::encode::Fate;
use crate::limits::StateTotals;
use crate::observe::Observer;
use crate::record::TopicPartition;
use crate::time::{BEFORE_ALL, Millis};
use crate::window::Counts;

/// A counter that only grows, or a gauge.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes between the close of a window, or a late event or dead letter, and the commit of its epoch.
#[derive(Debug, Default)]
pub struct InFlight(AtomicUsize);

impl InFlight {
    /// More is in flight.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has been committed or dropped.
    pub fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where a partition of a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionGauges {
    /// The next expected offset.
    pub next_offset: i64,
    /// The newest committed offset.
    pub committed_offset: Option<i64>,
    /// The high watermark.
    pub end_offset: Option<i64>,
    /// T.
    pub clock: Option<Millis>,
    /// Events in memory.
    pub events: usize,
    /// Keys with an event in an open window.
    pub keys: usize,
    /// Bytes of its state.
    pub state_bytes: usize,
}

impl PartitionGauges {
    /// Records that are not processed yet; control markers count until they are passed.
    pub fn lag(&self) -> Option<i64> {
        self.end_offset.map(|end| (end - self.next_offset).max(0))
    }
}

/// Counters of a source.
#[derive(Debug)]
pub struct SourceMetrics {
    /// The topic.
    pub topic: String,
    /// Records taken.
    pub consumed: Counter,
    /// Records below the next expected offset, dropped.
    pub below_expected: Counter,
    /// Dead letters, in the order of `Reason::ALL`.
    pub dead_letters: [Counter; Reason::ALL.len()],
    partitions: Mutex<BTreeMap<i32, PartitionGauges>>,
    /// Partitions whose state is being read back.
    restoring: Mutex<BTreeSet<i32>>,
}

/// Counters of a model.
#[derive(Debug, Default)]
pub struct ModelMetrics {
    /// Name.
    pub name: String,
    /// Whether it scores single events: each then counts as a window of its own.
    pub of_events: bool,
    /// Events in at least one window.
    pub events: Counter,
    /// Events late for all their windows.
    pub late_events: Counter,
    /// Events only in windows at or below the floor.
    pub before_start: Counter,
    /// Pairs of an event and a window it was late for.
    pub late_pairs: Counter,
    /// Windows closed that held an event.
    pub windows_closed: Counter,
    /// Those of them with fewer than `min_events`.
    pub windows_skipped: Counter,
    /// Windows whose results are committed.
    pub windows_produced: Counter,
    /// Windows for which predict returned None, committed without a result.
    pub windows_silent: Counter,
    /// Windows that it failed on, counted and dropped.
    pub windows_dropped: Counter,
    /// Windows in the dead-letter topic, in the order of `Reason::ALL`.
    pub dead_letters: [Counter; Reason::ALL.len()],
    /// Calls of predict that failed.
    pub failed_calls: Counter,
    /// Calls of predict that were made again after one had failed.
    pub retries: Counter,
    /// Processes of its workers that ended, or were ended, and were replaced.
    pub workers_replaced: Counter,
    /// Calls of predict.
    pub batches: Counter,
    /// What calls of predict took.
    pub predict_seconds: Seconds,
    /// Windows in a call of predict.
    pub batch_windows: Windows,
    /// Windows that hold an event and have not closed, as last counted.
    pub windows_open: AtomicUsize,
    /// Workers that are in predict now.
    pub pool_busy: AtomicUsize,
    /// Closed windows that wait for a batch.
    pub windows_waiting: AtomicUsize,
    /// Windows in batches that wait for a worker.
    pub windows_queued: AtomicUsize,
}

impl ModelMetrics {
    /// Windows have met their fate, for good.
    pub fn committed(&self, fate: Fate, windows: u64) {
        match fate {
            Fate::Produced => self.windows_produced.add(windows),
            Fate::Silent => self.windows_silent.add(windows),
            Fate::DeadLettered(reason) => self.dead_letters[reason as usize].add(windows),
            Fate::Dropped => self.windows_dropped.add(windows),
        }
    }

    /// All windows in the dead-letter topic.
    pub fn dead_letters_total(&self) -> u64 {
        self.dead_letters.iter().map(Counter::get).sum()
    }

    /// Windows or single events that predict has answered for good, with None among it.
    pub fn scored(&self) -> u64 {
        self.windows_produced.get() + self.windows_silent.get()
    }

    /// Adds what a partition has counted.
    pub fn add(&self, counts: &Counts) {
        self.events.add(counts.events);
        self.late_events.add(counts.late_events);
        self.before_start.add(counts.before_start);
        self.late_pairs.add(counts.late_pairs);
        self.windows_closed.add(counts.closed);
        self.windows_skipped.add(counts.skipped);
    }
}

/// All counters of a run.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Per source.
    pub sources: Vec<SourceMetrics>,
    /// Per model.
    pub models: Vec<ModelMetrics>,
    /// Epochs committed.
    pub epochs: Counter,
    /// Transactions committed.
    pub transactions: Counter,
    /// Transactions aborted and tried again.
    pub transactions_aborted: Counter,
    /// Transactions whose outcome nobody could tell: offsets and state were read again.
    pub transactions_unknown: Counter,
    /// What commits that went through took.
    pub commit_seconds: Seconds,
    /// From the end of a window, a time of the stream, to the commit of its result, by the wall clock.
    pub end_to_end_seconds: Seconds,
    /// Assignments and revocations seen.
    pub rebalances: Counter,
    /// In-flight bytes.
    pub inflight: InFlight,
    /// What the state of this process holds, for its limits.
    pub state: Arc<StateTotals>,
    /// Warnings that state is near a limit.
    pub limit_warnings: Counter,
    /// Whether consumption is paused by the in-flight limit.
    pub paused: AtomicBool,
    /// Partitions whose state was read back.
    pub restores: Counter,
    /// Lanes that have been assigned their partitions and have caught up once.
    pub lanes_ready: Counter,
    /// What is shown to those who look.
    pub observer: Observer,
}

impl Metrics {
    /// A registry for an app.
    pub fn new(plan: &Plan) -> Self {
        let source = |topic: &String| SourceMetrics {
            topic: topic.clone(),
            consumed: Counter::default(),
            below_expected: Counter::default(),
            dead_letters: Default::default(),
            partitions: Mutex::default(),
            restoring: Mutex::default(),
        };
        Self {
            sources: plan.sources.iter().map(|config| source(&config.topic)).collect(),
            models: plan
                .models
                .iter()
                .map(|model| ModelMetrics {
                    name: model.name.clone(),
                    of_events: model.unit() == Unit::Event,
                    ..ModelMetrics::default()
                })
                .collect(),
            ..Self::default()
        }
    }
}

impl Metrics {
    /// Says whether the state of a partition is being read back.
    pub fn set_restoring(&self, id: &TopicPartition, restoring: bool) {
        let Some(source) = self.sources.iter().find(|source| *source.topic == *id.topic) else { return };
        let mut partitions = source.restoring.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if restoring {
            partitions.insert(id.partition);
        } else {
            partitions.remove(&id.partition);
        }
    }
}

impl SourceMetrics {
    /// Partitions whose state is being read back.
    pub fn restoring(&self) -> BTreeSet<i32> {
        self.restoring.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// A record was dead-lettered.
    pub fn dead_letter(&self, reason: Reason) {
        self.dead_letters[reason as usize].add(1);
    }

    /// All dead letters.
    pub fn dead_letters_total(&self) -> u64 {
        self.dead_letters.iter().map(Counter::get).sum()
    }

    /// Says where a partition stands.
    pub fn set_partition(&self, partition: i32, gauges: PartitionGauges) {
        let mut partitions = self.lock();
        let committed = partitions.get(&partition).and_then(|old| old.committed_offset);
        let committed_offset = gauges.committed_offset.or(committed);
        partitions.insert(partition, PartitionGauges { committed_offset, ..gauges });
    }

    /// Says what is committed on a partition of ours.
    pub fn set_committed(&self, partition: i32, offset: i64) {
        if let Some(gauges) = self.lock().get_mut(&partition) {
            gauges.committed_offset = Some(offset);
        }
    }

    /// Forgets a partition that is no longer ours.
    pub fn drop_partition(&self, partition: i32) {
        self.lock().remove(&partition);
    }

    /// Where the partitions stand.
    pub fn partitions(&self) -> BTreeMap<i32, PartitionGauges> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, PartitionGauges>> {
        self.partitions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A clock for people: none is minus infinity.
pub fn clock(clock: Millis) -> Option<Millis> {
    (clock != BEFORE_ALL).then_some(clock)
}
