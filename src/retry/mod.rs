//! Windows and single events that a model has failed on are called again, from their dead letters: as a run calls
//! them, with retries, the search for those to blame, and the breaker.

mod letter;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use serde::Deserialize;

use crate::batch::{Batch, Values, WindowMeta};
use crate::commit::ToSink;
use crate::config::{OnError, Plan};
use crate::control::Control;
use crate::encode::{EncodedResult, Fate};
use crate::error::{Error, Result};
use crate::lane::Routes;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::predict::{Batcher, Bounds, Job, Jobs, Model, Pace, Predictor};
use crate::record::{Key, OutRecord};
use crate::shared::Shared;
use crate::source::Replay;
use crate::strikes::Trust;
use crate::time::Millis;
use letter::{Content, Letter};

/// Longer than the breaker holds anything back.
const LONG_AFTER: Millis = 3_600_000;

/// A dead letter of a window: its key and its value.
pub type Written = (Vec<u8>, Vec<u8>);

/// A record in answer to a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The topic.
    pub topic: String,
    /// The partition; none lets the key decide.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp.
    pub timestamp: i64,
    /// The headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What came of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its result, under the identity that the window has had from the beginning.
    Result(Answer),
    /// The model has nothing to say of it.
    Silent,
    /// It has failed again, or could not be called.
    Failed {
        /// On one line.
        error: String,
        /// Where it was raised.
        traceback: Option<String>,
    },
}

impl Outcome {
    fn not_called(error: String) -> Self {
        Self::Failed { error, traceback: None }
    }
}

/// What a call needs to know beside the plan.
pub struct Setting<'a> {
    /// Where results go.
    pub routes: Routes,
    /// Results with a timestamp before it would be deleted from their sink at once.
    pub oldest: Option<Millis>,
    /// Reads what dead letters leave out.
    pub replay: &'a mut dyn Replay,
    /// Where failures are told.
    pub log: Log,
}

/// Time as it passes.
struct Clock(Instant);

impl Pace for Clock {
    fn now(&self) -> Millis {
        self.0.elapsed().as_millis() as Millis
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn ending(&self) -> bool {
        false
    }
}

/// Calls a model of the plan with the windows of dead letters; an outcome for each of them. An error is the model's as a
/// whole, or meant for whoever called.
pub fn call_again(
    plan: &Plan,
    index: usize,
    model: Arc<dyn Model>,
    letters: &[Written],
    setting: Setting<'_>,
) -> Result<Vec<Outcome>> {
    if index >= plan.models.len() {
        return Err(Error::config(format!("app {:?} has no model number {index}", plan.name)));
    }
    let mut plan = plan.clone();
    plan.models[index].on_error = OnError::DeadLetter;
    let plan = Arc::new(plan);
    let mut outcomes: Vec<Option<Outcome>> = letters.iter().map(|_| None).collect();
    let mut ids: Vec<String> = vec![String::new(); letters.len()];
    let mut batches = Batches::new(&plan, index);
    for (place, (key, value)) in letters.iter().enumerate() {
        let rebuilt = Letter::parse(value).and_then(|letter| {
            let config = &plan.models[index];
            if let Some(oldest) = setting.oldest.filter(|oldest| letter.window.end - 1 < *oldest) {
                return Err(format!(
                    "its result, of {} ms, is older than the retention of its sink {:?} ({oldest} ms): set retention.ms \
                     of the sink to -1, or at least to the age of the data",
                    letter.window.end - 1,
                    config.sink
                ));
            }
            let content = letter.content(&plan, config, key, setting.replay)?;
            Ok((letter, content))
        });
        match rebuilt {
            Ok((letter, content)) => {
                batches.add(place, key, &letter, content);
                ids[place] = letter.id;
            }
            Err(error) => outcomes[place] = Some(Outcome::not_called(error)),
        }
    }
    let shared = Shared {
        metrics: Arc::new(Metrics::new(&plan)),
        plan: plan.clone(),
        log: setting.log,
        control: Control::default(),
        routes: setting.routes,
        adopt: false,
        until_end: None,
    };
    for result in predict(&shared, index, model, batches.list)? {
        let place = result.epoch as usize;
        outcomes[place] = Some(outcome(&plan, index, result, std::mem::take(&mut ids[place])));
    }
    let unanswered = || Outcome::not_called("the model has not answered".to_owned());
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect())
}

/// Batches of one model, as large as it may be called with.
struct Batches<'a> {
    plan: &'a Plan,
    model: usize,
    list: Vec<Batch>,
    /// By length bucket, the place of the batch that takes more.
    open: BTreeMap<usize, usize>,
}

