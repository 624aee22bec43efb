//! Batches on their way to the workers of a model: a bounded queue, how many are out, and how large the next one is to
//! be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{Batcher, Bounds, Size};
use crate::batch::{Batch, WindowMeta};
use crate::commit::ToSink;
use crate::config::{LengthBuckets, ModelConfig};

/// A batch and where its results go.
#[derive(Debug)]
pub struct Job {
    /// The batch.
    pub batch: Batch,
    /// The sink stage of the lane it came from.
    pub reply: Sender<ToSink>,
}

/// Closed windows of one length bucket that wait for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The bucket; 0 where the model has none.
    pub bucket: usize,
    /// Windows.
    pub windows: usize,
    /// Those of the epoch that has not ended.
    pub uncut: usize,
}

impl Waiting {
    /// Whether the epoch of one of them has ended: its commit waits for them.
    fn overdue(&self) -> bool {
        self.uncut < self.windows
    }
}

/// What is known of the work of a model's pool.
#[derive(Debug)]
pub struct Load {
    buckets: LengthBuckets,
    /// One for each kind of length bucket: long windows take longer than short ones.
    batchers: Mutex<Vec<Batcher>>,
    /// Batches that have been handed over and have not ended.
    outstanding: AtomicUsize,
}

impl Load {
    /// Nothing is out; sizes are decided by one like `batcher` for each kind of length bucket.
    pub fn new(batcher: Batcher, buckets: &LengthBuckets) -> Arc<Self> {
        let batchers = Mutex::new(vec![batcher; buckets.kinds()]);
        Arc::new(Self { buckets: buckets.clone(), batchers, outstanding: AtomicUsize::new(0) })
    }

    fn batchers(&self) -> MutexGuard<'_, Vec<Batcher>> {
        self.batchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call with these windows, which are of one length bucket, has taken so long.
    pub(super) fn observe(&self, windows: &[WindowMeta], events: usize, seconds: f64) {
        let bucket = self.buckets.bucket(windows.first().map_or(0, |window| window.events));
        if let Some(batcher) = self.batchers().get_mut(self.buckets.kind(bucket)) {
            batcher.observe(windows.len(), events, seconds);
        }
    }

    /// The bucket that the next batch is of, and what it takes, with `waiting` in the order of their turns. A bucket
    /// that is overdue goes before those that are full while it is not, or they would keep it waiting for ever.
    fn next(&self, waiting: &[Waiting]) -> Option<(usize, Size)> {
        let (batchers, outstanding) = (self.batchers(), self.outstanding.load(Ordering::Acquire));
        let of = |bucket: usize| &batchers[self.buckets.kind(bucket)];
        let due = |one: &&Waiting| of(one.bucket).due(one.windows, outstanding);
        let first = waiting.iter().find(due)?;
        let overtaken = waiting.iter().find(|one| one.overdue() && of(one.bucket).busy(outstanding));
        let Waiting { bucket, windows, .. } = *overtaken.unwrap_or(first);
        Some((bucket, of(bucket).size(windows, outstanding)))
    }

    /// What is left to predict of the epoch that has not ended, by what an epoch may have. None where nothing is known.
    fn work(&self, waiting: &[Waiting]) -> Option<f64> {
        let batchers = self.batchers();
        let work = |one: &Waiting| batchers[self.buckets.kind(one.bucket)].work(one.uncut);
        if waiting.is_empty() {
            return batchers.iter().find_map(|batcher| batcher.work(0));
        }
        waiting.iter().filter_map(work).reduce(|sum, one| sum + one)
    }

