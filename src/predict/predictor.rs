//! One model with all that is needed to turn its batches into results, whatever it does: calls, retries, the search for
//! the windows that are to blame, and what becomes of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::breaker::{Breaker, Verdict};
use super::isolate::{Caller, isolate, retried};
use super::{Batcher, Job, Load, Model, Watch, check_outputs};
use crate::batch::{Batch, WindowMeta};
use crate::commit::ToSink;
use crate::config::{ModelConfig, OnError};
use crate::decode::Reason;
use crate::encode::{Encoded, EncodedResult, Failure, ResultEncoder, describe};
use crate::error::{Error, Result};
use crate::log::{Log, Said};
use crate::metrics::ModelMetrics;
use crate::shared::Shared;
use crate::strikes::{MOST, Namer, Trust};
use crate::time::Millis;

/// The first wait before a call is made again; each one after it is twice as long, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Failures are told of at most this often.
const TELL_MS: Millis = 1_000;

/// Time as a predictor sees it, and whether the run is ending.
pub trait Pace: Sync {
    /// Milliseconds on a clock that never goes back.
    fn now(&self) -> Millis;

    /// Lets time pass.
    fn sleep(&self, time: Duration);

    /// Whether no more calls are to be made.
    fn ending(&self) -> bool;
}

/// Results on their way to who asked for them.
#[derive(Debug)]
struct Answer {
    results: Vec<EncodedResult>,
    reply: Sender<ToSink>,
}

/// What the workers of a model know of its failures.
#[derive(Debug, Default)]
struct Failures {
    breaker: Breaker<Answer>,
    told_at: Option<Millis>,
    untold: usize,
}

/// One model with all that is needed to turn its batches into results.
#[derive(Clone)]
pub struct Predictor {
    shared: Shared,
    index: usize,
    encoder: ResultEncoder,
    model: Arc<dyn Model>,
    watch: Arc<Watch>,
    load: Arc<Load>,
    failures: Arc<Mutex<Failures>>,
}

impl Predictor {
    /// A predictor for a model of the plan, whose batches are as `batcher` says.
    pub fn new(shared: &Shared, index: usize, model: Arc<dyn Model>, batcher: Batcher) -> Self {
        let plan = &shared.plan;
        let config = &plan.models[index];
        let timeout = config.thread_timeout();
        let namer = Namer::new(plan, index);
        Self {
            shared: shared.clone(),
            index,
            encoder: ResultEncoder::new(plan, index, &shared.routes),
            model,
            watch: Arc::new(Watch::new(&config.name, timeout, config.on_error, namer, config.workers)),
            load: Load::new(batcher, &config.length_buckets),
            failures: Arc::default(),
        }
    }

    pub(super) fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The calls that are under way.
    pub fn watch(&self) -> Arc<Watch> {
        self.watch.clone()
    }

    /// What is known of its work.
    pub fn load(&self) -> Arc<Load> {
        self.load.clone()
    }

    fn config(&self) -> &ModelConfig {
        &self.shared.plan.models[self.index]
    }