impl<'a> Batches<'a> {
    fn new(plan: &'a Plan, model: usize) -> Self {
        Self { plan, model, list: Vec::new(), open: BTreeMap::new() }
    }

    /// Adds a window; its place among the dead letters goes with it as its epoch.
    fn add(&mut self, place: usize, key: &[u8], letter: &Letter, content: Content) {
        let config = &self.plan.models[self.model];
        let events = letter.n_events;
        let fits = |batch: &Batch| {
            let rows = batch.row_splits.last().map_or(0, |rows| *rows as usize);
            batch.len() < config.max_batch && config.max_batch_events.is_none_or(|most| rows + events <= most)
        };
        let bucket = config.length_buckets.bucket(events);
        let open = self.open.get(&bucket).and_then(|place| self.list.get(*place));
        if !open.is_some_and(fits) {
            self.open.insert(bucket, self.list.len());
            self.list.push(Batch {
                model: self.model,
                values: Values::new(config.dtype),
                row_splits: vec![0],
                timestamps: config.timestamps.then(Vec::new),
                contexts: (!config.context.is_empty()).then(Vec::new),
                ..Batch::default()
            });
        }
        let open = self.open.get(&bucket).and_then(|place| self.list.get_mut(*place));
        let Some(batch) = open else { return };
        batch.windows.push(WindowMeta {
            assignment: 0,
            epoch: place as u64,
            partition: letter.partition,
            key: Key::from(key),
            start: letter.window.start,
            end: letter.window.end,
            events,
            offsets: letter.offsets.as_ref().map_or((0, 0), |offsets| (offsets.first, offsets.last)),
            trust: Trust::Full,
        });
        batch.values.extend_from_slice(&content.values);
        if let (Some(all), Some(times)) = (batch.timestamps.as_mut(), content.timestamps) {
            all.extend(times);
        }
        if let Some(contexts) = batch.contexts.as_mut() {
            contexts.push(content.context);
        }
        batch.row_splits.push(batch.row_splits.last().copied().unwrap_or(0) + events as i64);
    }
}

fn predict(
    shared: &Shared,
    index: usize,
    model: Arc<dyn Model>,
    batches: Vec<Batch>,
) -> Result<Vec<EncodedResult>> {
    let config = &shared.plan.models[index];
    let predictor = Predictor::new(shared, index, model, Batcher::fixed(Bounds::of(config, 1)));
    let (jobs, queue) = Jobs::queue(&Bounds { workers: 1, ..Bounds::of(config, 1) }, predictor.load());
    let pace = Clock(Instant::now());
    // An answer per batch at the most.
    let (reply, answers) = bounded(batches.len().max(1));
    for batch in batches {
        if jobs.send(Job { batch, reply: reply.clone() }).is_ok()
            && let Ok(job) = queue.recv()
        {
            predictor.answer(0, job, &pace)?;
        }
    }
    predictor.release_due(pace.now() + LONG_AFTER);
    let results = answers.try_iter().filter_map(|message| match message {
        ToSink::Predicted(results) => Some(results),
        _ => None,
    });
    Ok(results.flatten().collect())
}

/// What the dead letter of a window that has failed again says of it.
#[derive(Deserialize)]
struct Said {
    error: String,
    traceback: Option<String>,
}

fn outcome(plan: &Plan, index: usize, result: EncodedResult, id: String) -> Outcome {
    match (result.fate, result.record) {
        (Fate::Produced, Some(record)) => Outcome::Result(answer(plan, index, record, id)),
        (Fate::DeadLettered(reason), record) => {
            let value = record.and_then(|record| record.value).unwrap_or_default();
            match serde_json::from_slice::<Said>(&value) {
                Ok(said) => Outcome::Failed { error: said.error, traceback: said.traceback },
                Err(_) => Outcome::not_called(reason.code().to_owned()),
            }
        }
        _ => Outcome::Silent,
    }
}

/// The record as a run would have written it. The version is that of the model which has computed it.
fn answer(plan: &Plan, index: usize, record: OutRecord, id: String) -> Answer {
    let model = &plan.models[index];
    let mut headers = vec![
        ("id".to_owned(), id.into_bytes()),
        ("group".to_owned(), plan.group_id.clone().into_bytes()),
        ("model".to_owned(), model.name.clone().into_bytes()),
    ];
    let version = model.version.iter();
    headers.extend(version.map(|version| ("model-version".to_owned(), version.clone().into_bytes())));
    Answer {
        topic: model.sink.clone(),
        partition: record.partition,
        key: record.key.map(|key| key.to_vec()),
        value: record.value,
        timestamp: record.timestamp,
        headers,
    }
}