    /// A batch has ended.
    pub(super) fn ended(&self) {
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where the lanes hand batches over.
#[derive(Clone, Debug)]
pub struct Jobs {
    queue: Sender<Job>,
    load: Arc<Load>,
}

impl Jobs {
    /// A queue of as many batches as `bounds` let wait.
    pub fn queue(bounds: &Bounds, load: Arc<Load>) -> (Self, Receiver<Job>) {
        let (queue, jobs) = bounded(bounds.workers * bounds.waiting);
        (Self { queue, load }, jobs)
    }

    /// The length bucket that the next batch is of, and what it takes of what waits there, with `waiting` in the order
    /// of their turns; none where it is not time for one.
    pub fn next(&self, waiting: &[Waiting]) -> Option<(usize, Size)> {
        if waiting.is_empty() || self.queue.is_full() {
            return None;
        }
        self.load.next(waiting)
    }

    /// What is left to predict of the epoch that has not ended, by what an epoch may have: the workers are at it for
    /// a second, or for some calls where a call takes long. None where nothing is known.
    pub fn work(&self, waiting: &[Waiting]) -> Option<f64> {
        self.load.work(waiting)
    }

    /// Hands a batch over, where there is room.
    pub fn send(&self, job: Job) -> Result<(), Box<TrySendError<Job>>> {
        self.load.outstanding.fetch_add(1, Ordering::AcqRel);
        self.queue.try_send(job).map_err(|unsent| {
            self.load.ended();
            Box::new(unsent)
        })
    }
}

impl Bounds {
    /// Those of a model, with so many batches that may wait for each worker.
    pub fn of(config: &ModelConfig, waiting: usize) -> Self {
        Self {
            windows: config.max_batch,
            events: config.max_batch_events,
            target: config.target_ms.map(|ms| ms as f64 / 1_000.0),
            workers: config.workers,
            waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: usize = 1;

    fn load(outstanding: usize) -> Arc<Load> {
        let bounds = Bounds { windows: 8, events: None, target: None, workers: 1, waiting: 8 };
        let load = Load::new(Batcher::fixed(bounds), &LengthBuckets::Bounds(vec![64]));
        load.outstanding.store(outstanding, Ordering::Release);
        load
    }

    fn next(outstanding: usize, waiting: &[(usize, usize, bool)]) -> Option<(usize, usize)> {
        let waiting = waiting.iter().map(|(bucket, windows, overdue)| Waiting {
            bucket: *bucket,
            windows: *windows,
            uncut: windows - usize::from(*overdue),
        });
        let next = load(outstanding).next(&waiting.collect::<Vec<_>>());
        next.map(|(bucket, size)| (bucket, size.windows))
    }

    #[test]
    fn buckets_take_turns_while_a_worker_is_free() {
        assert_eq!(next(0, &[(0, 3, false), (LONG, 8, true)]), Some((0, 3)));
        assert_eq!(next(0, &[(LONG, 8, false), (0, 3, true)]), Some((LONG, 8)));
        assert_eq!(next(0, &[]), None);
    }

    #[test]
    fn what_is_no_full_batch_is_overtaken_until_its_epoch_has_ended() {
        assert_eq!(next(1, &[(0, 3, false), (LONG, 8, false)]), Some((LONG, 8)));
        assert_eq!(next(1, &[(LONG, 8, false), (0, 3, true)]), Some((0, 3)));
        assert_eq!(next(1, &[(LONG, 7, true), (0, 3, true)]), None, "no full one: it may grow");
        assert_eq!(next(8, &[(LONG, 8, true)]), None);
    }

    #[test]
    fn what_calls_take_is_learned_for_each_bucket() {
        let bounds = Bounds { windows: 256, events: None, target: Some(0.01), workers: 1, waiting: 8 };
        let load = Load::new(Batcher::new(bounds), &LengthBuckets::Bounds(vec![64]));
        for n in 1..=300_usize {
            let windows = 1 + n % 256;
            for (events, each) in [(10, 1e-5), (100, 1e-3)] {
                let meta = WindowMeta { events, ..meta() };
                load.observe(&vec![meta; windows], windows * events, 1e-3 + each * windows as f64);
            }
        }
        let of = |bucket| load.next(&[Waiting { bucket, windows: 9, uncut: 9 }]).map(|next| next.1.windows);
        assert_eq!((of(0), of(LONG)), (Some(9), Some(9)));
        let fit = |bucket: usize| load.batchers()[bucket].fit().map(|(each, _)| (each * 1e5).round());
        assert_eq!((fit(0), fit(LONG)), (Some(1.0), Some(100.0)));
    }

    fn meta() -> WindowMeta {
        WindowMeta::of_event((0, 0), 0, crate::record::Key::from(&b"k"[..]), 0, 0)
    }
}
