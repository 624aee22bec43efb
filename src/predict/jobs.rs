//! Batches on their way to the workers of a model: a bounded queue, how many are out, and how large the next one is to
//! be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{Batcher, Bounds, Size};
use crate::batch::Batch;
use crate::commit::ToSink;
use crate::config::ModelConfig;

/// A batch and where its results go.
#[derive(Debug)]
pub struct Job {
    /// The batch.
    pub batch: Batch,
    /// The sink stage of the lane it came from.
    pub reply: Sender<ToSink>,
}

/// What is known of the work of a model's pool.
#[derive(Debug)]
pub struct Load {
    batcher: Mutex<Batcher>,
    /// Batches that have been handed over and have not ended.
    outstanding: AtomicUsize,
}

impl Load {
    /// Nothing is out; sizes are decided by `batcher`.
    pub fn new(batcher: Batcher) -> Arc<Self> {
        Arc::new(Self { batcher: Mutex::new(batcher), outstanding: AtomicUsize::new(0) })
    }

    pub(super) fn batcher(&self) -> MutexGuard<'_, Batcher> {
        self.batcher.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What the next batch takes of `ready` windows; none where it is not time for one.
    pub fn next(&self, ready: usize) -> Option<Size> {
        if self.queue.is_full() {
            return None;
        }
        self.load.batcher().next(ready, self.load.outstanding.load(Ordering::Acquire))
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