    fn metrics(&self) -> &ModelMetrics {
        &self.shared.metrics.models[self.index]
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Predicts a batch and sends what came of it to who asked. An error is one that ends the run; a batch that a stop
    /// has interrupted is left for the next one.
    pub fn answer(&self, worker: usize, job: Job, pace: &dyn Pace) -> Result<()> {
        let Job { batch, reply } = job;
        let windows = batch.len();
        self.metrics().windows_queued.fetch_sub(windows, Ordering::Relaxed);
        self.failures().breaker.began();
        let mut calls = Calls {
            predictor: self,
            worker,
            reply: &reply,
            pace,
            results: Vec::with_capacity(windows),
            failed: 0,
            last: None,
            form: Form::Unknown,
        };
        let outcome = calls.batch(batch);
        let Calls { results, failed, last, form, .. } = calls;
        let outcome = outcome.and_then(|()| {
            if let Some((window, error)) = &last {
                self.tell(failed, windows, window, error, pace.now());
            }
            let last = last.map(|(_, error)| error);
            self.judge(windows, failed, last, form, Answer { results, reply })
        });
        self.failures().breaker.ended(pace.now());
        self.load.ended();
        match outcome {
            Ok(answers) => self.send(answers),
            Err(Error::Ended(_)) if pace.ending() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends what the breaker has held for long enough.
    pub fn release_due(&self, now: Millis) -> bool {
        let due = self.failures().breaker.due(now);
        let any = !due.is_empty();
        self.send(due);
        any
    }

    /// For how long the breaker still holds something.
    pub fn holds(&self, now: Millis) -> Option<Duration> {
        self.failures().breaker.waits(now).map(|wait| Duration::from_millis(wait.unsigned_abs()))
    }

    /// Lets go of what the breaker holds: it is left for the next run.
    pub fn abandon(&self) {
        let held = self.failures().breaker.release();
        drop(held);
    }

    /// What may be sent now that a batch has ended, or the error that ends the run.
    fn judge(
        &self,
        windows: usize,
        failed: usize,
        last: Option<Error>,
        form: Form,
        answer: Answer,
    ) -> Result<Vec<Answer>> {
        let breaker = &mut self.failures().breaker;
        if form == Form::Usable {
            breaker.prove();
        }
        let Some(last) = last.filter(|_| failed == windows) else {
            let mut answers = breaker.succeeded();
            answers.push(answer);
            return Ok(answers);
        };
        // A model that has never returned rows as it must is not going to.
        if form == Form::Wrong && !breaker.proven() {
            return Err(last);
        }
        let one = self.config().unit().one();
        match breaker.failed(windows, answer) {
            Verdict::Held => Ok(Vec::new()),
            Verdict::Stop(batches, windows) => Err(Error::ModelBroken {
                text: format!(
                    "model {} failed on every {one} of {batches} batches in a row, {windows} {one}s in all: none of them \
                     is committed. The last failure: {last}. Correct the model and start again: the same {one}s come \
                     again",
                    self.config().name
                ),
                cause: Box::new(last),
            }),
        }
    }

    fn send(&self, answers: Vec<Answer>) {
        if answers.is_empty() {
            return;
        }
        let mut answers = Some(answers);
        self.model.detached(&mut || {
            for Answer { results, reply } in answers.take().into_iter().flatten() {
                // A lane that has ended wants no results.
                let _ = reply.send(ToSink::Predicted(results));
            }
        });
    }

    /// Says that windows have failed, and the last reason; not more often than someone can read.
    fn tell(&self, failed: usize, windows: usize, window: &WindowMeta, last: &Error, now: Millis) {
        let mut failures = self.failures();
        if failures.told_at.is_some_and(|at| now - at < TELL_MS) {
            failures.untold += failed;
            return;
        }
        failures.told_at = Some(now);
        let before = std::mem::take(&mut failures.untold);
        let since =
            if before > 0 { format!(" ({before} more since this was said last)") } else { String::new() };
        let way = match self.config().on_error {
            OnError::DeadLetter => "go to the dead-letter topic",
            OnError::Skip | OnError::Fail => "are dropped",
        };
        let log: &Log = &self.shared.log;
        let (config, topic) = (self.config(), &self.shared.plan.sources[self.config().source].topic);
        let (model, one) = (&config.name, config.unit().one());
        let text = format!(
            "{failed} of {windows} {one}s of a batch of model {model} failed{since}: they {way}. The last failure, on the \
             {one} {} of {topic}: {last}",
            describe(config.unit(), window)
        );
        log.warning("predict", Said::from(text).model(model).window(topic, window));
    }
}

/// What is known of the form of a model's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// No call has returned.
    Unknown,
    /// Some call returned a row per window.
    Usable,
    /// None did, and some returned something else.
    Wrong,
}

/// The calls of one batch.
struct Calls<'a> {
    predictor: &'a Predictor,
    worker: usize,
    reply: &'a Sender<ToSink>,
    pace: &'a dyn Pace,
    results: Vec<EncodedResult>,
    failed: usize,
    last: Option<(WindowMeta, Error)>,
    form: Form,
}

impl Calls<'_> {
    fn batch(&mut self, mut batch: Batch) -> Result<()> {
        if batch.windows.iter().all(|window| window.trust == Trust::Full) {
            return self.trusted(&mut batch);
        }
        for (index, window) in batch.windows.iter().enumerate() {
            match window.trust {
                Trust::Full => {}
                Trust::Alone => {
                    self.go_on()?;
                    self.trusted(&mut batch.pick(std::iter::once(index)))?;
                }
                Trust::Never => {
                    let (config, unit) = (self.predictor.config(), self.predictor.config().unit());
                    let text = format!(
                        "predict of model {} has ended the run {MOST} times by not returning from the {} {}",
                        config.name,
                        unit.one(),
                        describe(unit, window)
                    );
                    self.fail(&batch, index, Reason::ModelError, Error::model(text));
                }
            }
        }
        let mut rest =
            batch.pick((0..batch.len()).filter(|index| batch.windows[*index].trust == Trust::Full));
        if rest.is_empty() { Ok(()) } else { self.trusted(&mut rest) }
    }

