//! The predict pool of one model: named threads on a bounded channel, shared by the lanes of a process.
//! What a call gives goes back, encoded, to the lane that asked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Model, check_outputs};
use crate::batch::Batch;
use crate::commit::ToSink;
use crate::config::Plan;
use crate::control::Control;
use crate::encode::{EncodedResult, ResultEncoder};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::metrics::Metrics;

/// A batch and where its results go.
#[derive(Debug)]
pub struct Job {
    /// The batch.
    pub batch: Batch,
    /// The sink stage of the lane it came from.
    pub reply: Sender<ToSink>,
}

/// Batches that wait for each worker at the most: what closes within one poll must keep a quick model busy until the
/// next. On a stop they are left for the next run.
const WAITING: usize = 8;

/// After how long a call that has not returned is told of.
const LONG_CALL: Duration = Duration::from_secs(30);

/// Since when each worker of a model has been in a call.
#[derive(Debug)]
pub struct Watch {
    model: String,
    calls: Vec<Mutex<Option<Instant>>>,
}

impl Watch {
    fn new(model: &str, workers: usize) -> Self {
        Self { model: model.to_owned(), calls: (0..workers).map(|_| Mutex::default()).collect() }
    }

    fn set(&self, worker: usize, began: Option<Instant>) {
        *self.calls[worker].lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// Warns of calls that take long, each of them once.
    pub fn warn(&self, log: &Log) {
        for (worker, call) in self.calls.iter().enumerate() {
            let mut call = call.lock().unwrap_or_else(PoisonError::into_inner);
            if call.is_some_and(|began| began.elapsed() > LONG_CALL) {
                *call = None;
                let seconds = LONG_CALL.as_secs();
                log.warning("predict", format!(
                    "worker {worker} of model {} has been in one call of predict for more than {seconds} s", self.model
                ));
            }
        }
    }
}

/// One model with all that is needed to turn its batches into results.
#[derive(Clone)]
pub struct Predictor {
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    encoder: ResultEncoder,
    model: Arc<dyn Model>,
}

impl Predictor {
    /// A predictor for the model that `encoder` is for.
    pub fn new(
        plan: Arc<Plan>,
        metrics: Arc<Metrics>,
        encoder: ResultEncoder,
        model: Arc<dyn Model>,
    ) -> Self {
        Self { plan, metrics, encoder, model }
    }

    /// Calls the model with a batch, checks what it returned and encodes it.
    pub fn predict(&self, worker: usize, mut batch: Batch) -> Result<Vec<EncodedResult>> {
        let counters = &self.metrics.models[batch.model];
        counters.pool_busy.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let outputs = self.model.predict(worker, &mut batch);
        counters.predict_nanos.add(began.elapsed().as_nanos() as u64);
        counters.batches.add(1);
        counters.pool_busy.fetch_sub(1, Ordering::Relaxed);
        let outputs = outputs?;
        check_outputs(&self.plan.models[batch.model].name, batch.len(), &outputs)?;
        let mut results = Ok(Vec::new());
        self.model.detached(&mut || results = self.encoder.encode(&self.plan, &batch.windows, &outputs));
        results
    }

    fn work(&self, worker: usize, queue: &Receiver<Job>, control: &Control, watch: &Watch) -> Result<()> {
        loop {
            let mut next = None;
            self.model.detached(&mut || next = queue.recv().ok());
            let Some(Job { batch, reply }) = next else { return Ok(()) };
            // On a stop the calls that run are finished, those that wait are left for the next run.
            if control.stopping() {
                continue;
            }
            watch.set(worker, Some(Instant::now()));
            let mut results = Some(self.predict(worker, batch)?);
            watch.set(worker, None);
            self.model.detached(&mut || {
                if let Some(results) = results.take() {
                    // A lane that has ended wants no results.
                    let _ = reply.send(ToSink::Predicted(results));
                }
            });
        }
    }
}

/// The workers of one model.
#[derive(Debug)]
pub struct Pool {
    jobs: Sender<Job>,
    workers: Vec<JoinHandle<()>>,
    watch: Arc<Watch>,
}

impl Pool {
    /// Starts `workers` threads.
    pub fn start(name: &str, workers: usize, predictor: &Predictor, control: &Control) -> Result<Self> {
        let (jobs, queue) = bounded::<Job>(workers * WAITING);
        let watch = Arc::new(Watch::new(name, workers));
        let spawn = |worker| {
            let (predictor, queue, control) = (predictor.clone(), queue.clone(), control.clone());
            let watch = watch.clone();
            let thread = format!("millstream-predict-{name}-{worker}");
            let named = thread.clone();
            let body = move || {
                control.guard(&thread, || {
                    let mut outcome = Ok(());
                    predictor.model.enter(&mut || outcome = predictor.work(worker, &queue, &control, &watch));
                    outcome
                });
            };
            std::thread::Builder::new()
                .name(named)
                .spawn(body)
                .map_err(|error| Error::config(format!("a predict thread could not be started: {error}")))
        };
        let workers = (0..workers).map(spawn).collect::<Result<_>>()?;
        Ok(Self { jobs, workers, watch })
    }

    /// Where jobs go.
    pub fn jobs(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// How long its workers have been in their calls.
    pub fn watch(&self) -> Arc<Watch> {
        self.watch.clone()
    }

    /// Gives up the pool's own end of the channel: workers end when the lanes have given up theirs.
    pub fn into_workers(self) -> Vec<JoinHandle<()>> {
        self.workers
    }
}
