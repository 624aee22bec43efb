//! The predict pool of one model: named threads on a bounded channel, shared by the lanes of a process.
//! What a call gives goes back, encoded, to the lane that asked.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{Bounds, Job, Jobs, Pace, Predictor, Watch};
use crate::clock;
use crate::config::ModelConfig;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::time::Millis;

/// Batches that wait for each worker at the most: what closes within one poll must keep a quick model busy until the
/// next. On a stop they are left for the next run.
pub const WAITING: usize = 8;

/// The clock of a pool.
struct Clock {
    began: Instant,
    control: Control,
}

impl Pace for Clock {
    fn now(&self) -> Millis {
        self.began.elapsed().as_millis() as Millis
    }

    fn sleep(&self, time: Duration) {
        clock::nap(time, || self.ending());
    }

    fn ending(&self) -> bool {
        self.control.stopping()
    }
}

fn work(predictor: &Predictor, worker: usize, queue: &Receiver<Job>, clock: &Clock) -> Result<()> {
    loop {
        let held = predictor.holds(clock.now());
        let mut next = Err(RecvTimeoutError::Disconnected);
        predictor.model().detached(&mut || {
            next = match held {
                None => queue.recv().map_err(RecvTimeoutError::from),
                Some(wait) => queue.recv_timeout(wait.max(Duration::from_millis(1))),
            };
        });
        match next {
            // On a stop the calls that run are finished, those that wait are left for the next run.
            Ok(_) if clock.ending() => {}
            Ok(job) => predictor.answer(worker, job, clock)?,
            Err(RecvTimeoutError::Timeout) => drop(predictor.release_due(clock.now())),
            Err(RecvTimeoutError::Disconnected) => {
                predictor.abandon();
                return Ok(());
            }
        }
    }
}

/// The workers of one model.
#[derive(Debug)]
pub struct Pool {
    jobs: Jobs,
    workers: Vec<JoinHandle<()>>,
    watch: Arc<Watch>,
}

impl Pool {
    /// Starts the threads of a model.
    pub fn start(config: &ModelConfig, predictor: &Predictor, control: &Control) -> Result<Self> {
        let name = &config.name;
        let (jobs, queue) = Jobs::queue(&Bounds::of(config, WAITING), predictor.load());
        let began = Instant::now();
        let spawn = |worker| {
            let (predictor, queue, control) = (predictor.clone(), queue.clone(), control.clone());
            let thread = format!("millstream-predict-{name}-{worker}");
            let named = thread.clone();
            let body = move || {
                control.guard(&thread, || {
                    let (mut outcome, clock) = (Ok(()), Clock { began, control: control.clone() });
                    predictor.model().enter(&mut || outcome = work(&predictor, worker, &queue, &clock));
                    outcome
                });
            };
            std::thread::Builder::new()
                .name(named)
                .spawn(body)
                .map_err(|error| Error::config(format!("a predict thread could not be started: {error}")))
        };
        let workers = (0..config.workers).map(spawn).collect::<Result<_>>()?;
        Ok(Self { jobs, workers, watch: predictor.watch() })
    }

    /// Where jobs go.
    pub fn jobs(&self) -> Jobs {
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
