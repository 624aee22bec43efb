//! The predict pool of one model: named threads on a bounded channel, shared by the lanes of a process.
//! What a call gives goes back, encoded, to the lane that asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Model, check_outputs};
use crate::batch::Batch;
use crate::commit::ToSink;
use crate::config::Plan;
use crate::control::Control;
use crate::encode::{EncodedResult, ResultEncoder};
use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// A batch and where its results go.
#[derive(Debug)]
pub struct Job {
    /// The batch.
    pub batch: Batch,
    /// The sink stage of the lane it came from.
    pub reply: Sender<ToSink>,
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

    fn work(&self, worker: usize, queue: &Receiver<Job>, control: &Control) -> Result<()> {
        loop {
            let mut next = None;
            self.model.detached(&mut || next = queue.recv().ok());
            let Some(Job { batch, reply }) = next else { return Ok(()) };
            // On a stop the calls that run are finished, those that wait are left for the next run.
            if control.stopping() {
                continue;
            }
            let mut results = Some(self.predict(worker, batch)?);
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
}

impl Pool {
    /// Starts `workers` threads.
    pub fn start(name: &str, workers: usize, predictor: &Predictor, control: &Control) -> Result<Self> {
        // One call running and one waiting per worker: enough to keep it busy, little to throw away on a stop.
        let (jobs, queue) = bounded::<Job>(workers);
        let spawn = |worker| {
            let (predictor, queue, control) = (predictor.clone(), queue.clone(), control.clone());
            let thread = format!("millstream-predict-{name}-{worker}");
            let named = thread.clone();
            let body = move || {
                control.guard(&thread, || {
                    let mut outcome = Ok(());
                    predictor.model.enter(&mut || outcome = predictor.work(worker, &queue, &control));
                    outcome
                });
            };
            std::thread::Builder::new()
                .name(named)
                .spawn(body)
                .map_err(|error| Error::config(format!("a predict thread could not be started: {error}")))
        };
        let workers = (0..workers).map(spawn).collect::<Result<_>>()?;
        Ok(Self { jobs, workers })
    }

    /// Where jobs go.
    pub fn jobs(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// Gives up the pool's own end of the channel: workers end when the lanes have given up theirs.
    pub fn into_workers(self) -> Vec<JoinHandle<()>> {
        self.workers
    }
}