    fn trusted(&mut self, batch: &mut Batch) -> Result<()> {
        let (retries, on_error) = (self.predictor.config().retries, self.predictor.config().on_error);
        match on_error {
            OnError::Fail => retried(self, batch, retries),
            OnError::DeadLetter | OnError::Skip => isolate(self, batch, retries),
        }
    }

    /// Calls the model, and takes its results in.
    fn attempt(&mut self, batch: &mut Batch) -> Result<()> {
        let predictor = self.predictor;
        let (counters, plan) = (predictor.metrics(), &predictor.shared.plan);
        counters.pool_busy.fetch_add(1, Ordering::Relaxed);
        predictor.watch.begin(self.worker, &batch.windows, self.reply);
        let began = Instant::now();
        let events = batch.row_splits.last().map_or(0, |events| *events as usize);
        let outputs = predictor.model.predict(self.worker, batch);
        let took = began.elapsed();
        counters.predict_seconds.observe(took);
        counters.batch_windows.observe(batch.len());
        predictor.watch.end(self.worker);
        counters.batches.add(1);
        counters.pool_busy.fetch_sub(1, Ordering::Relaxed);
        let outputs = outputs?;
        predictor.load.observe(&batch.windows, events, took.as_secs_f64());
        check_outputs(predictor.config(), batch.len(), &outputs)?;
        self.form = Form::Usable;
        let mut rows = Ok(Vec::new());
        let encoder = &predictor.encoder;
        predictor.model.detached(&mut || rows = encoder.encode(plan, &batch.windows, &outputs));
        for (index, row) in rows?.into_iter().enumerate() {
            match row {
                Encoded::Result(result) => self.results.push(result),
                Encoded::TooLarge(bytes) => {
                    batch.take_back();
                    self.too_large(batch, index, bytes)?;
                }
            }
        }
        Ok(())
    }

    fn too_large(&mut self, batch: &Batch, index: usize, bytes: usize) -> Result<()> {
        let config = self.predictor.config();
        let error = Error::model(format!(
            "the result of model {} for the {} {} takes {bytes} bytes, and its sink {:?} takes {} at the most \
             (result_too_large): return less, or raise max.message.bytes of the topic and message.max.bytes in kafka=",
            config.name,
            config.unit().one(),
            describe(config.unit(), &batch.windows[index]),
            config.sink,
            self.predictor.encoder.largest()
        ));
        match config.on_error {
            OnError::Fail => Err(error),
            OnError::DeadLetter | OnError::Skip => {
                self.fail(batch, index, Reason::ResultTooLarge, error);
                Ok(())
            }
        }
    }

    fn fail(&mut self, batch: &Batch, index: usize, reason: Reason, error: Error) {
        let predictor = self.predictor;
        let result = if predictor.config().on_error == OnError::Skip {
            predictor.encoder.dropped(&batch.windows[index])
        } else {
            let (detail, traceback) = match &error {
                Error::ModelRaised { summary, traceback, .. } => (summary.clone(), Some(traceback.clone())),
                other => (other.to_string(), None),
            };
            let failure = Failure { reason, detail, traceback };
            predictor.encoder.dead_letter(&predictor.shared.plan, batch, index, &failure)
        };
        self.results.push(result);
        self.failed += 1;
        self.last = Some((batch.windows[index].clone(), error));
    }
}

impl Caller for Calls<'_> {
    fn call(&mut self, batch: &mut Batch) -> Result<()> {
        let outcome = self.attempt(batch);
        if outcome.is_err() {
            batch.take_back();
            self.predictor.metrics().failed_calls.add(1);
        }
        outcome
    }

    fn pause(&mut self, attempt: u32) -> Result<()> {
        let wait =
            FIRST_WAIT.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
        let pace = self.pace;
        self.predictor.model.detached(&mut || pace.sleep(wait));
        self.predictor.metrics().retries.add(1);
        self.go_on()
    }

    fn go_on(&self) -> Result<()> {
        if self.pace.ending() { Err(Error::Ended("the run is ending".to_owned())) } else { Ok(()) }
    }

    fn poison(&mut self, batch: &Batch, error: Error) -> Result<()> {
        if self.form == Form::Unknown && matches!(error, Error::Model(_)) {
            self.form = Form::Wrong;
        }
        self.fail(batch, 0, Reason::ModelError, error);
        Ok(())
    }
}
